//! The task tree.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A node of the task tree: a name, a cancellation token and the tasks spawned under it.
///
/// Cancelling a node cancels every node below it. Clones are the same node.
#[derive(Clone, Debug)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    token: CancellationToken,
    /// Tasks of this node alone.
    tracker: TaskTracker,
    /// Trackers of this node and of everything above it: a parent waits for the tasks of its children.
    above: Box<[TaskTracker]>,
}

impl Tasks {
    /// The root of a new tree.
    pub fn root(name: &'static str) -> Self {
        Self::node(name.to_owned(), CancellationToken::new(), Box::default())
    }

    /// A node below this one; its name is `parent/name`. It ends with its parent, or alone by its own
    /// [`Tasks::shutdown`].
    pub fn child(&self, name: impl Into<String>) -> Self {
        let name = format!("{}/{}", self.inner.name, name.into());
        let above = self.inner.above.iter().chain([&self.inner.tracker]).cloned().collect();
        Self::node(name, self.inner.token.child_token(), above)
    }

    fn node(name: String, token: CancellationToken, above: Box<[TaskTracker]>) -> Self {
        Self { inner: Arc::new(Inner { name, token, tracker: TaskTracker::new(), above }) }
    }

    /// Spawns a task that watches [`Tasks::cancelled`] itself and ends in its own time.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.tracker.spawn(Task {
            future: Box::pin(future),
            _counted_above: self.inner.above.iter().map(TaskTracker::token).collect(),
            _notice: PanicNotice { node: self.inner.clone(), name },
        });
    }

    /// Spawns a task that is dropped at its next await point when this node is cancelled.
    pub fn spawn_until_cancelled<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.inner.token.clone();
        self.spawn(name, async move {
            token.run_until_cancelled(future).await;
        });
    }

    /// Resolves once this node or one above it is cancelled.
    pub async fn cancelled(&self) {
        self.inner.token.cancelled().await;
    }

    /// Whether this node or one above it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inner.token.is_cancelled()
    }

    /// The token behind this node, for code that selects on it.
    pub fn token(&self) -> &CancellationToken {
        &self.inner.token
    }

    /// `root/child/…`, for logs.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Cancels this node and everything below it and waits for all their tasks, `grace` at most. Returns whether all
    /// of them ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.inner.token.cancel();
        self.inner.tracker.close();
        let done = tokio::time::timeout(grace, self.inner.tracker.wait()).await.is_ok();
        if !done {
            tracing::warn!(node = self.inner.name, grace_seconds = grace.as_secs(), "tasks did not end in time");
        }
        done
    }
}

/// A task of a node. A type of its own, because a future that awaits one it was given takes the room of both.
struct Task<F> {
    future: Pin<Box<F>>,
    /// Dropped with the task, also when the task panics, so a waiting parent is never left hanging.
    _counted_above: Box<[TaskTrackerToken]>,
    _notice: PanicNotice,
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }
}

/// Says which task panicked: tokio only prints the thread.
struct PanicNotice {
    node: Arc<Inner>,
    name: &'static str,
}

impl Drop for PanicNotice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            TASK_PANICS.inc();
            tracing::error!(node = self.node.name, task = self.name, "task panicked; this is a bug, please report it");
        }
    }
}

static TASK_PANICS: crate::Counter =
    crate::Counter::new("edgeward_service_task_panics_total", "tasks that ended by a panic");

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_parent_waits_for_the_tasks_of_its_children() {
        let root = Tasks::root("root");
        let child = root.child("a").child("b");
        assert_eq!(child.name(), "root/a/b");
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let node = child.clone();
        child.spawn("slow", async move {
            node.cancelled().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            seen.store(true, Ordering::SeqCst);
        });
        assert!(root.shutdown(Duration::from_secs(5)).await);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_child_ends_alone() {
        let root = Tasks::root("root");
        let child = root.child("a");
        child.spawn_until_cancelled("forever", std::future::pending());
        assert!(child.shutdown(Duration::from_secs(5)).await);
        assert!(child.is_cancelled() && !root.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ignores_cancellation_is_reported() {
        let root = Tasks::root("root");
        root.spawn("deaf", std::future::pending());
        assert!(!root.shutdown(Duration::from_millis(10)).await);
    }

    #[tokio::test]
    async fn a_panicking_task_does_not_hold_up_its_parent() {
        let root = Tasks::root("root");
        root.child("a").spawn("bad", async { panic!("on purpose") });
        assert!(root.shutdown(Duration::from_secs(5)).await);
        assert!(TASK_PANICS.get() >= 1);
    }
}
