//! The network between a node and the cloud, as a relay that can be cut.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Site;
use crate::site::ports;

/// What a wire does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Hands them on.
    Pass,
    /// Keeps connections and hands nothing on: a cable that was pulled.
    Blackhole,
    /// Closes connections and takes no new ones: a peer that went away.
    Reset,
}

/// A relay from the site's second address to the cloud on its first. It ends when dropped.
pub struct Wire {
    address: Ipv4Addr,
    mood: Arc<watch::Sender<Mood>>,
    _relays: JoinSet<()>,
}

impl Wire {
    /// A wire that hands on.
    pub async fn start(site: &Site) -> anyhow::Result<Self> {
        let (address, cloud) = (site.address(2), site.address(1));
        let mood = Arc::new(watch::Sender::new(Mood::Pass));
        let mut relays = JoinSet::new();
        for port in [ports::LINK, ports::ENROLL] {
            let listener = TcpListener::bind((address, port)).await.with_context(|| format!("{address}:{port}"))?;
            let moods = mood.clone();
            relays.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((near, _)) = listener.accept().await {
                    connections.spawn(relay(near, (cloud, port), moods.subscribe()));
                }
            });
        }
        Ok(Self { address, mood, _relays: relays })
    }

    /// Where nodes reach the cloud through it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Cuts or heals it.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

async fn relay(near: TcpStream, cloud: (Ipv4Addr, u16), mut mood: watch::Receiver<Mood>) {
    // A cut wire brings no connection about either.
    if mood.wait_for(|mood| *mood != Mood::Blackhole).await.is_err() || *mood.borrow() == Mood::Reset {
        return;
    }
    let Ok(far) = TcpStream::connect(cloud).await else { return };
    // A wire delays nothing.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let up = pump(near_read, far_write, mood.clone());
    let down = pump(far_read, near_write, mood.clone());
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = mood.wait_for(|mood| *mood == Mood::Reset) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if mood.wait_for(|mood| *mood == Mood::Pass).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
