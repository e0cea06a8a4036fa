//! One MQTT device.

use std::collections::{BTreeMap, VecDeque};
use std::io::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_mqtt::{Ack, Connect, Filter, Packet, Publish, QoS, Subscribe, Text, Will};
use edgeward_service::{Backoff, Tasks};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::client::Client;
use super::source::{Row, Values};
use super::{Counts, MqttOptions, Payload, Speed, count};

/// Seconds; pings go out at half of it.
const KEEP_ALIVE: u16 = 30;

/// A device with what must survive a lost connection.
pub(crate) struct Device {
    number: usize,
    name: String,
    options: Arc<MqttOptions>,
    speed: Speed,
    values: Arc<Values>,
    counts: Arc<Counts>,
    /// Rows published so far.
    rows: u64,
    due: Instant,
    /// Published and not acknowledged, oldest first.
    unacknowledged: VecDeque<Publish>,
    last_id: u16,
}

/// Deltas, answers to `twin/get` and membership changes, as far as a device reads them.
#[derive(Deserialize)]
struct News {
    #[serde(default)]
    delta: BTreeMap<String, String>,
    #[serde(default)]
    twin: BTreeMap<String, Option<Sides>>,
    #[serde(default)]
    added_devices: Option<Vec<Member>>,
}

#[derive(Deserialize)]
struct Member {
    id: String,
}

#[derive(Deserialize)]
struct Sides {
    expected: Option<Side>,
    actual: Option<Side>,
}

#[derive(Deserialize)]
struct Side {
    value: Option<String>,
}

impl Device {
    pub(crate) fn new(
        number: usize,
        options: Arc<MqttOptions>,
        speed: Speed,
        values: Arc<Values>,
        counts: Arc<Counts>,
    ) -> Self {
        let name = format!("{}-{number}", options.prefix);
        let (unacknowledged, due) = (VecDeque::new(), Instant::now());
        Self { number, name, options, speed, values, counts, rows: 0, due, unacknowledged, last_id: 0 }
    }

    /// Runs until its file is sent and acknowledged, or the tasks are cancelled. `done` closes at the end.
    pub(crate) async fn run(mut self, tasks: Tasks, done: oneshot::Sender<()>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while !tasks.is_cancelled() && !self.is_finished() {
            let session = tasks.token().run_until_cancelled(self.session(&mut backoff)).await;
            if let Some(Err(error)) = session {
                tracing::debug!(device = self.name, %error, "simulated device lost its broker");
                let _cancelled = tasks.token().run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
            }
        }
        drop(done);
    }

    fn is_finished(&self) -> bool {
        self.values.row(self.number, self.rows).is_none() && self.unacknowledged.is_empty()
    }

    /// One connection, from CONNECT to its loss or to the end of the file.
    async fn session(&mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let mut client = self.connect().await?;
        backoff.reset();
        count(&self.counts.connects);
        self.repeat(&mut client).await?;
        let mut ping = interval(Duration::from_secs(u64::from(KEEP_ALIVE) / 2));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let more = self.values.row(self.number, self.rows).is_some();
            if !more && self.unacknowledged.is_empty() {
                // DISCONNECT leaves the last will unsaid, so the device says it itself.
                self.say_state(&mut client, "offline")?;
                return client.send(&Packet::Disconnect).await;
            }
            let may_send = more && self.unacknowledged.len() < self.options.window;
            tokio::select! {
                packet = client.recv() => self.take(&mut client, packet?).await?,
                () = sleep_until(self.due), if may_send => self.publish_row(&mut client).await?,
                _ = ping.tick() => client.send(&Packet::PingReq).await?,
            }
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let will = Will {
            topic: text(&self.topic("state/update"))?,
            payload: state("offline"),
            qos: QoS::AtLeastOnce,
            retain: false,
        };
        let connect = Connect {
            client_id: text(&self.name)?,
            clean_session: true,
            keep_alive: KEEP_ALIVE,
            will: Some(will),
            ..Connect::default()
        };
        let mut client = Client::connect(&self.options.broker, connect).await?;
        let topics = [
            self.topic("twin/update/delta"),
            self.topic("twin/get/result"),
            "$hw/events/node/+/membership/updated".to_owned(),
        ];
        let filter = |topic: &String| Ok((Filter::try_from(topic.as_str()).map_err(Error::other)?, QoS::AtLeastOnce));
        let filters = topics.iter().map(filter).collect::<Result<_, Error>>()?;
        client.queue(&Packet::Subscribe(Subscribe { packet_id: 1, filters }))?;
        self.introduce(&mut client)?;
        client.flush().await?;
        Ok(client)
    }

    /// Says that it is there, and asks for the desired values that came while it was away.
    fn introduce(&self, client: &mut Client) -> Result<(), Error> {
        self.say_state(client, "online")?;
        client.queue(&quiet(&self.topic("twin/get"), Bytes::from_static(b"{}"))?)
    }

    fn say_state(&self, client: &mut Client, word: &str) -> Result<(), Error> {
        client.queue(&quiet(&self.topic("state/update"), state(word))?)
    }

    /// Sends again what the last connection left unacknowledged.
    async fn repeat(&mut self, client: &mut Client) -> Result<(), Error> {
        for publish in &mut self.unacknowledged {
            publish.dup = true;
            count(&self.counts.resent);
            client.queue(&Packet::Publish(publish.clone()))?;
        }
        client.flush().await
    }

    async fn publish_row(&mut self, client: &mut Client) -> Result<(), Error> {
        let Some(row) = self.values.row(self.number, self.rows) else { return Ok(()) };
        let (topic, payload) = self.message(&row);
        self.rows += 1;
        self.due = (self.due + self.values.pause(self.speed, self.rows)).max(Instant::now() - Duration::from_secs(1));
        let packet_id = if self.options.qos == QoS::AtLeastOnce { self.next_id() } else { 0 };
        let publish = Publish { qos: self.options.qos, topic: text(&topic)?, packet_id, payload, ..Publish::default() };
        if packet_id != 0 {
            self.unacknowledged.push_back(publish.clone());
        }
        count(&self.counts.sent);
        client.send(&Packet::Publish(publish)).await?;
        if packet_id == 0 {
            count(&self.counts.acknowledged);
        }
        Ok(())
    }

    fn message(&self, row: &Row) -> (String, Bytes) {
        match &self.options.payload {
            Payload::Twin => {
                (self.topic("twin/update"), report(&self.options.property, &row.value.to_string(), "float"))
            }
            Payload::Telemetry { topic } => {
                let topic = topic.replace("{namespace}", &self.options.namespace).replace("{device}", &self.name);
                let mut reading = json!({"deviceid": self.name, "seq": self.rows + 1, "ts": row.ts});
                reading[&self.options.property] = row.value.into();
                (topic, reading.to_string().into())
            }
        }
    }

    /// The window is far smaller than the id space, so an id is free again before it comes round.
    fn next_id(&mut self) -> u16 {
        // 1 is the subscription's.
        self.last_id = self.last_id.checked_add(1).unwrap_or(2).max(2);
        self.last_id
    }

    async fn take(&mut self, client: &mut Client, packet: Packet) -> Result<(), Error> {
        match packet {
            Packet::PubAck(Ack { packet_id }) => {
                if let Some(at) = self.unacknowledged.iter().position(|publish| publish.packet_id == packet_id) {
                    self.unacknowledged.remove(at);
                    count(&self.counts.acknowledged);
                }
                Ok(())
            }
            Packet::Publish(publish) => {
                if publish.qos == QoS::AtLeastOnce {
                    client.queue(&Packet::PubAck(Ack { packet_id: publish.packet_id }))?;
                }
                self.obey(client, &publish.payload)?;
                client.flush().await
            }
            _ => Ok(()),
        }
    }

    /// Takes over every expected value and reports it back; introduces itself to a node that has just heard of it.
    fn obey(&self, client: &mut Client, payload: &[u8]) -> Result<(), Error> {
        let Ok(mut news) = serde_json::from_slice::<News>(payload) else { return Ok(()) };
        let own = |member: &Member| member.id.split_once('/') == Some((&self.options.namespace, &self.name));
        if news.added_devices.iter().flatten().any(own) {
            // The node did not know the device when it came.
            self.introduce(client)?;
        }
        for (property, sides) in news.twin {
            let Some(sides) = sides else { continue };
            let actual = sides.actual.and_then(|side| side.value);
            if let Some(expected) =
                sides.expected.and_then(|side| side.value).filter(|value| Some(value) != actual.as_ref())
            {
                news.delta.entry(property).or_insert(expected);
            }
        }
        // The measured property is what it is: nobody can set it.
        for (property, value) in news.delta.into_iter().filter(|(property, _)| *property != self.options.property) {
            count(&self.counts.desired);
            client.queue(&quiet(&self.topic("twin/update"), report(&property, &value, "string"))?)?;
        }
        Ok(())
    }

    fn topic(&self, what: &str) -> String {
        format!("$hw/events/device/{}/{}/{what}", self.options.namespace, self.name)
    }
}

fn report(property: &str, value: &str, value_type: &str) -> Bytes {
    let mut twin = serde_json::Map::new();
    twin.insert(property.to_owned(), json!({"actual": {"value": value}, "metadata": {"type": value_type}}));
    json!({ "twin": twin }).to_string().into()
}

fn state(word: &str) -> Bytes {
    json!({ "state": word }).to_string().into()
}

/// A QoS 0 message.
fn quiet(topic: &str, payload: Bytes) -> Result<Packet, Error> {
    Ok(Packet::Publish(Publish { topic: text(topic)?, payload, ..Publish::default() }))
}

fn text(text: &str) -> Result<Text, Error> {
    Text::try_from(text).map_err(Error::other)
}
