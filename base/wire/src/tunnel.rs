//! Frames of KubeEdge's stream tunnel (:10004): one WebSocket *text* message each, although the content is binary, so
//! UTF-8 checking must be off on that socket.

use crate::Error;
use crate::varint::{self, Reader};

/// Longest `data` of a frame: 1 MiB (KubeEdge 1.23 `pkg/stream`).
pub const MAX_TUNNEL_DATA: usize = 1 << 20;

/// `uvarint(connection) ‖ uvarint(kind) ‖ data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelFrame<'a> {
    /// Which of the streams in this tunnel.
    pub connection: u64,
    /// What the data is.
    pub kind: TunnelKind,
    /// JSON for the connect kinds, raw bytes for [`TunnelKind::Data`], else empty.
    pub data: &'a [u8],
}

/// Kind of a [`TunnelFrame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are KubeEdge's and say it")]
pub enum TunnelKind {
    LogsConnect = 0,
    ExecConnect = 1,
    MetricConnect = 2,
    Data = 3,
    RemoveConnect = 4,
    CloseConnect = 5,
    AttachConnect = 6,
}

impl<'a> TunnelFrame<'a> {
    /// Decodes one frame.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let connection = reader.varint("tunnel connection id")?;
        let kind = TunnelKind::from_number(reader.varint("tunnel frame kind")?)?;
        let data = reader.rest();
        check_length(data)?;
        Ok(Self { connection, kind, data })
    }

    /// Encodes the frame; refuses data above [`MAX_TUNNEL_DATA`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        check_length(self.data)?;
        let mut out = Vec::with_capacity(self.data.len() + 11);
        varint::put(&mut out, self.connection);
        out.push(self.kind as u8);
        out.extend_from_slice(self.data);
        Ok(out)
    }
}

impl TunnelKind {
    fn from_number(value: u64) -> Result<Self, Error> {
        Ok(match value {
            0 => Self::LogsConnect,
            1 => Self::ExecConnect,
            2 => Self::MetricConnect,
            3 => Self::Data,
            4 => Self::RemoveConnect,
            5 => Self::CloseConnect,
            6 => Self::AttachConnect,
            value => return Err(Error::Unknown { what: "tunnel frame kind", value }),
        })
    }
}

fn check_length(data: &[u8]) -> Result<(), Error> {
    if data.len() <= MAX_TUNNEL_DATA {
        return Ok(());
    }
    Err(Error::TooLarge { what: "tunnel frame data", value: data.len() as u64, limit: MAX_TUNNEL_DATA as u64 })
}
