//! The connections to Neurons, one for each address, for as long as somebody uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes, BytesMut};
use edgeward_engine::Connection;
use edgeward_service::Tasks;
use edgeward_sp::{FrameCodec, Framing, HANDSHAKE, Protocol};
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::codec::{Decoder, Encoder};

use super::config::Address;
use crate::keep::{Line, Listen, Never, keep};
use crate::wire::{Conn, PATIENCE};

/// Messages that wait in either direction.
const QUEUE: usize = 1_024;
/// Largest message.
pub(super) const MAX_MESSAGE: usize = 8 << 20;
/// nanomsg's one-to-one protocol, the one Neuron speaks.
const PAIR: Protocol = Protocol::Pair;

/// The connections of this process.
#[derive(Default)]
pub struct NeuronLinks(Mutex<HashMap<String, Weak<Link>>>);

/// One connection. It ends with the last one who holds it.
pub(super) struct Link {
    outgoing: mpsc::Sender<Outgoing>,
    incoming: broadcast::Sender<Bytes>,
    pub(super) state: watch::Receiver<Connection>,
    tasks: Tasks,
}

/// Who is told how the connection stands.
type State = watch::Sender<Connection>;

struct Outgoing {
    body: Bytes,
    written: oneshot::Sender<()>,
}

impl NeuronLinks {
    /// The connection to an address; it is made now if there is none.
    pub(super) fn get(&self, address: &Address) -> Arc<Link> {
        let mut links = self.0.lock();
        links.retain(|_, link| link.strong_count() > 0);
        let name = address.name();
        if let Some(link) = links.get(&name).and_then(Weak::upgrade) {
            return link;
        }
        let link = Arc::new(Link::start(address.clone()));
        links.insert(name, Arc::downgrade(&link));
        link
    }
}

impl Link {
    fn start(address: Address) -> Link {
        let (outgoing, messages) = mpsc::channel(QUEUE);
        let incoming = broadcast::Sender::new(QUEUE);
        let (state, watched) = watch::channel(Connection::Connecting);
        let tasks = Tasks::root("neuron");
        let mut running = Running { address, messages, incoming: incoming.clone() };
        tasks.spawn_until_cancelled("neuron-link", async move { match keep(&mut running, &state).await {} });
        Link { outgoing, incoming, state: watched, tasks }
    }

    /// What comes from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Bytes> {
        self.incoming.subscribe()
    }

    /// Writes a message.
    ///
    /// # Errors
    /// There is no connection, or it was lost meanwhile.
    pub(super) async fn send(&self, body: Bytes) -> Result<(), String> {
        let (written, done) = oneshot::channel();
        let lost = || "the connection to Neuron was lost".to_owned();
        let sent = async {
            let mut state = self.state.clone();
            let known = state.wait_for(|state| *state != Connection::Connecting).await;
            if let Connection::Disconnected(reason) = &*known.map_err(|_| lost())? {
                return Err(reason.clone());
            }
            self.outgoing.send(Outgoing { body, written }).await.map_err(|_| lost())?;
            done.await.map_err(|_| lost())
        };
        let sent = tokio::time::timeout(PATIENCE, sent).await;
        sent.unwrap_or_else(|_| Err("Neuron takes nothing".to_owned()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

struct Running {
    address: Address,
    messages: mpsc::Receiver<Outgoing>,
    incoming: broadcast::Sender<Bytes>,
}

impl Listen<State> for Running {
    async fn listen(&mut self, line: &Line<'_, State>) -> Result<Never, String> {
        let (mut conn, mut codec) = dial(&self.address).await?;
        line.up();
        let mut frame = BytesMut::new();
        loop {
            tokio::select! {
                message = conn.read(|buffer| codec.decode(buffer).map_err(|error| error.to_string())) => {
                    drop(self.incoming.send(message?));
                }
                Some(outgoing) = self.messages.recv() => {
                    frame.clear();
                    codec.encode((None, outgoing.body), &mut frame).map_err(|error| error.to_string())?;
                    conn.write(&frame).await?;
                    // Whoever sent it may have given up.
                    let _ = outgoing.written.send(());
                }
            }
        }
    }
}

/// Connects and greets.
pub(super) async fn dial(address: &Address) -> Result<(Conn, FrameCodec), String> {
    let codec = |framing| FrameCodec { framing, max: MAX_MESSAGE };
    let (mut conn, codec) = match address {
        Address::Tcp(target) => (target.dial().await?, codec(Framing::Tcp)),
        Address::Ipc(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| format!("cannot connect to {}: {error}", path.display()))?;
            (Conn::new(Box::new(stream)), codec(Framing::Ipc))
        }
    };
    conn.write(&PAIR.handshake()).await?;
    conn.answer(PATIENCE, greeted).await?;
    Ok((conn, codec))
}

/// Takes the peer's handshake off the front.
fn greeted(buffer: &mut BytesMut) -> Result<Option<()>, String> {
    let Some(handshake) = buffer.first_chunk::<HANDSHAKE>() else { return Ok(None) };
    PAIR.accept(*handshake).map_err(|error| error.to_string())?;
    buffer.advance(HANDSHAKE);
    Ok(Some(()))
}
