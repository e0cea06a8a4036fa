//! Starting one container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::time::Instant;

use super::backoff::CrashBackoff;
use super::view::View;
use super::{Worker, hooks};
use crate::cri::v1;
use crate::events::EventKind;
use crate::images::ImageError;
use crate::references::References;
use crate::spec::{ContainerInput, MadeMount, container_config, sandbox_config};
use crate::status::Waiting;
use crate::{Error, files, logs, pod};

/// What a pod's containers are made with.
pub(super) struct Surroundings {
    pub(super) references: References,
    pub(super) volumes: BTreeMap<String, MadeMount>,
}

/// A configuration that cannot be carried out is looked at again after this long, if no change announces it.
const CONFIG_RETRY: std::time::Duration = std::time::Duration::from_secs(10);

impl Worker {
    /// Pulls, creates and starts a container. What goes wrong with the container itself is noted in its status; only
    /// failures of the runtime's connection are errors.
    pub(super) async fn start(
        &mut self,
        pod: &Pod,
        container: &Container,
        view: &View,
        sandbox_id: &str,
        around: &Surroundings,
    ) -> Result<(), Error> {
        let Some(image) = self.image(pod, container, around).await else { return Ok(()) };
        let id = match self.create(pod, container, view, sandbox_id, around, &image).await {
            Ok(id) => id,
            Err((reason, message)) => {
                self.context.events.container(
                    pod,
                    &container.name,
                    EventKind::Warning,
                    "Failed",
                    &format!("Error: {message}"),
                );
                self.wait_for(container, reason, message);
                self.look_again_in(CONFIG_RETRY);
                return Ok(());
            }
        };
        // Its end may come at any time from now on.
        self.context.ended.watch(&self.key.uid, &self.wake, view.ids().chain([id.as_str()]));
        if let Err(error) = self.context.cri.start_container(&id).await {
            let message = error.to_string();
            self.context.events.container(
                pod,
                &container.name,
                EventKind::Warning,
                "Failed",
                &format!("Error: {message}"),
            );
            self.wait_for(container, "RunContainerError", message);
            // The runtime has it as exited now; the next round applies the back-off.
            self.look_again_in(CONFIG_RETRY);
            return Ok(());
        }
        let message = format!("Started container {}", container.name);
        self.context.events.container(pod, &container.name, EventKind::Normal, "Started", &message);
        self.waiting.remove(&container.name);
        self.post_start(pod, container, &id).await
    }

    /// The image, present. `None`: it is not, and the container waits.
    async fn image(&mut self, pod: &Pod, container: &Container, around: &Surroundings) -> Option<v1::Image> {
        let name = container.image.clone().unwrap_or_default();
        if let Some((backoff, failed_at)) = self.pulls.get(&name) {
            let retry_at = backoff.retry_at(*failed_at);
            if retry_at > Instant::now() {
                self.back_off_pull(pod, container, &name, retry_at);
                return None;
            }
        }
        let context = self.context.clone();
        match context.images.ensure(pod, container, &around.references, &context.events).await {
            Ok(image) => {
                self.pulls.remove(&name);
                Some(image)
            }
            Err(ImageError { reason, message }) => {
                let error = format!("Error: {reason}");
                context.events.container(pod, &container.name, EventKind::Warning, "Failed", &error);
                self.wait_for(container, reason, message);
                let (initial, max) = (context.options.backoff_initial, context.options.backoff_max);
                let now = Instant::now();
                let (backoff, failed_at) =
                    self.pulls.entry(name).or_insert_with(|| (CrashBackoff::new(initial, max), now));
                backoff.count(now);
                *failed_at = now;
                // Soon: to say that it backs off.
                self.look_again_in(initial / 10);
                None
            }
        }
    }

    fn back_off_pull(&mut self, pod: &Pod, container: &Container, image: &str, retry_at: Instant) {
        let message = format!("Back-off pulling image \"{image}\"");
        let known = self.waiting.get(&container.name).map(|waiting| waiting.reason.clone()).unwrap_or_default();
        if known == "ErrImagePull" {
            self.context.events.container(pod, &container.name, EventKind::Normal, "BackOff", &message);
            self.context.events.container(
                pod,
                &container.name,
                EventKind::Warning,
                "Failed",
                "Error: ImagePullBackOff",
            );
        }
        if matches!(known.as_str(), "ErrImagePull" | "") {
            self.wait_for(container, "ImagePullBackOff", message);
        }
        self.look_again_at(retry_at);
    }

    /// Returns the new container's id, or reason and message for its status.
    async fn create(
        &mut self,
        pod: &Pod,
        container: &Container,
        view: &View,
        sandbox_id: &str,
        around: &Surroundings,
        image: &v1::Image,
    ) -> Result<String, (&'static str, String)> {
        const CONFIG: &str = "CreateContainerConfigError";
        const CREATE: &str = "CreateContainerError";
        let context = self.context.clone();
        let restart_count = self.next_restart_count(container, view);
        let facts = context.facts(&self.addresses.1);
        let host_files = hooks::host_files(&context.options, pod, container, &facts, restart_count);
        let config = container_config(&ContainerInput {
            options: &context.options,
            pod,
            container,
            image,
            references: &around.references,
            facts: &facts,
            volumes: &around.volumes,
            host_files: host_files.map_err(|error| (CREATE, error.to_string()))?,
            restart_count,
            memory_capacity: context.memory_capacity,
        });
        let config = config.map_err(|message| (CONFIG, message))?;
        let folder = logs::pod_dir(&context.options, &self.key).join(&container.name);
        files::create_dir(&folder, 0o755).map_err(|error| (CREATE, error.to_string()))?;
        let attempt =
            view.sandboxes.first().and_then(|sandbox| sandbox.metadata.as_ref()).map_or(0, |data| data.attempt);
        let sandbox = sandbox_config(&context.options, pod, attempt);
        self.remove_unstarted(container, view).await.map_err(|error| (CREATE, error.to_string()))?;
        let id = context.cri.create_container(sandbox_id, config, sandbox).await;
        let id = id.map_err(|error| (CREATE, error.to_string()))?;
        let message = format!("Created container {}", container.name);
        context.events.container(pod, &container.name, EventKind::Normal, "Created", &message);
        Ok(id)
    }

    /// One more than the newest instance's; without one, one more than the status last said of a container that ran.
    fn next_restart_count(&self, container: &Container, view: &View) -> u32 {
        if let Some(latest) = view.latest(&container.name) {
            return latest.restart_count() + 1;
        }
        let lists = [&self.status.container_statuses, &self.status.init_container_statuses];
        let before = lists.into_iter().flatten().flatten().find(|status| status.name == container.name);
        let ran = before.filter(|before| before.container_id.is_some());
        ran.map_or(0, |before| u32::try_from(before.restart_count).unwrap_or(0) + 1)
    }

    /// An instance that was created and never started (the agent ended in between) is in the way of a new one.
    async fn remove_unstarted(&self, container: &Container, view: &View) -> Result<(), Error> {
        let Some(latest) = view.latest(&container.name) else { return Ok(()) };
        if latest.is_running() || latest.has_exited() {
            return Ok(());
        }
        self.context.cri.remove_container(&latest.status.id).await
    }

    async fn post_start(&mut self, pod: &Pod, container: &Container, id: &str) -> Result<(), Error> {
        let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()) else {
            return Ok(());
        };
        let Err(why) = hooks::run(&self.context, hook, container, id, &self.addresses.1).await else { return Ok(()) };
        self.context.events.container(pod, &container.name, EventKind::Warning, "FailedPostStartHook", &why);
        self.wait_for(container, "PostStartHookError", why);
        self.context.cri.stop_container(id, pod::grace_period(pod)).await
    }

    fn wait_for(&mut self, container: &Container, reason: &str, message: String) {
        self.waiting.insert(container.name.clone(), Waiting { reason: reason.to_owned(), message });
    }
}
