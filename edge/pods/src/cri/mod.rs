//! The container runtime over its socket: CRI calls with deadlines, and containerd's event stream.

use std::path::Path;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use prost::Message;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::Error;

// Generated code follows protobuf's habits, not the house's.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::doc_markdown)]
mod events_v1;
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all, clippy::doc_markdown)]
#[path = "runtime_v1.rs"]
pub(crate) mod v1;

use events_v1::Envelope;
use events_v1::events_client::EventsClient;
use v1::image_service_client::ImageServiceClient;
use v1::runtime_service_client::RuntimeServiceClient;

/// Deadline of an ordinary call (the kubelet's `runtimeRequestTimeout`).
const CALL: Duration = Duration::from_secs(120);
/// Deadline of a pull: a large image over a thin line.
const PULL: Duration = Duration::from_secs(3600);
/// containerd limits its own messages to this.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Label filter of a list call.
pub(crate) type Labels = std::collections::HashMap<String, String>;

/// A connection to the runtime; clones share it. It connects again by itself after containerd restarted.
#[derive(Clone, Debug)]
pub(crate) struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    events: EventsClient<Channel>,
}

/// One call with a deadline, its failure named after it.
macro_rules! call {
    ($client:expr, $method:ident, $message:expr, $deadline:expr) => {{
        let mut request = Request::new($message);
        request.set_timeout($deadline);
        $client.clone().$method(request).await.map(tonic::Response::into_inner).map_err(|status| Error::Runtime {
            call: stringify!($method),
            code: status.code(),
            reason: status.message().to_owned(),
        })
    }};
}

impl Cri {
    /// A client for the socket; nothing is connected before the first call.
    pub(crate) fn new(socket: &Path) -> Result<Self, Error> {
        let uri = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| Error::Config(format!("containerd socket {}: {error}", socket.display())))?;
        let channel = endpoint.connect_lazy();
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            images: ImageServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            events: EventsClient::new(channel),
        })
    }

    /// `containerd://1.6.20`, for logs and the node's status.
    pub(crate) async fn version(&self) -> Result<String, Error> {
        let message = v1::VersionRequest { version: String::new() };
        let version = call!(self.runtime, version, message, Duration::from_secs(5))?;
        Ok(format!("{}://{}", version.runtime_name, version.runtime_version))
    }

    /// Reasons why the runtime cannot run pods yet (`network plugin not initialized`, …); empty when it can.
    pub(crate) async fn unmet_conditions(&self) -> Result<Vec<String>, Error> {
        let message = v1::StatusRequest { verbose: false };
        let status = call!(self.runtime, status, message, Duration::from_secs(5))?.status.unwrap_or_default();
        let unmet = status.conditions.into_iter().filter(|condition| !condition.status);
        Ok(unmet.map(|condition| format!("{}: {} {}", condition.r#type, condition.reason, condition.message)).collect())
    }

    pub(crate) async fn run_sandbox(&self, config: v1::PodSandboxConfig) -> Result<String, Error> {
        let message = v1::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        Ok(call!(self.runtime, run_pod_sandbox, message, CALL * 2)?.pod_sandbox_id)
    }

    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<(), Error> {
        let message = v1::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        missing_is_fine(call!(self.runtime, stop_pod_sandbox, message, CALL))
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        let message = v1::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        missing_is_fine(call!(self.runtime, remove_pod_sandbox, message, CALL))
    }

    pub(crate) async fn sandbox_status(&self, id: &str) -> Result<v1::PodSandboxStatus, Error> {
        let message = v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned() };
        Ok(call!(self.runtime, pod_sandbox_status, message, CALL)?.status.unwrap_or_default())
    }

    pub(crate) async fn list_sandboxes(&self, label_selector: Labels) -> Result<Vec<v1::PodSandbox>, Error> {
        let filter = v1::PodSandboxFilter { id: String::new(), label_selector };
        let message = v1::ListPodSandboxRequest { filter: Some(filter) };
        Ok(call!(self.runtime, list_pod_sandbox, message, CALL)?.items)
    }

    pub(crate) async fn list_containers(&self, label_selector: Labels) -> Result<Vec<v1::Container>, Error> {
        let filter = v1::ContainerFilter { id: String::new(), label_selector };
        let message = v1::ListContainersRequest { filter: Some(filter) };
        Ok(call!(self.runtime, list_containers, message, CALL)?.containers)
    }

    pub(crate) async fn container_status(&self, id: &str) -> Result<v1::ContainerStatus, Error> {
        let message = v1::ContainerStatusRequest { container_id: id.to_owned() };
        Ok(call!(self.runtime, container_status, message, CALL)?.status.unwrap_or_default())
    }

    pub(crate) async fn create_container(
        &self,
        sandbox_id: &str,
        config: v1::ContainerConfig,
        sandbox: v1::PodSandboxConfig,
    ) -> Result<String, Error> {
        let message = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        Ok(call!(self.runtime, create_container, message, CALL)?.container_id)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<(), Error> {
        let message = v1::StartContainerRequest { container_id: id.to_owned() };
        call!(self.runtime, start_container, message, CALL).map(drop)
    }

    /// Asks the container to end and kills it after `grace`; returns once it ended.
    pub(crate) async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let message = v1::StopContainerRequest { container_id: id.to_owned(), timeout };
        missing_is_fine(call!(self.runtime, stop_container, message, CALL + grace))
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), Error> {
        let message = v1::RemoveContainerRequest { container_id: id.to_owned() };
        missing_is_fine(call!(self.runtime, remove_container, message, CALL))
    }

    /// Has the runtime write to a new log file after the old one was renamed.
    pub(crate) async fn reopen_log(&self, id: &str) -> Result<(), Error> {
        let message = v1::ReopenContainerLogRequest { container_id: id.to_owned() };
        call!(self.runtime, reopen_container_log, message, CALL).map(drop)
    }

    /// Runs a command in the container and returns its exit code and output, both streams together.
    pub(crate) async fn exec(&self, id: &str, cmd: Vec<String>, timeout: Duration) -> Result<(i32, Vec<u8>), Error> {
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let message = v1::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: seconds };
        let answer = call!(self.runtime, exec_sync, message, timeout + Duration::from_secs(5))?;
        let mut output = answer.stdout;
        output.extend_from_slice(&answer.stderr);
        Ok((answer.exit_code, output))
    }

    /// The image of this name or digest, if it is present.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<v1::Image>, Error> {
        let message = v1::ImageStatusRequest { image: Some(v1::ImageSpec { image: name.to_owned() }) };
        Ok(call!(self.images, image_status, message, CALL)?.image)
    }

    /// Pulls and returns the image's id.
    pub(crate) async fn pull(&self, name: &str, auth: Option<v1::AuthConfig>) -> Result<String, Error> {
        let image = Some(v1::ImageSpec { image: name.to_owned() });
        let message = v1::PullImageRequest { image, auth, sandbox_config: None };
        Ok(call!(self.images, pull_image, message, PULL)?.image_ref)
    }

    /// Events of containers and sandboxes that ended, until the connection breaks. containerd answers a subscription only
    /// with its first event, so that nothing tells when it has begun.
    pub(crate) fn subscribe(&self) -> impl Stream<Item = Result<Envelope, Error>> + use<> {
        let filters = vec!["namespace==\"k8s.io\",topic==\"/tasks/delete\"".to_owned()];
        let mut events = self.events.clone();
        let answer = async move { events.subscribe(Request::new(events_v1::SubscribeRequest { filters })).await };
        futures::stream::once(answer).map_ok(tonic::Response::into_inner).try_flatten().map_err(|status| {
            Error::Runtime { call: "subscribe", code: status.code(), reason: status.message().to_owned() }
        })
    }
}

/// The container or sandbox whose first process ended, when an event says that. `/tasks/delete` is the last event before
/// CRI's own status says so; `/tasks/exit` comes well before.
pub(crate) fn ended_container(envelope: &Envelope) -> Option<String> {
    let delete = events_v1::TaskDelete::decode(envelope.event.as_ref()?.value.as_slice()).ok()?;
    // Any other id is that of a process run inside.
    let first = delete.id.is_empty() || delete.id == delete.container_id;
    (envelope.topic == "/tasks/delete" && first).then_some(delete.container_id)
}

fn missing_is_fine<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(error) if !error.is_runtime_not_found() => Err(error),
        _ => Ok(()),
    }
}
