//! The hook that decides who may do what.

use std::net::SocketAddr;

use edgeward_mqtt::ConnectCode;

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Client {
    /// Client identifier.
    pub id: String,
    /// User name it gave.
    pub username: Option<String>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// Decides who may connect, publish and subscribe. Called on the broker's tasks: answers come from memory, without waiting.
pub trait Access: Send + Sync + 'static {
    /// May the client connect?
    ///
    /// # Errors
    /// The code to refuse it with: [`ConnectCode::BadCredentials`] or [`ConnectCode::NotAuthorized`].
    fn connect(&self, _client: &Client, _password: Option<&[u8]>) -> Result<(), ConnectCode> {
        Ok(())
    }

    /// May it publish to the topic? If not, the message is counted and dropped; MQTT 3.1.1 cannot say so.
    fn may_publish(&self, _client: &Client, _topic: &str) -> bool {
        true
    }

    /// May it subscribe to the filter? If not, the SUBACK says so.
    fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
        true
    }
}
