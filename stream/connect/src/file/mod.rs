//! `file`: files as streams, and results in files.

mod config;
mod lines;
mod progress;
mod rolling;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::path::{Component, Path, PathBuf};

use edgeward_engine::{Sink, Source};

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = config::SourceConfig::read(&request.datasource, &request.props)?;
    allowed(hosts, "path", &config.path)?;
    if let config::After::Move(folder) = &config.after {
        allowed(hosts, "moveTo", folder)?;
    }
    Ok(Box::new(source::FileSource { config, rewinds: request.acknowledge }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = config::SinkConfig::read(&request.props, hosts.files_within.clone())?;
    if let Some(path) = config.path.constant() {
        allowed(hosts, "path", Path::new(path))?;
    }
    Ok(Box::new(sink::FileSink::new(config, options, request.tasks.clone())))
}

/// Refuses a path outside of the folder the files of rules must stay in, if there is one.
fn allowed(hosts: &Hosts, key: &'static str, path: &Path) -> Result<(), ConnectError> {
    match &hosts.files_within {
        Some(root) if !is_within(root, path) => {
            let reason = format!(
                "{} is outside of {}; set basic.allowExternalFileAccess to true to allow it",
                path.display(),
                root.display()
            );
            Err(ConnectError::Invalid { key, reason })
        }
        _ => Ok(()),
    }
}

/// Whether a path stays below a folder, with its links followed as far as it exists.
fn is_within(root: &Path, path: &Path) -> bool {
    let (Ok(root), Ok(path)) = (std::path::absolute(root), std::path::absolute(path)) else { return false };
    let known = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let (Ok(root), Some((part, real))) = (root.canonicalize(), known) else { return false };
    let rest = path.strip_prefix(part).map(Path::to_owned).unwrap_or_else(|_| PathBuf::from(".."));
    real.starts_with(root) && !rest.components().any(|part| part == Component::ParentDir)
}
