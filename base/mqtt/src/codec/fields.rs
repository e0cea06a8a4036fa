//! The fields packets are made of, read from shared bytes.

use bytes::{Buf, Bytes};

use crate::{MqttError, Text};

/// The rest of a packet that is being read.
pub(crate) struct Fields {
    packet: &'static str,
    rest: Bytes,
}

impl Fields {
    pub(crate) fn new(packet: &'static str, rest: Bytes) -> Fields {
        Fields { packet, rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, MqttError> {
        self.rest.try_get_u8().map_err(|_| MqttError::Truncated(what))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, MqttError> {
        self.rest.try_get_u16().map_err(|_| MqttError::Truncated(what))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, MqttError> {
        self.rest.try_get_u32().map_err(|_| MqttError::Truncated(what))
    }

    /// A number in seven bits a byte, the lowest first; four bytes at most.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u32, MqttError> {
        let mut number = 0;
        for index in 0..4 {
            let byte = self.u8(what)?;
            number |= u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(MqttError::BadLength)
    }

    /// The next bytes as fields of their own.
    pub(crate) fn part(&mut self, length: usize, what: &'static str) -> Result<Fields, MqttError> {
        if length > self.rest.len() {
            return Err(MqttError::Truncated(what));
        }
        Ok(Fields { packet: self.packet, rest: self.rest.split_to(length) })
    }

    /// An identifier that must not be 0.
    pub(crate) fn packet_id(&mut self) -> Result<u16, MqttError> {
        match self.u16("packet identifier")? {
            0 => Err(MqttError::ZeroPacketId(self.packet)),
            id => Ok(id),
        }
    }

    /// Bytes behind a 16-bit length.
    pub(crate) fn binary(&mut self, what: &'static str) -> Result<Bytes, MqttError> {
        let length = usize::from(self.u16(what)?);
        if length > self.rest.len() {
            return Err(MqttError::Truncated(what));
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<Text, MqttError> {
        Text::from_bytes(self.binary(what)?, what)
    }

    /// Everything that is left: the payload of a PUBLISH.
    pub(crate) fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), MqttError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(MqttError::Trailing { packet: self.packet, count }),
        }
    }
}
