//! Small images, put together here: no registry is needed.

use std::path::Path;

use anyhow::Context as _;
use edgeward_pods::images::{ImageEntry, ImageSpec, assemble};

/// Prints its argument once a second and appends to its log what it finds in its settings.
const WORKER: &str = r#"#!/bin/busybox sh
trap 'exit 0' TERM
while true; do
  echo "$* (mode $(/bin/busybox cat /etc/processor/mode 2>/dev/null || echo none))"
  /bin/busybox sleep 1 & wait $!
done
"#;

/// Writes image archives for the demo's workloads into `dir`.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let busybox = std::fs::read("/bin/busybox").context("read /bin/busybox; apt-get install busybox-static")?;
    let image = ImageSpec {
        name: "edgeward.dev/factory/worker:latest".to_owned(),
        entries: vec![
            ImageEntry::program("/bin/busybox", busybox),
            ImageEntry::program("/bin/worker", WORKER.as_bytes().to_vec()),
        ],
        entrypoint: vec!["/bin/worker".to_owned()],
        cmd: vec!["working".to_owned()],
        ..ImageSpec::default()
    };
    std::fs::write(dir.join("worker.tar"), assemble(&image)?).context("write the worker image")
}
