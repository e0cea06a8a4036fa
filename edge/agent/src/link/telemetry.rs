//! Telemetry on its way up: batches from the outbox, and the cloud's answers back to it.

use std::time::Duration;

use edgeward_service::Counter;
use edgeward_wire::{Frame, Limits, Record, Telemetry, TelemetryBuilder};
use tokio::sync::watch;

use super::{End, Options, Session};
use crate::Error;
use crate::outbox::{COUNTER_BITS, GAP, Outbox, Reader};

/// Sends what the outbox holds, for as long as the session lives.
///
/// Each session begins by asking how far the cloud is (an empty batch), since the outbox forgets that with a restart and
/// the cloud may have been restored from a backup.
pub(super) async fn run(
    session: Session,
    outbox: Outbox,
    stored: watch::Receiver<Option<u64>>,
    options: &Options,
) -> End {
    let reader = outbox.reader();
    let mut sender = Sender { session, outbox, stored, reader, expected: 0, turn: None, options };
    match sender.run().await {
        Ok(never) => match never {},
        Err(error) => End::Failed(error),
    }
}

struct Sender<'a> {
    session: Session,
    outbox: Outbox,
    /// The cloud's newest answer.
    stored: watch::Receiver<Option<u64>>,
    reader: Reader,
    /// The number after the last one sent.
    expected: u64,
    /// The outbox goes on with this number, of another epoch; first the rest of the old one must be confirmed.
    turn: Option<u64>,
    options: &'a Options,
}

impl Sender<'_> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Error> {
        self.ask(self.reader.position()).await?;
        loop {
            let unconfirmed = self.outbox.status().unconfirmed;
            let waiting = unconfirmed < self.expected;
            if let Some(first) = self.turn.take_if(|_| !waiting) {
                self.ask(first).await?;
            }
            let room =
                self.turn.is_none() && self.expected.saturating_sub(unconfirmed) < self.options.readings_in_flight;
            let patience = waiting.then_some(self.options.request_timeout);
            tokio::select! {
                batch = self.reader.next_batch(), if room => self.send(batch?).await?,
                answer = answered(&mut self.stored, patience) => match answer {
                    Some(through) => self.outbox.ack(through),
                    None => {
                        REPEATS.inc();
                        self.ask(unconfirmed).await?;
                    }
                }
            }
        }
    }

    /// Asks how far the cloud is with the epoch of this number, and goes on behind that.
    async fn ask(&mut self, from: u64) -> Result<(), Error> {
        self.stored.mark_unchanged();
        let next = loop {
            self.transmit(TelemetryBuilder::new(from, Limits::default()).build()).await?;
            match answered(&mut self.stored, Some(self.options.request_timeout)).await {
                Some(through) if epoch(through.wrapping_add(1)) == epoch(from) => break through.wrapping_add(1),
                _ => REPEATS.inc(),
            }
        };
        let end = self.outbox.status().next;
        if next > end {
            // The disk was set back to an older state. What is numbered again would be taken for what is stored already.
            AHEAD.inc();
            tracing::error!(
                cloud = next,
                here = end,
                "the cloud has readings this node does not know; remove the outbox"
            );
        } else if next > epoch(from) << COUNTER_BITS {
            self.outbox.ack(next - 1);
        }
        self.expected = next;
        self.reader.seek(next);
        Ok(())
    }

    async fn send(&mut self, batch: Telemetry) -> Result<(), Error> {
        let first = batch.first_seq();
        if epoch(first) != epoch(self.expected) {
            self.turn = Some(first);
            return Ok(());
        }
        if first > self.expected {
            self.transmit(gap(self.expected, first - 1)).await?;
        }
        self.expected = batch.last_seq() + 1;
        SENT.add(batch.len() as u64);
        self.transmit(batch).await
    }

    async fn transmit(&mut self, batch: Telemetry) -> Result<(), Error> {
        self.session.send_frame(Frame::Telemetry(batch)).await
    }
}

/// The cloud's next answer; `None` when it does not come within the patience there is.
async fn answered(stored: &mut watch::Receiver<Option<u64>>, patience: Option<Duration>) -> Option<u64> {
    let changed = async {
        // The sender lives in the session's reader, and the session ends with it.
        if stored.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *stored.borrow_and_update()
    };
    match patience {
        Some(patience) => tokio::time::timeout(patience, changed).await.ok().flatten(),
        None => changed.await,
    }
}

/// The record that stands for numbers which are no longer here: numbered as the last, naming the first.
fn gap(first: u64, last: u64) -> Telemetry {
    let mut builder = TelemetryBuilder::new(last, Limits::default());
    let timestamp_ms = edgeward_service::clock::now_ms();
    builder.push(Record { id: GAP, timestamp_ms, payload: &first.to_le_bytes(), ..Record::default() });
    builder.build()
}

fn epoch(seq: u64) -> u64 {
    seq >> COUNTER_BITS
}

static SENT: Counter = Counter::new("edgeward_link_readings_total", "readings sent to the cloud, repeats included");
static AHEAD: Counter =
    Counter::new("edgeward_link_telemetry_ahead_total", "times the cloud knew more readings than the outbox");
static REPEATS: Counter =
    Counter::new("edgeward_link_telemetry_repeats_total", "times readings were sent again for want of an answer");
