//! PULL, PUSH, REP and REQ over a [`Socket`].

use std::time::Duration;

use bytes::{Buf, Bytes};
use edgeward_service::Tasks;

use super::{Endpoint, Options, Peer, Protocol, Socket, SpError};

/// Marks the id of a request, the last entry of the stack of hops.
const LAST: u32 = 0x8000_0000;

/// Takes messages from all its peers.
#[derive(Debug)]
pub struct Pull(Socket);

impl Pull {
    /// Opens the endpoint.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn open(endpoint: Endpoint, options: &Options, tasks: &Tasks) -> Result<Pull, SpError> {
        Socket::open(endpoint, Protocol::Pull, options, tasks).map(Pull)
    }

    /// The next message; none when the socket is closed.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.0.recv().await.map(|incoming| incoming.body)
    }
}

/// Hands messages to its newest peer.
#[derive(Debug)]
pub struct Push(Socket);

impl Push {
    /// Opens the endpoint.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn open(endpoint: Endpoint, options: &Options, tasks: &Tasks) -> Result<Push, SpError> {
        Socket::open(endpoint, Protocol::Push, options, tasks).map(Push)
    }

    /// Writes a message to the peer, waiting for one if there is none; resolves when the operating system has it.
    ///
    /// # Errors
    /// The connection ended meanwhile: the message may be lost and may be sent again.
    pub async fn send(&mut self, body: Bytes) -> Result<(), SpError> {
        self.0.peer().await?.send(None, body).await
    }
}

/// Answers requests.
#[derive(Debug)]
pub struct Rep(Socket);

/// A request waiting for its answer.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub body: Bytes,
    id: [u8; 4],
    peer: Peer,
}

impl Request {
    /// The id at the head of a message, taken off it. Stacks of several hops (devices) are not understood.
    fn read(mut body: Bytes, peer: Peer) -> Option<Request> {
        if body.len() < 4 {
            return None;
        }
        let id = body.get_u32();
        (id & LAST != 0).then(|| Request { body, id: id.to_be_bytes(), peer })
    }

    /// Whether both came by the same connection.
    pub fn same_peer(&self, other: &Request) -> bool {
        self.peer == other.peer
    }

    /// Waits until the connection it came by has ended. Safe to drop while waiting.
    pub async fn gone(&self) {
        self.peer.gone().await;
    }

    /// Answers it.
    ///
    /// # Errors
    /// Whoever asked is gone.
    pub async fn reply(&self, body: Bytes) -> Result<(), SpError> {
        self.peer.send(Some(self.id), body).await
    }
}

impl Rep {
    /// Opens the endpoint.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn open(endpoint: Endpoint, options: &Options, tasks: &Tasks) -> Result<Rep, SpError> {
        Socket::open(endpoint, Protocol::Rep, options, tasks).map(Rep)
    }

    /// The next request; none when the socket is closed. Safe to drop while waiting.
    pub async fn recv(&mut self) -> Option<Request> {
        loop {
            let incoming = self.0.recv().await?;
            if let Some(request) = Request::read(incoming.body, incoming.peer) {
                return Some(request);
            }
        }
    }

    /// A request that has come already.
    pub fn try_recv(&mut self) -> Option<Request> {
        let incoming = self.0.try_recv()?;
        Request::read(incoming.body, incoming.peer)
    }
}

/// Asks, one request at a time.
#[derive(Debug)]
pub struct Req {
    socket: Socket,
    next: u32,
}

impl Req {
    /// Opens the endpoint.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn open(endpoint: Endpoint, options: &Options, tasks: &Tasks) -> Result<Req, SpError> {
        Ok(Req { socket: Socket::open(endpoint, Protocol::Req, options, tasks)?, next: 0 })
    }

    /// Asks and waits for the answer; the request is sent again when the connection was lost meanwhile.
    ///
    /// # Errors
    /// No answer within `limit`, or the socket is closed.
    pub async fn ask(&mut self, body: Bytes, limit: Duration) -> Result<Bytes, SpError> {
        let late = |_| SpError::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(limit, self.ask_for_ever(body)).await.map_err(late)?
    }

    async fn ask_for_ever(&mut self, body: Bytes) -> Result<Bytes, SpError> {
        let id = (self.next | LAST).to_be_bytes();
        self.next = self.next.wrapping_add(1);
        loop {
            let peer = self.socket.peer().await?;
            if peer.send(Some(id), body.clone()).await.is_err() {
                self.socket.replaced(&peer).await;
                continue;
            }
            if let Some(answer) = self.answer(id, &peer).await? {
                return Ok(answer);
            }
        }
    }

    /// The answer to a request; none when the connection it went by is gone.
    async fn answer(&mut self, id: [u8; 4], peer: &Peer) -> Result<Option<Bytes>, SpError> {
        loop {
            let Some(incoming) = self.socket.recv_while(peer).await? else { return Ok(None) };
            // Answers to requests that were given up are skipped.
            if let Some(answer) = Request::read(incoming.body, incoming.peer).filter(|answer| answer.id == id) {
                return Ok(Some(answer.body));
            }
        }
    }
}
