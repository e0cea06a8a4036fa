//! Rotation by size. Nothing is looked at while nobody writes: a write wakes the task, which then waits a little, so a
//! busy log costs one look in that time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::net::unix::pipe;

use super::{instance_path, rotated_files};
use crate::context::Context;
use crate::cri::{Labels, v1};
use crate::spec::labels;
use crate::{Error, PodKey};

/// Between a write and the look at sizes.
const PAUSE: Duration = Duration::from_secs(5);

/// Rotates the logs of all running containers, for ever.
pub(crate) async fn rotate(context: Arc<Context>) {
    let mut backoff = edgeward_service::Backoff::new(PAUSE, 12 * PAUSE);
    loop {
        if let Err(error) = rounds(&context).await {
            tracing::warn!(%error, "log rotation failed, trying again");
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn rounds(context: &Context) -> Result<(), Error> {
    let folder = &context.options.log_dir;
    let failed = |errno: nix::Error| Error::file("watch", folder)(errno.into());
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(failed)?;
    let events = std::os::fd::AsFd::as_fd(&inotify).try_clone_to_owned().map_err(Error::file("watch", folder))?;
    // See `read::watch`.
    let events = pipe::Receiver::from_owned_fd_unchecked(events).map_err(Error::file("watch", folder))?;
    let mut watched: HashMap<PathBuf, WatchDescriptor> = HashMap::new();
    loop {
        let logs = running_logs(context).await?;
        for (_, path) in &logs {
            if std::fs::metadata(path).is_ok_and(|data| data.len() >= context.options.log_max_bytes) {
                rotate_one(context, &logs, path).await?;
            }
        }
        watched.retain(|path, _| logs.iter().any(|(_, known)| known == path));
        for (_, path) in &logs {
            // Adding a watch again finds the new file after a rotation.
            if let Ok(descriptor) = inotify.add_watch(path, AddWatchFlags::IN_MODIFY) {
                watched.insert(path.clone(), descriptor);
            }
        }
        wait(context, &events).await.map_err(Error::file("watch", folder))?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a write to a watched log, or for a container to start.
async fn wait(context: &Context, events: &pipe::Receiver) -> std::io::Result<()> {
    tokio::select! {
        ready = events.readable() => ready?,
        () = context.ended.started() => {}
    }
    let mut buffer = [0; 4096];
    while events.try_read(&mut buffer).is_ok() {}
    Ok(())
}

/// Running containers of this node and their logs.
async fn running_logs(context: &Context) -> Result<Vec<(String, PathBuf)>, Error> {
    let selector: Labels = [(labels::NODE.to_owned(), context.options.node_name.clone())].into();
    let containers = context.cri.list_containers(selector).await?;
    let running = containers.into_iter().filter(|one| one.state() == v1::ContainerState::ContainerRunning);
    let path = |one: &v1::Container| {
        let mark = |name: &str| one.labels.get(name).cloned().unwrap_or_default();
        let key =
            PodKey { namespace: mark(labels::POD_NAMESPACE), name: mark(labels::POD_NAME), uid: mark(labels::POD_UID) };
        let count = one.annotations.get(labels::RESTART_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0);
        instance_path(&context.options, &key, &mark(labels::CONTAINER_NAME), count)
    };
    Ok(running.map(|one| (one.id.clone(), path(&one))).collect())
}

/// Renames the log, has the runtime begin a new one, and removes what is too old.
async fn rotate_one(context: &Context, logs: &[(String, PathBuf)], path: &Path) -> Result<(), Error> {
    let Some((id, _)) = logs.iter().find(|(_, known)| known == path) else { return Ok(()) };
    let stamp = edgeward_service::clock::now_ms();
    let aside = PathBuf::from(format!("{}.{stamp:015}", path.display()));
    std::fs::rename(path, &aside).map_err(Error::file("rename", path))?;
    if let Err(error) = context.cri.reopen_log(id).await {
        // Otherwise the runtime would go on under a name nobody reads.
        let _ = std::fs::rename(&aside, path);
        return Err(error);
    }
    let old = rotated_files(path);
    let excess = (old.len() + 1).saturating_sub(context.options.log_max_files.max(1));
    for file in &old[..excess] {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}
