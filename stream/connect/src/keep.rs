//! Connections that are kept: made, used until they are lost, and made again after a growing pause. Every source that has
//! a connection of its own says only how to make and use it once ([`Listen`]).

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Source, SourceContext, SourceError};
use edgeward_service::{Backoff, Counter};
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Shortest and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// A peer that says nothing for so long is asked whether it is still there, and given as long to answer.
const SILENCE: Duration = Duration::from_secs(30);

static MADE: Counter =
    Counter::new("edgeward_connect_connections_made_total", "Connections of sources to their peers that stood");
static LOST: Counter = Counter::new(
    "edgeward_connect_connections_lost_total",
    "Connections of sources that could not be made or were lost; each is tried again after a pause",
);

/// What never comes: a connection is used until it fails.
pub(crate) type Never = Infallible;

/// What is told of the state of a connection.
pub(crate) trait Report: Send + Sync {
    /// Takes the state there is now.
    fn report(&self, state: Connection);
}

impl Report for Emitter {
    fn report(&self, state: Connection) {
        self.connection(state);
    }
}

impl Report for watch::Sender<Connection> {
    fn report(&self, state: Connection) {
        self.send_replace(state);
    }
}

/// One try to keep a connection.
pub(crate) struct Line<'a, R = Emitter> {
    /// Where what is heard goes.
    pub(crate) to: &'a R,
    /// This try has come as far as a connection that works.
    stood: AtomicBool,
}

impl<R: Report> Line<'_, R> {
    /// The connection stands.
    pub(crate) fn up(&self) {
        if !self.stood.swap(true, Ordering::Relaxed) {
            MADE.inc();
            self.to.report(Connection::Connected);
        }
    }
}

/// What listens to a peer.
pub(crate) trait Listen<R = Emitter>: Send {
    /// Connects, says so ([`Line::up`]) and listens until the connection is lost.
    ///
    /// # Errors
    /// Always: why there is no connection.
    fn listen(&mut self, line: &Line<'_, R>) -> impl Future<Output = Result<Never, String>> + Send;

    /// Says good-bye, when nobody listens any more.
    fn farewell(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Listens over one connection after another, for ever.
pub(crate) async fn keep<R: Report>(listener: &mut impl Listen<R>, to: &R) -> Never {
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    loop {
        to.report(Connection::Connecting);
        let line = Line { to, stood: AtomicBool::new(false) };
        let Err(reason) = listener.listen(&line).await;
        LOST.inc();
        to.report(Connection::Disconnected(reason));
        if line.stood.into_inner() {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// A source that keeps its connection until it is told to end.
pub(crate) struct Kept<L>(pub(crate) L);

impl<L: Listen + 'static> Source for Kept<L> {
    fn run(mut self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, .. } = context;
            tokio::select! {
                never = keep(&mut self.0, &emitter) => match never {},
                () = tasks.cancelled() => {}
            }
            self.0.farewell().await;
            Ok(())
        })
    }
}

/// Notices peers that have gone without a word.
#[derive(Default)]
pub(crate) struct Silence {
    asked: bool,
}

impl Silence {
    /// What is heard; none when the peer is to be asked whether it is there.
    ///
    /// # Errors
    /// Hearing fails, or the peer was asked and said nothing.
    pub(crate) async fn broken_by<T>(
        &mut self,
        hearing: impl Future<Output = Result<T, String>>,
    ) -> Result<Option<T>, String> {
        match tokio::time::timeout(SILENCE, hearing).await {
            Ok(heard) => {
                self.asked = false;
                heard.map(Some)
            }
            Err(_) if self.asked => Err(format!("the server said nothing for {SILENCE:?}")),
            Err(_) => {
                self.asked = true;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;

    /// Tells what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<Connection>>);

    impl Report for Told {
        fn report(&self, state: Connection) {
            self.0.lock().push(state);
        }
    }

    /// Connects with the second try, loses the connection, and has a third try that lasts.
    struct Unsteady {
        tries: u32,
        third: Arc<Notify>,
    }

    impl Listen<Told> for Unsteady {
        async fn listen(&mut self, line: &Line<'_, Told>) -> Result<Never, String> {
            self.tries += 1;
            match self.tries {
                1 => {}
                2 => {
                    line.up();
                    line.up();
                }
                _ => {
                    self.third.notify_one();
                    std::future::pending::<()>().await;
                }
            }
            Err(format!("lost {}", self.tries))
        }
    }

    #[tokio::test]
    async fn tries_again_and_tells_how_it_stands() {
        let (told, third) = (Told::default(), Arc::new(Notify::new()));
        let mut unsteady = Unsteady { tries: 0, third: third.clone() };
        tokio::select! {
            never = keep(&mut unsteady, &told) => match never {},
            () = third.notified() => {}
        }
        let lost = |text: &str| Connection::Disconnected(text.to_owned());
        let expect = [
            Connection::Connecting,
            lost("lost 1"),
            Connection::Connecting,
            Connection::Connected,
            lost("lost 2"),
            Connection::Connecting,
        ];
        assert_eq!(*told.0.lock(), expect);
    }
}
