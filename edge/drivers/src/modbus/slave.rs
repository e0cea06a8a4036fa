//! One slave as its bus sees it: when it is due, what is still to be written, how it is doing.

use std::sync::Arc;
use std::time::Duration;

use edgeward_service::Backoff;
use edgeward_twin::{DeviceId, DeviceState};
use tokio::time::Instant;

use super::config::{Point, SlaveConfig};
use super::plan::{Read, plan};

/// The run-time state of a slave.
#[derive(Debug)]
pub(crate) struct Slave {
    pub id: DeviceId,
    pub config: Arc<SlaveConfig>,
    pub rounds: Vec<Round>,
    /// Desired value of each point that was dealt with: written, found there, or refused by the slave.
    applied: Vec<Option<Arc<str>>>,
    /// When each point was last reported to the twin.
    reported: Vec<Option<Instant>>,
    /// Last state told to the twin.
    pub state: Option<DeviceState>,
    backoff: Backoff,
    /// After a failure, nothing happens before.
    not_before: Option<Instant>,
}

/// The reads of one cycle.
#[derive(Debug)]
pub(crate) struct Round {
    pub cycle: Duration,
    pub reads: Arc<[Read]>,
    pub due: Instant,
}

impl Slave {
    pub(crate) fn new(id: DeviceId, config: Arc<SlaveConfig>, backoff: Backoff) -> Self {
        let points = config.points.len();
        Self {
            id,
            rounds: rounds(&config.points),
            applied: vec![None; points],
            reported: vec![None; points],
            config,
            state: None,
            backoff,
            not_before: None,
        }
    }

    /// A new document. A new desired value alone keeps the rhythm of the rounds; a slave that was given up is tried at
    /// once, for its address may be what was mended.
    pub(crate) fn update(&mut self, config: Arc<SlaveConfig>) {
        let same_shape = self.config.unit == config.unit && same_points(&self.config.points, &config.points);
        if !same_shape {
            self.rounds = rounds(&config.points);
            self.applied = vec![None; config.points.len()];
            self.reported = vec![None; config.points.len()];
            self.not_before = None;
        }
        self.config = config;
    }

    /// When it wants the bus next: at once for a write, else at its first round.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = if self.next_write().is_some() {
            Some(Instant::now())
        } else {
            self.rounds.iter().map(|round| round.due).min()
        };
        due.map(|due| self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// The first point whose desired value was not dealt with.
    pub(crate) fn next_write(&self) -> Option<(usize, Arc<str>)> {
        let points = self.config.points.iter().zip(&self.applied).enumerate();
        points.into_iter().find_map(|(index, (point, applied))| {
            let desired = point.desired.as_ref()?;
            (applied.as_ref() != Some(desired)).then(|| (index, desired.clone()))
        })
    }

    pub(crate) fn dealt_with(&mut self, point: usize, desired: Arc<str>) {
        if let Some(applied) = self.applied.get_mut(point) {
            *applied = Some(desired);
        }
    }

    /// A due round's reads; its next turn is set, without catching up on turns that were missed.
    pub(crate) fn take_round(&mut self, now: Instant) -> Option<Arc<[Read]>> {
        let round = self.rounds.iter_mut().find(|round| round.due <= now)?;
        round.due = (round.due + round.cycle).max(now);
        Some(round.reads.clone())
    }

    /// Whether the twin may hear of a point again, and notes that it does.
    pub(crate) fn may_report(&mut self, point: usize, now: Instant) -> bool {
        let cycle = self.config.points.get(point).map_or(Duration::ZERO, |point| point.report_cycle);
        let Some(last) = self.reported.get_mut(point) else { return false };
        let due = last.is_none_or(|last| now >= last + cycle);
        if due {
            *last = Some(now);
        }
        due
    }

    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.not_before = None;
    }

    pub(crate) fn failed(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.next_delay());
    }

    /// It was away and may have lost what was written to it: when it is back, desired values are looked at again.
    pub(crate) fn was_away(&mut self) {
        self.applied.fill(None);
    }
}

fn rounds(points: &[Point]) -> Vec<Round> {
    let due = Instant::now();
    plan(points).into_iter().map(|(cycle, reads)| Round { cycle, reads: reads.into(), due }).collect()
}

/// Equal but for desired values.
fn same_points(old: &[Point], new: &[Point]) -> bool {
    let same =
        |(old, new): (&Point, &Point)| Point { desired: None, ..old.clone() } == Point { desired: None, ..new.clone() };
    old.len() == new.len() && old.iter().zip(new).all(same)
}
