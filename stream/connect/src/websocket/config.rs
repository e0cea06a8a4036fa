//! Properties of `websocket`.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::httppush::config::path;
use crate::{ConnectError, Props, tls};

/// Which end of the socket this is.
pub(super) enum Place {
    /// A client of this address.
    Client(Server),
    /// A path on the shared server.
    Path(String),
}

/// A server to connect to.
#[derive(Clone)]
pub(super) struct Server {
    /// `host:port`.
    pub(super) address: String,
    /// Name in the server's certificate.
    pub(super) host: String,
    /// The whole address.
    pub(super) url: String,
    /// With TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Properties that ask for TLS with an `addr` without scheme.
const TLS: [&str; 5] = ["rootCaPath", "rootCARaw", "certificationPath", "certificationRaw", "insecureSkipVerify"];

impl Place {
    /// `addr` is `host:port`, or an address with `ws://` or `wss://`; `key` is what names the path.
    pub(super) fn read(key: &'static str, named: Option<&str>, props: &Props) -> Result<Place, ConnectError> {
        let Some(addr) = props.text("addr")? else {
            return Ok(Place::Path(path(key, named.ok_or(ConnectError::Missing(key))?)?));
        };
        let (scheme, rest) = addr.split_once("://").unwrap_or(("", addr));
        let secure = match scheme {
            "" => TLS.iter().any(|key| props.get(key).is_some()),
            "ws" => false,
            "wss" => true,
            other => return Err(bad(format!("scheme {other} is unknown; use ws or wss"))),
        };
        let (authority, own) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let authority: http::uri::Authority = authority.parse().map_err(|error| bad(format!("{addr}: {error}")))?;
        let path = if own.is_empty() { named.unwrap_or_default() } else { own };
        if !path.is_empty() && !path.starts_with('/') {
            return Err(bad(format!("{path:?} is no path; it must start with /")));
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Place::Client(Server {
            address: format!("{}:{port}", authority.host()),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            url: format!("{}://{authority}{path}", if secure { "wss" } else { "ws" }),
            tls: if secure { Some(tls::client_config(props, false)?) } else { None },
        }))
    }
}

fn bad(reason: String) -> ConnectError {
    ConnectError::Invalid { key: "addr", reason }
}
