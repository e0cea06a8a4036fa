//! The pod's volumes on the host: `<data_dir>/pods/<uid>/volumes/<kind>/<name>`, as the kubelet lays them out.

mod host_path;
mod payload;
mod writer;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::references::References;
use crate::spec::{Facts, MadeMount};
use crate::{Error, NodeApi, Options, PodKey, files, pod, resources};

/// What was made.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) mounts: BTreeMap<String, MadeMount>,
    /// When a token in one of them wants to be renewed.
    pub(crate) renew_in: Option<Duration>,
}

/// A volume that cannot be had; the text of `FailedMount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeError(pub(crate) String);

/// Folder of one pod.
pub(crate) fn pod_dir(options: &Options, uid: &str) -> PathBuf {
    options.data_dir.join("pods").join(uid)
}

/// Pods that have a folder.
pub(crate) fn uids(options: &Options) -> Vec<String> {
    let entries = std::fs::read_dir(options.data_dir.join("pods")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Makes all volumes of a pod, or brings their files up to date.
pub(crate) async fn prepare(
    options: &Options,
    api: &dyn NodeApi,
    pod: &Pod,
    references: &References,
    facts: &Facts,
) -> Result<Prepared, VolumeError> {
    let mut prepared = Prepared::default();
    let root = pod_dir(options, &pod::key(pod).uid).join("volumes");
    for volume in pod::volumes(pod) {
        let made = one(&root, api, pod, volume, references, facts, &mut prepared.renew_in).await;
        let made = made
            .map_err(|why| VolumeError(format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name)))?;
        prepared.mounts.insert(volume.name.clone(), made);
    }
    Ok(prepared)
}

/// Unmounts and removes everything of a pod.
pub(crate) fn remove(options: &Options, key: &PodKey) -> Result<(), Error> {
    let folder = pod_dir(options, &key.uid);
    for mount in mounts_below(&folder) {
        umount2(&mount, MntFlags::MNT_DETACH).map_err(|errno| Error::file("unmount", &mount)(errno.into()))?;
    }
    files::remove_tree(&folder)
}

async fn one(
    root: &Path,
    api: &dyn NodeApi,
    pod: &Pod,
    volume: &Volume,
    references: &References,
    facts: &Facts,
    renew_in: &mut Option<Duration>,
) -> Result<MadeMount, String> {
    if !is_plain_name(&volume.name) {
        return Err("the name is not a DNS label".to_owned());
    }
    if let Some(source) = &volume.host_path {
        let path = host_path::ensure(&source.path, source.type_.as_deref().unwrap_or_default())?;
        return Ok(MadeMount { host_path: path, read_only: false });
    }
    let group = pod::spec(pod).security_context.as_ref().and_then(|context| context.fs_group);
    if let Some(source) = &volume.empty_dir {
        let path = root.join("kubernetes.io~empty-dir").join(&volume.name);
        empty_dir(&path, source, group).map_err(|error| error.to_string())?;
        return Ok(MadeMount { host_path: path, read_only: false });
    }
    let (kind, secret) = match volume {
        Volume { config_map: Some(_), .. } => ("kubernetes.io~configmap", false),
        Volume { secret: Some(_), .. } => ("kubernetes.io~secret", true),
        Volume { downward_api: Some(_), .. } => ("kubernetes.io~downward-api", false),
        Volume { projected: Some(_), .. } => ("kubernetes.io~projected", true),
        _ => return Err("this kind of volume is not supported on this node".to_owned()),
    };
    let path = root.join(kind).join(&volume.name);
    let files = payload::collect(api, pod, volume, references, facts, renew_in).await?;
    if secret {
        // Secrets never touch the disk.
        tmpfs(&path, None).map_err(|error| error.to_string())?;
    }
    writer::write(&path, &files, group).map_err(|error| error.to_string())?;
    Ok(MadeMount { host_path: path, read_only: true })
}

fn empty_dir(path: &Path, source: &EmptyDirVolumeSource, group: Option<i64>) -> Result<(), Error> {
    if source.medium.as_deref() == Some("Memory") {
        let limit = source.size_limit.as_ref().and_then(resources::bytes);
        tmpfs(path, limit)?;
    }
    if path.is_dir() && path.join(".").metadata().is_ok_and(|data| data.mode() & 0o777 == 0o777) {
        return Ok(());
    }
    files::create_dir(path, 0o777)?;
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    if let Some(group) = group.and_then(|group| u32::try_from(group).ok()) {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(Error::file("set the group of", path))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", path))
}

/// A file system in memory at `path`, if there is none yet.
fn tmpfs(path: &Path, limit: Option<i64>) -> Result<(), Error> {
    files::create_dir(path, 0o755)?;
    let device = |path: &Path| path.metadata().map(|data| data.dev()).ok();
    if path.parent().is_some_and(|parent| device(parent) != device(path)) {
        return Ok(());
    }
    let options = limit.filter(|limit| *limit > 0).map(|limit| format!("size={limit}"));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, options.as_deref())
        .map_err(|errno| Error::file("mount a tmpfs on", path)(errno.into()))
}

/// Mount points under a folder, deepest first.
pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut below: Vec<PathBuf> = points.filter(|path| path.starts_with(folder)).collect();
    below.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    below
}

/// The kernel writes blanks, tabs, newlines and backslashes of a path as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut path = text.to_owned();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        path = path.replace(escape, plain);
    }
    PathBuf::from(path)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
