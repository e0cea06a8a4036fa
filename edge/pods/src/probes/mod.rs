//! Readiness, liveness and start-up probes: one timer for each probe of each running container, and nothing else.

mod check;
mod http;
mod runner;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::Tasks;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use check::{Target, check};
use runner::{Kind, Runner};

use crate::context::Context;
use crate::cri::Cri;
use crate::status::Probed;
use crate::worker::ContainerView;

/// Why a container is to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    NotAlive,
    NotStarted,
}

/// The probes of one pod.
#[derive(Debug)]
pub(crate) struct Probes {
    cri: Cri,
    tasks: Tasks,
    wake: Arc<Notify>,
    watched: HashMap<String, Watched>,
}

/// The probes of one container instance.
#[derive(Debug)]
struct Watched {
    tasks: Tasks,
    board: Arc<Board>,
    grace_period: Option<Duration>,
}

/// What the probes of one container found, shared with their tasks.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    started: bool,
    ready: bool,
    verdict: Option<Verdict>,
}

impl Probes {
    pub(crate) fn new(cri: Cri, tasks: Tasks, wake: Arc<Notify>) -> Self {
        Self { cri, tasks, wake, watched: HashMap::new() }
    }

    /// Begins to probe a running container, if it is not probed yet. `before`: what was last known of it, when an agent
    /// before us probed it.
    pub(crate) fn watch(
        &mut self,
        context: &Arc<Context>,
        pod: &Arc<Pod>,
        container: &Container,
        running: &ContainerView,
        pod_ips: &[String],
        before: Option<Probed>,
    ) {
        let id = &running.status.id;
        if self.watched.contains_key(id) {
            return;
        }
        let probes = [
            (Kind::Startup, &container.startup_probe),
            (Kind::Readiness, &container.readiness_probe),
            (Kind::Liveness, &container.liveness_probe),
        ];
        let before = before.unwrap_or(Probed { started: false, ready: false });
        let state = State {
            started: container.startup_probe.is_none() || before.started,
            ready: container.readiness_probe.is_none() || before.ready,
            verdict: None,
        };
        let board = Arc::new(Board { state: Mutex::new(state), wake: self.wake.clone() });
        let tasks = self.tasks.child(container.name.clone());
        for (kind, probe) in probes {
            let Some(probe) = probe else { continue };
            let runner = Runner::new(context, pod, container, running, kind, probe, &board, pod_ips);
            tasks.spawn_until_cancelled("probe", runner.run(self.cri.clone()));
        }
        let own = [&container.liveness_probe, &container.startup_probe].into_iter().flatten();
        let seconds = own.filter_map(|probe| probe.termination_grace_period_seconds).next();
        let grace_period = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        self.watched.insert(id.clone(), Watched { tasks, board, grace_period });
    }

    /// Ends the probing of containers that do not run any more.
    pub(crate) fn keep(&mut self, runs: impl Fn(&str) -> bool) {
        for (_, watched) in self.watched.extract_if(|id, _| !runs(id)) {
            watched.tasks.token().cancel();
        }
    }

    /// What is known of each probed container, by id.
    pub(crate) fn results(&self) -> BTreeMap<String, Probed> {
        let read = |watched: &Watched| {
            let state = *watched.board.state.lock();
            Probed { started: state.started, ready: state.ready }
        };
        self.watched.iter().map(|(id, watched)| (id.clone(), read(watched))).collect()
    }

    /// Whether a probe says that the container must be restarted.
    pub(crate) fn verdict(&self, id: &str) -> Option<Verdict> {
        self.watched.get(id).and_then(|watched| watched.board.state.lock().verdict)
    }

    /// The grace period a probe sets for the restart it causes.
    pub(crate) fn grace_period(&self, id: &str) -> Option<Duration> {
        self.watched.get(id).filter(|_| self.verdict(id).is_some()).and_then(|watched| watched.grace_period)
    }

    /// Ends all probing.
    pub(crate) fn stop_all(&mut self) {
        self.watched.drain().for_each(|(_, watched)| watched.tasks.token().cancel());
    }
}

impl Board {
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let before = *state;
        change(&mut state);
        if *state != before {
            self.wake.notify_one();
        }
    }
}
