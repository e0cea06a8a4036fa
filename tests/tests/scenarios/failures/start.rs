//! Programs that cannot start say why, and end.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use edgeward_tests::site::ports;
use edgeward_tests::{Cloud, Node, PATIENCE, Site, machine, say, scenario};

/// Runs a program that must not start: its exit code, and one last line that holds the words.
async fn refused(site: &Arc<Site>, what: &str, command: Command, code: i32, words: &[&str]) -> anyhow::Result<()> {
    let mut process = site.spawn(what, command)?;
    let (status, line) = process.wait(PATIENCE).await?;
    let said = process.said();
    anyhow::ensure!(status.code() == Some(code), "{what}: {status} instead of {code}: {said}");
    anyhow::ensure!(!said.contains("panicked"), "{what} panicked: {said}");
    // A command line that cannot be read is explained with its usage below the line.
    let told = said.lines().find(|line| line.starts_with("edgeward: ") || line.starts_with("error: ")).unwrap_or(&line);
    anyhow::ensure!(told.starts_with("edgeward: ") || told.starts_with("error: "), "{what}: no clear line: {said}");
    for word in words {
        anyhow::ensure!(told.contains(word), "{what}: {word:?} is not in {told:?}");
    }
    say(format!("{what}: {told}"));
    Ok(())
}

fn server(site: &Site, dir: &Path) -> Command {
    let mut command = site.command();
    let address = site.address(1);
    command.arg("server").arg("--data-dir").arg(dir);
    command.arg(format!("--bind-address={address}")).arg(format!("--hub-address={address}"));
    command.arg(format!("--https-listen-port={}", ports::API));
    command.arg(format!("--link-port={}", ports::LINK)).arg(format!("--enroll-port={}", ports::ENROLL));
    command
}

#[test]
fn used_ports_are_named() {
    scenario("used-ports", async |site| {
        for (port, flag) in [(ports::API, "--https-listen-port"), (ports::LINK, ""), (ports::ENROLL, "")] {
            let _taken = TcpListener::bind((site.address(1), port))?;
            let address = format!("{}:{port}", site.address(1));
            let command = server(&site, &site.dir().join("cloud"));
            refused(&site, &format!("server-{port}"), command, 1, &[&address, flag]).await?;
        }
        let cloud = Cloud::start(&site).await?;
        let token = cloud.token()?;
        for port in [ports::MQTT, ports::REST, ports::LOCAL_API] {
            let mut node = Node::new(&site, 1, "port-taken", cloud.address());
            let _taken = TcpListener::bind((node.mqtt().ip(), port))?;
            node.launch(Some(&token))?;
            let (status, line) = node.process()?.wait(PATIENCE).await?;
            anyhow::ensure!(status.code() == Some(1), "{status}: {line}");
            anyhow::ensure!(line.starts_with("edgeward: ") && line.contains(&port.to_string()), "{line}");
            say(line);
        }
        Ok(())
    });
}

#[test]
fn a_data_folder_belongs_to_one_process() {
    scenario("one-process", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut command = server(&site, &cloud.dir());
        command.arg("--https-listen-port=26444").arg("--link-port=21010").arg("--enroll-port=21012");
        refused(&site, "second-server", command, 1, &["another edgeward uses", "--data-dir"]).await?;
        let mut first = Node::new(&site, 1, "only", cloud.address());
        first.launch(Some(&cloud.token()?))?;
        first.ready(&cloud.api().await?).await?;
        let mut command = site.command();
        command.arg("agent").arg(format!("--server={}", cloud.address())).arg("--node-name=only").arg("--disable-pods");
        command.arg("--data-dir").arg(first.dir()).arg(format!("--mqtt-listen={}:1", site.address(20)));
        command.arg(format!("--link-port={}", ports::LINK)).arg(format!("--enroll-port={}", ports::ENROLL));
        command.arg(format!("--rest-listen={}:2", site.address(20)));
        command.arg(format!("--local-api-listen={}:3", site.address(20)));
        refused(&site, "second-agent", command, 1, &["in use by another process", "/only/"]).await?;
        first.process()?.check()?;
        cloud.process()?.check()
    });
}

#[test]
fn databases_that_cannot_be_used_are_named() {
    scenario("databases", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "damaged", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        node.stop().await?;
        cloud.stop().await?;
        // Each database of both programs, damaged, and the next one with the damage undone.
        for file in databases(&cloud.dir())? {
            let good = damage(&file)?;
            let name = file_name(&file);
            refused(&site, &format!("server-{name}"), server(&site, &cloud.dir()), 1, &[&name]).await?;
            std::fs::write(&file, good)?;
        }
        // A node goes on without the cloud, so it can be checked while the server is down.
        for file in databases(&node.dir())? {
            let good = damage(&file)?;
            let name = file_name(&file);
            node.launch(None)?;
            let (status, line) = node.process()?.wait(PATIENCE).await?;
            let clear = line.starts_with("edgeward: ") && line.contains(&name);
            anyhow::ensure!(status.code() == Some(1) && clear, "{name}: {status}: {line}");
            say(format!("agent-{name}: {line}"));
            std::fs::write(&file, good)?;
        }
        // A datastore of a later version is not touched.
        let state = cloud.dir().join("state.db");
        let later = rusqlite::Connection::open(&state)?;
        later.pragma_update(None, "user_version", 9_999)?;
        later.close().map_err(|(_, error)| error)?;
        let before = std::fs::read(&state)?;
        refused(&site, "newer", server(&site, &cloud.dir()), 1, &["state.db", "newer"]).await?;
        anyhow::ensure!(std::fs::read(&state)? == before, "a refused datastore was changed");
        Ok(())
    });
}

/// Every SQLite file below a folder.
fn databases(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(databases(&path)?);
        } else if std::fs::read(&path)?.starts_with(b"SQLite format 3") {
            found.push(path);
        }
    }
    anyhow::ensure!(found.len() < 20, "{found:?}");
    Ok(found)
}

/// Writes rubbish over the beginning; returns what was there.
fn damage(file: &Path) -> anyhow::Result<Vec<u8>> {
    let good = std::fs::read(file)?;
    let mut bad = good.clone();
    bad.iter_mut().take(200).for_each(|byte| *byte = 0x5a);
    std::fs::write(file, bad)?;
    Ok(good)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The program in a mount namespace where nothing is in /usr/bin.
fn without_containerd(site: &Site) -> Command {
    let mut command = Command::new("unshare");
    let hide = r#"mount -t tmpfs none /usr/bin && exec "$0" "$@""#;
    command.args(["--mount", "sh", "-c", hide]).arg(site.program()).env_remove("EDGEWARD_CONFIG");
    command
}

#[test]
fn a_missing_container_runtime_is_named() {
    scenario("no-containerd", async |site| {
        let cloud = Cloud::start(&site).await?;
        let mut command = if machine::is_root() { without_containerd(&site) } else { site.command() };
        command.arg("agent").arg(format!("--server={}", cloud.address())).arg("--node-name=no-runtime");
        command.arg("--data-dir").arg(site.dir().join("agent")).env("EDGEWARD_TOKEN", cloud.token()?);
        command.arg(format!("--link-port={}", ports::LINK)).arg(format!("--enroll-port={}", ports::ENROLL));
        command.arg(format!("--mqtt-listen={}:{}", site.address(11), ports::MQTT));
        command.arg(format!("--rest-listen={}:{}", site.address(11), ports::REST));
        command.arg(format!("--local-api-listen={}:{}", site.address(11), ports::LOCAL_API));
        let words: &[&str] = if machine::is_root() { &["containerd"] } else { &["root", "--disable-pods"] };
        refused(&site, "no-runtime", command, 1, words).await
    });
}

#[test]
fn flags_and_configuration_files_that_cannot_be_read_are_named() {
    scenario("flags", async |site| {
        let file = |name: &str, text: &str| {
            let path = site.dir().join(name);
            std::fs::write(&path, text).map(|()| format!("--config={}", path.display()))
        };
        let nested = file("nested.yaml", "node-label: {a: b}\n")?;
        let not_yaml = file("broken.yaml", "server: [\n")?;
        let list = file("list.yaml", "- server\n- agent\n")?;
        let unknown = file("unknown.yaml", "sever: cloud\n")?;
        let port = file("port.yaml", "link-port: many\n")?;
        let absent = format!("--config={}", site.dir().join("absent.yaml").display());
        let cases: [(&[&str], i32, &[&str]); 14] = [
            (&["agent", &nested], 64, &["nested.yaml", "node-label"]),
            (&["agent", &not_yaml], 64, &["broken.yaml", "YAML"]),
            (&["agent", &list], 64, &["list.yaml", "flag: value"]),
            (&["agent", &unknown], 64, &["--sever"]),
            (&["agent", &port], 64, &["--link-port", "many"]),
            (&["agent", &absent], 64, &["absent.yaml"]),
            (&["serve"], 64, &["serve"]),
            (&["server", "--https-listen-port=70000"], 64, &["--https-listen-port", "70000"]),
            (&["server", "--node-monitor-grace-period=5"], 64, &["--node-monitor-grace-period", "90s"]),
            (&["server", "--data-dir=/proc/nowhere"], 1, &["/proc/nowhere", "--data-dir"]),
            (&["agent", "--disable-pods", "--node-name=a"], 1, &["--server"]),
            (
                &["agent", "--disable-pods", "--node-name=a", "--server=x", "--node-label=a"],
                1,
                &["--node-label", "KEY=VALUE"],
            ),
            (
                &["agent", "--disable-pods", "--node-name=a", "--server=x", "--local-api-listen=0.0.0.0:1"],
                1,
                &["--local-api-listen", "loopback"],
            ),
            (&["token", "create", "--data-dir=/nowhere"], 1, &["/nowhere", "--data-dir"]),
        ];
        for (number, (arguments, code, words)) in cases.into_iter().enumerate() {
            let mut command = site.command();
            command.args(arguments);
            // What an agent would keep must not land in the machine's own folders.
            command.env("EDGEWARD_DATA_DIR", site.dir().join("data"));
            refused(&site, &format!("flags-{number}"), command, code, words).await?;
        }
        Ok(())
    });
}
