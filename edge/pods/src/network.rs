//! The pod network: configuration for containerd's CNI plugins, and what they leave behind.

use std::path::PathBuf;

use serde_json::json;
use tokio::process::Command;

use crate::{Error, Options, files};

/// Folder of the CNI configuration, ours alone.
pub(crate) fn conf_dir(options: &Options) -> PathBuf {
    options.run_dir.join("cni/net.d")
}

/// The folder that holds the CNI plugins.
pub(crate) fn bin_dir(options: &Options) -> Result<PathBuf, Error> {
    let folders = &options.network.cni_bin_dirs;
    let found = folders.iter().find(|folder| folder.join("bridge").is_file());
    found
        .cloned()
        .ok_or_else(|| Error::NotInstalled { program: format!("the CNI plugin `bridge` (looked in {folders:?})") })
}

/// The bridge plugin switches this on; remembered so that it can be put back.
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Writes the network of this node's pods: a bridge with addresses from the pod CIDR, and host ports. Address
/// reservations live with the sockets: after a reboot no pod is left to hold one.
pub(crate) fn configure(options: &Options) -> Result<(), Error> {
    let network = &options.network;
    if network.bridge.len() > 15 || network.bridge.is_empty() {
        return Err(Error::Config(format!("bridge name {:?} must have 1 to 15 bytes", network.bridge)));
    }
    let list = json!({
        "cniVersion": "0.4.0",
        "name": name(options),
        "plugins": [
            {
                "type": "bridge",
                "bridge": network.bridge,
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": network.pod_cidr }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": options.run_dir.join("cni/addresses"),
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ],
    });
    let before = options.run_dir.join("ip_forward-before");
    if !before.exists()
        && let Ok(value) = std::fs::read(IP_FORWARD)
    {
        files::write_atomic(&before, &value, 0o644)?;
    }
    files::write_atomic(&conf_dir(options).join("10-edgeward.conflist"), list.to_string().as_bytes(), 0o644)
}

/// Chains the portmap plugin makes once and never removes.
const PORTMAP_CHAINS: [&str; 3] = ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"];

/// Removes the bridge and the packet filter chains that stay after the last pod, and puts IP forwarding back. A chain still used by another
/// program's pods is left alone.
pub(crate) async fn clean_up(options: &Options) {
    let mut link = Command::new("ip");
    link.args(["link", "delete", "dev", &options.network.bridge]);
    report(crate::command::run(link).await);
    let before = options.run_dir.join("ip_forward-before");
    if let Ok(value) = std::fs::read(&before) {
        let _ = std::fs::write(IP_FORWARD, value);
        let _ = std::fs::remove_file(before);
    }
    clean_up_chains(&name(options)).await;
}

/// Name of the CNI network; the plugins put it into the comments of their rules.
fn name(options: &Options) -> String {
    format!("edgeward-{}", options.network.bridge)
}

/// Removes the rules of this network that pods left (each pod's go with it, unless it vanished from the runtime), then
/// the chains that all networks share if nobody uses them any more.
async fn clean_up_chains(network: &str) {
    let Ok(rules) = iptables(&["-S"]).await else { return };
    let rules = String::from_utf8_lossy(&rules).into_owned();
    let own = |rule: &&str| rule.contains(&format!("name: \\\"{network}\\\""));
    let mut chains = Vec::new();
    for rule in rules.lines().filter(|rule| rule.starts_with("-A ")).filter(own) {
        let words = split_rule(rule);
        let built_in =
            words.get(1).is_some_and(|chain| !chain.starts_with("CNI-") || PORTMAP_CHAINS.contains(&chain.as_str()));
        if built_in {
            delete(rule).await;
            chains.extend(words.last().cloned());
        }
    }
    for chain in chains {
        report(iptables(&["-F", &chain]).await);
        report(iptables(&["-X", &chain]).await);
    }
    let Ok(rules) = iptables(&["-S"]).await else { return };
    let rules = String::from_utf8_lossy(&rules).into_owned();
    if rules.lines().any(|rule| rule.starts_with("-A CNI-HOSTPORT-DNAT")) {
        return;
    }
    for rule in rules.lines().filter(|rule| rule.starts_with("-A ")) {
        if PORTMAP_CHAINS.iter().any(|chain| rule.contains(&format!("-j {chain}"))) {
            delete(rule).await;
        }
    }
    for chain in PORTMAP_CHAINS.iter().filter(|chain| rules.contains(&format!("-N {chain}"))) {
        report(iptables(&["-F", chain]).await);
        report(iptables(&["-X", chain]).await);
    }
}

/// Deletes a rule given as `-A …`.
async fn delete(rule: &str) {
    let words = split_rule(rule);
    let mut arguments = vec!["-D"];
    arguments.extend(words.iter().skip(1).map(String::as_str));
    report(iptables(&arguments).await);
}

async fn iptables(arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let mut command = Command::new("iptables");
    command.args(["-w", "-t", "nat"]).args(arguments);
    crate::command::run(command).await
}

/// Splits a rule as `iptables -S` prints it: words, with quotes around comments and backslashes before quotes in them.
fn split_rule(rule: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut chars = rule.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(chars.next())),
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words
}

fn report<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "nothing to clean up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_split_as_iptables_prints_them() {
        let rule = r#"-A POSTROUTING -s 10.88.5.2/32 -m comment --comment "name: \"edgeward-ew-5943f175\" id: \"26e3\"" -j CNI-f0"#;
        let words = split_rule(rule);
        assert_eq!(words[..4], ["-A", "POSTROUTING", "-s", "10.88.5.2/32"]);
        assert_eq!(words[7], r#"name: "edgeward-ew-5943f175" id: "26e3""#);
        assert_eq!(words.last().map(String::as_str), Some("CNI-f0"));
    }
}
