//! Properties of `influx` and `influx2`.

use crate::http::{HttpConfig, basic, escape, pairs};
use crate::template::Template;
use crate::{ConnectError, Props};

/// Where points go and what they consist of.
pub(super) struct Config {
    pub(super) request: HttpConfig,
    pub(super) measurement: Template,
    /// Sorted by name, as InfluxDB likes them best.
    pub(super) tags: Vec<(String, Template)>,
    /// Column with the time of a point, in units of the precision; without one it is the time of the result.
    pub(super) time: Option<String>,
    /// Units of the precision in a second.
    pub(super) per_second: i64,
}

impl Config {
    /// `addr`, `database`, `username`, `password` and what both versions have.
    pub(super) fn version1(props: &Props) -> Result<Config, ConnectError> {
        let database = required(props, "database")?;
        let (precision, per_second) = precision(props)?;
        // Version 1 says n and u where version 2 says ns and us.
        let precision = match precision {
            "ns" => "n",
            "us" => "u",
            other => other,
        };
        let user = props.text("username")?.unwrap_or_default();
        let password = props.text("password")?.unwrap_or_default();
        let authorization = (!user.is_empty()).then(|| basic(user, password));
        let path = format!("/write?db={}&precision={precision}", escape(database));
        Config::read(props, &path, authorization, per_second)
    }

    /// `addr`, `org`, `bucket`, `token` and what both versions have.
    pub(super) fn version2(props: &Props) -> Result<Config, ConnectError> {
        let (org, bucket) = (required(props, "org")?, required(props, "bucket")?);
        let (precision, per_second) = precision(props)?;
        let authorization = props.text("token")?.map(|token| format!("Token {token}"));
        let path = format!("/api/v2/write?org={}&bucket={}&precision={precision}", escape(org), escape(bucket));
        Config::read(props, &path, authorization, per_second)
    }

    fn read(props: &Props, path: &str, auth: Option<String>, per_second: i64) -> Result<Config, ConnectError> {
        let server = props.text("addr")?.unwrap_or("http://127.0.0.1:8086").trim_end_matches('/');
        let measurement = Template::read(props, "measurement")?.ok_or(ConnectError::Missing("measurement"))?;
        let tag = |(name, value): (String, String)| Ok((name, Template::parse("tags", &value)?));
        let mut tags = pairs(props, "tags")?.into_iter().map(tag).collect::<Result<Vec<_>, ConnectError>>()?;
        tags.sort_by(|(a, _), (b, _)| a.cmp(b));
        let time = props.text("tsFieldName")?.map(str::to_owned);
        let request = HttpConfig::post(props, ("addr", &format!("{server}{path}")), auth)?;
        Ok(Config { request, measurement, tags, time, per_second })
    }
}

fn required<'a>(props: &'a Props, key: &'static str) -> Result<&'a str, ConnectError> {
    props.text(key)?.ok_or(ConnectError::Missing(key))
}

fn precision(props: &Props) -> Result<(&str, i64), ConnectError> {
    let precision = props.text("precision")?.unwrap_or("ms");
    let per_second = match precision {
        "ns" => 1_000_000_000,
        "us" => 1_000_000,
        "ms" => 1_000,
        "s" => 1,
        other => {
            let reason = format!("precision {other} is not supported; use ms, s, us or ns");
            return Err(ConnectError::Invalid { key: "precision", reason });
        }
    };
    Ok((precision, per_second))
}
