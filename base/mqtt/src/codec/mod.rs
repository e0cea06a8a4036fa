//! Bytes to packets and back.

mod decode;
mod encode;
pub(crate) mod fields;
#[cfg(test)]
mod tests;

use bytes::{BufMut as _, BytesMut};

use crate::MqttError;

pub use decode::decode;
pub(crate) use decode::{frame, shape};
pub use encode::{PublishHeader, encode, encode_publish};

/// Packet types: the upper four bits of the first byte.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
    /// From version 5 on.
    pub(crate) const AUTH: u8 = 15;
}

/// Largest value of the remaining length (four bytes of seven bits).
const MAX_REMAINING: usize = 268_435_455;

/// First byte and remaining length of a packet.
pub(crate) fn fixed_header(first: u8, remaining: usize, out: &mut BytesMut) -> Result<(), MqttError> {
    if remaining > MAX_REMAINING {
        return Err(MqttError::TooLarge { size: remaining, limit: MAX_REMAINING });
    }
    out.reserve(remaining + 5);
    out.put_u8(first);
    varint(remaining, out)
}

/// A number in seven bits a byte, the lowest first; at most [`MAX_REMAINING`].
pub(crate) fn varint(number: usize, out: &mut BytesMut) -> Result<(), MqttError> {
    if number > MAX_REMAINING {
        return Err(MqttError::TooLarge { size: number, limit: MAX_REMAINING });
    }
    let mut rest = number;
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            out.put_u8(byte);
            return Ok(());
        }
        out.put_u8(byte | 0x80);
    }
}
