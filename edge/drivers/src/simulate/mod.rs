//! Simulated devices: Modbus TCP slaves and MQTT clients with real sockets, fed by a generator or a recorded CSV file.
//!
//! An MQTT device connects to a broker, says `online` (and `offline` by its last will), publishes readings, obeys
//! desired values from `twin/update/delta` and reports them back. A Modbus slave answers reads with the value of the
//! moment and keeps what is written to it; its registers are listed in [`ModbusOptions`].

mod client;
mod mqtt;
mod slaves;
mod source;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_mqtt::QoS;
use edgeward_service::Tasks;
use tokio::sync::oneshot;

use crate::DriverError;
use source::Values;

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// MQTT devices, if any.
    pub mqtt: Option<MqttOptions>,
    /// Modbus slaves, if any.
    pub modbus: Option<ModbusOptions>,
    /// Where values come from.
    pub source: Source,
    /// How fast they come.
    pub speed: Speed,
}

/// A group of MQTT devices.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    /// `host:port` of the broker.
    pub broker: String,
    /// How many devices.
    pub devices: usize,
    /// Namespace of their Device objects.
    pub namespace: String,
    /// Names are `<prefix>-1`, `<prefix>-2`, …; also their client ids.
    pub prefix: String,
    /// What they publish.
    pub payload: Payload,
    /// The property or field the value is published as.
    pub property: String,
    /// 0 or 1.
    pub qos: QoS,
    /// Unacknowledged messages of a device (QoS 1); then it waits.
    pub window: usize,
}

impl Default for MqttOptions {
    fn default() -> Self {
        Self {
            broker: "127.0.0.1:1883".to_owned(),
            devices: 1,
            namespace: "default".to_owned(),
            prefix: "sensor".to_owned(),
            payload: Payload::Twin,
            property: "temperature".to_owned(),
            qos: QoS::AtLeastOnce,
            window: 64,
        }
    }
}

/// What an MQTT device publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// KubeEdge twin updates on `$hw/events/device/<namespace>/<name>/twin/update`.
    Twin,
    /// `{"deviceid":…,"seq":n,"ts":<ms>,"<property>":value}` on a topic of its own; `{namespace}` and `{device}` are
    /// replaced. `seq` counts from 1, `ts` is the row's time.
    Telemetry {
        /// For instance `telemetry/{namespace}/{device}`.
        topic: String,
    },
}

/// Modbus slaves on one port.
///
/// | table | offset | content |
/// |---|---|---|
/// | InputRegister | 0-1 | the value, 32-bit float, big-endian |
/// | InputRegister | 2 | the value × 10, whole |
/// | InputRegister | 3 | rows so far, modulo 65,536 |
/// | HoldingRegister | 0 | a set point, 20 at the start, writable |
/// | HoldingRegister | 1-2 | the value, as in InputRegister 0-1 |
/// | HoldingRegister | 3-15 | zero, writable |
/// | Coil | 0-15 | false, writable |
/// | DiscreteInput | 0 | whether the value is above the set point |
#[derive(Clone, Debug)]
pub struct ModbusOptions {
    /// Where to listen; port 0 picks a free one, see [`Simulation::modbus_address`].
    pub listen: SocketAddr,
    /// The unit ids that answer; others get exception 0x0B.
    pub units: RangeInclusive<u8>,
}

/// Where values come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Source {
    /// A slow wave around 20 with a little noise, different for each device, the same at each run.
    #[default]
    Wave,
    /// The rows of a CSV file with the header `timestamp,value`, in file order, once.
    Csv(PathBuf),
}

/// How fast rows come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many rows a second per device.
    RowsPerSecond(f64),
    /// The file's own rhythm, so many times faster. A wave has one row a second.
    TimeFactor(f64),
    /// As fast as the broker acknowledges (QoS 1).
    AsAcknowledged,
}

impl Default for Speed {
    fn default() -> Self {
        Self::RowsPerSecond(1.0)
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    resent: AtomicU64,
    desired: AtomicU64,
    connects: AtomicU64,
    answered: AtomicU64,
}

/// A copy of [`Counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows published, each counted once.
    pub sent: u64,
    /// Rows the broker acknowledged; with QoS 0, rows written to the socket.
    pub acknowledged: u64,
    /// Rows sent again after a lost connection.
    pub resent: u64,
    /// Desired values obeyed.
    pub desired: u64,
    /// Connections made, the first included.
    pub connects: u64,
    /// Modbus requests answered.
    pub answered: u64,
}

impl Counts {
    /// The present totals.
    pub fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            sent: read(&self.sent),
            acknowledged: read(&self.acknowledged),
            resent: read(&self.resent),
            desired: read(&self.desired),
            connects: read(&self.connects),
            answered: read(&self.answered),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A running simulation.
#[derive(Debug)]
pub struct Simulation {
    counts: Arc<Counts>,
    tasks: Tasks,
    /// One for each MQTT device; closed when it has ended.
    devices: Vec<oneshot::Receiver<()>>,
    modbus_address: Option<SocketAddr>,
}

impl Simulation {
    /// Starts everything under `tasks`.
    pub async fn start(options: Options, tasks: &Tasks) -> Result<Self, DriverError> {
        check(&options)?;
        let values = Arc::new(Values::load(&options.source).await?);
        let counts = Arc::new(Counts::default());
        let tasks = tasks.child("simulate");
        let modbus_address = match &options.modbus {
            Some(modbus) => Some(slaves::start(modbus, options.speed, values.clone(), counts.clone(), &tasks).await?),
            None => None,
        };
        let mut simulation = Self { counts, tasks, devices: Vec::new(), modbus_address };
        if let Some(mqtt) = options.mqtt {
            simulation.start_mqtt(&Arc::new(mqtt), options.speed, &values);
        }
        Ok(simulation)
    }

    fn start_mqtt(&mut self, options: &Arc<MqttOptions>, speed: Speed, values: &Arc<Values>) {
        for number in 1..=options.devices {
            let device = mqtt::Device::new(number, options.clone(), speed, values.clone(), self.counts.clone());
            let (done, ended) = oneshot::channel();
            self.tasks.spawn("device", device.run(self.tasks.clone(), done));
            self.devices.push(ended);
        }
    }

    /// Counters that go on moving.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Where the slaves listen.
    pub fn modbus_address(&self) -> Option<SocketAddr> {
        self.modbus_address
    }

    /// Waits until every MQTT device has sent its file and got every acknowledgement, or until the tasks are cancelled.
    /// Waves and slaves go on until then.
    pub async fn finished(self) -> Totals {
        for device in self.devices {
            let _ended = device.await;
        }
        if self.modbus_address.is_some() {
            self.tasks.cancelled().await;
        }
        self.counts.totals()
    }
}

/// Starts a simulation and waits for its end: [`Simulation::start`], then [`Simulation::finished`].
pub async fn run(options: Options, tasks: &Tasks) -> Result<Totals, DriverError> {
    Ok(Simulation::start(options, tasks).await?.finished().await)
}

fn check(options: &Options) -> Result<(), DriverError> {
    let wrong = |text: &str| Err(DriverError::Options(text.to_owned()));
    match options.speed {
        Speed::RowsPerSecond(rate) if !(rate > 0.0 && rate.is_finite()) => {
            return wrong("rows per second must be above 0");
        }
        Speed::TimeFactor(factor) if !(factor > 0.0 && factor.is_finite()) => {
            return wrong("the time factor must be above 0");
        }
        _ => {}
    }
    if let Some(mqtt) = &options.mqtt {
        if mqtt.qos == QoS::ExactlyOnce {
            return wrong("QoS must be 0 or 1");
        }
        if mqtt.qos == QoS::AtMostOnce && options.speed == Speed::AsAcknowledged {
            return wrong("as fast as acknowledged needs QoS 1");
        }
        if mqtt.window == 0 || mqtt.window > usize::from(u16::MAX / 2) {
            return wrong("the window must be from 1 to 32767");
        }
    }
    Ok(())
}
