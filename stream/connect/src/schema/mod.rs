//! The registry of schemas: what SCHEMAID of a stream and `schemaId` of a sink name.
//!
//! Only `protobuf` schemas can be used here: eKuiper's `custom` ones are Go plug-ins. A schema is a `.proto` text, or a package
//! with the main file at its root and a folder of the same name with what that imports. In the folder of the registry it
//! lies as `protobuf/NAME.proto`, `protobuf/NAME/…` and `protobuf/NAME.json` with its version; a change that was
//! confirmed is on disk.

mod compile;
mod disk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::ConnectError;
pub(crate) use compile::nested_too_deep;

/// Largest schema with all its files, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 4 << 20;
/// Most files of one schema.
const MAX_FILES: usize = 256;
/// Most schemas.
const MAX_SCHEMAS: usize = 10_000;

/// All schemas.
#[derive(Default)]
pub struct Schemas {
    all: RwLock<BTreeMap<String, Arc<Schema>>>,
    /// None keeps them in memory only.
    folder: Option<PathBuf>,
}

/// What a schema is made of.
#[derive(Debug, Clone)]
pub enum SchemaFile {
    /// The text of the main file.
    Text(String),
    /// A zip package.
    Zip(Vec<u8>),
}

/// A schema as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaInfo {
    /// Its name.
    pub name: String,
    /// The text of its main file.
    pub content: String,
    /// Where the main file lies; none when the registry has no folder.
    pub file: Option<PathBuf>,
    /// Its version; may be empty.
    pub version: String,
}

/// A schema and what was made of it.
struct Schema {
    /// Texts by their paths below the registry, the main one `NAME.proto`.
    files: BTreeMap<String, String>,
    version: String,
    compiled: OnceLock<Result<DescriptorPool, String>>,
}

impl Schemas {
    /// Opens a registry in a folder, which is made if needed. A schema that cannot be read is logged and left out.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path) -> Result<Schemas, ConnectError> {
        let folder = folder.join("protobuf");
        let all = disk::load(&folder).map_err(|error| failed(&folder, &error))?;
        let made = |(name, (files, version))| (name, Arc::new(Schema { files, version, compiled: OnceLock::new() }));
        Ok(Schemas { all: RwLock::new(all.into_iter().map(made).collect()), folder: Some(folder) })
    }

    /// Names of the schemas of a type.
    ///
    /// # Errors
    /// The type is unknown.
    pub fn list(&self, kind: &str) -> Result<Vec<String>, ConnectError> {
        match kind {
            "custom" => Ok(Vec::new()),
            _ => check_kind(kind).map(|()| self.all.read().keys().cloned().collect()),
        }
    }

    /// A schema by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, kind: &str, name: &str) -> Result<SchemaInfo, ConnectError> {
        let schema = self.all.read().get(name).filter(|_| kind == "protobuf").cloned();
        let schema = schema.ok_or_else(|| refused(format!("schema {kind}.{name} not found")))?;
        Ok(SchemaInfo {
            name: name.to_owned(),
            content: schema.files.get(&main_file(name)).cloned().unwrap_or_default(),
            file: self.folder.as_ref().map(|folder| folder.join(main_file(name))),
            version: schema.version.clone(),
        })
    }

    /// Registers a schema. Blocks while it is written.
    ///
    /// # Errors
    /// The name is taken or no name, the schema does not compile, or the disk fails.
    pub fn create(&self, kind: &str, name: &str, file: SchemaFile, version: &str) -> Result<(), ConnectError> {
        check_kind(kind)?;
        if self.all.read().contains_key(name) {
            return Err(refused(format!("schema {kind}.{name} already registered")));
        }
        self.put(name, file, version)
    }

    /// Replaces a schema, or registers it; streams use it from their next start. Blocks while it is written.
    ///
    /// # Errors
    /// As for [`Schemas::create`], or the schema there is has this or a newer version.
    pub fn update(&self, kind: &str, name: &str, file: SchemaFile, version: &str) -> Result<(), ConnectError> {
        check_kind(kind)?;
        let old = self.all.read().get(name).map(|schema| schema.version.clone()).unwrap_or_default();
        if !old.is_empty() && version <= old.as_str() {
            return Err(refused(format!("schema {kind}.{name} already exists with version {old}; give a newer one")));
        }
        self.put(name, file, version)
    }

    /// Forgets a schema; streams that run keep what they decode with. Blocks while it is deleted.
    ///
    /// # Errors
    /// There is none, or the disk fails.
    pub fn delete(&self, kind: &str, name: &str) -> Result<(), ConnectError> {
        self.get(kind, name)?;
        let mut all = self.all.write();
        if let Some(folder) = &self.folder {
            disk::delete(folder, name).map_err(|error| failed(folder, &error))?;
        }
        all.remove(name);
        Ok(())
    }

    fn put(&self, name: &str, file: SchemaFile, version: &str) -> Result<(), ConnectError> {
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
            return Err(refused(format!("invalid schema name {name:?}; use letters, digits, _ and -")));
        }
        let files = match file {
            SchemaFile::Text(text) => BTreeMap::from([(main_file(name), text)]),
            SchemaFile::Zip(bytes) => disk::unpack(name, &bytes).map_err(refused)?,
        };
        if files.values().map(String::len).sum::<usize>() > MAX_SCHEMA_BYTES {
            return Err(refused(format!("schema {name} is larger than {MAX_SCHEMA_BYTES} bytes")));
        }
        let schema = Schema { files, version: version.to_owned(), compiled: OnceLock::new() };
        let mut all = self.all.write();
        if all.len() >= MAX_SCHEMAS {
            return Err(refused(format!("there are {MAX_SCHEMAS} schemas already; delete some")));
        }
        let pool = compile::compile(name, &schema.files, &all);
        let pool =
            pool.map_err(|reason| refused(format!("fail to parse schema file {}: {reason}", main_file(name))))?;
        if let Some(folder) = &self.folder {
            disk::write(folder, name, &schema.files, version).map_err(|error| failed(folder, &error))?;
        }
        let _ = schema.compiled.set(Ok(pool));
        all.insert(name.to_owned(), Arc::new(schema));
        Ok(())
    }

    /// The message a `schemaId` names: `schema.Message`, the message with or without its package.
    ///
    /// # Errors
    /// There is no such schema or message, or the schema does not compile.
    pub(crate) fn message(&self, schema_id: &str) -> Result<MessageDescriptor, ConnectError> {
        let (name, message) = schema_id
            .split_once('.')
            .filter(|(name, message)| !name.is_empty() && !message.is_empty())
            .ok_or_else(|| refused(format!("invalid schemaId {schema_id:?}; use schema.Message")))?;
        let all = self.all.read();
        let schema = all.get(name).ok_or_else(|| refused(format!("schema protobuf.{name} not found")))?;
        let pool = schema.compiled.get_or_init(|| compile::compile(name, &schema.files, &all));
        let pool = pool.as_ref().map_err(|reason| refused(format!("schema {name} cannot be used: {reason}")))?;
        let found = pool.get_message_by_name(message).or_else(|| {
            let of_file = |found: &MessageDescriptor| found.parent_file().name() == main_file(name);
            let suffix = format!(".{message}");
            pool.all_messages().find(|found| of_file(found) && found.full_name().ends_with(&suffix))
        });
        found.ok_or_else(|| refused(format!("message type {message} not found in schema file {name}")))
    }
}

fn main_file(name: &str) -> String {
    format!("{name}.proto")
}

fn check_kind(kind: &str) -> Result<(), ConnectError> {
    match kind {
        "protobuf" => Ok(()),
        "custom" => {
            Err(refused("custom schemas are Go plug-ins and cannot be used by this program; use protobuf".into()))
        }
        _ => Err(refused(format!("schema type {kind} is unknown; use protobuf"))),
    }
}

fn refused(text: String) -> ConnectError {
    ConnectError::Schema(text)
}

fn failed(folder: &Path, error: &std::io::Error) -> ConnectError {
    refused(format!("cannot use the folder of schemas {}: {error}", folder.display()))
}
