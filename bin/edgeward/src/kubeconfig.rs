//! The administrator's kubeconfig.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edgeward_pki::{Authority, Identity};

/// Writes a kubeconfig that gives `identity` access to the API at `url`. The file is for its owner alone, and is
/// replaced as a whole.
pub(crate) fn write(path: &Path, url: &str, authority: &Authority, identity: &Identity) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("kubeconfig");
    let temporary = path.with_file_name(format!(".{name}.new"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("write {}", temporary.display()))?;
    file.write_all(render(url, authority, identity).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path).with_context(|| format!("write {}", path.display()))
}

fn render(url: &str, authority: &Authority, identity: &Identity) -> String {
    let ca = STANDARD.encode(authority.certificate_pem());
    let certificate = STANDARD.encode(identity.certificate_pem());
    let key = STANDARD.encode(identity.key_pem());
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: edgeward
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: edgeward
  context:
    cluster: edgeward
    user: admin
current-context: edgeward
"
    )
}
