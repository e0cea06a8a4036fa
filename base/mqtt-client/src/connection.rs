//! One connection of a client.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::{Connect, ConnectCode, Packet, Publish, QoS, Version, decode, encode};
use edgeward_service::Tasks;
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::driver::Driver;
use crate::incoming::{Incoming, Owed, Rest};
use crate::session::Session;
use crate::transport::{Done, Link};

/// Bytes gathered for one write before no more requests are taken.
const WRITE_HIGH: usize = 64 << 10;
/// Time for the last packets of a client that is stopped.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a connection ended.
pub(crate) enum End {
    /// Try again.
    Lost(String),
    /// The client was stopped.
    Stopped,
}

pub(crate) struct Connection {
    link: Link,
    input: BytesMut,
    out: BytesMut,
    version: Version,
    session_present: bool,
    owed: Arc<Owed>,
    /// Decoded and not yet handed over.
    arrived: Vec<Incoming>,
    /// Whoever takes the messages is not done with the last ones.
    rest: Option<Rest>,
    /// A PINGREQ is out.
    pinged: bool,
}

impl Connection {
    /// Connects and waits for the CONNACK.
    pub(crate) async fn open(options: &Options) -> Result<Connection, String> {
        let link = Link::open(options).await.map_err(|error| format!("cannot connect: {error}"))?;
        let mut connection = Connection {
            link,
            input: BytesMut::new(),
            out: BytesMut::new(),
            version: options.version,
            session_present: false,
            owed: Arc::default(),
            arrived: Vec::new(),
            rest: None,
            pinged: false,
        };
        connection.put(&Packet::Connect(Box::new(hello(options))))?;
        connection.conn_ack(options.max_packet_bytes).await?;
        Ok(connection)
    }

    async fn conn_ack(&mut self, limit: usize) -> Result<(), String> {
        loop {
            match decode(self.version, &mut self.input, limit).map_err(|error| error.to_string())? {
                Some(Packet::ConnAck(ack)) if ack.code == ConnectCode::Accepted => {
                    self.session_present = ack.session_present;
                    return Ok(());
                }
                Some(Packet::ConnAck(ack)) => {
                    return Err(format!("the server refuses the client: {}", meaning(ack.code)));
                }
                Some(_) => return Err("the server did not begin with CONNACK".to_owned()),
                None => self.read().await?,
            }
        }
    }

    /// Sends what waits and reads once.
    async fn read(&mut self) -> Result<(), String> {
        while self.link.exchange(&mut self.input, &mut self.out, true).await.map_err(|error| error.to_string())?
            != Done::Read
        {}
        Ok(())
    }

    /// Serves the connection until it ends.
    pub(crate) async fn serve(mut self, driver: &mut Driver, tasks: &Tasks) -> End {
        driver.session.resume(self.version, self.session_present, &mut self.out);
        let result = self.run(driver, tasks).await;
        for packet_id in self.owed.unconfirmed() {
            driver.session.received.remove(&packet_id);
        }
        match result {
            Ok(()) => {
                self.say_goodbye().await;
                End::Stopped
            }
            Err(reason) => End::Lost(reason),
        }
    }

    async fn run(&mut self, driver: &mut Driver, tasks: &Tasks) -> Result<(), String> {
        let interval = driver.options.keep_alive.max(Duration::from_secs(1));
        let mut silence = pin!(sleep_until(Instant::now() + interval));
        let mut stopped = pin!(tasks.cancelled());
        let owed = self.owed.clone();
        self.take_packets(driver)?;
        loop {
            self.acknowledge()?;
            let may_send = self.out.len() < WRITE_HIGH && driver.session.inflight() < driver.options.max_inflight;
            let may_read = self.rest.is_none();
            // In this order, so that a flood of messages from the server holds nothing else up; what stands before it here
            // is bounded.
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                () = &mut silence => {
                    // Only the server's silence counts, not that of a user who does not take messages.
                    if self.pinged && may_read {
                        return Err("the server does not answer pings".to_owned());
                    }
                    self.put(&Packet::PingReq)?;
                    self.pinged = true;
                    silence.as_mut().reset(Instant::now() + interval);
                }
                () = done(&mut self.rest), if !may_read => {
                    self.rest = None;
                    self.pinged = false;
                }
                () = owed.changed.notified(), if owed.any() => {}
                request = driver.requests.recv(), if may_send => {
                    let Some(request) = request else { return Ok(()) };
                    driver.session.send(self.version, request, &mut self.out);
                }
                done = self.link.exchange(&mut self.input, &mut self.out, may_read) => {
                    if done.map_err(|error| error.to_string())? == Done::Read {
                        self.pinged = false;
                        self.take_packets(driver)?;
                    }
                }
            }
        }
    }

    /// Writes the acknowledgements that are due.
    fn acknowledge(&mut self) -> Result<(), String> {
        let (version, out) = (self.version, &mut self.out);
        let drained = self.owed.drain(|reply| {
            // Acknowledgements have a fixed form that always encodes.
            let _ = encode(version, reply, out);
        });
        drained.map_err(|_| "a message was not confirmed".to_owned())
    }

    /// Handles every whole packet that has been read.
    fn take_packets(&mut self, driver: &mut Driver) -> Result<(), String> {
        let limit = driver.options.max_packet_bytes;
        while let Some(packet) = decode(self.version, &mut self.input, limit).map_err(|error| error.to_string())? {
            self.take(packet, &mut driver.session)?;
        }
        if !self.arrived.is_empty() {
            self.rest = driver.taker.take(&mut self.arrived);
        }
        Ok(())
    }

    fn take(&mut self, packet: Packet, session: &mut Session) -> Result<(), String> {
        match packet {
            Packet::Publish(publish) => self.arrive(publish, session),
            Packet::PubAck(ack) | Packet::PubComp(ack) => session.finish(ack.packet_id),
            Packet::PubRec(ack) => session.release(self.version, ack, &mut self.out),
            Packet::PubRel(ack) => {
                session.received.remove(&ack.packet_id);
                self.put(&Packet::PubComp(ack))?;
            }
            Packet::SubAck(ack) => session.subscribed(ack.packet_id, ack.codes),
            Packet::PingResp | Packet::UnsubAck(_) => {}
            _ => return Err("the server sent a packet that only clients send".to_owned()),
        }
        Ok(())
    }

    fn arrive(&mut self, publish: Publish, session: &mut Session) {
        let promise = self.owed.owe(publish.qos, publish.packet_id);
        if publish.qos == QoS::ExactlyOnce && !session.received.insert(publish.packet_id) {
            // It was handed over before; the server only missed our PUBREC.
            if let Some(promise) = promise {
                promise.keep();
            }
            return;
        }
        self.arrived.push(Incoming::new(publish, promise));
    }

    fn put(&mut self, packet: &Packet) -> Result<(), String> {
        encode(self.version, packet, &mut self.out).map_err(|error| error.to_string())
    }

    async fn say_goodbye(mut self) {
        // Whatever fails here, the connection ends.
        let _ = self.put(&Packet::Disconnect);
        let _ = tokio::time::timeout(GOODBYE, self.link.close(&mut self.out)).await;
    }
}

/// Resolves when the rest is done; never, if there is none.
async fn done(rest: &mut Option<Rest>) {
    match rest {
        Some(rest) => rest.await,
        None => std::future::pending().await,
    }
}

fn hello(options: &Options) -> Connect {
    let seconds = options.keep_alive.as_secs().clamp(1, u64::from(u16::MAX));
    Connect {
        version: options.version,
        client_id: options.client_id.clone(),
        clean_session: options.clean_session,
        keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
        will: options.will.clone(),
        username: options.username.clone(),
        password: options.password.clone(),
    }
}

fn meaning(code: ConnectCode) -> &'static str {
    match code {
        ConnectCode::Accepted => "accepted",
        ConnectCode::UnacceptableVersion => "it does not speak this protocol version",
        ConnectCode::IdentifierRejected => "the client identifier is not allowed",
        ConnectCode::ServerUnavailable => "it is not available",
        ConnectCode::BadCredentials => "user name or password is wrong",
        ConnectCode::NotAuthorized => "it is not authorized",
    }
}
