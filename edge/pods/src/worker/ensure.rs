//! One round for a pod that should run: sandbox, init containers, containers.

use std::time::Duration;

use edgeward_service::Counter;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::time::Instant;

use super::backoff::CrashBackoff;
use super::start::Surroundings;
use super::view::{ContainerView, View};
use super::{Worker, admission};
use crate::events::EventKind;
use crate::probes::Verdict;
use crate::references::References;
use crate::spec::{sandbox_config, spec_hash};
use crate::status::{Failure, Probed, Waiting};
use crate::{Error, cgroups, files, logs, pod, resources, volumes};

/// A volume, ConfigMap or token that is missing is looked for again after this long, if no change announces it.
const MISSING_RETRY: Duration = Duration::from_secs(10);

static REFUSED: Counter = Counter::new("edgeward_pods_refused_total", "pods this node did not admit");

/// Whether the containers after this one may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Wait,
}

impl Worker {
    /// Brings the pod one round nearer to running, and writes its status.
    pub(super) async fn ensure(&mut self, pod: &Pod) -> Result<(), Error> {
        let mut view = self.view().await?;
        self.watch_probes(pod, &view);
        self.check_admission(pod, &view).await?;
        self.check_deadline(pod);
        self.publish(pod, &view).await?;
        if self.is_over(pod) {
            return self.wind_down(pod, &view).await;
        }
        let references = References::fetch(self.context.api.as_ref(), pod).await?;
        let Some(surroundings) = self.surroundings(pod, &view, references).await? else { return Ok(()) };
        let Some(sandbox_id) = self.ensure_sandbox(pod, &mut view).await? else { return Ok(()) };
        self.run_containers(pod, &view, &sandbox_id, surroundings).await?;
        let view = self.view().await?;
        self.forget_dead(&view).await?;
        self.watch_probes(pod, &view);
        self.publish(pod, &view).await
    }

    /// Probes what runs, before its status is written: without a result a container with a readiness probe is not ready.
    /// One that was ready when an agent before us ended stays so until its probe says otherwise.
    fn watch_probes(&mut self, pod: &Pod, view: &View) {
        let document = self.desired.borrow().pod.clone();
        self.probes.keep(|id| view.all().any(|(_, instance)| instance.is_running() && instance.status.id == id));
        for container in pod::all_containers(pod) {
            let Some(running) = view.latest(&container.name).filter(|latest| latest.is_running()) else { continue };
            let lists = [&self.status.container_statuses, &self.status.init_container_statuses];
            let id = format!("containerd://{}", running.status.id);
            let before = lists.into_iter().flatten().flatten().find(|status| status.container_id.as_ref() == Some(&id));
            let before = before.map(|status| Probed { started: status.started == Some(true), ready: status.ready });
            self.probes.watch(&self.context, &document, container, running, &self.addresses.1, before);
        }
    }

    async fn check_admission(&mut self, pod: &Pod, view: &View) -> Result<(), Error> {
        if !self.admitted && view.is_empty() && !pod::is_finished(pod) {
            let node = self.context.api.node().await?;
            let taken = self.context.admitted.others(&self.key.uid);
            self.failure = admission::refuse(pod, node.as_deref(), taken, self.context.options.max_pods);
            if let Some(failure) = &self.failure {
                REFUSED.inc();
                let reason = if failure.reason == "NodeAffinity" { "NodeAffinity" } else { "OutOfResource" };
                self.context.events.pod(pod, EventKind::Warning, reason, &failure.message);
            }
        }
        self.admitted = true;
        if self.failure.is_none() && !self.is_over(pod) {
            self.context.admitted.insert(&self.key.uid, resources::pod_requests(pod));
        }
        Ok(())
    }

    /// `activeDeadlineSeconds`.
    fn check_deadline(&mut self, pod: &Pod) {
        let Some(seconds) = pod::spec(pod).active_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok())
        else {
            return;
        };
        let Some(started) = &self.status.start_time else { return };
        let run = u64::try_from(pod::now().as_second() - started.0.as_second()).unwrap_or(0);
        if run < seconds {
            self.look_again_in(Duration::from_secs(seconds - run));
        } else if self.failure.is_none() {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.context.events.pod(pod, EventKind::Normal, "DeadlineExceeded", &message);
            self.failure = Some(Failure { reason: "DeadlineExceeded".to_owned(), message });
        }
    }

    fn is_over(&self, pod: &Pod) -> bool {
        let phase = self.status.phase.as_deref();
        self.failure.is_some() || pod::is_finished(pod) || matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Volumes and what the pod refers to; `None`: something is missing and will be looked for again.
    async fn surroundings(
        &mut self,
        pod: &Pod,
        view: &View,
        references: References,
    ) -> Result<Option<Surroundings>, Error> {
        let context = self.context.clone();
        let facts = context.facts(&self.addresses.1);
        let prepared = volumes::prepare(&context.options, context.api.as_ref(), pod, &references, &facts).await;
        match prepared {
            Ok(prepared) => {
                if let Some(delay) = prepared.renew_in {
                    self.look_again_in(delay);
                }
                Ok(Some(Surroundings { references, volumes: prepared.mounts }))
            }
            Err(error) => {
                context.events.pod(pod, EventKind::Warning, "FailedMount", &error.0);
                self.look_again_in(MISSING_RETRY);
                self.publish(pod, view).await?;
                Ok(None)
            }
        }
    }

    /// The id of the pod's sandbox, made if need be. `None`: it could not be made now, or should not be.
    async fn ensure_sandbox(&mut self, pod: &Pod, view: &mut View) -> Result<Option<String>, Error> {
        let context = self.context.clone();
        if let Some(sandbox) = view.ready_sandbox() {
            return Ok(Some(sandbox.id.clone()));
        }
        if !view.sandboxes.is_empty() {
            if pod::restart_policy(pod) == "Never" && view.all().next().is_some() {
                return self.settle_lost(pod, view).await.map(|()| None);
            }
            context.events.pod(
                pod,
                EventKind::Normal,
                "SandboxChanged",
                "Pod sandbox changed, it will be killed and re-created.",
            );
            self.stop_containers(pod, view, Duration::ZERO).await?;
            for sandbox in &view.sandboxes {
                context.cri.stop_sandbox(&sandbox.id).await?;
            }
        }
        let attempts =
            view.sandboxes.iter().filter_map(|sandbox| sandbox.metadata.as_ref()).map(|data| data.attempt + 1);
        let config = sandbox_config(&context.options, pod, attempts.max().unwrap_or(0));
        files::create_dir(&logs::pod_dir(&context.options, &self.key), 0o755)?;
        cgroups::make(&context.options, pod)?;
        if let Err(error) = context.cri.run_sandbox(config).await {
            let message = format!("Failed to create pod sandbox: {error}");
            context.events.pod(pod, EventKind::Warning, "FailedCreatePodSandBox", &message);
            return Err(error);
        }
        *view = self.view().await?;
        let old: Vec<String> = view.sandboxes.iter().skip(1).map(|sandbox| sandbox.id.clone()).collect();
        for id in old.iter().filter(|id| !view.all().any(|(_, instance)| instance.sandbox_id == **id)) {
            context.cri.remove_sandbox(id).await?;
        }
        Ok(view.ready_sandbox().map(|sandbox| sandbox.id.clone()))
    }

    /// A pod that must not be restarted lost its sandbox: what still runs is ended, and the status says the rest.
    async fn settle_lost(&mut self, pod: &Pod, view: &View) -> Result<(), Error> {
        self.stop_containers(pod, view, Duration::ZERO).await?;
        let view = self.view().await?;
        self.publish(pod, &view).await
    }

    async fn run_containers(
        &mut self,
        pod: &Pod,
        view: &View,
        sandbox: &str,
        around: Surroundings,
    ) -> Result<(), Error> {
        let begun = pod::containers(pod).iter().any(|container| view.latest_in(&container.name, sandbox).is_some());
        for container in pod::init_containers(pod) {
            let step = if pod::is_sidecar(container) {
                self.one_container(pod, container, view, sandbox, &around, "Always").await?
            } else if begun {
                Step::Done
            } else {
                self.init_container(pod, container, view, sandbox, &around).await?
            };
            if step == Step::Wait && !begun {
                return Ok(());
            }
        }
        for container in pod::containers(pod) {
            self.one_container(pod, container, view, sandbox, &around, pod::restart_policy(pod)).await?;
        }
        Ok(())
    }

    async fn init_container(
        &mut self,
        pod: &Pod,
        container: &Container,
        view: &View,
        sandbox: &str,
        around: &Surroundings,
    ) -> Result<Step, Error> {
        match view.latest_in(&container.name, sandbox) {
            Some(latest) if latest.is_running() => Ok(Step::Wait),
            Some(latest) if latest.has_exited() && latest.status.exit_code == 0 => {
                self.waiting.remove(&container.name);
                Ok(Step::Done)
            }
            latest => {
                // An init container runs once; "Always" only says that it is tried again after a failure.
                let policy = if pod::restart_policy(pod) == "Never" { "Never" } else { "OnFailure" };
                if self.may_start(pod, container, latest, policy) {
                    self.start(pod, container, view, sandbox, around).await?;
                }
                Ok(Step::Wait)
            }
        }
    }

    async fn one_container(
        &mut self,
        pod: &Pod,
        container: &Container,
        view: &View,
        sandbox: &str,
        around: &Surroundings,
        policy: &str,
    ) -> Result<Step, Error> {
        let latest = view.latest_in(&container.name, sandbox);
        if let Some(running) = latest.filter(|latest| latest.is_running()) {
            if let Some(reason) = self.reason_to_restart(pod, container, running) {
                self.context.events.container(pod, &container.name, EventKind::Normal, "Killing", &reason);
                let grace = self.probes.grace_period(&running.status.id).unwrap_or_else(|| pod::grace_period(pod));
                self.stop_one(pod, container, running, grace).await?;
                self.look_again_in(Duration::ZERO);
                return Ok(Step::Wait);
            }
            self.waiting.remove(&container.name);
            let started = self.probes.results().get(&running.status.id).is_none_or(|probed| probed.started);
            return Ok(if started { Step::Done } else { Step::Wait });
        }
        if self.may_start(pod, container, latest, policy) {
            self.start(pod, container, view, sandbox, around).await?;
            // Its end or its probes wake the worker; a side car without a start-up probe counts as started now.
            let begun = container.startup_probe.is_none() && !self.waiting.contains_key(&container.name);
            return Ok(if begun { Step::Done } else { Step::Wait });
        }
        Ok(Step::Wait)
    }

    fn reason_to_restart(&self, pod: &Pod, container: &Container, running: &ContainerView) -> Option<String> {
        let name = &container.name;
        let made_from = running.status.annotations.get(crate::spec::labels::CONTAINER_HASH);
        if made_from.is_some_and(|hash| *hash != spec_hash(container)) {
            return Some(format!("Container {name} definition changed, will be restarted"));
        }
        let restarts = pod::restart_policy(pod) != "Never" || pod::is_sidecar(container);
        let then = if restarts { "will be restarted" } else { "will be killed" };
        match self.probes.verdict(&running.status.id)? {
            Verdict::NotAlive => Some(format!("Container {name} failed liveness probe, {then}")),
            Verdict::NotStarted => Some(format!("Container {name} failed startup probe, {then}")),
        }
    }

    /// Whether a container that does not run may be started now; notes why not, and when.
    fn may_start(&mut self, pod: &Pod, container: &Container, latest: Option<&ContainerView>, policy: &str) -> bool {
        let Some(ended) = latest.filter(|latest| latest.has_exited()) else { return true };
        let again = match policy {
            "Always" => true,
            "OnFailure" => ended.status.exit_code != 0,
            _ => false,
        };
        if !again {
            return false;
        }
        let options = &self.context.options;
        let (initial, max) = (options.backoff_initial, options.backoff_max);
        let ended_at = instant_of(ended.status.finished_at);
        let crashes = self.crashes.entry(container.name.clone()).or_insert_with(|| CrashBackoff::new(initial, max));
        let retry_at = crashes.retry_at(ended_at);
        if retry_at <= Instant::now() {
            crashes.count(ended_at);
            return true;
        }
        let (key, name) = (&self.key, &container.name);
        let message =
            format!("Back-off restarting failed container {name} in pod {}_{}({})", key.name, key.namespace, key.uid);
        if self.waiting.get(name).is_none_or(|waiting| waiting.reason != "CrashLoopBackOff") {
            self.context.events.container(pod, name, EventKind::Warning, "BackOff", &message);
        }
        self.waiting.insert(name.clone(), Waiting { reason: "CrashLoopBackOff".to_owned(), message });
        self.look_again_at(retry_at);
        false
    }

    /// Keeps one dead instance of each container, for its log and last state.
    async fn forget_dead(&mut self, view: &View) -> Result<(), Error> {
        for (name, instances) in &view.containers {
            let dead = instances.iter().filter(|instance| !instance.is_running());
            let keep = if instances.first().is_some_and(ContainerView::is_running) { 1 } else { 2 };
            for old in dead.skip(keep) {
                self.context.cri.remove_container(&old.status.id).await?;
                logs::remove_instance(&self.context.options, &self.key, name, old.restart_count());
            }
        }
        Ok(())
    }
}

/// A wall-clock time of the runtime on tokio's clock; the future and the far past are now and long ago.
fn instant_of(nanos: i64) -> Instant {
    let ago_ms = edgeward_service::clock::now_ms().saturating_sub(nanos / 1_000_000);
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(u64::try_from(ago_ms).unwrap_or(0))).unwrap_or(now)
}
