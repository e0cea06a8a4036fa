//! Properties of `redis`, `redisPub` and `redisSub`.

use std::time::Duration;

use serde_json::Value;

use crate::template::Template;
use crate::wire::Target;
use crate::{ConnectError, Props};

/// A server and one of its databases.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// 0 to 15.
    pub(super) db: u8,
}

impl Server {
    /// `addr` (for publish and subscribe also `address`), `username`, `password`; `db` unless the caller knows it better.
    pub(super) fn read(props: &Props, db: Option<u64>) -> Result<Server, ConnectError> {
        let (addr, address) = (props.text("addr")?, props.text("address")?);
        let text = addr.or(address).unwrap_or("127.0.0.1:6379");
        let target = Target::read(("addr", text), (&["redis", "tcp"], 6379), props)?;
        let db = db.map_or_else(|| props.number("db"), |db| Ok(Some(db)))?.unwrap_or(0);
        let range = || ConnectError::Invalid { key: "db", reason: format!("{db} is not in 0..=15") };
        let db = u8::try_from(db).ok().filter(|db| *db < 16).ok_or_else(range)?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (username, password) = (owned(props.text("username")?), owned(props.text("password")?));
        Ok(Server { target, username, password, db })
    }
}

/// How values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    /// One text for a key.
    Text,
    /// A list of texts for a key; the newest first.
    List,
}

impl DataType {
    pub(super) fn read(props: &Props) -> Result<DataType, ConnectError> {
        match props.text("dataType")?.unwrap_or("string") {
            "string" => Ok(DataType::Text),
            "list" => Ok(DataType::List),
            other => {
                let reason = format!("{other} is not supported; use string or list");
                Err(ConnectError::Invalid { key: "dataType", reason })
            }
        }
    }
}

/// Under which keys a row is stored.
#[derive(Debug)]
pub(super) enum Keys {
    /// The whole row as JSON under this key.
    Fixed(Template),
    /// The whole row as JSON under the value of this column.
    Column(String),
    /// Each column under its own name.
    Columns,
}

/// The sink `redis`.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) server: Server,
    pub(super) keys: Keys,
    pub(super) data_type: DataType,
    /// After this time a text is forgotten; none keeps it.
    pub(super) expiration: Option<Duration>,
    /// Column that says what is to be done.
    pub(super) rowkind: Option<String>,
}

impl Config {
    pub(super) fn read(props: &Props) -> Result<Config, ConnectError> {
        let keys = match (props.text("keyType")?.unwrap_or("single"), props.text("field")?) {
            ("multiple", _) => Keys::Columns,
            ("single", Some(field)) => Keys::Column(field.to_owned()),
            ("single", None) => {
                Keys::Fixed(Template::read(props, "key")?.ok_or(ConnectError::Missing("key or field"))?)
            }
            (other, _) => {
                let reason = format!("{other} is not supported; use single or multiple");
                return Err(ConnectError::Invalid { key: "keyType", reason });
            }
        };
        Ok(Config {
            server: Server::read(props, None)?,
            keys,
            data_type: DataType::read(props)?,
            expiration: expiration(props)?,
            rowkind: props.text("rowkindField")?.map(str::to_owned),
        })
    }
}

/// A number is in seconds, a text a duration; -1 (default) and 0 keep the value for ever.
fn expiration(props: &Props) -> Result<Option<Duration>, ConnectError> {
    let whole = |value: &Value| value.as_f64().filter(|seconds| seconds.fract() == 0.0);
    match props.get("expiration") {
        Some(Value::Number(_)) if props.get("expiration").and_then(whole).is_some_and(|seconds| seconds <= 0.0) => {
            Ok(None)
        }
        Some(Value::Number(_)) => Ok(props.number("expiration")?.map(Duration::from_secs)),
        _ => Ok(props.duration_ms("expiration")?.filter(|ms| *ms > 0).map(Duration::from_millis)),
    }
}

/// Channels to listen to.
pub(super) fn channels(props: &Props) -> Result<Vec<String>, ConnectError> {
    let channels = match props.get("channels") {
        Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
        _ => props.list("channels")?,
    };
    if channels.is_empty() { Err(ConnectError::Missing("channels")) } else { Ok(channels) }
}
