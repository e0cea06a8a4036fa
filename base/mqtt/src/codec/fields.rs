//! The fields packets are made of, read from shared bytes.

use bytes::{Buf, Bytes};

use crate::{MqttError, Text};

/// The rest of a packet that is being read.
pub(super) struct Fields {
    packet: &'static str,
    rest: Bytes,
}

impl Fields {
    pub(super) fn new(packet: &'static str, rest: Bytes) -> Fields {
        Fields { packet, rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, MqttError> {
        self.rest.try_get_u8().map_err(|_| MqttError::Truncated(what))
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, MqttError> {
        self.rest.try_get_u16().map_err(|_| MqttError::Truncated(what))
    }

    /// An identifier that must not be 0.
    pub(super) fn packet_id(&mut self) -> Result<u16, MqttError> {
        match self.u16("packet identifier")? {
            0 => Err(MqttError::ZeroPacketId(self.packet)),
            id => Ok(id),
        }
    }

    /// Bytes behind a 16-bit length.
    pub(super) fn binary(&mut self, what: &'static str) -> Result<Bytes, MqttError> {
        let length = usize::from(self.u16(what)?);
        if length > self.rest.len() {
            return Err(MqttError::Truncated(what));
        }
        Ok(self.rest.split_to(length))
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<Text, MqttError> {
        Text::from_bytes(self.binary(what)?, what)
    }

    /// Everything that is left: the payload of a PUBLISH.
    pub(super) fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), MqttError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(MqttError::Trailing { packet: self.packet, count }),
        }
    }
}
