//! Users, capabilities, namespaces: `securityContext` of pod and container.

use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};

use crate::cri::v1;
use crate::pod;

/// Hidden from containers that are not privileged: the runtimes' usual list.
const MASKED_PATHS: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The sandbox's part: namespaces and the user of the pause process.
pub(super) fn sandbox(pod: &Pod) -> v1::LinuxSandboxSecurityContext {
    let context = pod::spec(pod).security_context.clone().unwrap_or_default();
    let privileged = pod::all_containers(pod).any(is_privileged);
    v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: context.run_as_user.map(|value| v1::Int64Value { value }),
        // The runtime refuses a group without a user.
        run_as_group: context.run_as_user.and(context.run_as_group).map(|value| v1::Int64Value { value }),
        supplemental_groups: groups(pod),
        privileged,
        seccomp: Some(seccomp(context.seccomp_profile.as_ref())),
    }
}

/// The container's part. Fails with the message of `CreateContainerConfigError`.
pub(super) fn container(
    pod: &Pod,
    container: &Container,
    image: &v1::Image,
) -> Result<v1::LinuxContainerSecurityContext, String> {
    let of_pod = pod::spec(pod).security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        refuse_root(pod, container, user, image)?;
    }
    let privileged = is_privileged(container);
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths =
        |list: &[&str]| if unmasked { Vec::new() } else { list.iter().map(|path| (*path).to_owned()).collect() };
    let image_user = image.uid.or_else(|| image.username.is_empty().then_some(v1::Int64Value { value: 0 }));
    let by_number = user.map(|value| v1::Int64Value { value }).or(image_user);
    Ok(v1::LinuxContainerSecurityContext {
        capabilities: own.capabilities.map(|capabilities| v1::Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
        }),
        privileged,
        namespace_options: Some(namespaces(pod)),
        run_as_username: if by_number.is_none() { image.username.clone() } else { String::new() },
        run_as_user: by_number,
        run_as_group: own.run_as_group.or(of_pod.run_as_group).map(|value| v1::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READONLY_PATHS),
        seccomp: Some(seccomp(own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref()))),
    })
}

pub(super) fn is_privileged(container: &Container) -> bool {
    container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true))
}

fn refuse_root(pod: &Pod, container: &Container, user: Option<i64>, image: &v1::Image) -> Result<(), String> {
    let about = format!(
        "(pod: \"{}_{}({})\", container: {})",
        pod::key(pod).name,
        pod::key(pod).namespace,
        pod::key(pod).uid,
        container.name
    );
    match (user, image.uid) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {about}")),
        (Some(_), _) => Ok(()),
        (None, Some(uid)) if uid.value != 0 => Ok(()),
        (None, None) if !image.username.is_empty() => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {about}",
            image.username
        )),
        (None, _) => Err(format!("container has runAsNonRoot and image will run as root {about}")),
    }
}

fn groups(pod: &Pod) -> Vec<i64> {
    let context = pod::spec(pod).security_context.clone().unwrap_or_default();
    context.fs_group.into_iter().chain(context.supplemental_groups.unwrap_or_default()).collect()
}

fn namespaces(pod: &Pod) -> v1::NamespaceOption {
    let spec = pod::spec(pod);
    let host =
        |wanted: Option<bool>| if wanted == Some(true) { v1::NamespaceMode::Node } else { v1::NamespaceMode::Pod };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => v1::NamespaceMode::Node,
        (_, Some(true)) => v1::NamespaceMode::Pod,
        _ => v1::NamespaceMode::Container,
    };
    v1::NamespaceOption { network: host(spec.host_network).into(), pid: pid.into(), ipc: host(spec.host_ipc).into() }
}

/// Unset means unconfined, as for a kubelet without `seccompDefault`.
fn seccomp(profile: Option<&SeccompProfile>) -> v1::SecurityProfile {
    use crate::cri::v1::security_profile::ProfileType;
    let (kind, localhost_ref) = match profile.map(|profile| (profile.type_.as_str(), &profile.localhost_profile)) {
        Some(("RuntimeDefault", _)) => (ProfileType::RuntimeDefault, String::new()),
        Some(("Localhost", path)) => {
            (ProfileType::Localhost, format!("/var/lib/kubelet/seccomp/{}", path.as_deref().unwrap_or_default()))
        }
        _ => (ProfileType::Unconfined, String::new()),
    };
    v1::SecurityProfile { profile_type: kind.into(), localhost_ref }
}
