//! Properties of `neuron`.

use std::path::PathBuf;

use crate::template::Template;
use crate::wire::Target;
use crate::{ConnectError, Props};

/// Where a Neuron listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Tcp(Target),
    /// A unix socket (`ipc://`).
    Ipc(PathBuf),
}

impl Address {
    /// `url`: `tcp://host:port` (default `tcp://127.0.0.1:7081`) or `ipc:///path`.
    pub(super) fn read(props: &Props) -> Result<Address, ConnectError> {
        let url = props.text("url")?.unwrap_or("tcp://127.0.0.1:7081");
        match url.strip_prefix("ipc://") {
            Some("") => Err(ConnectError::Invalid { key: "url", reason: "it names no file".to_owned() }),
            Some(path) => Ok(Address::Ipc(path.into())),
            None => Ok(Address::Tcp(Target::read(("url", url), (&["tcp"], 7_081), &Props::default())?)),
        }
    }

    /// What tells one address from another.
    pub(super) fn name(&self) -> String {
        match self {
            Address::Tcp(target) => format!("tcp://{}:{}", target.host, target.port),
            Address::Ipc(path) => format!("ipc://{}", path.display()),
        }
    }
}

/// The sink.
pub(super) struct SinkConfig {
    pub(super) address: Address,
    /// None sends payloads as they are (`raw`).
    pub(super) place: Option<Place>,
}

/// What is written.
pub(super) struct Place {
    pub(super) node: Template,
    pub(super) group: Template,
    /// Columns to write; empty: all of them.
    pub(super) tags: Vec<Template>,
}

impl SinkConfig {
    pub(super) fn read(props: &Props) -> Result<SinkConfig, ConnectError> {
        let address = Address::read(props)?;
        if props.flag("raw")? {
            return Ok(SinkConfig { address, place: None });
        }
        let tags = props.list("tags")?;
        let place = Place {
            node: Template::read(props, "nodeName")?.ok_or(ConnectError::Missing("nodeName"))?,
            group: Template::read(props, "groupName")?.ok_or(ConnectError::Missing("groupName"))?,
            tags: tags.iter().map(|tag| Template::parse("tags", tag)).collect::<Result<_, _>>()?,
        };
        Ok(SinkConfig { address, place: Some(place) })
    }
}
