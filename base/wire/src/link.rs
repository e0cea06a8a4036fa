//! Binary frames between our own two ends.
//!
//! A node that understands them adds the header [`LINK_HEADER`]`: `[`LINK_VERSION`] to its WebSocket upgrade request, a hub
//! that does answers it in the 101 response; only then may either side send binary frames. KubeEdge peers know no such
//! header and get text envelopes one at a time.
//!
//! A frame is `[kind u8][flags u8][body]`, flag 1 meaning that the body is zstd. Numbers are little-endian, lengths and
//! counts are varints. A receiver counts and skips kinds it does not know.

use std::io::Read;

use bytes::Bytes;

use crate::varint::{self, Reader};
use crate::{Envelope, Error, StreamPart, stream};

/// Name of the upgrade header by which our two ends recognise each other.
pub const LINK_HEADER: &str = "Edgeward-Link";
/// Its value.
pub const LINK_VERSION: &str = "1";

const KIND_TELEMETRY: u8 = 1;
const KIND_TELEMETRY_ACK: u8 = 2;
const KIND_HAVE: u8 = 3;
const KIND_BATCH: u8 = 4;
const KIND_STREAM: u8 = 16;
const FLAG_ZSTD: u8 = 1;
/// Bodies below this are not worth the compressor's start-up.
const COMPRESS_ABOVE: usize = 512;
/// Fast; the link is slow, the node's CPU is too.
const COMPRESSION_LEVEL: i32 = 1;
/// Largest window a peer may ask our decompressor to allocate: 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;

/// What a decoder accepts. An encoder that stays within the defaults is understood by every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame or text message, in bytes.
    pub frame_bytes: usize,
    /// Longest body after decompression, in bytes.
    pub body_bytes: usize,
    /// Most records, entries or envelopes of one frame.
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: 8 << 20, body_bytes: 16 << 20, items: 65_536 }
    }
}

/// One binary frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Upward: readings, numbered without gaps in the order of the node's outbox.
    Telemetry(Telemetry),
    /// Downward: every record up to and including this sequence number is stored.
    TelemetryAck {
        /// Highest contiguous sequence stored for this node.
        through_seq: u64,
    },
    /// Upward, first thing on a session: what the node stores already.
    Have(Have),
    /// Either way: several envelopes at once, in order.
    Batch(Vec<Envelope>),
    /// Either way: part of a stream.
    Stream {
        /// Which stream of this session; the hub chooses.
        id: u64,
        /// The part.
        part: StreamPart,
    },
}

/// What a node holds on its disk; a long list comes in several frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have {
    /// No further `Have` follows; the hub may now send differences.
    pub complete: bool,
    /// The objects.
    pub entries: Vec<HaveEntry>,
}

/// Longest [`Record::identity`].
pub const MAX_IDENTITY_BYTES: usize = 32;

/// One object a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaveEntry {
    /// `<namespace>/<kind>/<name>`, see [`crate::Resource::Object`].
    pub resource: String,
    /// Its `metadata.resourceVersion`.
    pub resource_version: String,
}

/// A batch of readings: checked once, then read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    first_seq: u64,
    count: u32,
    records: Bytes,
}

/// One reading, borrowed from its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Stream or topic the reading belongs to.
    pub id: &'a str,
    /// Milliseconds since 1970, as the node saw it.
    pub timestamp_ms: i64,
    /// What makes this reading the one it is, where its source says so: a second reading of the same stream with the same
    /// identity is the first one sent again (a QoS 1 client does that when an acknowledgement was lost). At most
    /// [`MAX_IDENTITY_BYTES`]; empty: every record is a reading of its own.
    pub identity: &'a [u8],
    /// The reading itself, any bytes.
    pub payload: &'a [u8],
}

/// Collects records into a [`Telemetry`] batch, up to the limits.
#[derive(Debug)]
pub struct TelemetryBuilder {
    first_seq: u64,
    count: u32,
    records: Vec<u8>,
    limits: Limits,
}

impl Frame {
    /// Decodes one binary message; nothing in it is trusted.
    pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Self, Error> {
        check("link frame size", bytes.len(), limits.frame_bytes)?;
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("link frame kind")?;
        let flags = reader.u8("link frame flags")?;
        let body = match flags {
            0 => bytes.slice(2..),
            FLAG_ZSTD => decompress(reader.rest(), limits)?,
            value => return Err(Error::Unknown { what: "link frame flag", value: value.into() }),
        };
        check("link frame body", body.len(), limits.body_bytes)?;
        match kind {
            KIND_TELEMETRY => Telemetry::decode(&body, limits).map(Self::Telemetry),
            KIND_TELEMETRY_ACK => decode_ack(&body),
            KIND_HAVE => Have::decode(&body, limits).map(Self::Have),
            KIND_BATCH => decode_batch(&body, limits),
            KIND_STREAM => stream::decode(&body).map(|(id, part)| Self::Stream { id, part }),
            value => Err(Error::Unknown { what: "link frame kind", value: value.into() }),
        }
    }

    /// Encodes the frame, compressed where that makes it smaller.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut body = Vec::new();
        let kind = match self {
            Self::Telemetry(batch) => {
                body.reserve(batch.records.len() + 16);
                body.extend_from_slice(&batch.first_seq.to_le_bytes());
                varint::put(&mut body, batch.count.into());
                body.extend_from_slice(&batch.records);
                KIND_TELEMETRY
            }
            Self::TelemetryAck { through_seq } => {
                body.extend_from_slice(&through_seq.to_le_bytes());
                KIND_TELEMETRY_ACK
            }
            Self::Have(have) => {
                have.encode(&mut body);
                KIND_HAVE
            }
            Self::Batch(envelopes) => {
                varint::put(&mut body, envelopes.len() as u64);
                for envelope in envelopes {
                    varint::put_bytes(&mut body, envelope.encode().as_bytes());
                }
                KIND_BATCH
            }
            Self::Stream { id, part } => {
                stream::encode(*id, part, &mut body)?;
                KIND_STREAM
            }
        };
        finish(kind, &body)
    }
}

impl Telemetry {
    /// Sequence number of the first record; the others follow without gaps.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Sequence number of the last record; `first_seq - 1` when there is none.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.wrapping_add(u64::from(self.count)).wrapping_sub(1)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all records, as a measure of cost.
    pub fn byte_len(&self) -> usize {
        self.records.len()
    }

    /// The records with their sequence numbers, in order.
    pub fn records(&self) -> impl Iterator<Item = (u64, Record<'_>)> {
        let mut reader = Reader::new(&self.records);
        // Decoding checked every record, so this ends only at the end.
        let records = std::iter::from_fn(move || read_record(&mut reader).ok());
        (0..self.count).map(|offset| self.first_seq.wrapping_add(offset.into())).zip(records)
    }

    fn decode(body: &Bytes, limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let first_seq = u64::from_le_bytes(reader.array("telemetry sequence")?);
        let count = count("telemetry record count", &mut reader, limits)?;
        first_seq.checked_add(u64::from(count)).ok_or(Error::Truncated("the space of telemetry sequence numbers"))?;
        let records = body.slice(body.len() - reader.rest().len()..);
        for _ in 0..count {
            read_record(&mut reader)?;
        }
        reader.end()?;
        Ok(Self { first_seq, count, records })
    }
}

impl TelemetryBuilder {
    /// An empty batch whose first record will have the sequence number `first_seq`.
    pub fn new(first_seq: u64, limits: Limits) -> Self {
        Self { first_seq, count: 0, records: Vec::new(), limits }
    }

    /// Adds a record. `false`: the batch is full, the record was not added. A record that does not fit an empty batch
    /// can never be sent; the outbox must refuse it when it is written (see [`TelemetryBuilder::fits`]).
    pub fn push(&mut self, record: Record<'_>) -> bool {
        if self.count as usize >= self.limits.items || !Self::fits(self.records.len(), record, &self.limits) {
            return false;
        }
        varint::put_bytes(&mut self.records, record.id.as_bytes());
        self.records.extend_from_slice(&record.timestamp_ms.to_le_bytes());
        varint::put_bytes(&mut self.records, record.identity);
        varint::put_bytes(&mut self.records, record.payload);
        self.count += 1;
        true
    }

    /// Whether a record fits after `used` bytes of others.
    pub fn fits(used: usize, record: Record<'_>, limits: &Limits) -> bool {
        // Eight bytes of time, two lengths, and the frame's own head; incompressible data must fit the frame as well.
        let size = record.id.len().saturating_add(record.payload.len()).saturating_add(64 + MAX_IDENTITY_BYTES);
        record.identity.len() <= MAX_IDENTITY_BYTES
            && used.saturating_add(size) <= limits.body_bytes.min(limits.frame_bytes)
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The finished batch.
    pub fn build(self) -> Telemetry {
        Telemetry { first_seq: self.first_seq, count: self.count, records: self.records.into() }
    }
}

impl Have {
    fn decode(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let complete = reader.u8("inventory end mark")? != 0;
        let count = count("inventory entry count", &mut reader, limits)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let resource = reader.text("inventory resource")?.to_owned();
            let resource_version = reader.text("inventory version")?.to_owned();
            entries.push(HaveEntry { resource, resource_version });
        }
        reader.end()?;
        Ok(Self { complete, entries })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.complete.into());
        varint::put(out, self.entries.len() as u64);
        for entry in &self.entries {
            varint::put_bytes(out, entry.resource.as_bytes());
            varint::put_bytes(out, entry.resource_version.as_bytes());
        }
    }
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, Error> {
    let id = reader.text("telemetry stream id")?;
    let timestamp_ms = i64::from_le_bytes(reader.array("telemetry time")?);
    let identity = reader.bytes("telemetry identity")?;
    check("telemetry identity", identity.len(), MAX_IDENTITY_BYTES)?;
    let payload = reader.bytes("telemetry payload")?;
    Ok(Record { id, timestamp_ms, identity, payload })
}

fn decode_ack(body: &[u8]) -> Result<Frame, Error> {
    let mut reader = Reader::new(body);
    let through_seq = u64::from_le_bytes(reader.array("acknowledged sequence")?);
    reader.end()?;
    Ok(Frame::TelemetryAck { through_seq })
}

fn decode_batch(body: &[u8], limits: &Limits) -> Result<Frame, Error> {
    let mut reader = Reader::new(body);
    let count = count("envelope count", &mut reader, limits)?;
    let mut envelopes = Vec::new();
    for _ in 0..count {
        envelopes.push(Envelope::decode(reader.text("envelope")?)?);
    }
    reader.end()?;
    Ok(Frame::Batch(envelopes))
}

/// Reads a count within `limits.items`. Each item takes at least a byte, so a count above the bytes left is a lie.
fn count(what: &'static str, reader: &mut Reader<'_>, limits: &Limits) -> Result<u32, Error> {
    let value = reader.varint(what)?;
    let limit = limits.items.min(u32::MAX as usize) as u64;
    if value > limit {
        return Err(Error::TooLarge { what, value, limit });
    }
    if value > reader.rest().len() as u64 {
        return Err(Error::Truncated(what));
    }
    Ok(value as u32)
}

fn check(what: &'static str, value: usize, limit: usize) -> Result<(), Error> {
    if value <= limit { Ok(()) } else { Err(Error::TooLarge { what, value: value as u64, limit: limit as u64 }) }
}

/// Reads at most the limit, however much the peer packed.
fn decompress(body: &[u8], limits: &Limits) -> Result<Bytes, Error> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(Error::Compression)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(Error::Compression)?;
    let mut out = Vec::new();
    decoder.take(limits.body_bytes as u64 + 1).read_to_end(&mut out).map_err(Error::Compression)?;
    Ok(out.into())
}

fn finish(kind: u8, body: &[u8]) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(body.len() + 2);
    if body.len() > COMPRESS_ABOVE {
        let packed = zstd::bulk::compress(body, COMPRESSION_LEVEL).map_err(Error::Compression)?;
        if packed.len() < body.len() {
            out.extend_from_slice(&[kind, FLAG_ZSTD]);
            out.extend_from_slice(&packed);
            return Ok(out.into());
        }
    }
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(body);
    Ok(out.into())
}
