//! A container's mounts: its volumes, and the files every container gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::env::expand;
use crate::cri::v1;
use crate::files;

/// A mount and whether its volume is written only by us (so a missing sub path is an error, not made).
pub(crate) struct MadeMount {
    /// On the host.
    pub(crate) host_path: PathBuf,
    pub(crate) read_only: bool,
}

/// Files made for the container: `/etc/hosts` and its termination message.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFiles {
    /// `None`: the image's or runtime's own.
    pub(crate) etc_hosts: Option<PathBuf>,
    /// File on the host and its place in the container.
    pub(crate) termination_message: Option<(PathBuf, String)>,
}

/// The container's mounts. `volumes` holds where each volume of the pod is on the host. Fails with the message of
/// `CreateContainerConfigError`.
pub(crate) fn mounts(
    container: &Container,
    volumes: &BTreeMap<String, MadeMount>,
    host_files: &HostFiles,
    variables: &[(String, String)],
) -> Result<Vec<v1::Mount>, String> {
    let mut list = Vec::new();
    for wanted in container.volume_mounts.iter().flatten() {
        let volume = volumes
            .get(&wanted.name)
            .ok_or_else(|| format!("mount cannot be satisfied: volume \"{}\" is not in the pod", wanted.name))?;
        list.push(one(wanted, volume, variables)?);
    }
    let is_mounted = |list: &[v1::Mount], path: &str| list.iter().any(|mount| mount.container_path == path);
    if let Some(path) = host_files.etc_hosts.as_ref().filter(|_| !is_mounted(&list, "/etc/hosts")) {
        list.push(plain(path, "/etc/hosts"));
    }
    if let Some((path, target)) = host_files.termination_message.as_ref().filter(|(_, at)| !is_mounted(&list, at)) {
        list.push(plain(path, target));
    }
    Ok(list)
}

fn one(wanted: &VolumeMount, volume: &MadeMount, variables: &[(String, String)]) -> Result<v1::Mount, String> {
    let expression = wanted.sub_path_expr.as_deref().filter(|text| !text.is_empty());
    let sub_path = match expression {
        Some(expression) => expand(expression, variables),
        None => wanted.sub_path.clone().unwrap_or_default(),
    };
    let host_path = if sub_path.is_empty() { volume.host_path.clone() } else { inside(volume, &sub_path)? };
    let propagation = match wanted.mount_propagation.as_deref() {
        Some("HostToContainer") => v1::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => v1::MountPropagation::PropagationBidirectional,
        _ => v1::MountPropagation::PropagationPrivate,
    };
    let relative = !wanted.mount_path.starts_with('/');
    Ok(v1::Mount {
        container_path: if relative { format!("/{}", wanted.mount_path) } else { wanted.mount_path.clone() },
        host_path: host_path.display().to_string(),
        readonly: wanted.read_only == Some(true) || volume.read_only,
        propagation: propagation.into(),
    })
}

/// The sub path of a volume with symbolic links resolved; refuses what leads out of the volume.
fn inside(volume: &MadeMount, sub_path: &str) -> Result<PathBuf, String> {
    let refused = || format!("subPath \"{sub_path}\" leads out of the volume");
    if sub_path.starts_with('/') || sub_path.split('/').any(|part| part == "..") {
        return Err(refused());
    }
    let root = volume.host_path.canonicalize().map_err(|error| format!("subPath \"{sub_path}\": {error}"))?;
    let path = root.join(sub_path);
    if !path.exists() && !volume.read_only {
        // Checked before it is made: the nearest existing folder above must not point elsewhere.
        let existing = path.ancestors().find_map(|above| above.canonicalize().ok());
        if !existing.is_some_and(|above| above.starts_with(&root)) {
            return Err(refused());
        }
        files::create_dir(&path, 0o755).map_err(|error| error.to_string())?;
    }
    let resolved = path.canonicalize().map_err(|error| format!("subPath \"{sub_path}\": {error}"))?;
    if resolved.starts_with(&root) { Ok(resolved) } else { Err(refused()) }
}

fn plain(host_path: &Path, container_path: &str) -> v1::Mount {
    v1::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        readonly: false,
        propagation: v1::MountPropagation::PropagationPrivate.into(),
    }
}
