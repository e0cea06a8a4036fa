//! Containers outlive the agent, its kill -9, and containerd's end.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use common::{TestNode, can_run_containers, container, is_ready, script};
use edgeward_pods::{Options, Pods};
use edgeward_service::Tasks;
use k8s_openapi::api::core::v1::PodStatus;

/// A script that notes each of its starts on the host.
fn noted(name: &str, folder: &Path) -> k8s_openapi::api::core::v1::Pod {
    let mut pod = script(name, &format!("echo start >> /notes/{name}; exec sleep 1000"));
    common::mount_host_path(&mut pod, "/notes", folder);
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_service_changes_nothing() {
    if !can_run_containers() {
        return;
    }
    let mut node = TestNode::start("t-keep", 8).await;
    let notes = node.path().join("notes");
    node.api.apply(noted("stays", &notes));
    node.api.apply(noted("goes", &notes));
    let before = node.wait_ready("stays").await;
    node.wait_ready("goes").await;
    let writes = node.api.status_writes("stays");
    // Down for a while, in which one pod is deleted for good.
    assert!(node.tasks.shutdown(Duration::from_secs(30)).await);
    node.api.delete_by_force("goes");
    node.start_again().await;
    node.api.apply(noted("new", &notes));
    node.wait_ready("new").await;
    assert_eq!(node.api.status("stays"), before);
    assert_eq!(node.api.status_writes("stays"), writes, "an unchanged status is not written again");
    assert_eq!(std::fs::read_to_string(notes.join("stays")).unwrap(), "start\n");
    while node.options.data_dir.join("pods/uid-goes").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // containerd dies: it comes back, the container never noticed, and its later end is.
    let pid = std::fs::read_to_string(node.options.run_dir.join("containerd.pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    node.api.apply(noted("later", &notes));
    node.wait_ready("later").await;
    assert_eq!(std::fs::read_to_string(notes.join("stays")).unwrap(), "start\n");
    kill_containers(&node.options, "stays");
    node.wait_for("stays", "restarted", |s| container(s).restart_count == 1 && is_ready(s)).await;
    // Running is announced before the script's first line has run.
    while std::fs::read_to_string(notes.join("stays")).unwrap() != "start\nstart\n" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_cannot_run_pods_is_told() {
    if !can_run_containers() {
        return;
    }
    let bin = tempfile::tempdir().unwrap();
    let program = bin.path().join("containerd");
    let installed = ["/usr/bin/containerd", "/usr/local/bin/containerd"].map(Path::new);
    let installed = installed.into_iter().find(|path| path.exists()).unwrap();
    std::os::unix::fs::symlink(installed, &program).unwrap();
    let node = TestNode::start_with("t-trouble", 15, |options| options.containerd.program.clone_from(&program)).await;
    let mut trouble = node.handle.trouble();
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, trouble.wait_for(Option::is_none)).await.unwrap().unwrap();

    std::fs::remove_file(&program).unwrap();
    let pid = std::fs::read_to_string(node.options.run_dir.join("containerd.pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    // The first that is heard may be the connection that broke.
    let named = |reason: &Option<String>| reason.as_deref().is_some_and(|reason| reason.contains("containerd"));
    let told = tokio::time::timeout(limit, trouble.wait_for(named)).await.is_ok();
    assert!(told, "told: {:?}", node.handle.trouble().borrow());

    std::os::unix::fs::symlink(installed, &program).unwrap();
    let over = tokio::time::timeout(limit, trouble.wait_for(Option::is_none)).await.is_ok();
    assert!(over, "still: {:?}", node.handle.trouble().borrow());
    node.finish().await;
}

/// Kills the processes of a pod from outside.
fn kill_containers(options: &Options, pod: &str) {
    let cgroup = format!("/sys/fs/cgroup/pids{}/kubepods/besteffort/poduid-{pod}", options.cgroup_root);
    for entry in std::fs::read_dir(cgroup).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        for pid in std::fs::read_to_string(entry.path().join("cgroup.procs")).unwrap().lines() {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.contains("sleep") {
                assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
            }
        }
    }
}

const FOLDER: &str = "EDGEWARD_PODS_TEST_FOLDER";

fn child_options(folder: &Path) -> Options {
    let mut options = Options::new("t-kill", &folder.join("d"), &folder.join("r"));
    options.log_dir = folder.join("log");
    options.images_dir = Some(folder.join("images"));
    options.network.pod_cidr = "10.88.9.0/24".into();
    options
}

/// Not a test by itself: the agent that the test below kills. Writes the pod's status to a file whenever it is ready,
/// until the file `stop` appears; then it empties the node.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let api = common::MemoryApi::new();
    let pod = noted("kept", &folder.join("notes"));
    let known: Option<PodStatus> =
        std::fs::read(folder.join("status")).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
    api.apply_with_status(pod, known);
    let tasks = Tasks::root("child");
    let handle = Pods::start(child_options(&folder), api.clone(), &tasks).await.unwrap();
    let status = api.wait_for_status("kept", is_ready).await;
    std::fs::write(folder.join("status"), serde_json::to_vec(&status).unwrap()).unwrap();
    // The service had time to look at what it adopted when this pod is there.
    api.apply(script("second", "exec sleep 1000"));
    api.wait_for_status("second", is_ready).await;
    std::fs::write(folder.join("running"), "").unwrap();
    while !folder.join("stop").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.stop_pods().await.unwrap();
    assert!(tasks.shutdown(Duration::from_secs(30)).await);
}

fn start_child(folder: &Path) -> Child {
    let _ = std::fs::remove_file(folder.join("running"));
    let program = std::env::current_exe().unwrap();
    Command::new(program).args(["child", "--exact", "--nocapture"]).env(FOLDER, folder).spawn().unwrap()
}

fn wait_running(child: &mut Child, folder: &Path) {
    while !folder.join("running").exists() {
        if child.try_wait().unwrap().is_some() {
            let log = std::fs::read_to_string(folder.join("d/containerd.log")).unwrap_or_default();
            panic!("the child ended early; containerd's log: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn containers_outlive_a_killed_agent_and_are_adopted() {
    if !can_run_containers() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("ewp").tempdir_in("/tmp").unwrap();
    let path = folder.path();
    std::fs::create_dir_all(path.join("images")).unwrap();
    std::fs::write(path.join("images/busybox.tar"), common::busybox_image(common::BUSYBOX)).unwrap();
    let mut child = start_child(path);
    wait_running(&mut child, path);
    let before = std::fs::read(path.join("status")).unwrap();
    let containerd = std::fs::read_to_string(path.join("r/containerd.pid")).unwrap();
    for _ in 0..2 {
        child.kill().unwrap();
        child.wait().unwrap();
        child = start_child(path);
        wait_running(&mut child, path);
        assert_eq!(std::fs::read_to_string(path.join("notes/kept")).unwrap(), "start\n", "started once");
        assert_eq!(std::fs::read(path.join("status")).unwrap(), before, "the same container with the same status");
        assert_eq!(
            std::fs::read_to_string(path.join("r/containerd.pid")).unwrap(),
            containerd,
            "containerd is adopted"
        );
    }
    std::fs::write(path.join("stop"), "").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!Path::new("/sys/fs/cgroup/pids/edgeward/t-kill").exists());
}
