//! Assembling an image archive from files: an OCI image layout in a tar, one uncompressed layer, no registry and no
//! container tool needed. Used for the pause image, the demo's workloads and tests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::tar::{self, TarWriter};
use crate::Error;

/// What an image holds and runs.
#[derive(Clone, Debug, Default)]
pub struct ImageSpec {
    /// Full name with tag, e.g. `ghcr.io/example/app:1`.
    pub name: String,
    /// What the root file system holds. Parent folders are made as needed.
    pub entries: Vec<ImageEntry>,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `ENV` as `NAME=value`.
    pub env: Vec<String>,
    /// `WORKDIR`; empty: `/`.
    pub working_dir: String,
    /// `USER`; empty: root.
    pub user: String,
}

/// One entry of an image's root file system. Paths are absolute inside the image, at most 254 bytes.
#[derive(Clone, Debug)]
pub enum ImageEntry {
    /// A regular file.
    File {
        /// Where, e.g. `/bin/app`.
        path: String,
        /// Permission bits, e.g. `0o755`.
        mode: u32,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        path: String,
        /// What it points at.
        target: String,
    },
    /// An empty folder.
    Directory {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
    },
}

impl ImageEntry {
    /// An executable file.
    pub fn program(path: &str, content: Vec<u8>) -> Self {
        Self::File { path: path.to_owned(), mode: 0o755, content }
    }

    fn path(&self) -> &str {
        match self {
            Self::File { path, .. } | Self::Symlink { path, .. } | Self::Directory { path, .. } => path,
        }
    }
}

/// Builds the archive for this machine's architecture; the same input gives the same bytes. Fails with
/// [`Error::Config`] on a path that is relative, contains `..` or is too long.
pub fn assemble(spec: &ImageSpec) -> Result<Vec<u8>, Error> {
    let layer = layer(&spec.entries)?;
    let config = config(spec, &digest(&layer));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    })
    .to_string()
    .into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    // containerd's import takes the full name from its own annotation.
    entry["annotations"] = json!({ "io.containerd.image.name": spec.name });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();

    let mut archive = TarWriter::default();
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    archive.file("index.json", 0o644, index.as_bytes());
    archive.directory("blobs", 0o755);
    archive.directory("blobs/sha256", 0o755);
    for blob in [&manifest, &config, &layer] {
        archive.file(&format!("blobs/sha256/{}", digest(blob)), 0o644, blob);
    }
    Ok(archive.finish())
}

fn layer(entries: &[ImageEntry]) -> Result<Vec<u8>, Error> {
    let mut tar = TarWriter::default();
    let mut made: BTreeSet<String> = BTreeSet::new();
    for entry in entries {
        let path = inner_path(entry.path())?;
        for (at, _) in path.match_indices('/') {
            if made.insert(path[..at].to_owned()) {
                tar.directory(&path[..at], 0o755);
            }
        }
        match entry {
            ImageEntry::File { mode, content, .. } => tar.file(path, *mode, content),
            ImageEntry::Symlink { target, .. } => tar.symlink(path, target),
            ImageEntry::Directory { mode, .. } => {
                if made.insert(path.to_owned()) {
                    tar.directory(path, *mode);
                }
            }
        }
    }
    Ok(tar.finish())
}

fn inner_path(path: &str) -> Result<&str, Error> {
    let inner = path.strip_prefix('/').unwrap_or("").trim_end_matches('/');
    if inner.is_empty() || inner.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(Error::Config(format!("image path {path:?} is not absolute and plain: write it as /dir/name")));
    }
    if !tar::fits(inner) {
        return Err(Error::Config(format!("image path {path:?} is too long: 254 bytes at most, 99 for the last part")));
    }
    Ok(inner)
}

fn config(spec: &ImageSpec, layer_digest: &str) -> Vec<u8> {
    let mut settings: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    let lists = [("Entrypoint", &spec.entrypoint), ("Cmd", &spec.cmd), ("Env", &spec.env)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        settings.insert(key, json!(list));
    }
    for (key, text) in [("WorkingDir", &spec.working_dir), ("User", &spec.user)] {
        if !text.is_empty() {
            settings.insert(key, json!(text));
        }
    }
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": settings,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        // containerd 1.6 unpacks only as many layers as the history names.
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "edgeward" }],
    })
    .to_string()
    .into_bytes()
}

/// This machine's architecture by its OCI name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", digest(blob)), "size": blob.len() })
}

fn digest(bytes: &[u8]) -> String {
    crate::hex(&Sha256::digest(bytes))
}
