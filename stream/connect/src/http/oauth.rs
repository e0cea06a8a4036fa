//! Tokens: eKuiper's `oAuth` property. A token is asked for when it is first needed and again when it has expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{Map, Value};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value as Json;

use super::HttpClient;
use super::config::{check_url, headers, pairs};
use crate::template::Template;
use crate::{ConnectError, Props};

/// A request for tokens; always POST.
#[derive(Clone)]
struct Asking {
    url: String,
    body: Template,
    headers: Vec<(HeaderName, Template)>,
}

/// The tokens of one connector.
#[derive(Clone)]
pub(crate) struct Session {
    client: HttpClient,
    access: Asking,
    /// Seconds a token lives, from the answer; for ever when it is no number.
    expire: Option<Template>,
    refresh: Option<Asking>,
    /// Members of the latest answer, and when they expire.
    tokens: Option<(Arc<Map>, Option<Instant>)>,
}

impl Session {
    /// Reads `oAuth` (or `oauth`); none when it is absent.
    ///
    /// # Errors
    /// A part of it is missing or wrong.
    pub(super) fn read(props: &Props, client: HttpClient) -> Result<Option<Session>, ConnectError> {
        let Some(Json::Object(map)) = props.get("oAuth") else { return Ok(None) };
        let part = |key: &str| match map.get(key) {
            Some(Json::Object(part)) => Some(Props::new(part.clone())),
            _ => None,
        };
        let access = part("access").ok_or(ConnectError::Missing("oAuth.access"))?;
        let expire = match access.get("expire") {
            Some(Json::Number(seconds)) => Some(Template::fixed(&seconds.to_string())),
            _ => Template::read(&access, "expire")?,
        };
        let refresh = part("refresh").map(|refresh| asking(&refresh)).transpose()?;
        Ok(Some(Session { client, access: asking(&access)?, expire, refresh, tokens: None }))
    }

    /// The next request asks for a token again.
    pub(crate) fn expire(&mut self) {
        if let Some((_, until)) = &mut self.tokens {
            *until = Some(Instant::now());
        }
    }

    /// Members of the answer with the token, for the templates of the headers; asks for one if there is none that holds.
    ///
    /// # Errors
    /// The server of tokens gives none; the text says why.
    pub(crate) async fn tokens(&mut self) -> Result<Arc<Map>, String> {
        match self.tokens.clone() {
            Some((tokens, until)) if until.is_none_or(|until| Instant::now() < until) => Ok(tokens),
            Some((old, _)) => self.renew(&old).await,
            None => self.ask(&self.access.clone(), &Map::new()).await,
        }
    }

    /// Refreshes a token; one that cannot be refreshed is asked for anew.
    async fn renew(&mut self, old: &Map) -> Result<Arc<Map>, String> {
        if let Some(refresh) = self.refresh.clone()
            && let Ok(tokens) = self.ask(&refresh, old).await
        {
            return Ok(tokens);
        }
        self.ask(&self.access.clone(), &Map::new()).await
    }

    async fn ask(&mut self, asking: &Asking, values: &Map) -> Result<Arc<Map>, String> {
        let failed = |reason: String| format!("cannot get a token from {}: {reason}", asking.url);
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let data = Value::map(values.clone());
        for (name, value) in &asking.headers {
            let value = HeaderValue::from_str(&value.render(&data).map_err(failed)?);
            headers.insert(name, value.map_err(|_| failed(format!("the value of header {name} is not valid")))?);
        }
        let body = Bytes::from(asking.body.render(&data).map_err(failed)?);
        let reply = self.client.send(&Method::POST, &asking.url, &headers, body).await;
        let reply = reply.map_err(|error| failed(error.to_string()))?;
        if !reply.status.is_success() {
            return Err(failed(format!("http status code {}", reply.status.as_u16())));
        }
        let answer = parse(&reply.body, Numbers::Float).map_err(|error| failed(error.to_string()))?;
        let tokens = answer.as_map().cloned().ok_or_else(|| failed("the answer is no JSON object".to_owned()))?;
        // A refresh may answer less than the first time: what it leaves out stays.
        let mut merged = values.clone();
        merged.extend(tokens.iter().map(|(key, value)| (key.clone(), value.clone())));
        let merged = Arc::new(merged);
        let seconds = self
            .expire
            .as_ref()
            .and_then(|expire| expire.render(&Value::Map(merged.clone())).ok()?.parse::<f64>().ok());
        let until = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.tokens = Some((merged.clone(), until.and_then(|until| Instant::now().checked_add(until))));
        Ok(merged)
    }
}

fn asking(props: &Props) -> Result<Asking, ConnectError> {
    let url = props.text("url")?.ok_or(ConnectError::Missing("oAuth url"))?.to_owned();
    check_url("oAuth", &url)?;
    let body = match props.get("body") {
        Some(Json::Object(body)) => Template::parse("body", &Json::Object(body.clone()).to_string())?,
        _ => Template::read(props, "body")?.unwrap_or_else(|| Template::fixed("")),
    };
    Ok(Asking { url, body, headers: headers(pairs(props, "headers")?)? })
}
