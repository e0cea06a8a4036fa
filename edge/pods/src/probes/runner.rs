//! The timer of one probe.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Board, Target, Verdict, check};
use crate::context::Context;
use crate::cri::Cri;
use crate::events::EventKind;
use crate::worker::ContainerView;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Readiness,
    Liveness,
}

/// One probe of one container instance.
pub(super) struct Runner {
    context: Arc<Context>,
    pod: Arc<Pod>,
    container: Container,
    container_id: String,
    kind: Kind,
    probe: Probe,
    board: Arc<Board>,
    pod_ips: Vec<String>,
    /// How long the container has run already.
    age: Duration,
}

impl Runner {
    #[allow(clippy::too_many_arguments, reason = "called once; a struct in between would say the same twice")]
    pub(super) fn new(
        context: &Arc<Context>,
        pod: &Arc<Pod>,
        container: &Container,
        running: &ContainerView,
        kind: Kind,
        probe: &Probe,
        board: &Arc<Board>,
        pod_ips: &[String],
    ) -> Self {
        let age_ms = edgeward_service::clock::now_ms().saturating_sub(running.status.started_at / 1_000_000);
        Self {
            context: context.clone(),
            pod: pod.clone(),
            container: container.clone(),
            container_id: running.status.id.clone(),
            kind,
            probe: probe.clone(),
            board: board.clone(),
            pod_ips: pod_ips.to_vec(),
            age: Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)),
        }
    }

    /// Probes until the container ends (the task is dropped) or the verdict is final.
    pub(super) async fn run(self, cri: Cri) {
        let seconds = |value: Option<i32>, default: u64| match value.and_then(|value| u64::try_from(value).ok()) {
            Some(0) | None => Duration::from_secs(default),
            Some(value) => Duration::from_secs(value),
        };
        let delay = seconds(self.probe.initial_delay_seconds, 0).saturating_sub(self.age);
        let period = seconds(self.probe.period_seconds, 10);
        let limit = seconds(self.probe.timeout_seconds, 1);
        let mut timer = tokio::time::interval_at(Instant::now() + delay, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tally = Tally::default();
        loop {
            timer.tick().await;
            // Liveness and readiness mean nothing before the container has started.
            if self.kind != Kind::Startup && !self.board.state.lock().started {
                continue;
            }
            let result = self.once(&cri, limit).await;
            if let Err(why) = &result {
                let message = format!("{:?} probe failed: {why}", self.kind);
                self.context.events.container(
                    &self.pod,
                    &self.container.name,
                    EventKind::Warning,
                    "Unhealthy",
                    &message,
                );
            }
            if let Some(holds) = tally.count(result.is_ok(), &self.probe)
                && self.conclude(holds)
            {
                return;
            }
        }
    }

    async fn once(&self, cri: &Cri, limit: Duration) -> Result<(), String> {
        let target = Target::of_probe(&self.probe, &self.container, &self.pod_ips)?;
        check(cri, &target, &self.container_id, limit).await
    }

    /// Notes what the probe now says; returns whether it has said all it ever will.
    fn conclude(&self, holds: bool) -> bool {
        match (self.kind, holds) {
            (Kind::Readiness, ready) => self.board.update(|state| state.ready = ready),
            (Kind::Startup, true) => self.board.update(|state| state.started = true),
            (Kind::Startup, false) => self.board.update(|state| state.verdict = Some(Verdict::NotStarted)),
            (Kind::Liveness, false) => self.board.update(|state| state.verdict = Some(Verdict::NotAlive)),
            (Kind::Liveness, true) => {}
        }
        match self.kind {
            Kind::Readiness => false,
            Kind::Startup => true,
            Kind::Liveness => !holds,
        }
    }
}

/// Counts results in a row against the thresholds.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    succeeded: i32,
    failed: i32,
}

impl Tally {
    /// What the probe says once enough results of a kind followed each other.
    fn count(&mut self, success: bool, probe: &Probe) -> Option<bool> {
        (self.succeeded, self.failed) =
            if success { (self.succeeded.saturating_add(1), 0) } else { (0, self.failed.saturating_add(1)) };
        let enough = |threshold: Option<i32>, default| threshold.filter(|threshold| *threshold > 0).unwrap_or(default);
        if success {
            (self.succeeded >= enough(probe.success_threshold, 1)).then_some(true)
        } else {
            (self.failed >= enough(probe.failure_threshold, 3)).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let cases = [
            (None, None, "+", "+"),
            (None, None, "---", "..-"),
            (None, None, "--+--", "..+.."),
            (Some(2), Some(1), "++-+", ".+-."),
            (Some(0), Some(-1), "+---", "+..-"),
        ];
        for (success, failure, results, expected) in cases {
            let probe = Probe { success_threshold: success, failure_threshold: failure, ..Probe::default() };
            let mut tally = Tally::default();
            let said: String = results
                .chars()
                .map(|result| match tally.count(result == '+', &probe) {
                    Some(true) => '+',
                    Some(false) => '-',
                    None => '.',
                })
                .collect();
            assert_eq!(said, expected, "{results}");
        }
    }
}
