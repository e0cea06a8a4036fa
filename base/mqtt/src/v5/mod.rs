//! MQTT 5: packets with properties and reason codes, to bytes and back.
//!
//! Version 5 is the versions before it with more in each packet, so a client can think in these packets alone and let
//! [`encode`] and [`decode`] leave out what its connection does not speak.

mod decode;
mod encode;
mod older;
mod packet;
mod property;
mod reason;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use packet::{
    Ack, ConnAck, Connect, End, Packet, Publish, Reasons, RetainHandling, Subscribe, Subscription, Unsubscribe, Will,
};
pub use property::{Properties, Property};
pub use reason::Reason;
