//! The pod's sandbox: name, network, cgroup, DNS.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;

use super::{labels, security};
use crate::cri::v1;
use crate::{Options, cgroups, logs, pod};

/// What the runtime is told to make the pod's `attempt`-th sandbox.
pub(crate) fn sandbox_config(options: &Options, pod: &Pod, attempt: u32) -> v1::PodSandboxConfig {
    let key = pod::key(pod);
    let sysctls = pod::spec(pod).security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    let mut marks = identity_labels(options, pod);
    for (name, value) in pod.metadata.labels.iter().flatten() {
        marks.entry(name.clone()).or_insert_with(|| value.clone());
    }
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: key.name.clone(),
            uid: key.uid.clone(),
            namespace: key.namespace.clone(),
            attempt,
        }),
        // With the host's network the runtime takes the host's name.
        hostname: if pod::host_network(pod) { String::new() } else { hostname(pod) },
        log_directory: logs::pod_dir(options, &key).display().to_string(),
        dns_config: dns(options, pod),
        port_mappings: if pod::host_network(pod) { Vec::new() } else { port_mappings(pod) },
        labels: marks,
        annotations: pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: cgroups::parent(options, pod),
            security_context: Some(security::sandbox(pod)),
            sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        }),
    }
}

/// The pod's host name, 63 bytes at most.
pub(crate) fn hostname(pod: &Pod) -> String {
    let wanted = pod::spec(pod).hostname.clone().filter(|name| !name.is_empty());
    let mut name = wanted.unwrap_or_else(|| pod::key(pod).name);
    name.truncate(name.floor_char_boundary(63));
    name.trim_end_matches(['-', '.']).to_owned()
}

/// Labels that tell whose sandbox or container it is.
pub(super) fn identity_labels(options: &Options, pod: &Pod) -> HashMap<String, String> {
    let key = pod::key(pod);
    let pairs = [
        (labels::POD_NAME, key.name),
        (labels::POD_NAMESPACE, key.namespace),
        (labels::POD_UID, key.uid),
        (labels::NODE, options.node_name.clone()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn port_mappings(pod: &Pod) -> Vec<v1::PortMapping> {
    let ports = pod::all_containers(pod).flat_map(|container| container.ports.iter().flatten());
    let mapped = ports.filter(|port| port.host_port.is_some_and(|port| port > 0));
    mapped
        .map(|port| v1::PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => v1::Protocol::Udp,
                Some("SCTP") => v1::Protocol::Sctp,
                _ => v1::Protocol::Tcp,
            }
            .into(),
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or_default(),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

/// `resolv.conf` of the pod; `None`: the runtime copies the host's.
fn dns(options: &Options, pod: &Pod) -> Option<v1::DnsConfig> {
    let spec = pod::spec(pod);
    let network = &options.network;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !pod::host_network(pod));
    let mut config = match policy {
        "None" => v1::DnsConfig::default(),
        _ if cluster && !network.cluster_dns.is_empty() => {
            let (namespace, domain) = (pod::key(pod).namespace, &network.cluster_domain);
            let searches = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            v1::DnsConfig {
                servers: network.cluster_dns.iter().map(ToString::to_string).collect(),
                searches: searches.to_vec(),
                options: vec!["ndots:5".to_owned()],
            }
        }
        _ if spec.dns_config.is_none() => return None,
        _ => host_dns(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
    };
    let own = spec.dns_config.clone().unwrap_or_default();
    append(&mut config.servers, own.nameservers.unwrap_or_default());
    append(&mut config.searches, own.searches.unwrap_or_default());
    for option in own.options.into_iter().flatten() {
        let name = option.name.unwrap_or_default();
        config.options.retain(|known| known.split(':').next() != Some(name.as_str()));
        config.options.push(option.value.map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
    }
    Some(config)
}

fn append(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn host_dns(resolv_conf: &str) -> v1::DnsConfig {
    let mut config = v1::DnsConfig::default();
    for line in resolv_conf.lines() {
        let mut words = line.split_whitespace();
        let keyword = words.next();
        let rest = words.map(str::to_owned);
        match keyword {
            Some("nameserver") => config.servers.extend(rest.take(1)),
            Some("search") => config.searches = rest.collect(),
            Some("options") => config.options = rest.collect(),
            _ => {}
        }
    }
    config
}
