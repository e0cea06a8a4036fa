//! Small images, assembled here: no registry can be reached.

use std::path::Path;

use anyhow::Context as _;
use edgeward_pods::images::{ImageEntry, ImageSpec, assemble};

/// Says once a second what it was told and what its environment holds.
const WORKER: &str = r#"#!/bin/busybox sh
trap 'exit 0' TERM
while true; do
  echo "working on ${EDGE_NODE:-nowhere} offline=${OFFLINE_MODE:-no}"
  /bin/busybox sleep 1 & wait $!
done
"#;

/// Writes an archive with a small worker for each image name into `folder`.
pub fn write(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let busybox = std::fs::read("/bin/busybox").context("read /bin/busybox; apt-get install busybox-static")?;
    for (number, name) in names.iter().enumerate() {
        let image = ImageSpec {
            name: (*name).to_owned(),
            entries: vec![
                ImageEntry::program("/bin/busybox", busybox.clone()),
                ImageEntry::Symlink { path: "/bin/sh".to_owned(), target: "busybox".to_owned() },
                ImageEntry::program("/bin/worker", WORKER.as_bytes().to_vec()),
            ],
            entrypoint: vec!["/bin/worker".to_owned()],
            ..ImageSpec::default()
        };
        std::fs::write(folder.join(format!("{number}.tar")), assemble(&image)?)?;
    }
    Ok(())
}
