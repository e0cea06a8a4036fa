//! Pod cgroups: `<cgroup_root>/kubepods[/burstable|/besteffort]/pod<uid>`, as the kubelet lays them out. The runtime
//! makes the containers' below; who names a parent also bounds and removes it, so that is done here. Both cgroup
//! versions; where limits cannot be written they are left to the containers.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::resources::{self, Qos};
use crate::{Error, Options, files, pod};

const MOUNT: &str = "/sys/fs/cgroup";

/// The pod's cgroup as the runtime names it.
pub(crate) fn parent(options: &Options, pod: &Pod) -> String {
    let class = match resources::qos(pod) {
        Qos::Guaranteed => "",
        Qos::Burstable => "/burstable",
        Qos::BestEffort => "/besteffort",
    };
    format!("{}/kubepods{class}/pod{}", options.cgroup_root.trim_end_matches('/'), pod::key(pod).uid)
}

/// Makes the pod's cgroup with the limits of the whole pod.
pub(crate) fn make(options: &Options, pod: &Pod) -> Result<(), Error> {
    let (path, requests, limits) = (parent(options, pod), resources::pod_requests(pod), resources::pod_limits(pod));
    let shares = resources::cpu_shares(requests.cpu_millis);
    let quota = resources::cpu_quota(limits.cpu_millis);
    if is_v2() {
        let folder = below(Path::new(MOUNT), &path);
        files::create_dir(&folder, 0o755)?;
        delegate(&folder);
        // The runtimes' mapping of shares (2…262144) to weight (1…10000).
        write(&folder, "cpu.weight", 1 + (shares - 2) * 9999 / 262_142);
        if quota > 0 {
            write(&folder, "cpu.max", format!("{quota} {}", resources::CPU_PERIOD));
        }
        if limits.memory > 0 {
            write(&folder, "memory.max", limits.memory);
        }
        return Ok(());
    }
    let cpu = below(&Path::new(MOUNT).join("cpu"), &path);
    files::create_dir(&cpu, 0o755)?;
    write(&cpu, "cpu.shares", shares);
    if quota > 0 {
        write(&cpu, "cpu.cfs_period_us", resources::CPU_PERIOD);
        write(&cpu, "cpu.cfs_quota_us", quota);
    }
    if limits.memory > 0 {
        let memory = below(&Path::new(MOUNT).join("memory"), &path);
        files::create_dir(&memory, 0o755)?;
        write(&memory, "memory.limit_in_bytes", limits.memory);
    }
    Ok(())
}

/// Removes the cgroups of a pod, wherever its class put them.
pub(crate) fn remove_pod(options: &Options, uid: &str) -> Result<(), Error> {
    let root = options.cgroup_root.trim_end_matches('/');
    for class in ["", "/burstable", "/besteffort"] {
        remove(&format!("{root}/kubepods{class}/pod{uid}"))?;
    }
    Ok(())
}

/// Removes every cgroup of this node's pods, and the folders above that hold nothing else.
pub(crate) fn remove_all(options: &Options) -> Result<(), Error> {
    remove(&options.cgroup_root)?;
    for hierarchy in hierarchies() {
        let root = below(&hierarchy, &options.cgroup_root);
        let above = root.ancestors().skip(1).take_while(|path| *path != hierarchy);
        // Another node's pods may live there: then it stays.
        above.map_while(|path| std::fs::remove_dir(path).ok()).for_each(drop);
    }
    Ok(())
}

fn remove(path: &str) -> Result<(), Error> {
    hierarchies().iter().try_for_each(|hierarchy| remove_tree(&below(hierarchy, path)))
}

/// A cgroup's files go with its folder; only folders are removed, deepest first.
fn remove_tree(folder: &Path) -> Result<(), Error> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path())?;
    }
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// The one mount of version 2, or the controllers of version 1.
fn hierarchies() -> Vec<PathBuf> {
    if is_v2() {
        return vec![PathBuf::from(MOUNT)];
    }
    let entries = std::fs::read_dir(MOUNT).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn is_v2() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// Version 2: passes the controllers down from the root to `folder`.
fn delegate(folder: &Path) {
    let above: Vec<&Path> = folder.ancestors().skip(1).take_while(|path| path.starts_with(MOUNT)).collect();
    for path in above.into_iter().rev() {
        for controller in ["+cpu", "+memory", "+pids"] {
            write(path, "cgroup.subtree_control", controller);
        }
    }
}

fn below(hierarchy: &Path, path: &str) -> PathBuf {
    hierarchy.join(path.trim_start_matches('/'))
}

/// A limit that cannot be set (controller absent, not ours to set) is no reason not to run the pod.
fn write(folder: &Path, file: &str, value: impl std::fmt::Display) {
    let path = folder.join(file);
    if let Err(error) = std::fs::write(&path, value.to_string()) {
        tracing::debug!(path = %path.display(), %error, "cannot write cgroup limit");
    }
}
