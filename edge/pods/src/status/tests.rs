//! Cases: a pod's document, what the runtime has, what the status says.

use serde_json::{Value, json};

use super::*;
use crate::cri::v1;
use crate::worker::{ContainerView, View};

struct Case {
    spec: Value,
    /// Container name, instances newest first: `run`, `exit N`, `created`.
    containers: &'static [(&'static str, &'static [&'static str])],
    waiting: &'static [(&'static str, &'static str)],
    /// Phase, Ready, and `name=state(reason) restarts` for each container.
    expected: &'static str,
}

fn instance(text: &str, at: usize, of: usize) -> ContainerView {
    let count = of - 1 - at;
    let mut status = v1::ContainerStatus { id: format!("id{count}"), started_at: 5_000_000_000, ..Default::default() };
    status.metadata = Some(v1::ContainerMetadata { name: String::new(), attempt: count as u32 });
    let state = match text.split_once(' ') {
        Some(("exit", code)) => {
            status.exit_code = code.parse().unwrap();
            v1::ContainerState::ContainerExited
        }
        _ if text == "run" => v1::ContainerState::ContainerRunning,
        _ => v1::ContainerState::ContainerCreated,
    };
    status.set_state(state);
    ContainerView { sandbox_id: "s".into(), status }
}

fn check(case: &Case) {
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": case.spec })).unwrap();
    let mut view = View::default();
    view.sandboxes.push(v1::PodSandbox { id: "s".into(), ..Default::default() });
    for (name, list) in case.containers {
        let made = list.iter().enumerate().map(|(at, text)| instance(text, at, list.len())).collect();
        view.containers.insert((*name).to_owned(), made);
    }
    let waiting = case
        .waiting
        .iter()
        .map(|(name, reason)| ((*name).to_owned(), Waiting { reason: (*reason).to_owned(), message: String::new() }));
    let (waiting, none) = (waiting.collect(), BTreeMap::new());
    let status = build(&Seen {
        pod: &pod,
        view: &view,
        before: &PodStatus::default(),
        waiting: &waiting,
        probed: &BTreeMap::new(),
        messages: &none,
        pod_ips: &["10.0.0.2".to_owned()],
        host_ips: &["192.0.2.1".to_owned()],
        failure: None,
    });
    assert_eq!(summary(&status), case.expected, "{}", case.spec);
}

fn summary(status: &PodStatus) -> String {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
    let mut text = format!("{} Ready={}", status.phase.as_deref().unwrap(), ready.status);
    let lists = [&status.init_container_statuses, &status.container_statuses];
    for container in lists.into_iter().flatten().flatten() {
        let name_of = |state: &ContainerStateText| state.0.clone();
        let state = name_of(&describe(container.state.as_ref()));
        let last = name_of(&describe(container.last_state.as_ref()));
        text += &format!("; {}={state}", container.name);
        if !last.is_empty() {
            text += &format!(" last={last}");
        }
        text += &format!(" x{}", container.restart_count);
    }
    text
}

struct ContainerStateText(String);

fn describe(state: Option<&k8s_openapi::api::core::v1::ContainerState>) -> ContainerStateText {
    let state = state.cloned().unwrap_or_default();
    ContainerStateText(match (state.waiting, state.running, state.terminated) {
        (Some(waiting), ..) => waiting.reason.unwrap_or_default(),
        (_, Some(_), _) => "running".to_owned(),
        (.., Some(ended)) => format!("{}({})", ended.reason.unwrap_or_default(), ended.exit_code),
        _ => String::new(),
    })
}

#[test]
fn statuses_follow_the_kubelet() {
    let one = |policy: &str| json!({ "restartPolicy": policy, "containers": [{ "name": "a", "image": "i" }] });
    let init = |policy: &str| json!({ "restartPolicy": policy, "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] });
    let two = json!({ "containers": [{ "name": "b" }, { "name": "a" }] });
    let cases = [
        Case {
            spec: one("Always"),
            containers: &[],
            waiting: &[],
            expected: "Pending Ready=False; a=ContainerCreating x0",
        },
        Case {
            spec: one("Always"),
            containers: &[],
            waiting: &[("a", "ErrImagePull")],
            expected: "Pending Ready=False; a=ErrImagePull x0",
        },
        Case {
            spec: one("Always"),
            containers: &[("a", &["run"])],
            waiting: &[],
            expected: "Running Ready=True; a=running x0",
        },
        Case {
            spec: one("Always"),
            containers: &[("a", &["exit 1"])],
            waiting: &[],
            expected: "Running Ready=False; a=Error(1) x0",
        },
        Case {
            spec: one("Always"),
            containers: &[("a", &["exit 1", "exit 2"])],
            waiting: &[("a", "CrashLoopBackOff")],
            expected: "Running Ready=False; a=CrashLoopBackOff last=Error(1) x1",
        },
        Case {
            spec: one("Always"),
            containers: &[("a", &["run", "exit 0"])],
            waiting: &[],
            expected: "Running Ready=True; a=running last=Completed(0) x1",
        },
        Case {
            spec: one("Never"),
            containers: &[("a", &["exit 0"])],
            waiting: &[],
            expected: "Succeeded Ready=False; a=Completed(0) x0",
        },
        Case {
            spec: one("Never"),
            containers: &[("a", &["exit 3"])],
            waiting: &[],
            expected: "Failed Ready=False; a=Error(3) x0",
        },
        Case {
            spec: one("OnFailure"),
            containers: &[("a", &["exit 3"])],
            waiting: &[],
            expected: "Running Ready=False; a=Error(3) x0",
        },
        Case {
            spec: one("OnFailure"),
            containers: &[("a", &["exit 0", "exit 3"])],
            waiting: &[],
            expected: "Succeeded Ready=False; a=Completed(0) last=Error(3) x1",
        },
        Case {
            spec: two.clone(),
            containers: &[("a", &["run"])],
            waiting: &[],
            expected: "Pending Ready=False; a=running x0; b=ContainerCreating x0",
        },
        Case {
            spec: two,
            containers: &[("a", &["run"]), ("b", &["run"])],
            waiting: &[],
            expected: "Running Ready=True; a=running x0; b=running x0",
        },
        Case {
            spec: init("Always"),
            containers: &[],
            waiting: &[],
            expected: "Pending Ready=False; i=PodInitializing x0; a=PodInitializing x0",
        },
        Case {
            spec: init("Always"),
            containers: &[("i", &["run"])],
            waiting: &[],
            expected: "Pending Ready=False; i=running x0; a=PodInitializing x0",
        },
        Case {
            spec: init("Never"),
            containers: &[("i", &["exit 1"])],
            waiting: &[],
            expected: "Failed Ready=False; i=Error(1) x0; a=PodInitializing x0",
        },
        Case {
            spec: init("Always"),
            containers: &[("i", &["exit 0"]), ("a", &["run"])],
            waiting: &[],
            expected: "Running Ready=True; i=Completed(0) x0; a=running x0",
        },
    ];
    cases.iter().for_each(check);
}
