//! KubeEdge's QUIC framing: a ten-byte packet header, then a protobuf message.
//!
//! The protobuf form has no place for resourceVersion, destination and type of an [`Envelope`]; they are lost on this
//! transport (KubeEdge 1.23), so an acknowledged delivery over QUIC cannot be version-checked.

use serde_json::value::RawValue;

use crate::varint::{self, Reader};
use crate::{Content, Envelope, Error, Header, Route, null};

/// Size of an encoded [`PacketHeader`].
pub const PACKET_HEADER_BYTES: usize = 10;
/// Longest payload: 32 MiB (KubeEdge 1.22.2; before that a peer could make it allocate without bound, CVE-2026-62370).
const MAX_PAYLOAD: u32 = 32 << 20;
/// 1.1.1
const VERSION: u32 = 0x0101_0100;

/// Precedes every payload on a QUIC stream: `version u32 ‖ kind u8 ‖ flags u8 ‖ length u32`, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketHeader {
    /// What the payload is.
    pub kind: PacketKind,
    /// Bytes of the payload.
    pub length: u32,
}

/// Kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A protobuf message, see [`decode_message`].
    Message = 1,
    /// Raw stream bytes.
    Stream = 2,
    /// Free for applications.
    User = 4,
}

impl PacketHeader {
    /// Decodes the ten bytes; refuses other versions, compressed payloads and lengths above 32 MiB.
    pub fn decode(bytes: &[u8; PACKET_HEADER_BYTES]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let version = u32::from_be_bytes(reader.array("packet version")?);
        if version != VERSION {
            return Err(Error::Unknown { what: "packet version", value: version.into() });
        }
        let kind = match reader.u8("packet kind")? {
            1 => PacketKind::Message,
            2 => PacketKind::Stream,
            4 => PacketKind::User,
            value => return Err(Error::Unknown { what: "packet kind", value: value.into() }),
        };
        match reader.u8("packet flags")? {
            0 => {}
            value => return Err(Error::Unknown { what: "packet flag", value: value.into() }),
        }
        let length = u32::from_be_bytes(reader.array("packet length")?);
        let header = Self { kind, length };
        header.check()?;
        Ok(header)
    }

    /// Encodes the header; refuses lengths above 32 MiB.
    pub fn encode(&self) -> Result<[u8; PACKET_HEADER_BYTES], Error> {
        self.check()?;
        let [v0, v1, v2, v3] = VERSION.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        Ok([v0, v1, v2, v3, self.kind as u8, 0, l0, l1, l2, l3])
    }

    fn check(&self) -> Result<(), Error> {
        if self.length <= MAX_PAYLOAD {
            return Ok(());
        }
        Err(Error::TooLarge { what: "packet length", value: self.length.into(), limit: MAX_PAYLOAD.into() })
    }
}

/// Encodes an envelope as `message.Message`.
pub fn encode_message(envelope: &Envelope) -> Vec<u8> {
    let mut header = Vec::new();
    put_text(&mut header, 1, &envelope.header.id);
    put_text(&mut header, 2, &envelope.header.parent_id);
    if envelope.header.timestamp != 0 {
        varint::put(&mut header, 3 << 3);
        varint::put(&mut header, zigzag(envelope.header.timestamp));
    }
    if envelope.header.sync {
        varint::put(&mut header, 4 << 3);
        varint::put(&mut header, 1);
    }
    put_text(&mut header, 5, &envelope.header.kind);
    let mut route = Vec::new();
    put_text(&mut route, 1, &envelope.route.source);
    put_text(&mut route, 2, &envelope.route.group);
    put_text(&mut route, 3, &envelope.route.operation);
    put_text(&mut route, 4, &envelope.route.resource);

    let mut out = Vec::with_capacity(header.len() + route.len() + envelope.content.get().len() + 16);
    put_field(&mut out, 1, &header);
    put_field(&mut out, 2, &route);
    put_field(&mut out, 3, envelope.content.get().as_bytes());
    out
}

/// Decodes `message.Message`. Content that is not JSON becomes a JSON string, as the Go translator makes of it.
pub fn decode_message(bytes: &[u8]) -> Result<Envelope, Error> {
    let mut envelope = Envelope { header: Header::default(), route: Route::default(), content: null() };
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match read_field(&mut reader)? {
            (1, Field::Bytes(header)) => decode_header(header, &mut envelope.header)?,
            (2, Field::Bytes(route)) => decode_route(route, &mut envelope.route)?,
            (3, Field::Bytes(content)) => envelope.content = json_or_text(content)?,
            _ => {}
        }
    }
    Ok(envelope)
}

fn decode_header(bytes: &[u8], header: &mut Header) -> Result<(), Error> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match read_field(&mut reader)? {
            (1, Field::Bytes(text)) => header.id = utf8(text)?,
            (2, Field::Bytes(text)) => header.parent_id = utf8(text)?,
            (3, Field::Number(value)) => header.timestamp = unzigzag(value),
            (4, Field::Number(value)) => header.sync = value != 0,
            (5, Field::Bytes(text)) => header.kind = utf8(text)?,
            _ => {}
        }
    }
    Ok(())
}

fn decode_route(bytes: &[u8], route: &mut Route) -> Result<(), Error> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match read_field(&mut reader)? {
            (1, Field::Bytes(text)) => route.source = utf8(text)?,
            (2, Field::Bytes(text)) => route.group = utf8(text)?,
            (3, Field::Bytes(text)) => route.operation = utf8(text)?,
            (4, Field::Bytes(text)) => route.resource = utf8(text)?,
            _ => {}
        }
    }
    Ok(())
}

/// A protobuf field of one of the wire types; fixed ones occur in no field we know and are skipped.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

fn read_field<'a>(reader: &mut Reader<'a>) -> Result<(u64, Field<'a>), Error> {
    let tag = reader.varint("protobuf tag")?;
    let field = match tag & 7 {
        0 => Field::Number(reader.varint("protobuf number")?),
        1 => reader.take(8, "protobuf fixed64").map(|_| Field::Fixed)?,
        2 => Field::Bytes(reader.bytes("protobuf bytes")?),
        5 => reader.take(4, "protobuf fixed32").map(|_| Field::Fixed)?,
        value => return Err(Error::Unknown { what: "protobuf wire type", value }),
    };
    Ok((tag >> 3, field))
}

fn put_text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        put_field(out, field, text.as_bytes());
    }
}

fn put_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint::put(out, field << 3 | 2);
    varint::put_bytes(out, bytes);
}

fn json_or_text(content: &[u8]) -> Result<Content, Error> {
    let text = utf8(content)?;
    match RawValue::from_string(text) {
        Ok(json) => Ok(json),
        Err(_) => crate::content(std::str::from_utf8(content).map_err(|_| Error::NotText("message content"))?),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::NotText("protobuf text"))
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
