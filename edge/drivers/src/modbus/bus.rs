//! The task of one connection: its slaves take turns, one request at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::Backoff;
use edgeward_service::clock::now_ms;
use edgeward_twin::{DeviceId, DeviceState, telemetry_topic};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{ExceptionCode, Request, Response};

use super::codec::{Reading, decode_bits, decode_registers, encode_bits, encode_registers};
use super::config::{Address, Point, SlaveConfig, Table};
use super::driver::Options;
use super::metrics;
use super::plan::Read;
use super::slave::Slave;
use crate::report::{Report, Reports, telemetry};

/// What the driver wants of a bus; the bus looks when it is notified.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    slaves: Mutex<BTreeMap<DeviceId, Arc<SlaveConfig>>>,
    changed: Notify,
}

impl Wanted {
    pub(crate) fn set(&self, id: DeviceId, slave: Arc<SlaveConfig>) {
        self.slaves.lock().insert(id, slave);
        self.changed.notify_one();
    }

    /// Returns whether the bus has no slave left.
    pub(crate) fn unset(&self, id: &DeviceId) -> bool {
        let mut slaves = self.slaves.lock();
        slaves.remove(id);
        self.changed.notify_one();
        slaves.is_empty()
    }
}

/// The task's state.
pub(crate) struct Bus {
    address: Address,
    wanted: Arc<Wanted>,
    options: Options,
    reports: Reports,
    slaves: BTreeMap<DeviceId, Slave>,
    connection: Option<Context>,
    connect_backoff: Backoff,
    /// After a failed connect, nothing happens before.
    not_before: Option<Instant>,
}

/// Why a request has no answer.
#[derive(Debug)]
enum Failure {
    /// No connection: nobody on this bus can be reached.
    Connect(String),
    /// This slave did not answer, or not in Modbus.
    Slave(String),
    /// The slave answered, with a refusal.
    Exception(ExceptionCode),
}

impl Bus {
    pub(crate) fn new(address: Address, wanted: Arc<Wanted>, options: Options, reports: Reports) -> Self {
        let connect_backoff = Backoff::new(options.min_backoff, options.max_backoff);
        let slaves = BTreeMap::new();
        Self { address, wanted, options, reports, slaves, connection: None, connect_backoff, not_before: None }
    }

    /// Runs until the last slave is taken away; cancelled at any await.
    pub(crate) async fn run(mut self) {
        let wanted = self.wanted.clone();
        loop {
            self.look();
            let Some((due, id)) = self.next_turn() else { break };
            tokio::select! {
                () = wanted.changed.notified() => {}
                () = sleep_until(due) => self.turn(&id).await,
            }
        }
        metrics::SLAVES.sub(i64::try_from(self.slaves.len()).unwrap_or_default());
    }

    /// Takes over what the driver wants.
    fn look(&mut self) {
        let wanted = self.wanted.slaves.lock().clone();
        let before = self.slaves.len();
        self.slaves.retain(|id, _| wanted.contains_key(id));
        for (id, config) in wanted {
            match self.slaves.get_mut(&id) {
                Some(slave) if slave.config != config => slave.update(config),
                Some(_) => {}
                None => {
                    let backoff = Backoff::new(self.options.min_backoff, self.options.max_backoff);
                    self.slaves.insert(id.clone(), Slave::new(id, config, backoff));
                }
            }
        }
        let grown = i64::try_from(self.slaves.len()).unwrap_or_default() - i64::try_from(before).unwrap_or_default();
        metrics::SLAVES.add(grown);
    }

    fn next_turn(&self) -> Option<(Instant, DeviceId)> {
        if self.slaves.is_empty() {
            return None;
        }
        // A slave without points is never due, but keeps the bus open for its next document.
        let far = || Instant::now() + Duration::from_secs(3600);
        let turns = self.slaves.values().map(|slave| (slave.due().unwrap_or_else(far), &slave.id));
        let (due, id) = turns.min()?;
        Some((self.not_before.map_or(due, |not_before| due.max(not_before)), id.clone()))
    }

    /// One slave's turn: a write that waits, or else a round of reads.
    async fn turn(&mut self, id: &DeviceId) {
        let Some(mut slave) = self.slaves.remove(id) else { return };
        let outcome = match slave.next_write() {
            Some((point, desired)) => self.write(&mut slave, point, desired).await,
            None => self.round(&mut slave).await,
        };
        self.slaves.insert(id.clone(), slave);
        match outcome {
            Ok(()) => self.online(id).await,
            Err(Failure::Connect(reason)) => self.unreachable(&reason).await,
            Err(Failure::Slave(reason)) => self.silent(id, &reason).await,
            Err(Failure::Exception(code)) => self.refusing(id, code).await,
        }
    }

    async fn online(&mut self, id: &DeviceId) {
        if let Some(slave) = self.slaves.get_mut(id) {
            slave.succeeded();
        }
        self.tell(id, DeviceState::Online, "answers").await;
    }

    async fn unreachable(&mut self, reason: &str) {
        self.not_before = Some(Instant::now() + self.connect_backoff.next_delay());
        let ids: Vec<_> = self.slaves.keys().cloned().collect();
        for id in ids {
            self.tell(&id, DeviceState::Offline, reason).await;
        }
    }

    async fn silent(&mut self, id: &DeviceId, reason: &str) {
        if let Some(slave) = self.slaves.get_mut(id) {
            slave.failed();
        }
        self.tell(id, DeviceState::Offline, reason).await;
    }

    async fn refusing(&mut self, id: &DeviceId, code: ExceptionCode) {
        if let Some(slave) = self.slaves.get_mut(id) {
            slave.failed();
        }
        let gateway = matches!(code, ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice);
        let state = if gateway { DeviceState::Offline } else { DeviceState::Unhealthy };
        self.tell(id, state, &describe(code)).await;
    }

    /// Tells twin and log once for each change of state.
    async fn tell(&mut self, id: &DeviceId, state: DeviceState, reason: &str) {
        let Some(slave) = self.slaves.get_mut(id).filter(|slave| slave.state != Some(state)) else { return };
        slave.state = Some(state);
        if state == DeviceState::Offline {
            slave.was_away();
        }
        let (host, port) = (self.address.host.as_str(), self.address.port);
        match state {
            DeviceState::Online => tracing::info!(device = %id, host, port, "modbus slave online"),
            _ => tracing::warn!(device = %id, host, port, state = state.as_str(), reason, "modbus slave in trouble"),
        }
        self.reports.send(Report::State(id.clone(), state)).await;
    }

    /// Reads everything of one cycle, then reports it as one reading. What can be read is reported even when another
    /// request of the round is refused.
    async fn round(&mut self, slave: &mut Slave) -> Result<(), Failure> {
        let Some(reads) = slave.take_round(Instant::now()) else { return Ok(()) };
        let mut values = Vec::new();
        let mut refused = None;
        for read in reads.iter() {
            match self.read(&slave.config, read.table, read.start, read.count).await {
                Ok(answer) => decode(slave, read, &answer, &mut values),
                Err(Failure::Exception(code)) => refused = Some(code),
                Err(failure) => return Err(failure),
            }
        }
        self.report(slave, values).await;
        refused.map_or(Ok(()), |code| Err(Failure::Exception(code)))
    }

    async fn report(&mut self, slave: &mut Slave, values: Vec<(usize, Reading)>) {
        if values.is_empty() {
            return;
        }
        metrics::READINGS.add(values.len() as u64);
        let points = &slave.config.clone().points;
        let payload =
            telemetry(&slave.id, now_ms(), values.iter().map(|(point, value)| (&*points[*point].name, value.into())));
        self.reports.publish(telemetry_topic(&slave.id), payload).await;
        let now = Instant::now();
        let due = values.into_iter().filter(|(point, _)| slave.may_report(*point, now));
        let texts: Vec<_> = due.map(|(point, value)| (points[point].name.clone(), value.to_text())).collect();
        if !texts.is_empty() {
            self.reports.send(Report::Values(slave.id.clone(), texts)).await;
        }
    }

    /// Brings a desired value to the slave: reads what is there, writes if it differs, reads back and reports.
    async fn write(&mut self, slave: &mut Slave, index: usize, desired: Arc<str>) -> Result<(), Failure> {
        let config = slave.config.clone();
        let point = &config.points[index];
        let encoded = match encode(point, &desired) {
            Ok(encoded) => encoded,
            Err(reason) => {
                refuse(&slave.id, point, &desired, &reason);
                slave.dealt_with(index, desired);
                return Ok(());
            }
        };
        let there = self.read(&config, point.table, point.offset, point.limit).await;
        if there.as_ref().ok() != Some(&encoded) {
            match self.call(&config, write_request(point, &encoded)).await {
                Ok(_) => metrics::WRITES.inc(),
                Err(Failure::Exception(code)) if !is_passing(code) => {
                    // Asking again for what the slave refuses would be refused again: the next desired value is tried.
                    refuse(&slave.id, point, &desired, &describe(code));
                    slave.dealt_with(index, desired);
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        }
        slave.dealt_with(index, desired);
        let back = self.read(&config, point.table, point.offset, point.limit).await?;
        let mut values = Vec::new();
        let read = Read { table: point.table, start: point.offset, count: point.limit, points: vec![index] };
        decode(slave, &read, &back, &mut values);
        let texts = values.into_iter().map(|(_, value)| (point.name.clone(), value.to_text())).collect();
        self.reports.send(Report::Values(slave.id.clone(), texts)).await;
        Ok(())
    }

    async fn read(&mut self, config: &SlaveConfig, table: Table, start: u16, count: u16) -> Result<Entries, Failure> {
        let request = match table {
            Table::Coil => Request::ReadCoils(start, count),
            Table::DiscreteInput => Request::ReadDiscreteInputs(start, count),
            Table::InputRegister => Request::ReadInputRegisters(start, count),
            Table::HoldingRegister => Request::ReadHoldingRegisters(start, count),
        };
        let answer = match self.call(config, request).await? {
            // A bit answer is padded to whole bytes.
            Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits)
                if bits.len() >= usize::from(count) =>
            {
                bits.truncate(usize::from(count));
                Entries::Bits(bits)
            }
            Response::ReadInputRegisters(registers) | Response::ReadHoldingRegisters(registers)
                if registers.len() == usize::from(count) =>
            {
                Entries::Registers(registers)
            }
            _ => return Err(self.malformed("the answer has another length than was asked for")),
        };
        Ok(answer)
    }

    fn malformed(&mut self, reason: &str) -> Failure {
        metrics::MALFORMED.inc();
        self.connection = None;
        Failure::Slave(format!("malformed answer: {reason}"))
    }

    /// One request. A connection that was open before may have been closed by the other side meanwhile: then once again.
    async fn call(&mut self, config: &SlaveConfig, request: Request<'static>) -> Result<Response, Failure> {
        let reused = self.connection.is_some();
        match self.exchange(config, request.clone()).await {
            Err((Failure::Slave(_), true)) if reused => {
                self.exchange(config, request).await.map_err(|(failure, _)| failure)
            }
            other => other.map_err(|(failure, _)| failure),
        }
    }

    /// Sends and waits. The flag of an error says whether the connection broke without a word.
    async fn exchange(&mut self, config: &SlaveConfig, request: Request<'static>) -> Result<Response, (Failure, bool)> {
        let mut connection = self.connect().await.map_err(|failure| (failure, false))?;
        metrics::REQUESTS.inc();
        connection.set_slave(config.unit.into());
        let wait = config.timeout.unwrap_or(self.options.timeout);
        // The connection returns only with a whole answer: after anything else the next bytes could belong to the past.
        match timeout(wait, connection.call(request)).await {
            Ok(Ok(Ok(response))) => {
                self.connection = Some(connection);
                Ok(response)
            }
            Ok(Ok(Err(code))) => {
                metrics::EXCEPTIONS.inc();
                self.connection = Some(connection);
                Err((Failure::Exception(code), false))
            }
            Ok(Err(tokio_modbus::Error::Transport(error))) if error.kind() != std::io::ErrorKind::InvalidData => {
                Err((Failure::Slave(format!("the connection broke: {error}")), true))
            }
            Ok(Err(error)) => Err((self.malformed(&error.to_string()), false)),
            Err(_) => {
                metrics::TIMEOUTS.inc();
                Err((Failure::Slave(format!("no answer within {} ms", wait.as_millis())), false))
            }
        }
    }

    async fn connect(&mut self) -> Result<Context, Failure> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let address = (self.address.host.as_str(), self.address.port);
        let made = timeout(self.options.connect_timeout, TcpStream::connect(address)).await;
        let reason = match made {
            Ok(Ok(stream)) => {
                let _best_effort = stream.set_nodelay(true);
                self.connect_backoff.reset();
                self.not_before = None;
                return Ok(tcp::attach(stream));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} ms", self.options.connect_timeout.as_millis()),
        };
        metrics::CONNECT_FAILURES.inc();
        Err(Failure::Connect(reason))
    }
}

/// What a table holds.
#[derive(Debug, PartialEq)]
enum Entries {
    Bits(Vec<bool>),
    Registers(Vec<u16>),
}

fn encode(point: &Point, value: &str) -> Result<Entries, String> {
    match point.table.is_bits() {
        true => encode_bits(point, value).map(Entries::Bits),
        false => encode_registers(point, value).map(Entries::Registers),
    }
}

fn write_request(point: &Point, entries: &Entries) -> Request<'static> {
    match entries {
        Entries::Bits(bits) if bits.len() == 1 => Request::WriteSingleCoil(point.offset, bits[0]),
        Entries::Bits(bits) => Request::WriteMultipleCoils(point.offset, Cow::Owned(bits.clone())),
        Entries::Registers(registers) if registers.len() == 1 => {
            Request::WriteSingleRegister(point.offset, registers[0])
        }
        Entries::Registers(registers) => Request::WriteMultipleRegisters(point.offset, Cow::Owned(registers.clone())),
    }
}

/// Cuts an answer into the values of its points.
fn decode(slave: &Slave, read: &Read, answer: &Entries, values: &mut Vec<(usize, Reading)>) {
    for index in &read.points {
        let point = &slave.config.points[*index];
        let from = usize::from(point.offset - read.start);
        let range = from..from + usize::from(point.limit);
        // The answer has the length of the read, and the plan puts every point inside its read.
        let decoded = match answer {
            Entries::Bits(bits) => decode_bits(point, &bits[range]),
            Entries::Registers(registers) => decode_registers(point, &registers[range]),
        };
        match decoded {
            Ok(value) => values.push((*index, value)),
            Err(reason) => {
                metrics::DECODE_FAILURES.inc();
                tracing::debug!(device = %slave.id, property = %point.name, reason, "registers do not fit the type");
            }
        }
    }
}

fn refuse(id: &DeviceId, point: &Point, desired: &str, reason: &str) {
    metrics::WRITES_REFUSED.inc();
    tracing::warn!(device = %id, property = %point.name, desired, reason, "desired value not written");
}

/// Whether the same request may succeed later.
fn is_passing(code: ExceptionCode) -> bool {
    use ExceptionCode::{Acknowledge, GatewayPathUnavailable, GatewayTargetDevice, ServerDeviceBusy};
    matches!(code, Acknowledge | ServerDeviceBusy | GatewayPathUnavailable | GatewayTargetDevice)
}

fn describe(code: ExceptionCode) -> String {
    format!("the slave answered exception {:#04x}, {code}", u8::from(code))
}
