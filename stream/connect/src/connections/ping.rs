//! Whether a peer can be reached.

use std::time::Duration;

use edgeward_engine::Connection;
use edgeward_service::Tasks;
use tokio::net::TcpStream;

use crate::mqtt::SharedClient;
use crate::{ConnectError, Props, kafka, nats, neuron, redis, sql, websocket};

/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of that an MQTT client has for its farewell.
const FAREWELL: Duration = Duration::from_millis(500);

/// Tries to reach the peer that the properties of a source, sink or connection name. Where the connector keeps a
/// connection the server must accept the client; of others (web servers) a TCP connection is enough. What names no peer needs
/// none.
///
/// # Errors
/// A property is wrong, or the peer does not answer within 5 s; the text says why.
pub async fn ping(kind: &str, props: &Props) -> Result<(), ConnectError> {
    let late = |_| ConnectError::Unreachable(format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, reach(kind, props)).await.map_err(late)?
}

async fn reach(kind: &str, props: &Props) -> Result<(), ConnectError> {
    match kind {
        "mqtt" => mqtt(props).await?.map_err(ConnectError::Unreachable),
        "kafka" => kafka::ping(props).await,
        "nats" => nats::ping(props).await,
        "neuron" | "nng" => neuron::ping(props).await,
        "redis" | "redisPub" | "redisSub" => redis::ping(props).await,
        "sql" => sql::ping(props).await,
        "websocket" => match websocket::ping(props).await? {
            Some(()) => Ok(()),
            None => tcp(props).await.map_err(ConnectError::Unreachable),
        },
        _ => tcp(props).await.map_err(ConnectError::Unreachable),
    }
}

/// Connects as a client of its own.
async fn mqtt(props: &Props) -> Result<Result<(), String>, ConnectError> {
    let tasks = Tasks::root("mqtt-ping");
    // Another client identifier: a server ends the connection of a client that connects again.
    let mut props = props.all().clone();
    props.retain(|key, _| !key.eq_ignore_ascii_case("clientid"));
    let client = SharedClient::start(&Props::new(props), &tasks)?;
    let answer = tokio::time::timeout(PATIENCE - FAREWELL, client.settled()).await;
    tasks.shutdown(FAREWELL).await;
    Ok(match answer {
        Ok(Connection::Disconnected(reason)) => Err(format!("found error when connecting: {reason}")),
        Ok(_) => Ok(()),
        Err(_) => Err("found error when connecting: no answer".to_owned()),
    })
}

async fn tcp(props: &Props) -> Result<(), String> {
    let keys = ["server", "addr", "url", "host", "address"];
    let named = keys.iter().find_map(|key| props.get(key)?.as_str().filter(|text| !text.is_empty()));
    let Some(server) = named else { return Ok(()) };
    let failed = |reason: &str| format!("cannot reach {}: {reason}", shown(server));
    let port = props.number("port").ok().flatten().and_then(|port| u16::try_from(port).ok());
    let (host, port) = host_and_port(server, port).ok_or_else(|| failed("it names no host and port"))?;
    TcpStream::connect((host, port)).await.map(drop).map_err(|error| failed(&error.to_string()))
}

/// An address without the name and password in it.
fn shown(server: &str) -> &str {
    server.rsplit_once('@').map_or(server, |(_, host)| host)
}

/// Host and port of an address with or without a scheme.
fn host_and_port(server: &str, given: Option<u16>) -> Option<(&str, u16)> {
    let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
    let authority = rest.split(['/', '?']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let default = given.or(match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "tcp" | "mqtt" => Some(1883),
        "ssl" | "tls" | "mqtts" => Some(8883),
        _ => None,
    });
    match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => Some((host.trim_matches(['[', ']']), port.parse().ok()?)),
        None => Some((authority.trim_matches(['[', ']']), default?)),
    }
    .filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_host_and_port() {
        for (server, port, expect) in [
            ("tcp://h:1", None, Some(("h", 1))),
            ("tcp://h", None, Some(("h", 1883))),
            ("h", Some(6_041), Some(("h", 6_041))),
            ("http://u:p@h/x", None, Some(("h", 80))),
            ("tcp://[::1]:5", None, Some(("::1", 5))),
            ("https://[::1]", None, Some(("::1", 443))),
            ("h", None, None),
            ("", Some(1), None),
            ("h:x", None, None),
        ] {
            assert_eq!(host_and_port(server, port), expect, "{server}");
        }
    }
}
