//! MQTT packets and topic filters: encode and decode only. No socket, no clock, no state of a session.
//!
//! Invariant: no input makes this crate panic or allocate more than the packet limit it was given. Decoding copies
//! nothing: a topic and a payload are slices of the buffer the packet was read into. The protocol [`Version`] is a
//! parameter of [`decode`] and [`encode`], which are those of MQTT 3.1 and 3.1.1; [`v5`] has those of all versions.

mod codec;
mod error;
mod filter;
mod packet;
mod text;
mod tree;
pub mod v5;

pub use codec::{PublishHeader, decode, encode, encode_publish};
pub use error::MqttError;
pub use filter::{Filter, MAX_LEVELS, check_topic, matches};
pub use packet::{
    Ack, ConnAck, Connect, ConnectCode, Packet, Publish, QoS, SubAck, SubAckCode, Subscribe, Unsubscribe, Version, Will,
};
pub use text::Text;
pub use tree::FilterTree;
