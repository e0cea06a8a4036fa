//! Around a container's life: the files it gets, its hooks, its last words.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};

use super::view::ContainerView;
use crate::context::Context;
use crate::probes::{self, Target};
use crate::spec::{Facts, HostFiles, hostname, labels, termination_path};
use crate::{Error, Options, PodKey, files, logs, pod, volumes};

/// Most bytes of a termination message.
const MAX_MESSAGE: u64 = 4096;
/// Most bytes and lines taken from the log instead.
const MAX_LOG_MESSAGE: u64 = 2048;
const MAX_LOG_LINES: usize = 80;

/// Makes `/etc/hosts` and an empty termination message.
pub(super) fn host_files(
    options: &Options,
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    restart_count: u32,
) -> Result<HostFiles, Error> {
    let folder = volumes::pod_dir(options, &pod::key(pod).uid);
    let hosts = folder.join("etc-hosts");
    files::write_in_place(&hosts, etc_hosts(pod, facts).as_bytes(), 0o644)?;
    let message = message_path(options, &pod::key(pod).uid, &container.name, restart_count);
    if let Some(parent) = message.parent() {
        files::create_dir(parent, 0o755)?;
    }
    // Whoever the container runs as may write it.
    files::write_in_place(&message, b"", 0o666)?;
    let at = termination_path(container).to_owned();
    Ok(HostFiles { etc_hosts: Some(hosts), termination_message: Some((message, at)) })
}

/// Runs a `postStart` or `preStop` hook; the error is for an event.
pub(super) async fn run(
    context: &Context,
    hook: &LifecycleHandler,
    container: &Container,
    container_id: &str,
    pod_ips: &[String],
) -> Result<(), String> {
    let limit = Duration::from_secs(24 * 3600);
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0)).min(limit)).await;
        return Ok(());
    }
    let target = Target::of_hook(hook, container, pod_ips)?;
    probes::check(&context.cri, &target, container_id, limit).await
}

/// What an ended container left to say.
pub(super) fn last_words(options: &Options, key: &PodKey, instance: &ContainerView) -> String {
    let note = |name: &str| instance.status.annotations.get(name).map(String::as_str);
    let name = instance.status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
    let message = tail(&message_path(options, &key.uid, &name, instance.restart_count()), MAX_MESSAGE);
    let from_log = note(labels::TERMINATION_POLICY) == Some("FallbackToLogsOnError") && instance.status.exit_code != 0;
    if !message.is_empty() || !from_log {
        return message;
    }
    let log = tail(&logs::instance_path(options, key, &name, instance.restart_count()), 4 * MAX_LOG_MESSAGE);
    let lines: Vec<&str> = log.lines().filter_map(logs::text_of_line).collect();
    let mut text = lines[lines.len().saturating_sub(MAX_LOG_LINES)..].join("\n");
    let excess = text.len().saturating_sub(usize::try_from(MAX_LOG_MESSAGE).unwrap_or(0));
    text.drain(..text.ceil_char_boundary(excess));
    text
}

fn message_path(options: &Options, uid: &str, container: &str, restart_count: u32) -> PathBuf {
    volumes::pod_dir(options, uid).join("containers").join(container).join(format!("termination-{restart_count}"))
}

/// The kubelet's managed hosts file; with the host's network, the host's own.
fn etc_hosts(pod: &Pod, facts: &Facts) -> String {
    let mut text = if pod::host_network(pod) {
        let own = std::fs::read_to_string("/etc/hosts").unwrap_or_else(|_| "127.0.0.1\tlocalhost\n".to_owned());
        format!("# Managed by edgeward (host network).\n{own}")
    } else {
        let mut text = "# Managed by edgeward.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                        fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
            .to_owned();
        for ip in &facts.pod_ips {
            text.push_str(&format!("{ip}\t{}\n", hostname(pod)));
        }
        text
    };
    for alias in pod::spec(pod).host_aliases.iter().flatten() {
        text.push_str(&format!(
            "{}\t{}\n",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
        ));
    }
    text
}

/// The last bytes of a file, as text; empty if it cannot be read.
fn tail(path: &Path, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content)?;
        Ok(content)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
