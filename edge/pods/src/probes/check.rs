//! One check: a command, an HTTP request or a TCP connection.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use super::http;
use crate::cri::Cri;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Exec(Vec<String>),
    Http(Request),
    Tcp { host: String, port: u16 },
}

/// A GET request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Most bytes of an answer or output that are kept for the event.
const MAX_OUTPUT: usize = 10 * 1024;

impl Target {
    /// What a probe asks. Fails with a text for an event.
    pub(super) fn of_probe(probe: &Probe, container: &Container, pod_ips: &[String]) -> Result<Self, String> {
        if let Some(exec) = &probe.exec {
            return Ok(Self::Exec(exec.command.clone().unwrap_or_default()));
        }
        if let Some(get) = &probe.http_get {
            return http_target(get, container, pod_ips);
        }
        if let Some(socket) = &probe.tcp_socket {
            let host = host_or_pod(socket.host.as_deref(), pod_ips)?;
            return Ok(Self::Tcp { host, port: port(&socket.port, container)? });
        }
        Err("unknown kind of probe: use exec, httpGet or tcpSocket".to_owned())
    }

    /// What a lifecycle hook does, `sleep` aside.
    pub(crate) fn of_hook(hook: &LifecycleHandler, container: &Container, pod_ips: &[String]) -> Result<Self, String> {
        if let Some(exec) = &hook.exec {
            return Ok(Self::Exec(exec.command.clone().unwrap_or_default()));
        }
        match &hook.http_get {
            Some(get) => http_target(get, container, pod_ips),
            None => Err("unknown kind of hook: use exec, httpGet or sleep".to_owned()),
        }
    }
}

/// Carries a check out. The error is the text the kubelet puts into its event.
pub(crate) async fn check(cri: &Cri, target: &Target, container_id: &str, limit: Duration) -> Result<(), String> {
    match target {
        Target::Exec(command) => match cri.exec(container_id, command.clone(), limit).await {
            Ok((0, _)) => Ok(()),
            Ok((_, output)) => Err(shortened(&String::from_utf8_lossy(&output))),
            Err(error) => Err(error.to_string()),
        },
        Target::Tcp { host, port } => {
            match tokio::time::timeout(limit, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("dial tcp {host}:{port}: {error}")),
                Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
            }
        }
        Target::Http(request) => {
            let url = format!("http://{}:{}{}", request.host, request.port, request.path);
            match tokio::time::timeout(limit, http::get(request)).await {
                Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
                Ok(Ok(status)) => Err(format!("HTTP probe failed with statuscode: {status}")),
                Ok(Err(why)) => Err(format!("Get \"{url}\": {why}")),
                Err(_) => Err(format!("Get \"{url}\": context deadline exceeded")),
            }
        }
    }
}

fn http_target(get: &HTTPGetAction, container: &Container, pod_ips: &[String]) -> Result<Target, String> {
    if get.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
        return Err("httpGet with scheme HTTPS is not supported on this node: use exec or tcpSocket".to_owned());
    }
    let path = get.path.clone().unwrap_or_default();
    let headers = get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone()));
    Ok(Target::Http(Request {
        host: host_or_pod(get.host.as_deref(), pod_ips)?,
        port: port(&get.port, container)?,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        headers: headers.collect(),
    }))
}

fn host_or_pod(host: Option<&str>, pod_ips: &[String]) -> Result<String, String> {
    let given = host.filter(|host| !host.is_empty()).map(str::to_owned);
    given.or_else(|| pod_ips.first().cloned()).ok_or_else(|| "the pod has no address".to_owned())
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("port {port:?} is neither a number nor a port of container {}", container.name))
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_OUTPUT)].to_owned()
}
