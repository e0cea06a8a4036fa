//! Properties of `mqtt`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_mqtt::{Filter, QoS, Text, Version, check_topic};
use edgeward_mqtt_client::{Options, Server};
use serde_json::Value;

use super::SharedClient;
use crate::template::Template;
use crate::{ConnectError, Hosts, LocalBus, Props, tls};

/// eKuiper's default server.
const DEFAULT_SERVER: &str = "tcp://127.0.0.1:1883";

/// Where messages come from or go to.
pub(super) enum Place {
    /// The node's bus.
    Bus(Arc<dyn LocalBus>),
    /// A server on the network.
    Server(Box<Options>),
    /// A named connection.
    Shared(Arc<SharedClient>),
}

/// A source.
pub(super) struct SourceConfig {
    pub(super) place: Place,
    pub(super) filter: Filter,
    /// Default 1.
    pub(super) qos: QoS,
    /// Messages that wait between the bus and the stream.
    pub(super) buffer_length: usize,
}

/// A sink.
pub(super) struct SinkConfig {
    pub(super) place: Place,
    pub(super) topic: Template,
    /// Default 0.
    pub(super) qos: QoS,
    pub(super) retained: bool,
    /// User properties of MQTT 5; older versions leave them out.
    pub(super) properties: Vec<(Text, Template)>,
}

impl SourceConfig {
    pub(super) fn read(datasource: &str, props: &Props, hosts: &Hosts) -> Result<SourceConfig, ConnectError> {
        let filter = Filter::try_from(datasource);
        let filter = filter.map_err(|error| ConnectError::Invalid { key: "DATASOURCE", reason: error.to_string() })?;
        let buffer_length = props.number("bufferLength")?.unwrap_or(1_024).clamp(1, 1_000_000);
        let buffer_length = usize::try_from(buffer_length).unwrap_or(1_024);
        Ok(SourceConfig { place: place(props, hosts)?, filter, qos: qos(props, QoS::AtLeastOnce)?, buffer_length })
    }
}

impl SinkConfig {
    pub(super) fn read(props: &Props, hosts: &Hosts) -> Result<SinkConfig, ConnectError> {
        let topic = Template::read(props, "topic")?.ok_or(ConnectError::Missing("topic"))?;
        if let Some(name) = topic.constant() {
            topic_name(name).map_err(|reason| ConnectError::Invalid { key: "topic", reason })?;
        }
        let retained = props.flag("retained")?;
        let (place, qos, properties) = (place(props, hosts)?, qos(props, QoS::AtMostOnce)?, user_properties(props)?);
        Ok(SinkConfig { place, topic, qos, retained, properties })
    }
}

fn user_properties(props: &Props) -> Result<Vec<(Text, Template)>, ConnectError> {
    let Some(value) = props.get("properties") else { return Ok(Vec::new()) };
    let wrong = |expected, value: &Value| ConnectError::WrongType {
        key: "properties".to_owned(),
        expected,
        found: if value.is_string() { "string" } else { "interface {}" },
        value: value.to_string(),
    };
    let Value::Object(map) = value else { return Err(wrong("map[string]string", value)) };
    let property = |(key, value): (&String, &Value)| {
        let text = value.as_str().ok_or_else(|| wrong("string", value))?;
        let key = Text::try_from(key.as_str());
        let key = key.map_err(|error| ConnectError::Invalid { key: "properties", reason: error.to_string() })?;
        Ok((key, Template::parse("properties", text)?))
    };
    map.iter().map(property).collect()
}

/// A topic to publish to.
///
/// # Errors
/// It is none; the text says why.
pub(super) fn topic_name(topic: &str) -> Result<Text, String> {
    check_topic(topic.as_bytes()).map_err(|error| error.to_string())?;
    Text::try_from(topic).map_err(|error| error.to_string())
}

fn qos(props: &Props, default: QoS) -> Result<QoS, ConnectError> {
    let Some(level) = props.number("qos")? else { return Ok(default) };
    let known = u8::try_from(level).ok().and_then(|level| QoS::try_from(level).ok());
    known.ok_or_else(|| ConnectError::Invalid { key: "qos", reason: format!("{level} is not 0, 1 or 2") })
}

fn place(props: &Props, hosts: &Hosts) -> Result<Place, ConnectError> {
    if let Some(client) = hosts.connections.mqtt(props)? {
        return Ok(Place::Shared(client));
    }
    match (&hosts.bus, props.text("server")?) {
        (Some(bus), None) => Ok(Place::Bus(bus.clone())),
        _ => client_options(props).map(|options| Place::Server(Box::new(options))),
    }
}

/// Options of a client.
///
/// # Errors
/// A property is wrong.
pub(super) fn client_options(props: &Props) -> Result<Options, ConnectError> {
    let server = props.text("server")?.unwrap_or(DEFAULT_SERVER);
    let invalid = |key| move |reason: String| ConnectError::Invalid { key, reason };
    let server = Server::parse(server).map_err(|error| invalid("server")(error.to_string()))?;
    let version = match props.text("protocolVersion")?.unwrap_or("3.1.1") {
        "3.1" | "3" => Version::V31,
        "3.1.1" | "4" => Version::V311,
        "5" => Version::V5,
        other => {
            let reason = format!("unsupported protocol version {other}; use 3.1, 3.1.1 or 5");
            return Err(invalid("protocolVersion")(reason));
        }
    };
    let text = |key: &'static str| -> Result<Option<Text>, ConnectError> {
        let text = props.text(key)?.map(Text::try_from).transpose();
        text.map_err(|error| ConnectError::Invalid { key, reason: error.to_string() })
    };
    let random = || Text::try_from(uuid::Uuid::new_v4().simple().to_string()).unwrap_or_default();
    let (username, password) = (text("username")?, props.text("password")?);
    if username.is_none() && password.is_some() && version != Version::V5 {
        return Err(invalid("password")("a password needs a username".to_owned()));
    }
    Ok(Options {
        tls: if server.tls { Some(tls::client_config(props, false)?) } else { None },
        version,
        client_id: text("clientid")?.unwrap_or_else(random),
        clean_session: !props.flag("enableClientSession")?,
        session_expiry: props
            .number("sessionExpiryIntervalSeconds")?
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        username,
        password: password.map(|password| Bytes::copy_from_slice(password.as_bytes())),
        ..Options::new(server)
    })
}
