//! The scalability protocols (SP) as nanomsg, mangos and NNG speak them.
//!
//! A connection begins with eight bytes from each side (`\0SP\0`, the protocol, two zero bytes) and then carries messages:
//! the length as big-endian u64 and the payload, on unix sockets (`ipc://`) with a byte 1 before them.
//!
//! - [`Protocol`] and [`FrameCodec`]: bytes only, for whoever keeps a connection of its own (the connector `neuron`).
//! - [`Socket`] keeps the connections of one unix socket; the protocols are thin covers over it: [`Pull`], [`Push`],
//!   [`Rep`], [`Req`]. Portable plugins talk through them.
//!
//! Not here: stacks of several hops (devices), the other protocols, TLS.

mod frame;
mod protocols;
mod socket;

pub use frame::{FrameCodec, Framing, HANDSHAKE, Protocol};
pub use protocols::{Pull, Push, Rep, Req, Request};
pub use socket::{Endpoint, Incoming, Options, Peer, Socket};

use std::path::PathBuf;

/// Why a socket cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpError {
    /// The path cannot be listened on.
    #[error("cannot listen on {}: {source}; remove the file or stop what uses it", path.display())]
    Listen {
        /// The socket's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("socket: {0}")]
    Io(#[from] std::io::Error),
    /// The peer speaks something else.
    #[error("peer does not speak the expected scalability protocol: {0}")]
    Handshake(&'static str),
    /// A frame beyond the limit.
    #[error("a message of {0} bytes is larger than the limit")]
    TooLarge(u64),
    /// A frame that is none.
    #[error("a message does not begin with 1")]
    BadFrame,
    /// The socket or its peer is gone.
    #[error("socket is closed")]
    Closed,
}
