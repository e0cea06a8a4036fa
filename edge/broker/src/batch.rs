//! Who must be woken, and who must be waited for, after some messages were routed.

use std::time::Duration;

use crate::router::Target;

/// What a queue says when a message is put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It was empty: somebody must be woken.
    Wake,
    /// It was not: whoever filled it wakes.
    Queued,
    /// It is full, or nearly: wait before the next message.
    Full,
}

/// Gathered while the messages of one read are routed, so that each target is woken once.
#[derive(Default)]
pub(crate) struct Batch {
    wake: Vec<Target>,
    full: Vec<Target>,
}

impl Batch {
    pub(crate) fn note(&mut self, target: &Target, offered: Offered) {
        match offered {
            Offered::Wake => self.wake.push(target.clone()),
            Offered::Queued => {}
            Offered::Full if self.full.iter().any(|known| known.id() == target.id()) => {}
            // Its first message may also be the one that filled it.
            Offered::Full => {
                self.wake.push(target.clone());
                self.full.push(target.clone());
            }
        }
    }

    /// Wakes everybody who has something new. Nothing may be awaited between routing and this.
    pub(crate) fn wake(&mut self) {
        self.wake.drain(..).for_each(|target| match target {
            Target::Local(local) => local.wake(),
            Target::Client(session) => session.ready.notify_one(),
        });
    }

    /// Whether anybody's queue is full.
    pub(crate) fn is_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Waits until the full queues have space: for clients no longer than `grace`, for in-process subscribers that asked
    /// for it as long as it takes.
    pub(crate) fn relief(&mut self, grace: Duration) -> impl Future<Output = ()> + Send + use<> {
        let full = std::mem::take(&mut self.full);
        async move {
            for target in full {
                match target {
                    Target::Local(local) => local.wait_for_space().await,
                    Target::Client(session) => session.wait_for_space(grace).await,
                }
            }
        }
    }
}
