//! Streams inside a session, opened by the hub: container logs now, exec later.
//!
//! The hub sends `Open`, the node answers `Data` (perhaps empty) as soon as the stream stands, then more `Data` within
//! the window, and `End`. The hub widens the window as its reader takes data, and sends `Cancel` when the reader goes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::varint::{self, Reader};

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPart {
    /// Hub → node: what is wanted, and how many bytes of data may be sent before the window is widened.
    Open {
        /// Bytes.
        window: u32,
        /// What to open.
        request: StreamRequest,
    },
    /// Node → hub.
    Data(Bytes),
    /// Node → hub, last: why the stream ended; nothing if all was sent.
    End(Option<StreamFailure>),
    /// Hub → node: so many bytes more may be sent.
    Widen(u32),
    /// Hub → node: nobody reads any longer.
    Cancel,
}

/// What a stream is opened for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamRequest {
    /// A container's log.
    Logs(LogRequest),
}

/// Which log, and how much of it: the options of `kubectl logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogRequest {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// Name of the container.
    pub container: String,
    /// Go on with what is still to be written.
    pub follow: bool,
    /// The container before its last restart.
    pub previous: bool,
    /// RFC 3339 time before each line.
    pub timestamps: bool,
    /// So many lines from the end.
    pub tail_lines: Option<u64>,
    /// Not older than so many seconds.
    pub since_seconds: Option<u64>,
    /// Not older than this RFC 3339 time.
    pub since_time: Option<String>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Why a stream could not be opened, or broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StreamFailure {
    /// As in HTTP: 404 no such container or log, 400 a request that makes no sense, 500 anything else.
    pub code: u16,
    /// For people.
    pub message: String,
}

const OPEN: u8 = 0;
const DATA: u8 = 1;
const END: u8 = 2;
const WIDEN: u8 = 3;
const CANCEL: u8 = 4;

pub(crate) fn encode(id: u64, part: &StreamPart, out: &mut Vec<u8>) -> Result<(), Error> {
    varint::put(out, id);
    match part {
        StreamPart::Open { window, request } => {
            let text = crate::content(request)?;
            out.push(OPEN);
            varint::put(out, (*window).into());
            varint::put_bytes(out, text.get().as_bytes());
        }
        StreamPart::Data(bytes) => {
            out.push(DATA);
            out.extend_from_slice(bytes);
        }
        StreamPart::End(failure) => {
            out.push(END);
            if let Some(failure) = failure {
                varint::put(out, failure.code.into());
                varint::put_bytes(out, failure.message.as_bytes());
            }
        }
        StreamPart::Widen(bytes) => {
            out.push(WIDEN);
            varint::put(out, (*bytes).into());
        }
        StreamPart::Cancel => out.push(CANCEL),
    }
    Ok(())
}

pub(crate) fn decode(body: &Bytes) -> Result<(u64, StreamPart), Error> {
    let mut reader = Reader::new(body);
    let id = reader.varint("stream id")?;
    let part = match reader.u8("stream part")? {
        OPEN => {
            let window = small("stream window", &mut reader)?;
            let text = reader.text("stream request")?;
            let request = serde_json::from_str(text)
                .map_err(|source| Error::Content { resource: "stream request".to_owned(), source })?;
            StreamPart::Open { window, request }
        }
        DATA => return Ok((id, StreamPart::Data(body.slice(body.len() - reader.rest().len()..)))),
        END if reader.is_empty() => StreamPart::End(None),
        END => {
            let code = u16::try_from(small("stream failure code", &mut reader)?).unwrap_or(500);
            StreamPart::End(Some(StreamFailure { code, message: reader.text("stream failure")?.to_owned() }))
        }
        WIDEN => StreamPart::Widen(small("stream window", &mut reader)?),
        CANCEL => StreamPart::Cancel,
        value => return Err(Error::Unknown { what: "stream part", value: value.into() }),
    };
    reader.end()?;
    Ok((id, part))
}

fn small(what: &'static str, reader: &mut Reader<'_>) -> Result<u32, Error> {
    let value = reader.varint(what)?;
    u32::try_from(value).map_err(|_| Error::TooLarge { what, value, limit: u32::MAX.into() })
}
