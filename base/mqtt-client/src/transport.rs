//! TCP and TLS.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Options;

/// Room for one read.
const READ: usize = 16 << 10;
/// With less room than this the next read gets a new buffer. Messages that are kept keep the buffer they came in.
const READ_LOW: usize = 4 << 10;

trait Socket: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Socket for T {}

/// A connection to the server, with TLS if it wants it.
pub(crate) struct Link {
    socket: Pin<Box<dyn Socket>>,
    /// Something was written since the last flush.
    dirty: bool,
}

/// What became of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Something was read.
    Read,
    /// Everything is written.
    Written,
}

impl Link {
    pub(crate) async fn open(options: &Options) -> io::Result<Link> {
        let server = &options.server;
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
        stream.set_nodelay(true)?;
        let socket: Pin<Box<dyn Socket>> = match options.tls.as_ref().filter(|_| server.tls) {
            None => Box::pin(stream),
            Some(tls) => {
                let name = options.tls_name.as_ref().unwrap_or(&server.host).clone();
                let name = ServerName::try_from(name);
                let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                Box::pin(TlsConnector::from(tls.clone()).connect(name, stream).await?)
            }
        };
        Ok(Link { socket, dirty: false })
    }

    /// Writes `out` and, if `read`, reads into `input`, whichever comes first. Safe to drop while waiting.
    ///
    /// # Errors
    /// The connection failed or ended.
    pub(crate) async fn exchange(&mut self, input: &mut BytesMut, out: &mut BytesMut, read: bool) -> io::Result<Done> {
        poll_fn(|context| {
            if let Poll::Ready(written) = self.write(context, out) {
                return Poll::Ready(written.map(|()| Done::Written));
            }
            if !read {
                return Poll::Pending;
            }
            if input.capacity() - input.len() < READ_LOW {
                input.reserve(READ);
            }
            pin!(self.socket.read_buf(input)).poll(context).map(|read| match read? {
                0 => Err(closed()),
                _ => Ok(Done::Read),
            })
        })
        .await
    }

    /// Ready when something was left to write and now is not.
    fn write(&mut self, context: &mut Context<'_>, out: &mut BytesMut) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            match pin!(self.socket.write_buf(out)).poll(context)? {
                Poll::Ready(0) => return Poll::Ready(Err(closed())),
                Poll::Ready(_) => self.dirty = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.dirty {
            return Poll::Pending;
        }
        let flushed = self.socket.as_mut().poll_flush(context)?;
        self.dirty = flushed.is_pending();
        flushed.map(Ok)
    }

    /// Writes the last packets and ends the connection.
    pub(crate) async fn close(&mut self, out: &mut BytesMut) -> io::Result<()> {
        self.socket.write_all_buf(out).await?;
        self.socket.shutdown().await
    }
}

fn closed() -> io::Error {
    io::Error::other("the server closed the connection")
}
