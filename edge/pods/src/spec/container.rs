//! What the runtime is told to make a container.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::env::{environment, expand};
use super::fields::Facts;
use super::mounts::{HostFiles, MadeMount, mounts};
use super::{labels, sandbox, security};
use crate::cri::v1;
use crate::references::References;
use crate::{Options, pod, resources};

/// Everything a container is made from.
pub(crate) struct ContainerInput<'a> {
    pub(crate) options: &'a Options,
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) image: &'a v1::Image,
    pub(crate) references: &'a References,
    pub(crate) facts: &'a Facts,
    pub(crate) volumes: &'a BTreeMap<String, MadeMount>,
    pub(crate) host_files: HostFiles,
    pub(crate) restart_count: u32,
    /// Memory of the machine, bytes.
    pub(crate) memory_capacity: i64,
}

/// The container's configuration. Fails with the message of `CreateContainerConfigError`.
pub(crate) fn container_config(input: &ContainerInput<'_>) -> Result<v1::ContainerConfig, String> {
    let ContainerInput { options, pod, container, image, .. } = *input;
    let variables = environment(pod, container, input.references, input.facts, &options.default_env)?;
    let words = |list: &Option<Vec<String>>| list.iter().flatten().map(|word| expand(word, &variables)).collect();
    let envs = variables.iter().map(|(key, value)| v1::KeyValue { key: key.clone(), value: value.clone() });
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt: input.restart_count }),
        image: Some(v1::ImageSpec { image: image.id.clone() }),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: envs.collect(),
        mounts: mounts(container, input.volumes, &input.host_files, &variables)?,
        labels: container_labels(options, pod, container),
        annotations: annotations(pod, container, input.restart_count),
        log_path: format!("{}/{}.log", container.name, input.restart_count),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(linux_resources(pod, container, input.memory_capacity)),
            security_context: Some(security::container(pod, container, image)?),
        }),
    })
}

/// What a running container must have been made from to be kept: its name and image. Other fields of a pod's
/// containers cannot change.
pub(crate) fn spec_hash(container: &Container) -> String {
    let text = format!("{}\0{}", container.name, container.image.as_deref().unwrap_or_default());
    crate::short_hash(text.as_bytes())
}

fn container_labels(options: &Options, pod: &Pod, container: &Container) -> HashMap<String, String> {
    let mut marks = sandbox::identity_labels(options, pod);
    marks.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    marks
}

fn annotations(pod: &Pod, container: &Container, restart_count: u32) -> HashMap<String, String> {
    let termination_path = container.termination_message_path.clone().unwrap_or_default();
    let policy = container.termination_message_policy.clone().unwrap_or_else(|| "File".to_owned());
    let pairs = [
        (labels::CONTAINER_HASH, spec_hash(container)),
        (labels::RESTART_COUNT, restart_count.to_string()),
        (labels::TERMINATION_PATH, termination_path),
        (labels::TERMINATION_POLICY, policy),
        // For an agent that finds the container and no longer has its pod.
        (labels::GRACE_PERIOD, pod::spec(pod).termination_grace_period_seconds.unwrap_or(30).to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn linux_resources(pod: &Pod, container: &Container, memory_capacity: i64) -> v1::LinuxContainerResources {
    let (requests, limits) = (resources::requests(container), resources::limits(container));
    let quota = resources::cpu_quota(limits.cpu_millis);
    v1::LinuxContainerResources {
        cpu_period: if quota > 0 { resources::CPU_PERIOD } else { 0 },
        cpu_quota: quota,
        cpu_shares: resources::cpu_shares(requests.cpu_millis),
        memory_limit_in_bytes: limits.memory,
        oom_score_adj: resources::oom_score_adj(resources::qos(pod), requests.memory, memory_capacity),
    }
}

/// Where the container's last words are read from, inside the container.
pub(crate) fn termination_path(container: &Container) -> &str {
    let path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    path.unwrap_or("/dev/termination-log")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(container: serde_json::Value) -> Result<v1::ContainerConfig, String> {
        let pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "u" }, "spec": {
            "containers": [container], "securityContext": { "fsGroup": 7, "runAsGroup": 8 } } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let folder = std::path::Path::new("/nowhere");
        container_config(&ContainerInput {
            options: &Options::new("node", folder, folder),
            pod: &pod,
            container: &pod::containers(&pod)[0],
            image: &v1::Image { id: "sha256:1".into(), username: "app".into(), ..Default::default() },
            references: &References::default(),
            facts: &Facts::default(),
            volumes: &BTreeMap::new(),
            host_files: HostFiles::default(),
            restart_count: 3,
            memory_capacity: 1 << 30,
        })
    }

    #[test]
    fn words_are_expanded_and_limits_are_set() {
        let made = config(json!({
            "name": "c", "image": "i", "command": ["$(A)", "$$(A)"], "args": ["-$(B)"],
            "env": [{ "name": "A", "value": "sh" }],
            "resources": { "limits": { "cpu": "200m", "memory": "256Mi" }, "requests": { "cpu": "100m" } },
        }))
        .unwrap();
        assert_eq!((made.command, made.args), (vec!["sh".to_owned(), "$(A)".to_owned()], vec!["-$(B)".to_owned()]));
        assert_eq!(made.log_path, "c/3.log");
        let resources = made.linux.unwrap().resources.unwrap();
        assert_eq!((resources.cpu_quota, resources.cpu_period, resources.cpu_shares), (20_000, 100_000, 102));
        assert_eq!(resources.memory_limit_in_bytes, 256 << 20);
    }

    #[test]
    fn users_and_privileges() {
        let context = |context: serde_json::Value| {
            let made = config(json!({ "name": "c", "image": "i", "securityContext": context }))?;
            made.linux.and_then(|linux| linux.security_context).ok_or_else(|| "none".to_owned())
        };
        let plain = context(json!({})).unwrap();
        assert_eq!((plain.run_as_username.as_str(), plain.run_as_user), ("app", None));
        assert_eq!((plain.run_as_group.map(|group| group.value), plain.supplemental_groups), (Some(8), vec![7]));
        assert!(plain.masked_paths.contains(&"/proc/kcore".to_owned()) && !plain.no_new_privs);
        let privileged = context(json!({ "privileged": true, "runAsUser": 5 })).unwrap();
        assert!(privileged.privileged && privileged.masked_paths.is_empty());
        assert_eq!(privileged.run_as_user.map(|user| user.value), Some(5));
        let refused = context(json!({ "runAsNonRoot": true })).unwrap_err();
        assert!(refused.contains("non-numeric user (app)"), "{refused}");
        assert!(
            context(json!({ "runAsNonRoot": true, "runAsUser": 0 })).unwrap_err().contains("breaks non-root policy")
        );
        assert!(context(json!({ "runAsNonRoot": true, "runAsUser": 9 })).is_ok());
    }

    #[test]
    fn only_name_and_image_make_another_container() {
        let hash = |json: serde_json::Value| spec_hash(&serde_json::from_value(json).unwrap());
        let first = hash(json!({ "name": "c", "image": "i" }));
        assert_eq!(first, hash(json!({ "name": "c", "image": "i", "env": [{ "name": "A" }] })));
        assert_ne!(first, hash(json!({ "name": "c", "image": "j" })));
    }
}
