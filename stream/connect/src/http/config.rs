//! Properties of a request: those of the sink `rest` and of the source `httppull`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edgeward_engine::{Map, Value};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use serde_json::Value as Json;

use super::{Body, Form, HttpClient, Reply, Session};
use crate::template::Template;
use crate::{ConnectError, Props, tls};

/// How an answer says that all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By its status.
    Code,
    /// By its status and by the number `code` in its JSON body.
    Body,
}

/// A request to be made again and again.
#[derive(Clone)]
pub(crate) struct HttpConfig {
    pub(crate) method: Template,
    pub(crate) url: Template,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    /// `bodyType`.
    kind: Template,
    /// What a body of type `formdata` holds beside the payload.
    form: Form,
    pub(crate) answer: Answer,
    /// Write answers to the log.
    pub(crate) debug: bool,
    pub(crate) client: HttpClient,
    pub(crate) session: Option<Session>,
}

impl HttpConfig {
    /// Reads the properties. `body_type` is the default where the method has a body.
    ///
    /// # Errors
    /// A property is wrong.
    pub(crate) fn read(props: &Props, url: Template, body_type: &str) -> Result<HttpConfig, ConnectError> {
        if let Some(url) = url.constant() {
            check_url("url", url)?;
        }
        let verb = Template::read(props, "method")?.unwrap_or_else(|| Template::fixed("GET"));
        let known = verb.constant().map(method).transpose()?;
        let bodiless = matches!(known, Some(Method::GET | Method::HEAD));
        let default = || Template::fixed(if bodiless { "none" } else { body_type });
        let kind = Template::read(props, "bodyType")?.unwrap_or_else(default);
        let form =
            Form { file: props.text("fileFieldName")?.unwrap_or("file").to_owned(), texts: pairs(props, "formData")? };
        kind.constant().map(|kind| Body::parse(kind, &form)).transpose()?;
        let answer = match props.text("responseType")?.unwrap_or("code") {
            "code" => Answer::Code,
            "body" => Answer::Body,
            other => {
                let reason = format!("invalid response type value: {other}; use code or body");
                return Err(ConnectError::Invalid { key: "responseType", reason });
            }
        };
        let timeout = Duration::from_millis(props.duration_ms("timeout")?.unwrap_or(5_000));
        let client = HttpClient::new(&tls::client_config(props, true)?, timeout);
        let session = Session::read(props, client.clone())?;
        let headers = headers(pairs(props, "headers")?)?;
        Ok(HttpConfig {
            method: verb,
            url,
            headers,
            kind,
            form,
            answer,
            debug: props.flag("debugResp")?,
            client,
            session,
        })
    }

    /// A request that posts text to a fixed address, for databases over HTTP.
    ///
    /// # Errors
    /// The address or a TLS property is wrong.
    pub(crate) fn post(
        props: &Props,
        (key, url): (&'static str, &str),
        authorization: Option<String>,
    ) -> Result<HttpConfig, ConnectError> {
        check_url(key, url)?;
        let timeout = Duration::from_millis(props.duration_ms("timeout")?.unwrap_or(5_000));
        let headers = authorization.map(|value| (AUTHORIZATION, Template::fixed(&value)));
        Ok(HttpConfig {
            method: Template::fixed("POST"),
            url: Template::fixed(url),
            headers: headers.into_iter().collect(),
            kind: Template::fixed("text"),
            form: Form::default(),
            answer: Answer::Code,
            debug: false,
            client: HttpClient::new(&tls::client_config(props, false)?, timeout),
            session: None,
        })
    }

    /// Method and address of a request, for errors.
    pub(crate) fn line(&self, data: &Value) -> (String, String) {
        let text = |template: &Template| template.render(data).unwrap_or_else(|error| error);
        (text(&self.method).to_ascii_uppercase(), text(&self.url))
    }

    /// Makes the request once. `data` is what its templates see.
    pub(crate) async fn request(&mut self, payload: &[u8], data: &Value) -> Result<Reply, Failure> {
        let bad = |error: ConnectError| Failure::Bad(error.to_string());
        let body = Body::parse(&self.kind.render(data).map_err(Failure::Bad)?, &self.form).map_err(bad)?;
        let (kind, body) = body.make(payload).map_err(Failure::Bad)?;
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            insert(&mut headers, &CONTENT_TYPE, &kind)?;
        }
        let known = match &mut self.session {
            None => Cow::Borrowed(data),
            Some(session) => Cow::Owned(under(session.tokens().await.map_err(Failure::Passing)?, data)),
        };
        for (name, value) in &self.headers {
            insert(&mut headers, name, &value.render(&known).map_err(Failure::Bad)?)?;
        }
        let url = self.url.render(data).map_err(Failure::Bad)?;
        let method = method(&self.method.render(data).map_err(Failure::Bad)?).map_err(bad)?;
        let reply = self.client.send(&method, &url, &headers, body).await;
        let reply = reply.map_err(|error| match error {
            super::HttpError::Invalid(_) => Failure::Bad(error.to_string()),
            _ => Failure::Passing(error.to_string()),
        })?;
        if self.debug {
            let body = String::from_utf8_lossy(&reply.body[..reply.body.len().min(4_096)]);
            tracing::info!(url, status = reply.status.as_u16(), %body, "answer");
        }
        if reply.status.as_u16() == 401
            && let Some(session) = &mut self.session
        {
            session.expire();
            return Err(Failure::Passing("http status code 401; the token is asked for anew".to_owned()));
        }
        judge(reply, self.answer)
    }
}

/// Why a request did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The same request may succeed later.
    Passing(String),
    /// It never will.
    Bad(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Failure::Passing(text) | Failure::Bad(text) => text,
        }
    }
}

/// The row of `data`, of an array its first one, over the members of a token.
fn under(tokens: Arc<Map>, data: &Value) -> Value {
    let row = data.as_array().and_then(|rows| rows.first()).unwrap_or(data);
    let mut known = (*tokens).clone();
    known.extend(row.as_map().into_iter().flat_map(|row| row.iter()).map(|(key, value)| (key.clone(), value.clone())));
    Value::map(known)
}

fn judge(reply: Reply, answer: Answer) -> Result<Reply, Failure> {
    let status = reply.status;
    if !status.is_success() {
        let text = format!("response code error: {}", status.as_u16());
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        return Err(if passing { Failure::Passing(text) } else { Failure::Bad(text) });
    }
    if answer == Answer::Body {
        let body: Option<Json> = serde_json::from_slice(&reply.body).ok();
        let code = body.as_ref().and_then(|body| body.get("code")).and_then(Json::as_f64);
        if !code.is_some_and(|code| (200.0..300.0).contains(&code)) {
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            return Err(Failure::Bad(format!("response body error: {code}")));
        }
    }
    Ok(reply)
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) -> Result<(), Failure> {
    let value = HeaderValue::from_str(value);
    headers.insert(name, value.map_err(|_| Failure::Bad(format!("the value of header {name} is not valid")))?);
    Ok(())
}

fn method(name: &str) -> Result<Method, ConnectError> {
    let name = name.to_ascii_uppercase();
    if ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"].contains(&name.as_str())
        && let Ok(method) = name.parse()
    {
        return Ok(method);
    }
    let reason = format!("{name} is not supported; use GET, HEAD, POST, PUT, PATCH or DELETE");
    Err(ConnectError::Invalid { key: "method", reason })
}

/// The value of `Authorization` for a name and a password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Checks an address of a web server.
pub(crate) fn check_url(key: &'static str, url: &str) -> Result<(), ConnectError> {
    let invalid = |reason: String| Err(ConnectError::Invalid { key, reason });
    match url.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
            invalid(format!("Invalid scheme in {url:?}; use http:// or https://"))
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => invalid(format!("Invalid url {url:?}: no host")),
        Ok(_) => Ok(()),
        Err(error) => invalid(format!("Invalid url {url:?}: {error}")),
    }
}

/// A map of names to texts; eKuiper also takes it as a JSON text.
pub(crate) fn pairs(props: &Props, key: &'static str) -> Result<Vec<(String, String)>, ConnectError> {
    let parsed;
    let map = match props.get(key) {
        None => return Ok(Vec::new()),
        Some(Json::String(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(Json::String(text)) => {
            parsed = serde_json::from_str::<Json>(text).unwrap_or_default();
            &parsed
        }
        Some(value) => value,
    };
    let Json::Object(map) = map else {
        return Err(ConnectError::Invalid { key, reason: "not a map of names to texts".to_owned() });
    };
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(map.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// Headers whose values may depend on the data.
pub(super) fn headers(pairs: Vec<(String, String)>) -> Result<Vec<(HeaderName, Template)>, ConnectError> {
    let read = |(name, value): (String, String)| {
        let bad = |_| ConnectError::Invalid { key: "headers", reason: format!("{name:?} is no header name") };
        Ok((name.parse::<HeaderName>().map_err(bad)?, Template::parse("headers", &value)?))
    };
    pairs.into_iter().map(read).collect()
}
