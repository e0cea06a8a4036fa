//! When an image is pulled, and what a pod is told when it cannot be.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::reference;
use crate::cri::{Cri, v1};
use crate::events::{EventKind, Recorder};
use crate::references::References;

/// Waiting reason and message of a container whose image is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageError {
    /// `ErrImagePull`, `ImagePullBackOff`, `ErrImageNeverPull`, `InvalidImageName`, `ImageInspectError`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A registry that did not answer is not asked again for this long while its images are present.
const REMEMBER_UNREACHABLE: Duration = Duration::from_secs(60);
/// Registries remembered; more than any node uses.
const MAX_REMEMBERED: usize = 64;

/// Pulling for all pods of the node.
#[derive(Debug)]
pub(crate) struct Images {
    cri: Cri,
    connect_timeout: Duration,
    unreachable: Mutex<HashMap<String, Instant>>,
}

impl Images {
    pub(crate) fn new(cri: Cri, connect_timeout: Duration) -> Self {
        Self { cri, connect_timeout, unreachable: Mutex::default() }
    }

    /// Makes the image of a container present, by its pull policy; says what it does in events.
    pub(crate) async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        secrets: &References,
        events: &Recorder,
    ) -> Result<v1::Image, ImageError> {
        let name = container.image.as_deref().unwrap_or_default();
        if !reference::is_valid(name) {
            let message = format!(
                "Failed to apply default image tag \"{name}\": couldn't parse image name \"{name}\": invalid reference format"
            );
            events.container(pod, &container.name, EventKind::Warning, "InspectFailed", &message);
            return Err(ImageError { reason: "InvalidImageName", message });
        }
        let policy = container.image_pull_policy.as_deref().unwrap_or_else(|| reference::default_policy(name));
        let present = self.cri.image(name).await.map_err(|error| inspect_error(name, &error))?;
        match (policy, present) {
            ("Never", None) => {
                let message = format!("Container image \"{name}\" is not present with pull policy of Never");
                events.container(pod, &container.name, EventKind::Warning, "ErrImageNeverPull", &message);
                Err(ImageError { reason: "ErrImageNeverPull", message })
            }
            ("Always", Some(image)) => self.refresh(pod, container, name, image, secrets, events).await,
            (_, Some(image)) => {
                let message = format!("Container image \"{name}\" already present on machine");
                events.container(pod, &container.name, EventKind::Normal, "Pulled", &message);
                Ok(image)
            }
            (_, None) => self.pull(pod, container, name, secrets, events).await,
        }
    }

    /// Policy `Always` with the image present: pulls if the registry answers, else uses what is there. A node that is
    /// cut off must be able to start its pods.
    async fn refresh(
        &self,
        pod: &Pod,
        container: &Container,
        name: &str,
        present: v1::Image,
        secrets: &References,
        events: &Recorder,
    ) -> Result<v1::Image, ImageError> {
        let registry = reference::registry(name);
        let reason = match self.unreachable_reason(registry).await {
            Some(reason) => reason,
            None => match self.pull(pod, container, name, secrets, events).await {
                Err(error) if is_network_failure(&error.message) => error.message,
                result => return result,
            },
        };
        self.remember_unreachable(registry);
        let message = format!(
            "Container image \"{name}\" has pull policy Always but its registry {registry} cannot be reached ({reason}); \
             using the image that is present on the machine"
        );
        events.container(pod, &container.name, EventKind::Warning, "RegistryUnreachable", &message);
        Ok(present)
    }

    async fn pull(
        &self,
        pod: &Pod,
        container: &Container,
        name: &str,
        secrets: &References,
        events: &Recorder,
    ) -> Result<v1::Image, ImageError> {
        events.container(pod, &container.name, EventKind::Normal, "Pulling", &format!("Pulling image \"{name}\""));
        let started = Instant::now();
        let auth = secrets.registry_auth(pod, reference::registry(name));
        let pulled = match self.cri.pull(name, auth).await {
            Ok(_) => self.cri.image(name).await.map_err(|error| inspect_error(name, &error))?,
            Err(error) => {
                let message = format!("Failed to pull image \"{name}\": {error}");
                events.container(pod, &container.name, EventKind::Warning, "Failed", &message);
                return Err(ImageError { reason: "ErrImagePull", message });
            }
        };
        let image = pulled.ok_or_else(|| ImageError {
            reason: "ErrImagePull",
            message: format!("image \"{name}\" was pulled but is not there"),
        })?;
        let took = started.elapsed().as_millis();
        let message = format!("Successfully pulled image \"{name}\" in {took}ms. Image size: {} bytes.", image.size);
        events.container(pod, &container.name, EventKind::Normal, "Pulled", &message);
        Ok(image)
    }

    /// Why the registry cannot be reached, found out quickly: a pull over a dead line would take half a minute.
    async fn unreachable_reason(&self, registry: &str) -> Option<String> {
        if proxy_is_set() {
            return None;
        }
        let remembered = self.unreachable.lock().get(registry).is_some_and(|at| at.elapsed() < REMEMBER_UNREACHABLE);
        if remembered {
            return Some("it did not answer a moment ago".to_owned());
        }
        let address = if registry.contains(':') { registry.to_owned() } else { format!("{registry}:443") };
        match timeout(self.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", self.connect_timeout.as_millis())),
        }
    }

    fn remember_unreachable(&self, registry: &str) {
        let mut known = self.unreachable.lock();
        known.retain(|_, at| at.elapsed() < REMEMBER_UNREACHABLE);
        if known.len() < MAX_REMEMBERED {
            known.entry(registry.to_owned()).or_insert_with(Instant::now);
        }
    }
}

/// With a proxy, whether the registry itself can be connected to says nothing.
fn proxy_is_set() -> bool {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// Whether a failed pull never got to speak to the registry, by the texts of Go's network errors.
fn is_network_failure(message: &str) -> bool {
    let signs = [
        "i/o timeout",
        "connection refused",
        "no such host",
        "network is unreachable",
        "no route to host",
        "server misbehaving",
        "TLS handshake timeout",
        "connection reset",
        "deadline exceeded",
        "temporary failure in name resolution",
    ];
    let lower = message.to_ascii_lowercase();
    signs.iter().any(|sign| lower.contains(&sign.to_ascii_lowercase()))
}

fn inspect_error(name: &str, error: &crate::Error) -> ImageError {
    ImageError { reason: "ImageInspectError", message: format!("Failed to inspect image \"{name}\": {error}") }
}
