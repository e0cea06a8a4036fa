//! One connection of a client.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::v5::{Ack, ConnAck, End as Goodbye, Packet, Publish, Reason, decode, encode};
use edgeward_mqtt::{QoS, Text, Version};
use edgeward_service::Tasks;
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::driver::Driver;
use crate::incoming::{Incoming, Owed, Rest};
use crate::session::{Session, explain};
use crate::terms::{Aliases, Terms, hello};
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
    terms: Terms,
    aliases: Aliases,
    owed: Arc<Owed>,
    /// Decoded and not yet handed over.
    arrived: Vec<Incoming>,
    /// Whoever takes the messages is not done with the last ones.
    rest: Option<Rest>,
    /// A PINGREQ is out.
    pinged: bool,
}

impl Connection {
    /// Connects and waits for the CONNACK. `assigned` is the identifier a server gave the client before.
    pub(crate) async fn open(options: &Options, assigned: Option<&Text>) -> Result<Connection, String> {
        let link = Link::open(options).await.map_err(|error| format!("cannot connect: {error}"))?;
        let mut connection = Connection {
            link,
            input: BytesMut::new(),
            out: BytesMut::new(),
            terms: Terms::new(options, &ConnAck::default()),
            aliases: Aliases::default(),
            owed: Arc::default(),
            arrived: Vec::new(),
            rest: None,
            pinged: false,
        };
        connection.put(&Packet::Connect(Box::new(hello(options, assigned))))?;
        let ack = connection.conn_ack(options.max_packet_bytes).await?;
        connection.terms = Terms::new(options, &ack);
        Ok(connection)
    }

    /// The client identifier the server has chosen.
    pub(crate) fn assigned_id(&self) -> Option<&Text> {
        self.terms.client_id.as_ref()
    }

    async fn conn_ack(&mut self, limit: usize) -> Result<ConnAck, String> {
        loop {
            match decode(self.version(), &mut self.input, limit).map_err(|error| error.to_string())? {
                Some(Packet::ConnAck(ack)) if ack.reason == Reason::SUCCESS => return Ok(ack),
                Some(Packet::ConnAck(ack)) => {
                    let why = explain(ack.reason, ack.properties.reason());
                    return Err(format!("the server refuses the client: {why}"));
                }
                Some(_) => return Err("the server did not begin with CONNACK".to_owned()),
                None => self.read().await?,
            }
        }
    }

    fn version(&self) -> Version {
        self.terms.version
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
        driver.session.resume(&self.terms, &mut self.out);
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
        let interval = self.terms.keep_alive;
        let mut silence = pin!(sleep_until(Instant::now() + interval));
        let mut stopped = pin!(tasks.cancelled());
        let owed = self.owed.clone();
        self.take_packets(driver)?;
        loop {
            self.acknowledge()?;
            let may_send = self.out.len() < WRITE_HIGH && driver.session.inflight() < self.terms.max_inflight;
            let may_read = self.rest.is_none();
            // In this order, so that a flood of messages from the server holds nothing else up; what stands before it here
            // is bounded.
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                () = &mut silence => {
                    self.ping(may_read)?;
                    silence.as_mut().reset(Instant::now() + interval);
                }
                () = done(&mut self.rest), if !may_read => {
                    self.rest = None;
                    self.pinged = false;
                }
                () = owed.changed.notified(), if owed.any() => {}
                request = driver.requests.recv(), if may_send => {
                    let Some(request) = request else { return Ok(()) };
                    driver.session.send(&self.terms, request, &mut self.out);
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

    /// Only the server's silence counts, not that of a user who does not take messages.
    fn ping(&mut self, listening: bool) -> Result<(), String> {
        if self.pinged && listening {
            return Err("the server does not answer pings".to_owned());
        }
        self.pinged = true;
        self.put(&Packet::PingReq)
    }

    /// Writes the acknowledgements that are due.
    fn acknowledge(&mut self) -> Result<(), String> {
        let (version, out) = (self.version(), &mut self.out);
        let drained = self.owed.drain(|reply| {
            // Acknowledgements have a fixed form that always encodes.
            let _ = encode(version, reply, out);
        });
        drained.map_err(|_| "a message was not confirmed".to_owned())
    }

    /// Handles every whole packet that has been read.
    fn take_packets(&mut self, driver: &mut Driver) -> Result<(), String> {
        let limit = driver.options.max_packet_bytes;
        while let Some(packet) = decode(self.version(), &mut self.input, limit).map_err(|error| error.to_string())? {
            self.take(packet, &mut driver.session)?;
        }
        if !self.arrived.is_empty() {
            self.rest = driver.taker.take(&mut self.arrived);
        }
        Ok(())
    }

    fn take(&mut self, packet: Packet, session: &mut Session) -> Result<(), String> {
        match packet {
            Packet::Publish(publish) => self.arrive(publish, session)?,
            Packet::PubAck(ack) | Packet::PubComp(ack) => session.finish(&ack),
            Packet::PubRec(ack) => session.release(self.version(), &ack, &mut self.out),
            Packet::PubRel(ack) => {
                session.received.remove(&ack.packet_id);
                self.put(&Packet::PubComp(Ack::of(ack.packet_id)))?;
            }
            Packet::SubAck(ack) => session.subscribed(ack),
            Packet::PingResp | Packet::UnsubAck(_) => {}
            Packet::Disconnect(end) => {
                let why = explain(end.reason, end.properties.reason());
                return Err(format!("the server ended the connection: {why}"));
            }
            _ => return Err("the server sent a packet that only clients send".to_owned()),
        }
        Ok(())
    }

    fn arrive(&mut self, mut publish: Publish, session: &mut Session) -> Result<(), String> {
        publish.topic = self.aliases.resolve(publish.topic, publish.properties.topic_alias())?;
        let promise = self.owed.owe(publish.qos, publish.packet_id);
        if publish.qos == QoS::ExactlyOnce && !session.received.insert(publish.packet_id) {
            // It was handed over before; the server only missed our PUBREC.
            if let Some(promise) = promise {
                promise.keep();
            }
            return Ok(());
        }
        self.arrived.push(Incoming::new(publish, promise));
        Ok(())
    }

    fn put(&mut self, packet: &Packet) -> Result<(), String> {
        encode(self.version(), packet, &mut self.out).map_err(|error| error.to_string())
    }

    async fn say_goodbye(mut self) {
        // Whatever fails here, the connection ends.
        let _ = self.put(&Packet::Disconnect(Goodbye::default()));
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
