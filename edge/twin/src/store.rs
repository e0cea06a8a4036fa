//! The SQLite file of the twins: KubeEdge's tables `device` and `device_twin`, and what we need beside them.
//!
//! KubeEdge's columns keep their names and content, so its tools read the file. Added: `revision` and `confirmed` (what
//! the cloud has), `cloud_desired` (the last desired value that came from the cloud, to tell a new wish from a repeated
//! one) and the state's own revision pair.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::apply::DeviceEntry;
use crate::device::DeviceId;
use crate::error::TwinError;
use crate::payload::{DELETED, DeviceState};
use crate::twin::{Entry, TwinValue, Version};

/// Format of the file, in `PRAGMA user_version`.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE device (
    id TEXT PRIMARY KEY, name TEXT, description TEXT, state TEXT, last_online TEXT,
    state_revision INTEGER NOT NULL, state_confirmed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE device_twin (
    deviceid TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
    expected TEXT, actual TEXT, expected_meta TEXT, actual_meta TEXT, expected_version TEXT, actual_version TEXT,
    optional INTEGER NOT NULL, attr_type TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
    cloud_desired TEXT, revision INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    PRIMARY KEY (deviceid, name)
) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// The open file.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
}

/// What one transaction writes, as copies: the state may not move while the disk does.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub removed: Vec<DeviceId>,
    pub devices: Vec<DeviceRow>,
    pub twins: Vec<TwinRow>,
}

#[derive(Debug)]
pub(crate) struct DeviceRow {
    pub id: DeviceId,
    pub description: String,
    pub state: Option<DeviceState>,
    pub last_online: Option<String>,
    pub state_revision: u64,
    pub state_confirmed: u64,
}

#[derive(Debug)]
pub(crate) struct TwinRow {
    pub device: DeviceId,
    pub name: Arc<str>,
    pub entry: Entry,
    pub cloud_desired: Option<Arc<str>>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.devices.is_empty() && self.twins.is_empty()
    }
}

impl Store {
    /// Opens the file, making it if missing.
    pub(crate) fn open(path: &Path) -> Result<Self, TwinError> {
        let failed = |source| TwinError::Open { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000;")
            .map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        match found {
            0 => connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;")).map_err(failed)?,
            FORMAT => {}
            _ => return Err(TwinError::Newer { path: path.to_owned(), found, known: FORMAT }),
        }
        Ok(Self { connection })
    }

    /// All devices with their twins.
    pub(crate) fn load(&self) -> rusqlite::Result<BTreeMap<DeviceId, DeviceEntry>> {
        let mut devices = BTreeMap::new();
        let mut select = self.connection.prepare(&format!("{SELECT_DEVICE} ORDER BY id"))?;
        for device in select.query_map([], read_device)? {
            let device = device?;
            devices.insert(device.id.clone(), device);
        }
        let mut select = self.connection.prepare(SELECT_TWIN)?;
        for row in select.query_map([], |row| Ok((row.get::<_, String>(0)?, read_twin(row)?)))? {
            let (id, (name, entry, cloud_desired)) = row?;
            let device = DeviceId::parse(&id).and_then(|id| devices.get_mut(&id));
            if let Some(device) = device {
                device.install(name, entry, cloud_desired);
            }
        }
        Ok(devices)
    }

    /// One device as the disk knows it, after a failed commit.
    pub(crate) fn load_device(&self, id: &DeviceId) -> Result<Option<DeviceEntry>, TwinError> {
        let found = self
            .connection
            .prepare_cached(&format!("{SELECT_DEVICE} WHERE id = ?1"))?
            .query_row([id.as_str()], read_device)
            .optional()?;
        let Some(mut device) = found else { return Ok(None) };
        let mut select = self.connection.prepare_cached(&format!("{SELECT_TWIN} WHERE deviceid = ?1"))?;
        for row in select.query_map([id.as_str()], read_twin)? {
            let (name, entry, cloud_desired) = row?;
            device.install(name, entry, cloud_desired);
        }
        Ok(Some(device))
    }

    /// Writes everything or nothing; when it returns, the disk has it.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), TwinError> {
        let transaction = self.connection.transaction()?;
        for id in &batch.removed {
            transaction.prepare_cached("DELETE FROM device WHERE id = ?1")?.execute([id.as_str()])?;
            transaction.prepare_cached("DELETE FROM device_twin WHERE deviceid = ?1")?.execute([id.as_str()])?;
        }
        for device in &batch.devices {
            write_device(&transaction, device)?;
        }
        for twin in &batch.twins {
            write_twin(&transaction, twin)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn write_device(transaction: &Transaction<'_>, row: &DeviceRow) -> Result<(), TwinError> {
    transaction.prepare_cached("INSERT OR REPLACE INTO device VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
        params![
            row.id.as_str(),
            row.id.name(),
            row.description,
            row.state.map_or("", DeviceState::as_str),
            row.last_online.as_deref().unwrap_or_default(),
            signed(row.state_revision),
            signed(row.state_confirmed),
        ],
    )?;
    Ok(())
}

fn write_twin(transaction: &Transaction<'_>, row: &TwinRow) -> Result<(), TwinError> {
    let entry = &row.entry;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO device_twin (deviceid, name, expected, actual, expected_meta, actual_meta, \
             expected_version, actual_version, optional, attr_type, cloud_desired, revision, confirmed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            row.device.as_str(),
            &*row.name,
            entry.expected.as_ref().map(|side| &*side.value),
            entry.actual.as_ref().map(|side| &*side.value),
            entry.expected.as_ref().map(|side| json(&Stamp { timestamp: side.timestamp })),
            entry.actual.as_ref().map(|side| json(&Stamp { timestamp: side.timestamp })),
            entry.expected_version.as_ref().map(json),
            entry.actual_version.as_ref().map(json),
            entry.optional,
            &*entry.value_type,
            row.cloud_desired.as_deref(),
            signed(entry.revision),
            signed(entry.confirmed),
        ])?;
    Ok(())
}

const SELECT_DEVICE: &str = "SELECT id, description, state, last_online, state_revision, state_confirmed FROM device";
const SELECT_TWIN: &str = "SELECT deviceid, name, expected, actual, expected_meta, actual_meta, expected_version, \
     actual_version, optional, attr_type, cloud_desired, revision, confirmed FROM device_twin";

fn read_device(row: &Row<'_>) -> rusqlite::Result<DeviceEntry> {
    let id: String = row.get(0)?;
    let id = DeviceId::parse(&id)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, "id".to_owned(), rusqlite::types::Type::Text))?;
    let mut device = DeviceEntry::new(id, row.get(1)?);
    device.state = DeviceState::parse(&row.get::<_, String>(2)?);
    device.last_online = Some(row.get::<_, String>(3)?).filter(|time| !time.is_empty());
    device.state_revision = unsigned(row.get(4)?);
    device.state_confirmed = unsigned(row.get(5)?);
    Ok(device)
}

type NamedEntry = (Arc<str>, Entry, Option<Arc<str>>);

fn read_twin(row: &Row<'_>) -> rusqlite::Result<NamedEntry> {
    let mut entry = Entry::new(&row.get::<_, String>(9)?);
    entry.expected = read_side(row, 2, 4)?;
    entry.actual = read_side(row, 3, 5)?;
    entry.expected_version = read_version(row, 6)?;
    entry.actual_version = read_version(row, 7)?;
    entry.optional = row.get(8)?;
    entry.revision = unsigned(row.get(11)?);
    entry.confirmed = unsigned(row.get(12)?);
    if entry.is_deleted() {
        entry.value_type = DELETED.into();
    }
    Ok((row.get::<_, String>(1)?.into(), entry, row.get::<_, Option<String>>(10)?.map(Into::into)))
}

fn read_side(row: &Row<'_>, value: usize, meta: usize) -> rusqlite::Result<Option<TwinValue>> {
    let Some(value) = row.get::<_, Option<String>>(value)? else { return Ok(None) };
    let meta: Option<String> = row.get(meta)?;
    let stamp = meta.and_then(|meta| serde_json::from_str::<Stamp>(&meta).ok());
    Ok(Some(TwinValue { value: value.into(), timestamp: stamp.map_or(0, |stamp| stamp.timestamp) }))
}

fn read_version(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Version>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

#[derive(Serialize, Deserialize)]
struct Stamp {
    timestamp: i64,
}

fn json(value: &impl Serialize) -> String {
    // Plain structs of integers always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

/// SQLite's integers are signed; revisions count single changes and never come near the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
