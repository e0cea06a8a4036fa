//! Configuration keys as they are set: a key of a connection is also a connection that lives.

use edgeward_connect::Props;
use serde_json::{Map, Value};

use crate::conf::Scope;
use crate::definition::check_name;
use crate::error::Result;
use crate::{Handle, secrets};

impl Handle {
    /// Opens the connections that are defined; one that cannot be is logged.
    pub(crate) fn open_connections(&self) {
        let world = &self.registry.world;
        for (kind, id, props) in world.confs.connections() {
            if let Err(error) = world.hosts.connections.create(&id, &kind, Props::new(props)) {
                tracing::error!(id, kind, %error, "a stored connection cannot be used");
            }
        }
    }

    /// Sets a key; hidden secrets stay as they were. A connection in use is refused.
    pub(crate) async fn put_key(
        &self,
        scope: Scope,
        kind: &str,
        key: &str,
        mut props: Map<String, Value>,
    ) -> Result<()> {
        check_name("configuration key", key)?;
        check_name("connector", kind)?;
        let world = &self.registry.world;
        if let Some(old) = world.confs.get(scope, kind, key) {
            secrets::restore(&mut props, &old);
        }
        if scope == Scope::Connections {
            let connections = &world.hosts.connections;
            let new = Props::new(props.clone());
            match connections.get(key) {
                Some(_) => connections.update(key, kind, new)?,
                None => connections.create(key, kind, new)?,
            }
        }
        world.confs.put(scope, kind, key, props).await
    }

    /// Removes a key that was set by REST. A connection in use is refused.
    pub(crate) async fn delete_key(&self, scope: Scope, kind: &str, key: &str) -> Result<()> {
        let world = &self.registry.world;
        if scope == Scope::Connections && world.hosts.connections.get(key).is_some() {
            world.hosts.connections.delete(key)?;
        }
        world.confs.delete(scope, kind, key).await
    }

    /// Removes every key that was set by REST.
    pub(crate) async fn clear_keys(&self) -> Result<()> {
        for (scope, kind, key) in self.registry.world.confs.kept() {
            self.delete_key(scope, &kind, &key).await?;
        }
        Ok(())
    }
}
