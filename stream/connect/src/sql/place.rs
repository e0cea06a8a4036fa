//! Addresses of databases: `sqlite://file`, `postgres://user:password@host:port/database?sslmode=…`,
//! `mysql://user:password@host:port/database`.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::json;

use super::dialect::Dialect;
use crate::wire::Target;
use crate::{ConnectError, Props, tls};

/// Where a database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(PathBuf),
    Server(Arc<Server>),
}

/// A database on a server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) dialect: Dialect,
    /// Never with TLS of its own: these protocols begin in the clear.
    pub(super) target: Target,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    pub(super) tls: Tls,
}

/// Whether the connection is encrypted.
#[derive(Debug)]
pub(super) enum Tls {
    Never,
    /// If the server can.
    Prefer(Arc<ClientConfig>),
    Require(Arc<ClientConfig>),
}

impl Place {
    /// The property `url`, as the older `dburl`.
    pub(super) fn read(props: &Props) -> Result<Place, ConnectError> {
        let url = match props.text("url")? {
            Some(url) => url,
            None => props.text("dburl")?.ok_or(ConnectError::Missing("url"))?,
        };
        // The address may hold a password: no error repeats it.
        let (scheme, rest) =
            url.split_once(':').ok_or_else(|| bad("it has no scheme; use sqlite, postgres or mysql"))?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" | "sqlite3" | "sq" | "file" => {
                let path = rest.split('?').next().unwrap_or_default();
                if path.is_empty() { Err(bad("it names no file")) } else { Ok(Place::File(decode(path)?.into())) }
            }
            "postgres" | "postgresql" | "pgsql" | "pg" => server(Dialect::Postgres, rest, props),
            "mysql" | "mariadb" | "maria" | "my" => server(Dialect::Mysql, rest, props),
            _ => Err(ConnectError::Invalid {
                key: "url",
                reason: format!("databases of type {scheme} are not supported; use sqlite, postgres or mysql"),
            }),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Place::File(_) => Dialect::Sqlite,
            Place::Server(server) => server.dialect,
        }
    }
}

fn bad(reason: &str) -> ConnectError {
    ConnectError::Invalid { key: "url", reason: reason.to_owned() }
}

fn server(dialect: Dialect, rest: &str, props: &Props) -> Result<Place, ConnectError> {
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (address, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (port, super_user) = if dialect == Dialect::Postgres { (5_432, "postgres") } else { (3_306, "root") };
    let user = if user.is_empty() { super_user.to_owned() } else { decode(user)? };
    let target = Target::read(("url", address), (&[], port), &Props::default())?;
    let (password, mut database) = (decode(password)?, decode(database)?);
    if database.is_empty() && dialect == Dialect::Postgres {
        database.clone_from(&user);
    }
    if [&user, &password, &database].iter().any(|text| text.contains('\0')) {
        return Err(bad("it holds a zero byte"));
    }
    Ok(Place::Server(Arc::new(Server { dialect, target, user, password, database, tls: encryption(options, props)? })))
}

/// `sslmode` of PostgreSQL, or `tls` of MySQL; a TLS property asks for a verified server.
fn encryption(options: &str, props: &Props) -> Result<Tls, ConnectError> {
    let option = options.split('&').filter_map(|option| option.split_once('='));
    let mode = option.filter(|(key, _)| matches!(*key, "sslmode" | "tls")).map(|(_, mode)| mode).next_back();
    let unverified = || {
        let overlay = json!({"insecureSkipVerify": true});
        let overlay = overlay.as_object().cloned().unwrap_or_default();
        tls::client_config(&props.clone().overlaid(overlay), true)
    };
    let set = Target::wants_tls(props);
    match mode {
        Some("disable" | "false") => Ok(Tls::Never),
        Some("verify-ca" | "verify-full" | "true") => Ok(Tls::Require(tls::client_config(props, false)?)),
        Some("require" | "skip-verify") => Ok(Tls::Require(unverified()?)),
        None if set => Ok(Tls::Require(tls::client_config(props, false)?)),
        None | Some("prefer" | "allow" | "preferred") => Ok(Tls::Prefer(unverified()?)),
        Some(_) => Err(bad("its sslmode is unknown; use disable, prefer, require or verify-full")),
    }
}

/// Replaces `%41` by its byte.
fn decode(text: &str) -> Result<String, ConnectError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit(), digit());
                let byte = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                byte.ok_or_else(|| bad("a % in it is not followed by two hexadecimal digits"))?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).map_err(|_| bad("it is no UTF-8"))
}
