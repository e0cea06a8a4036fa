//! Ending containers, and pods as a whole.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::view::{ContainerView, View};
use super::{Desired, Worker, hooks};
use crate::context::Context;
use crate::events::EventKind;
use crate::{Error, PodKey, cgroups, files, logs, pod, volumes};

/// How the rest of a pod is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Most time containers get.
    pub(crate) grace: Duration,
}

impl Worker {
    /// One round for a pod that should end. Returns true once nothing of it is left.
    pub(super) async fn end(&mut self, desired: &Desired) -> Result<bool, Error> {
        let (pod, view) = (desired.pod.clone(), self.view().await?);
        self.probes.stop_all();
        let grace = pod::grace_period(&pod);
        let mut changes = self.desired.clone();
        tokio::select! {
            result = self.stop_containers(&pod, &view, grace) => result?,
            // A second deletion with less time counts at once.
            _ = changes.wait_for(|now| pod::grace_period(&now.pod) < grace) => {
                self.look_again_in(Duration::ZERO);
                return Ok(false);
            }
        }
        let view = self.view().await?;
        if !desired.gone {
            self.waiting.clear();
            self.publish(&pod, &view).await?;
        }
        remove_pod(&self.context, &self.key, Some(&view), Ending { grace }).await?;
        if !desired.gone {
            self.context.api.confirm_pod_deleted(&self.key).await?;
        }
        tracing::info!(namespace = self.key.namespace, pod = self.key.name, "pod removed");
        Ok(true)
    }

    /// Ends whatever still runs, all containers at once, side cars after the others.
    pub(super) async fn stop_containers(&self, pod: &Pod, view: &View, grace: Duration) -> Result<(), Error> {
        let is_sidecar =
            |name: &str| pod::init_containers(pod).iter().any(|init| init.name == name && pod::is_sidecar(init));
        for side_cars in [false, true] {
            let running = view.all().filter(|(name, instance)| instance.is_running() && is_sidecar(name) == side_cars);
            let stops = running.map(|(name, instance)| async move {
                self.context.events.container(
                    pod,
                    name,
                    EventKind::Normal,
                    "Killing",
                    &format!("Stopping container {name}"),
                );
                match pod::all_containers(pod).find(|container| container.name == *name) {
                    Some(container) => self.stop_one(pod, container, instance, grace).await,
                    None => self.context.cri.stop_container(&instance.status.id, grace).await,
                }
            });
            join_all(stops).await.into_iter().collect::<Result<(), Error>>()?;
        }
        Ok(())
    }

    /// Ends one container: its preStop hook and its own end share the grace period.
    pub(super) async fn stop_one(
        &self,
        pod: &Pod,
        container: &Container,
        instance: &ContainerView,
        grace: Duration,
    ) -> Result<(), Error> {
        let begun = tokio::time::Instant::now();
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(hook) = hook.filter(|_| !grace.is_zero()) {
            let hook = hooks::run(&self.context, hook, container, &instance.status.id, &self.addresses.1);
            let why = match tokio::time::timeout(grace, hook).await {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why),
                Err(_) => Some("PreStopHook did not end within the grace period".to_owned()),
            };
            if let Some(why) = why {
                self.context.events.container(pod, &container.name, EventKind::Warning, "FailedPreStopHook", &why);
            }
        }
        // After a hook at least two seconds are left, as the kubelet has it.
        let least = if grace.is_zero() { Duration::ZERO } else { Duration::from_secs(2).min(grace) };
        let left = grace.saturating_sub(begun.elapsed()).max(least);
        self.context.cri.stop_container(&instance.status.id, left).await
    }

    /// A pod that is over keeps its dead containers, for their logs, and gives everything else back.
    pub(super) async fn wind_down(&mut self, pod: &Pod, view: &View) -> Result<(), Error> {
        self.probes.stop_all();
        self.context.admitted.remove(&self.key.uid);
        self.waiting.clear();
        self.stop_containers(pod, view, pod::grace_period(pod)).await?;
        for sandbox in view.sandboxes.iter().filter(|sandbox| view.ready_sandbox().is_some_and(|r| r.id == sandbox.id))
        {
            self.context.cri.stop_sandbox(&sandbox.id).await?;
        }
        let view = self.view().await?;
        self.publish(pod, &view).await
    }
}

/// Removes containers, sandboxes, volumes, cgroups and logs of a pod, whoever made them.
pub(crate) async fn remove_pod(
    context: &Context,
    key: &PodKey,
    view: Option<&View>,
    ending: Ending,
) -> Result<(), Error> {
    let read;
    let view = match view {
        Some(view) => view,
        None => {
            read = View::read(&context.cri, &context.options, &key.uid, &Default::default()).await?;
            &read
        }
    };
    let running = view.all().filter(|(_, instance)| instance.is_running());
    let stops = running.map(|(_, instance)| async move {
        let grace = instance.grace_period().min(ending.grace);
        context.cri.stop_container(&instance.status.id, grace).await
    });
    join_all(stops).await.into_iter().collect::<Result<(), Error>>()?;
    for sandbox in &view.sandboxes {
        context.cri.stop_sandbox(&sandbox.id).await?;
    }
    let removals = view.all().map(|(_, instance)| context.cri.remove_container(&instance.status.id));
    join_all(removals).await.into_iter().collect::<Result<(), Error>>()?;
    for sandbox in &view.sandboxes {
        context.cri.remove_sandbox(&sandbox.id).await?;
    }
    volumes::remove(&context.options, key)?;
    cgroups::remove_pod(&context.options, &key.uid)?;
    files::remove_tree(&logs::pod_dir(&context.options, key))
}
