//! Files that come into a folder, as the kernel tells of them (inotify).

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A folder that is watched until this is dropped.
pub(super) struct Watch {
    folder: PathBuf,
    events: AsyncFd<Events>,
}

struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// These files are complete: whoever wrote them has closed them, or they were moved here.
    Files(Vec<PathBuf>),
    /// So much came at once that something may be missing: the folder must be looked through.
    Unknown,
    /// The folder itself is gone.
    Gone,
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// The folder is gone, or the system watches too much already (`fs.inotify.max_user_watches`).
    pub(super) fn new(folder: &Path) -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        inotify.add_watch(folder, what)?;
        // Its replacement is unsafe, for types that change their descriptor: `Events` owns one and keeps it.
        #[allow(deprecated)]
        let events = AsyncFd::with_interest(Events(inotify), Interest::READABLE)?;
        Ok(Watch { folder: folder.to_owned(), events })
    }

    /// What happens next. Safe to drop while waiting.
    pub(super) async fn next(&self) -> io::Result<News> {
        loop {
            let mut ready = self.events.readable().await?;
            let events = match self.events.get_ref().0.read_events() {
                Err(Errno::EAGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                events => events?,
            };
            let any = |flag| events.iter().any(|event| event.mask.intersects(flag));
            if any(AddWatchFlags::IN_Q_OVERFLOW) {
                return Ok(News::Unknown);
            }
            if any(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED) {
                return Ok(News::Gone);
            }
            let mut files: Vec<PathBuf> = Vec::new();
            for path in events.iter().filter_map(|event| event.name.as_ref()).map(|name| self.folder.join(name)) {
                if !files.contains(&path) && path.is_file() {
                    files.push(path);
                }
            }
            if !files.is_empty() {
                return Ok(News::Files(files));
            }
        }
    }
}
