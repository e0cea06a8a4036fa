//! What this machine has and what runs on it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The program under test: beside this test's own executable, where cargo puts it.
pub fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find this executable")?;
    // Tests are in `deps`, benches beside the program.
    let folder =
        own.parent().map(|folder| if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder });
    let found = folder.map(|folder| folder.join("edgeward")).filter(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no program beside {}; build it first: cargo build -p edgeward (or run `make test`, which does)",
            own.display()
        )
    })
}

/// Whether namespaces, containers and mounts can be made.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether pods can run here.
pub fn has_containers() -> bool {
    is_root() && which("containerd").is_some() && which("runc").is_some() && Path::new("/usr/lib/cni/bridge").exists()
}

/// The program of that name on the PATH, or where Debian puts daemons.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// A file or folder of the recordings beside the workspace. Says loudly what is left out when it is not there.
pub fn shared(path: &str, left_out: &str) -> Option<PathBuf> {
    let found = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).join(path);
    if !found.exists() {
        crate::say(format!("\n=== {} IS ABSENT: {left_out} is left out ===\n", found.display()));
        return None;
    }
    found.canonicalize().ok()
}

/// Processes whose command line mentions `text`, as (pid, command line).
pub fn processes_that_mention(text: &str) -> Vec<(i32, String)> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id().cast_signed();
    let command = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        (pid != own && line.contains(text)).then_some((pid, line))
    };
    all.flatten().filter_map(command).collect()
}

/// Mount points below `folder`, innermost last.
pub fn mounts_below(folder: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = format!("{}/", folder.display());
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    points.filter(|point| point.starts_with(&prefix)).map(str::to_owned).collect()
}

/// Kills what an interrupted run left below `folder`, unmounts it and removes the folder.
pub fn remove_leftovers(folder: &Path) -> anyhow::Result<()> {
    for (pid, _) in processes_that_mention(&format!("{}/", folder.display())) {
        // It may have ended by now.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    for mount in mounts_below(folder).iter().rev() {
        nix::mount::umount2(mount.as_str(), nix::mount::MntFlags::MNT_DETACH)
            .with_context(|| format!("unmount {mount}"))?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// Kills what still runs in the cgroups of a node that was killed, and removes them, in every hierarchy.
pub fn remove_cgroups(node: &str) {
    let all = cgroups(node);
    let members = all.iter().filter_map(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok());
    let pids: Vec<i32> =
        members.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect();
    for pid in &pids {
        // Each is in several hierarchies, so it may be gone by now.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    if !pids.is_empty() {
        // The kernel needs a moment to take them out.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    for folder in all {
        // Innermost first; one that still holds a process stays, and the scenario of clean ends would tell.
        let _ = std::fs::remove_dir(folder);
    }
}

/// The cgroups of a node, innermost first.
pub fn cgroups(node: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let roots = mounts.chain([PathBuf::from("/sys/fs/cgroup")]).map(|root| root.join("edgeward").join(node));
    let mut found = Vec::new();
    roots.filter(|root| root.is_dir()).for_each(|root| collect(root, &mut found));
    found
}

fn collect(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(entry.path(), found);
        }
    }
    found.push(folder);
}
