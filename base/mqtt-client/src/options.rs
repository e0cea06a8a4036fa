//! What a client is told at start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_mqtt::{Text, Version, Will};
use tokio_rustls::rustls::ClientConfig;

use crate::ClientError;

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
}

impl Server {
    /// Reads `tcp://host:port` (also `mqtt://`), `ssl://host:port` (also `tls://`, `mqtts://`, `tcps://`) or `host:port`.
    /// The port is 1883 by default, 8883 with TLS. IPv6 addresses stand in brackets.
    ///
    /// # Errors
    /// Another scheme, no host, or a port that is none.
    pub fn parse(text: &str) -> Result<Server, ClientError> {
        let bad = || ClientError::BadServer(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "tcp" | "mqtt" => false,
            "ssl" | "tls" | "mqtts" | "tcps" => true,
            _ => return Err(bad()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let port_at = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&rest[..at], rest[at + 1..].parse().map_err(|_| bad())?),
            None => (rest, if tls { 8883 } else { 1883 }),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let ipv6_without_brackets = host.contains(':') && !rest.starts_with('[');
        if host.is_empty() || port == 0 || ipv6_without_brackets || host.contains(['/', ' ', '@']) {
            return Err(bad());
        }
        Ok(Server { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}:{}", if self.tls { "ssl" } else { "tcp" }, self.host, self.port)
    }
}

/// Options of a client.
#[derive(Clone)]
pub struct Options {
    /// Where to connect to.
    pub server: Server,
    /// TLS settings; needed when [`Server::tls`] is set.
    pub tls: Option<Arc<ClientConfig>>,
    /// Name to verify the server's certificate against, if not the host.
    pub tls_name: Option<String>,
    /// Protocol version.
    pub version: Version,
    /// Client identifier; empty lets the server choose, which needs a clean session.
    pub client_id: Text,
    /// Whether the server forgets the client when the connection ends.
    pub clean_session: bool,
    /// How long a server of MQTT 5 remembers the client after the connection, without a clean session; none is forever.
    pub session_expiry: Option<Duration>,
    /// User name.
    pub username: Option<Text>,
    /// Password; needs a user name.
    pub password: Option<Bytes>,
    /// Published by the server when the connection is lost.
    pub will: Option<Will>,
    /// A ping is sent when nothing else was for so long, and the connection given up if it is not answered for as long
    /// again. At least a second.
    pub keep_alive: Duration,
    /// For the TCP connection, TLS and CONNACK together.
    pub connect_timeout: Duration,
    /// Shortest and longest time between two tries to connect.
    pub backoff: (Duration, Duration),
    /// Messages that wait to be sent; also messages received that wait to be taken.
    pub queue: usize,
    /// QoS 1 and 2 messages that wait for the server's acknowledgement; fewer if the server takes fewer.
    pub max_inflight: usize,
    /// Largest packet in bytes that is accepted.
    pub max_packet_bytes: usize,
}

impl Options {
    /// Defaults for a server: a clean session, a client identifier the server chooses.
    pub fn new(server: Server) -> Options {
        Options {
            server,
            tls: None,
            tls_name: None,
            version: Version::V311,
            client_id: Text::default(),
            clean_session: true,
            session_expiry: None,
            username: None,
            password: None,
            will: None,
            keep_alive: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            backoff: (Duration::from_millis(100), Duration::from_secs(30)),
            queue: 1_024,
            max_inflight: 100,
            max_packet_bytes: 16 << 20,
        }
    }
}

impl fmt::Debug for Options {
    /// Leaves the password out.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("server", &self.server)
            .field("client_id", &self.client_id)
            .field("clean_session", &self.clean_session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_server_addresses() {
        let cases = [
            ("tcp://127.0.0.1:1883", "tcp://127.0.0.1:1883"),
            ("mqtt://broker", "tcp://broker:1883"),
            ("broker:1884", "tcp://broker:1884"),
            ("broker", "tcp://broker:1883"),
            ("ssl://broker:8884/", "ssl://broker:8884"),
            ("MQTTS://broker", "ssl://broker:8883"),
            ("tcp://[::1]:1", "tcp://::1:1"),
            ("tls://[fe80::1]", "ssl://fe80::1:8883"),
        ];
        for (text, expect) in cases {
            assert_eq!(Server::parse(text).map(|server| server.to_string()).as_deref(), Ok(expect), "{text}");
        }
        for bad in ["", "tcp://", "http://a", "a:b", "a:0", "a:65536", "::1", "a/b:1", "ws://a:1", "user@a:1"] {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
