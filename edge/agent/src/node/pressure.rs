//! What the machine runs short of, by the thresholds a kubelet evicts at when nobody configured any.

use std::path::Path;

/// What the machine is short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pressure {
    pub(super) memory: bool,
    pub(super) disk: bool,
    pub(super) pids: bool,
}

impl Pressure {
    /// As of now; `data_dir` names the file system. What cannot be read counts as no pressure.
    pub(super) fn now(data_dir: &Path) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            memory: memory_is_short(&read("/proc/meminfo")),
            disk: nix::sys::statvfs::statvfs(data_dir).is_ok_and(|stat| {
                is_below(stat.blocks_available(), stat.blocks(), 10) || is_below(stat.files_free(), stat.files(), 5)
            }),
            pids: pids_are_short(&read("/proc/loadavg"), &read("/proc/sys/kernel/pid_max")),
        }
    }
}

/// Less than 100 MiB available.
fn memory_is_short(meminfo: &str) -> bool {
    kibibytes(meminfo, "MemAvailable:").is_some_and(|available| available < 100 << 10)
}

/// A field of `/proc/meminfo`, in KiB.
pub(super) fn kibibytes(meminfo: &str, field: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Fewer than a tenth of the process numbers are left. The fourth field of `loadavg` is `running/all`.
fn pids_are_short(loadavg: &str, most: &str) -> bool {
    let used =
        loadavg.split(' ').nth(3).and_then(|counts| counts.split_once('/')).and_then(|(_, all)| all.parse().ok());
    let (Some(used), Ok(most)) = (used, most.trim().parse::<u64>()) else { return false };
    is_below(most.saturating_sub(used), most, 10)
}

/// File systems without a limit of inodes say 0 in all.
fn is_below(left: u64, all: u64, percent: u64) -> bool {
    all > 0 && left.saturating_mul(100) < all.saturating_mul(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory() {
        let check = |text: &str, expect| assert_eq!(memory_is_short(text), expect, "{text}");
        check("MemTotal: 24684092 kB\nMemAvailable:    102399 kB\n", true);
        check("MemTotal: 1024 kB\nMemAvailable:    102400 kB\n", false);
        check("MemAvailable: many kB", false);
        check("", false);
    }

    #[test]
    fn pids() {
        let check = |load: &str, most: &str, expect| assert_eq!(pids_are_short(load, most), expect, "{load} of {most}");
        check("0.32 1.11 2.90 1/901 77777", "1000\n", true);
        check("0.32 1.11 2.90 1/900 77777", "1000\n", false);
        check("0.32 1.11 2.90 1/2000 77777", "1000\n", true);
        check("0.32 1.11", "1000\n", false);
        check("0.32 1.11 2.90 1/900 77777", "", false);
    }

    #[test]
    fn file_systems() {
        let check = |left, all, expect| assert_eq!(is_below(left, all, 10), expect, "{left} of {all}");
        check(9, 100, true);
        check(10, 100, false);
        check(0, 0, false);
        check(u64::MAX, u64::MAX, false);
    }
}
