//! The cloud↔edge wire: KubeEdge's message envelope and resource grammar, its tunnel and QUIC frames, and the binary
//! frames our own two ends add to them.
//!
//! This room encodes and decodes only. It opens no socket, reads no clock and no file; whoever builds a message passes the
//! time in. Every decoder is total: any input gives a value or an [`Error`], within limits that have names ([`Limits`]).
//!
//! Facts about the peer ("KubeEdge 1.23 …") come from reading its source and from recorded traffic; every recorded hub
//! message decodes and encodes to the same bytes (`tests/captures.rs`).

mod ack;
mod answer;
mod envelope;
mod error;
mod link;
mod quic;
mod resource;
mod stream;
mod tunnel;
mod varint;

pub use ack::needs_ack;
pub use answer::{Failure, FailureDetails, GoError, ObjectResp};
pub use envelope::{
    Content, Envelope, Header, Route, content, escape_html, group, new_id, null, ok, operation, source,
};
pub use error::Error;
pub use link::{
    Frame, Have, HaveEntry, LINK_HEADER, LINK_VERSION, Limits, MAX_IDENTITY_BYTES, Record, Telemetry, TelemetryBuilder,
};
pub use quic::{PACKET_HEADER_BYTES, PacketHeader, PacketKind, decode_message, encode_message};
pub use resource::{DeviceTopic, Resource, split_node, with_node};
pub use stream::{LogRequest, StreamFailure, StreamPart, StreamRequest};
pub use tunnel::{MAX_TUNNEL_DATA, TunnelFrame, TunnelKind};
