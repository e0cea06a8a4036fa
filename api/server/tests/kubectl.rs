//! Real kubectl over TLS, current and as old as Debian's: the lab applied twice, and the everyday commands.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
#![allow(clippy::print_stderr, reason = "a test that leaves something out says so")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Api;
use edgeward_pki::Authority;
use edgeward_pki::tls::{ClientAuth, Versions, server_config};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

/// A server over TLS and a kubeconfig of its administrator.
struct Lab {
    _api: Api,
    folder: TempDir,
    kubectl: PathBuf,
}

/// Every kubectl of this machine. `KUBECTL_OLD` may name an old one (1.20 is still in Debian).
fn kubectls() -> Vec<PathBuf> {
    let old = std::env::var_os("KUBECTL_OLD").map(PathBuf::from);
    let found: Vec<PathBuf> =
        old.into_iter().chain([PathBuf::from("/usr/bin/kubectl")]).filter(|path| path.exists()).collect();
    if found.is_empty() {
        eprintln!("LEFT OUT: no kubectl on this machine (set KUBECTL_OLD or install /usr/bin/kubectl)");
    } else if std::env::var_os("KUBECTL_OLD").is_none() {
        eprintln!("LEFT OUT: kubectl 1.20; set KUBECTL_OLD to its path");
    }
    found
}

impl Lab {
    async fn start(kubectl: PathBuf) -> Self {
        let api = Api::start().await;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&folder.path().join("pki")).unwrap();
        let identity = authority.server_identity("server", &["127.0.0.1".to_owned()]).unwrap();
        let tls = server_config(&identity, authority.certificate(), ClientAuth::Optional, Versions::Kubeedge).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        api.server.serve(listener, tls, &api.tasks);
        let admin = authority.admin_identity().unwrap();
        let config = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: {}}}}}], \
             users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]}}",
            STANDARD.encode(authority.certificate_pem()),
            STANDARD.encode(admin.certificate_pem()),
            STANDARD.encode(admin.key_pem()),
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        Self { _api: api, folder, kubectl }
    }

    async fn run(&self, line: &str) -> Output {
        let mut command = Command::new(&self.kubectl);
        command
            .args(line.split_whitespace())
            .env("KUBECONFIG", self.folder.path().join("config"))
            .env("HOME", self.folder.path());
        tokio::time::timeout(std::time::Duration::from_secs(60), command.kill_on_drop(true).output())
            .await
            .unwrap()
            .unwrap()
    }

    /// Runs a command that must succeed and gives its output, runs of blanks made one.
    async fn ok(&self, line: &str) -> String {
        let output = self.run(line).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {line}: {out}{err}", self.kubectl.display());
        out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    /// Runs a command that must fail and gives what it says.
    async fn fails(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(!output.status.success(), "{line} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_is_applied_twice() {
    let lab_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/lab");
    if !lab_folder.exists() {
        eprintln!("LEFT OUT: {} is not there; the lab is not applied", lab_folder.display());
        return;
    }
    for kubectl in kubectls() {
        let lab = Lab::start(kubectl).await;
        for file in ["edge-app.yaml", "edge-autonomy.yaml"] {
            let path = lab_folder.join(file);
            // The second file names no namespace for its YurtAppSet.
            let apply = format!("apply -n edge-system -f {}", path.display());
            let apply = if file == "edge-app.yaml" { format!("apply -f {}", path.display()) } else { apply };
            let first = lab.ok(&apply).await;
            assert!(first.lines().count() > 1 && first.lines().all(|line| line.ends_with(" created")), "{first}");
            let second = lab.ok(&apply).await;
            assert!(second.lines().all(|line| line.ends_with(" unchanged")), "{second}");
            assert_eq!(first.lines().count(), second.lines().count());
        }
        let nodes = lab.ok("get nodes -l openyurt.io/is-edge-worker=true").await;
        assert!(nodes.starts_with("NAME STATUS ROLES AGE VERSION\nedge-node-1 Unknown <none> "), "{nodes}");
        let devices = lab.ok("get devices -n edge-system").await;
        assert!(devices.starts_with("NAME ") && devices.contains("\ntemperature-sensor-1 "), "{devices}");
        let united = lab.ok("get uniteddeployments -A").await;
        assert!(united.starts_with("NAMESPACE NAME READY WORKLOADTEMPLATE AGE\nedge-system cloud-sync "), "{united}");
        let pools = lab.ok("get nodepools").await;
        assert!(pools.starts_with("NAME TYPE READYNODES NOTREADYNODES"), "{pools}");
        let all = lab.ok("get all -n edge-system").await;
        for line in [
            "NAME READY UP-TO-DATE AVAILABLE AGE\ndeployment.apps/iot-processor 0/1 0 0 ",
            "service/iot-processor ClusterIP 10.43.",
        ] {
            assert!(all.contains(line), "{all}");
        }
        for line in [
            "describe node edge-node-1",
            "describe device temperature-sensor-1 -n edge-system",
            "describe deployment iot-processor -n edge-system",
        ] {
            assert!(lab.ok(line).await.starts_with("Name: "), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyday_commands() {
    for kubectl in kubectls() {
        let lab = Lab::start(kubectl).await;
        let manifest = lab.folder.path().join("web.yaml");
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    \
                    metadata: {labels: {app: web}}\n    spec: {containers: [{name: c, image: i}]}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
        std::fs::write(&manifest, text).unwrap();
        let manifest = manifest.display();
        let node = lab.folder.path().join("node.yaml");
        std::fs::write(&node, "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n").unwrap();
        let node = node.display();
        let steps = [
            (format!("apply -f {manifest}"), "configmap/settings created"),
            ("label deployment web tier=front".into(), "deployment.apps/web labeled"),
            ("annotate deployment web note=x".into(), "deployment.apps/web annotated"),
            ("scale deployment web --replicas=3".into(), "deployment.apps/web scaled"),
            ("patch deployment web -p {\"spec\":{\"replicas\":2}}".into(), "deployment.apps/web patched"),
            (
                "patch deployment web --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":4}]"
                    .into(),
                "deployment.apps/web patched",
            ),
            ("patch configmap settings --type=merge -p {\"data\":{\"c\":\"d\"}}".into(), "configmap/settings patched"),
            ("set image deployment/web c=new".into(), "deployment.apps/web image updated"),
            ("rollout restart deployment/web".into(), "deployment.apps/web restarted"),
            ("get deployment web -o jsonpath={.spec.replicas}".into(), "4"),
            ("get deployments".into(), "web 0/4 0 0"),
            ("get deployment web -o yaml".into(), "image: new"),
            ("get configmap settings -o jsonpath={.data}".into(), "\"c\":\"d\""),
            ("get namespaces".into(), "edge-system Active"),
            ("get svc".into(), "kubernetes ClusterIP 10.43.0.1 <none> 443/TCP"),
            ("get crd".into(), "nodepools.apps.openyurt.io "),
            (format!("create -f {node}"), "node/n1 created"),
            ("cordon n1".into(), "node/n1 cordoned"),
            ("get nodes".into(), "n1 Unknown,SchedulingDisabled <none>"),
            ("uncordon n1".into(), "node/n1 uncordoned"),
            ("taint node n1 k=v:NoSchedule".into(), "node/n1 tainted"),
            (format!("replace --force -f {node}"), "node/n1 replaced"),
            ("get events".into(), ""),
            ("get --raw /readyz".into(), "ok"),
            ("version".into(), "v1.34.0+edgeward"),
            ("api-resources --api-group=devices.kubeedge.io".into(), "devices"),
            ("wait --for=condition=Established crd/nodepools.apps.openyurt.io --timeout=5s".into(), "condition met"),
            ("delete configmap settings".into(), "configmap \"settings\" deleted"),
            (format!("delete -f {manifest} --ignore-not-found"), "deployment.apps \"web\" deleted"),
            ("get pods".into(), ""),
        ];
        for (line, expected) in steps {
            let said = lab.ok(&line).await;
            assert!(said.contains(expected), "{line}: {said}");
        }
        assert_eq!(lab.fails("get pod x").await, "Error from server (NotFound): pods \"x\" not found\n");
        assert!(lab.fails("delete namespace default").await.contains("this namespace may not be deleted"));
        // A stream of rows: the first line comes although nothing changes, then the watch is cut.
        let watched = Command::new("timeout")
            .args(["5", &lab.kubectl.to_string_lossy(), "get", "namespaces", "-w"])
            .env("KUBECONFIG", lab.folder.path().join("config"))
            .env("HOME", lab.folder.path())
            .output()
            .await
            .unwrap();
        assert!(String::from_utf8_lossy(&watched.stdout).contains("edge-system"));
    }
}
