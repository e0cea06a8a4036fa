//! Makes events at an even pace.

use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError};
use edgeward_service::clock;
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;
use super::events::{Kind, event};

/// Shortest time between two batches.
const SHORTEST: Duration = Duration::from_millis(10);

pub(super) struct NexmarkSource {
    pub(super) config: Config,
}

impl Source for NexmarkSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            emitter.connection(Connection::Connected);
            tokio::select! {
                () = self.make(&emitter) => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

impl NexmarkSource {
    async fn make(&self, emitter: &Emitter) {
        let pace = Duration::from_nanos(1_000_000_000 / self.config.qps).max(SHORTEST);
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut number, mut ticked) = (0, 0_u128);
        let mut made = 0_u128;
        loop {
            ticks.tick().await;
            ticked += 1;
            let due = (ticked * pace.as_nanos() * u128::from(self.config.qps)).div_ceil(1_000_000_000);
            while made < due {
                number = self.next(number);
                emitter.emit(Message::row(event(number, clock::now_ms()))).await;
                (number, made) = (number + 1, made + 1);
            }
            tokio::task::yield_now().await;
        }
    }

    /// The first event from `number` on that is wanted; there is one in every round.
    fn next(&self, number: u64) -> u64 {
        let wanted = |number: &u64| match Kind::of(*number) {
            Kind::Person => self.config.persons,
            Kind::Auction => self.config.auctions,
            Kind::Bid => self.config.bids,
        };
        (number..).find(wanted).unwrap_or(number)
    }
}
