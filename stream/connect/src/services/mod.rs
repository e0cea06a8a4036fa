//! External services: functions of SQL that are calls to a server over REST, gRPC or MessagePack-RPC.
//!
//! A service is a package: `NAME.json` with its interfaces, and `schemas/` with what they name. Every method of a protobuf
//! schema is a function; without a schema the definition lists the functions. A registered service is one file in the folder
//! of the registry, on disk when that was confirmed.
//!
//! A call waits for the answer: a rule that makes one runs on a thread of its own (the engine sees to that).

mod call;
mod definition;
mod grpc;
mod method;
mod msgpack;
mod package;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_functions::{UserFunction, UserFunctions};
use edgeward_service::Tasks;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::ConnectError;
use call::Function;
pub use package::ServicePackage;

/// Most services.
const MAX_SERVICES: usize = 1_000;

/// All services.
pub struct Services {
    all: RwLock<BTreeMap<String, Service>>,
    folder: PathBuf,
    tasks: Tasks,
}

/// A service that was read.
struct Service {
    /// What a client sees of it.
    shown: Value,
    functions: BTreeMap<String, Arc<Function>>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Services").field("all", &self.all.read().len()).finish_non_exhaustive()
    }
}

impl Services {
    /// Opens a registry in a folder, which is made if needed. A service that cannot be read is logged and left out. Blocks.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, parent: &Tasks) -> Result<Services, ConnectError> {
        let tasks = parent.child("services");
        let stored = package::load(folder).map_err(|error| failed(folder, &error))?;
        let mut all = BTreeMap::new();
        for (name, package) in stored {
            match Service::new(&name, &package, &tasks) {
                Ok(service) => drop(all.insert(name, service)),
                Err(error) => tracing::error!(name, %error, "a service cannot be used and is left out"),
            }
        }
        Ok(Services { all: RwLock::new(all), folder: folder.to_owned(), tasks })
    }

    /// Names of the services.
    pub fn list(&self) -> Vec<String> {
        self.all.read().keys().cloned().collect()
    }

    /// A service as eKuiper shows it: `{About, Interfaces: {NAME: {Desc, Addr, Protocol, Schema, Functions, Options}}}`.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<Value, ConnectError> {
        let all = self.all.read();
        all.get(name).map(|service| service.shown.clone()).ok_or_else(|| unknown("service", name))
    }

    /// Names of the functions of all services.
    pub fn functions(&self) -> Vec<String> {
        let all = self.all.read();
        let mut names: Vec<String> = all.values().flat_map(|service| service.functions.keys().cloned()).collect();
        names.sort_unstable();
        names
    }

    /// Where a function comes from.
    ///
    /// # Errors
    /// There is none.
    pub fn function(&self, name: &str) -> Result<Value, ConnectError> {
        let all = self.all.read();
        let found = all.iter().find_map(|(service, entry)| Some((service, entry.functions.get(name)?)));
        let (service, function) = found.ok_or_else(|| unknown("service function", name))?;
        Ok(json!({
            "FuncName": name,
            "ServiceName": service,
            "InterfaceName": function.interface,
            "Addr": function.address(),
            "MethodName": function.method_name(),
        }))
    }

    /// Registers the services of an `etc/services` folder that are not there yet: each `NAME.json` with the schemas beside
    /// it. One that cannot be read is logged and left out. Blocks.
    pub fn add_folder(&self, folder: &Path) {
        let Ok(package) = ServicePackage::from_folder(folder) else { return };
        let new = package.names().filter(|name| !self.all.read().contains_key(*name));
        let names: Vec<String> = new.map(str::to_owned).collect();
        for name in names {
            match self.create(&name, &package.only(&name)) {
                Ok(()) => tracing::info!(name, "service of the configuration registered"),
                Err(error) => tracing::error!(name, %error, "a service of the configuration cannot be used"),
            }
        }
    }

    /// Registers a service. Blocks while it is written.
    ///
    /// # Errors
    /// The name is taken, the package is wrong, another service has one of its functions, or the disk fails.
    pub fn create(&self, name: &str, package: &ServicePackage) -> Result<(), ConnectError> {
        if self.all.read().contains_key(name) {
            return Err(refused(format!("service {name} exist")));
        }
        self.put(name, package)
    }

    /// Replaces a service, or registers it; rules use it from their next start. Blocks while it is written.
    ///
    /// # Errors
    /// As for [`Services::create`].
    pub fn update(&self, name: &str, package: &ServicePackage) -> Result<(), ConnectError> {
        self.put(name, package)
    }

    /// Forgets a service; rules that run keep what they call. Blocks while it is deleted.
    ///
    /// # Errors
    /// There is none, or the disk fails.
    pub fn delete(&self, name: &str) -> Result<(), ConnectError> {
        let mut all = self.all.write();
        if !all.contains_key(name) {
            return Err(unknown("service", name));
        }
        package::delete(&self.folder, name).map_err(|error| failed(&self.folder, &error))?;
        all.remove(name);
        Ok(())
    }

    /// The packages, for an export.
    pub fn packages(&self) -> BTreeMap<String, ServicePackage> {
        package::load(&self.folder).unwrap_or_default()
    }

    fn put(&self, name: &str, package: &ServicePackage) -> Result<(), ConnectError> {
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
            return Err(refused(format!("invalid service name {name:?}; use letters, digits, _ and -")));
        }
        let service = Service::new(name, package, &self.tasks)?;
        let mut all = self.all.write();
        if !all.contains_key(name) && all.len() >= MAX_SERVICES {
            return Err(refused(format!("there are {MAX_SERVICES} services already; delete some")));
        }
        let others = all.iter().filter(|(other, _)| *other != name);
        for (other, entry) in others {
            if let Some(taken) = service.functions.keys().find(|function| entry.functions.contains_key(*function)) {
                return Err(refused(format!("function {taken} belongs to service {other} already")));
            }
        }
        package::write(&self.folder, name, package).map_err(|error| failed(&self.folder, &error))?;
        all.insert(name.to_owned(), service);
        Ok(())
    }
}

impl Service {
    fn new(name: &str, package: &ServicePackage, tasks: &Tasks) -> Result<Service, ConnectError> {
        let document = package.definition(name)?;
        let definition = definition::Definition::read(&document)?;
        let (mut functions, mut interfaces) = (BTreeMap::new(), Map::new());
        for (interface_name, interface) in &definition.interfaces {
            let mut names = Vec::new();
            for (function, method) in method::methods(interface, package)? {
                names.push(Value::from(function.as_str()));
                let made = Function::new(&function, interface_name, interface, method, tasks)?;
                if functions.insert(function.clone(), Arc::new(made)).is_some() {
                    return Err(refused(format!(
                        "service {name} has two functions {function}; rename one in functions"
                    )));
                }
            }
            interfaces.insert(interface_name.clone(), interface.shown(names.into()));
        }
        let shown = json!({"About": definition.about, "Interfaces": interfaces});
        Ok(Service { shown, functions })
    }
}

impl UserFunctions for Services {
    fn find(&self, name: &str) -> Option<Arc<dyn UserFunction>> {
        let all = self.all.read();
        let found = all.values().find_map(|service| service.functions.get(name).cloned());
        found.map(|function| function as Arc<dyn UserFunction>)
    }
}

fn unknown(what: &str, name: &str) -> ConnectError {
    ConnectError::UnknownService(format!("can't find the {what} with name {name}"))
}

fn refused(text: impl Into<String>) -> ConnectError {
    ConnectError::Service(text.into())
}

fn failed(folder: &Path, error: &std::io::Error) -> ConnectError {
    refused(format!("cannot use the folder of services {}: {error}", folder.display()))
}
