//! A small disk that fills up.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A file system of a few megabytes (tmpfs). It is unmounted when dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one of that size at `folder`, which is made. Needs root.
    pub fn mount(folder: &Path, megabytes: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let disk = Self(folder.to_owned());
        disk.call(MsFlags::empty(), megabytes)?;
        Ok(disk)
    }

    /// Makes it larger.
    pub fn grow(&self, megabytes: u32) -> anyhow::Result<()> {
        self.call(MsFlags::MS_REMOUNT, megabytes)
    }

    fn call(&self, flags: MsFlags, megabytes: u32) -> anyhow::Result<()> {
        let options = format!("size={megabytes}m,mode=0700");
        mount(Some("tmpfs"), &self.0, Some("tmpfs"), flags, Some(options.as_str()))
            .with_context(|| format!("mount {} of {megabytes} MB", self.0.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open there is about to be killed.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
