//! What can go wrong for a user of the client.

use edgeward_mqtt::MqttError;

/// An error of the client. A lost connection is none: see [`crate::Handle::status`].
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address cannot be understood.
    #[error("{0:?} is not the address of an MQTT server; use tcp://host:port, or ssl://host:port for TLS")]
    BadServer(String),
    /// TLS is asked for without TLS settings.
    #[error("server {0} wants TLS but no TLS settings are given")]
    NoTls(String),
    /// A message that has no encoding.
    #[error("message cannot be sent: {0}")]
    BadMessage(MqttError),
    /// The server has not taken a message; the text is its reason.
    #[error("the server refuses the message: {0}")]
    Refused(String),
    /// The client was stopped before it was done.
    #[error("the client was stopped")]
    Stopped,
}
