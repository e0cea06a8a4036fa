//! Makes events at an even pace.

use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError, Value};
use edgeward_service::clock;
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::config::Config;
use super::events::{Kind, event};

/// Shortest time between two batches.
const SHORTEST: Duration = Duration::from_millis(10);

pub(super) struct NexmarkSource {
    pub(super) config: Config,
    /// Events carry the number of the next one.
    pub(super) rewinds: bool,
}

impl Source for NexmarkSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, position } = context;
            let first = position.and_then(|position| u64::try_from(position.as_i64()?).ok());
            emitter.connection(Connection::Connected);
            tokio::select! {
                () = self.make(first.unwrap_or(0), &emitter) => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

impl NexmarkSource {
    async fn make(&self, first: u64, emitter: &Emitter) {
        let pace = Duration::from_nanos(1_000_000_000 / self.config.qps).max(SHORTEST);
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut number, mut ticked) = (first, 0_u128);
        let mut made = 0_u128;
        loop {
            ticks.tick().await;
            ticked += 1;
            let due = (ticked * pace.as_nanos() * u128::from(self.config.qps)).div_ceil(1_000_000_000);
            while made < due {
                number = self.next(number);
                let message = Message::row(event(number, clock::now_ms()));
                (number, made) = (number + 1, made + 1);
                emitter.emit(if self.rewinds { message.at(Value::Int(number as i64)) } else { message }).await;
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
