//! Modbus TCP slaves: many unit ids on one port.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use edgeward_service::Tasks;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_modbus::prelude::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

use super::source::Values;
use super::{Counts, ModbusOptions, Speed, count};
use crate::DriverError;

/// Holding registers and coils of a slave.
const SIZE: usize = 16;
/// The set point a slave begins with.
const SET_POINT: u16 = 20;

/// Every slave of the port.
struct Slaves {
    units: RangeInclusive<u8>,
    values: Arc<Values>,
    speed: Speed,
    began: Instant,
    counts: Arc<Counts>,
    /// What was written, by unit.
    memory: Mutex<BTreeMap<u8, Memory>>,
}

#[derive(Clone)]
struct Memory {
    holding: [u16; SIZE],
    coils: [bool; SIZE],
}

/// Listens and answers until the tasks are cancelled; returns the address.
pub(crate) async fn start(
    options: &ModbusOptions,
    speed: Speed,
    values: Arc<Values>,
    counts: Arc<Counts>,
    tasks: &Tasks,
) -> Result<SocketAddr, DriverError> {
    let failed = |source| DriverError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (units, began, memory) = (options.units.clone(), Instant::now(), Mutex::default());
    let slaves = Arc::new(Slaves { units, values, speed, began, counts, memory });
    tasks.spawn_until_cancelled("slaves", async move {
        let server = Server::new(listener);
        let slaves = &slaves;
        let connected = |stream, address| ready(accept_tcp_connection(stream, address, |_| Ok(Some(slaves.clone()))));
        // An accept that fails, for want of file descriptors say, must not end the simulation.
        while let Err(error) = server.serve(&connected, |_closed| {}).await {
            tracing::warn!(%error, "modbus simulator cannot accept; trying again");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    Ok(address)
}

impl Service for Slaves {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = std::future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        count(&self.counts.answered);
        ready(self.answer(request.slave, &request.request))
    }
}

impl Slaves {
    fn answer(&self, unit: u8, request: &Request<'_>) -> Result<Response, ExceptionCode> {
        if !self.units.contains(&unit) {
            return Err(ExceptionCode::GatewayTargetDevice);
        }
        let (value, rows) = self.values.at(usize::from(unit), self.speed, self.began.elapsed());
        let mut all = self.memory.lock();
        let memory = all.entry(unit).or_default();
        let float = (value as f32).to_bits().to_be_bytes();
        let float = [u16::from_be_bytes([float[0], float[1]]), u16::from_be_bytes([float[2], float[3]])];
        memory.holding[1..3].copy_from_slice(&float);
        let inputs = [float[0], float[1], (value * 10.0).round() as i32 as u16, rows as u16];
        let alarm = [value > f64::from(memory.holding[0])];
        Ok(match request {
            Request::ReadInputRegisters(start, count) => Response::ReadInputRegisters(part(&inputs, *start, *count)?),
            Request::ReadHoldingRegisters(start, count) => {
                Response::ReadHoldingRegisters(part(&memory.holding, *start, *count)?)
            }
            Request::ReadCoils(start, count) => Response::ReadCoils(part(&memory.coils, *start, *count)?),
            Request::ReadDiscreteInputs(start, count) => Response::ReadDiscreteInputs(part(&alarm, *start, *count)?),
            Request::WriteSingleRegister(at, word) => {
                write(&mut memory.holding, *at, &[*word])?;
                Response::WriteSingleRegister(*at, *word)
            }
            Request::WriteMultipleRegisters(at, words) => {
                Response::WriteMultipleRegisters(*at, write(&mut memory.holding, *at, words)?)
            }
            Request::WriteSingleCoil(at, coil) => {
                write(&mut memory.coils, *at, &[*coil])?;
                Response::WriteSingleCoil(*at, *coil)
            }
            Request::WriteMultipleCoils(at, coils) => {
                Response::WriteMultipleCoils(*at, write(&mut memory.coils, *at, coils)?)
            }
            _ => return Err(ExceptionCode::IllegalFunction),
        })
    }
}

impl Default for Memory {
    fn default() -> Self {
        let mut holding = [0; SIZE];
        holding[0] = SET_POINT;
        Self { holding, coils: [false; SIZE] }
    }
}

fn part<T: Copy>(table: &[T], start: u16, count: u16) -> Result<Vec<T>, ExceptionCode> {
    let start = usize::from(start);
    table.get(start..start + usize::from(count)).map(<[T]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
}

fn write<T: Copy>(table: &mut [T], start: u16, values: &[T]) -> Result<u16, ExceptionCode> {
    let start = usize::from(start);
    let target = table.get_mut(start..start + values.len()).ok_or(ExceptionCode::IllegalDataAddress)?;
    target.copy_from_slice(values);
    Ok(u16::try_from(values.len()).unwrap_or(u16::MAX))
}
