//! The command line: one definition gives parsing, help and completions.
//!
//! Flags keep the names people know from k3s, kubelet and KubeEdge where the meaning is the same.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// The whole command, with repeated flags allowed: the last one wins, so that a flag overrides the configuration file.
pub(crate) fn command() -> clap::Command {
    Cli::command().args_override_self(true)
}

/// Kubernetes, device and stream platform from the data centre to the sensor.
#[derive(Debug, Parser)]
#[command(
    name = "edgeward",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub log: LogOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// What to log: error, warn, info, debug, or per room, as `info,edgeward_hub=debug`
    #[arg(long, global = true, env = "EDGEWARD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log
    #[arg(long, global = true, env = "EDGEWARD_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// File of flags: `name: value` lines for the flags of the command (default for server and agent:
    /// /etc/edgeward/config.yaml, if it exists)
    #[arg(long, global = true, env = "EDGEWARD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run cloud and one edge node in this process: a laptop, or a site with a single machine
    Up(UpOptions),
    /// Run the cloud: Kubernetes API, scheduler and controllers, hub for nodes, telemetry store
    Server(ServerOptions),
    /// Run an edge node: pods, devices, MQTT, rules, and the link to the cloud
    Agent(Box<AgentOptions>),
    /// Run the stream engine alone, with eKuiper's REST API
    Stream(StreamOptions),
    /// Work with streams and rules as eKuiper's `kuiper` does (also when the program is called by that name)
    Kuiper(crate::kuiper::KuiperOptions),
    /// Show the whole platform at work: a cloud, three factories, devices, rules and a link that is cut
    Demo(DemoOptions),
    /// Make tokens with which nodes join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look after nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Test rules
    #[command(subcommand)]
    Rule(crate::rule_test::RuleCommand),
    /// Show what the telemetry store holds
    Readings(ReadingsOptions),
    /// Simulate devices: MQTT clients and Modbus slaves
    #[command(subcommand)]
    Simulate(SimulateCommand),
    /// Print a completion script for a shell
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Hold the namespaces of a pod (the program of the pause image)
    #[command(hide = true)]
    Pause,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServerOptions {
    /// Where everything is kept
    #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward/server", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address of the Kubernetes API
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub bind_address: std::net::IpAddr,
    /// Port of the Kubernetes API
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub https_listen_port: u16,
    /// Where nodes join (HTTPS) and where they hold their sessions (WebSocket over mutual TLS)
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub hub_address: std::net::IpAddr,
    /// Port of KubeEdge's HTTPS endpoint for joining
    #[arg(long, default_value_t = 10002, value_name = "PORT")]
    pub enroll_port: u16,
    /// Port of the link
    #[arg(long, default_value_t = 10000, value_name = "PORT")]
    pub link_port: u16,
    /// More names and addresses by which clients and nodes reach this server
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub tls_san: Vec<String>,
    /// Where to write the administrator's kubeconfig (default: DATA-DIR/admin.kubeconfig)
    #[arg(long, env = "EDGEWARD_KUBECONFIG_OUTPUT", value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
    /// Network of Service addresses
    #[arg(long, default_value = "10.43.0.0/16", value_name = "CIDR")]
    pub service_cidr: String,
    /// How long a node may be silent before it counts as lost
    #[arg(long, default_value = "40s", value_parser = duration, value_name = "TIME")]
    pub node_monitor_grace_period: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentOptions {
    /// Where everything is kept
    #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward/agent", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The cloud: host name or address of a server's hub
    #[arg(long, env = "EDGEWARD_SERVER", value_name = "HOST")]
    pub server: Option<String>,
    /// Token from `edgeward token create`; needed for the first join only
    #[arg(long, env = "EDGEWARD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Name of this node (default: the machine's host name)
    #[arg(long, env = "EDGEWARD_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Labels the node registers with
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub node_label: Vec<String>,
    /// Address the node reports (default: the one that leads to the server)
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<std::net::IpAddr>,
    /// Port of the cloud's HTTPS endpoint for joining
    #[arg(long, default_value_t = 10002, value_name = "PORT")]
    pub enroll_port: u16,
    /// Port of the cloud's link
    #[arg(long, default_value_t = 10000, value_name = "PORT")]
    pub link_port: u16,
    /// Addresses of the MQTT broker
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "IP:PORT", value_delimiter = ',')]
    pub mqtt_listen: Vec<SocketAddr>,
    #[command(flatten)]
    pub rules: RulesOptions,
    /// Address of the node's own Kubernetes API, which answers without the cloud
    #[arg(long, default_value = "127.0.0.1:10550", value_name = "IP:PORT")]
    pub local_api_listen: SocketAddr,
    /// Folder of image archives that are imported at start (default: DATA-DIR/images)
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Socket of a containerd that already runs (default: start one)
    #[arg(long, env = "CONTAINER_RUNTIME_ENDPOINT", value_name = "SOCKET")]
    pub container_runtime_endpoint: Option<String>,
    /// Network of this node's pods
    #[arg(long, default_value = "10.42.0.0/24", value_name = "CIDR")]
    pub pod_cidr: String,
    /// Run no pods: devices, MQTT and rules only (needs no root)
    #[arg(long)]
    pub disable_pods: bool,
    /// Time between heartbeats to the cloud
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub heartbeat: Duration,
    /// End and remove all pods when the agent stops (otherwise they run on and are adopted at the next start)
    #[arg(long)]
    pub stop_pods: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UpOptions {
    /// Where everything is kept
    #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Name of the node (default: the machine's host name)
    #[arg(long, env = "EDGEWARD_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Run no pods: devices, MQTT and rules only (needs no root)
    #[arg(long)]
    pub disable_pods: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StreamOptions {
    /// Where streams, rules and their state are kept
    #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward/stream", value_name = "DIR")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub rules: RulesOptions,
}

/// What is said of streams and rules wherever they run.
#[derive(Clone, Debug, Args)]
pub(crate) struct RulesOptions {
    /// Address of the rules' REST API (default: restIp and restPort of kuiper.yaml, else 127.0.0.1:9081)
    #[arg(long, value_name = "IP:PORT")]
    pub rest_listen: Option<SocketAddr>,
    /// eKuiper's etc folder: kuiper.yaml, configurations of sources, sinks and connections, init.json, and in mgmt the
    /// public keys of those who may call (default: etc in the folder that KuiperBaseKey names)
    #[arg(long, value_name = "DIR")]
    pub etc: Option<PathBuf>,
    /// Folder of JSON command files, executed at start and when they change, as kuiper-kubernetes-tool does
    #[arg(long, value_name = "DIR")]
    pub command_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoOptions {
    /// End after the last stage with a summary, exit code 0 only if every stage held
    #[arg(long)]
    pub once: bool,
    /// Working folder; emptied at start
    #[arg(long, default_value = "/var/lib/edgeward/demo", value_name = "DIR")]
    pub dir: PathBuf,
    /// Readings of the large machine, as `timestamp,value` lines (default: the real data set if it is beside the
    /// project, otherwise a generated one)
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Folder of Kubernetes manifests to apply (default: the project's own)
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it
    Create {
        /// The server's data folder
        #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward/server", value_name = "DIR")]
        data_dir: PathBuf,
        /// How long nodes can join with it
        #[arg(long, default_value = "24h", value_parser = duration, value_name = "TIME")]
        ttl: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Let a re-installed machine join again under a name that another key holds
    Forget {
        /// Name of the node
        name: String,
        /// The administrator's kubeconfig
        #[arg(
            long,
            env = "KUBECONFIG",
            default_value = "/var/lib/edgeward/server/admin.kubeconfig",
            value_name = "FILE"
        )]
        kubeconfig: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReadingsOptions {
    /// The server's data folder
    #[arg(long, env = "EDGEWARD_DATA_DIR", default_value = "/var/lib/edgeward/server", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Show the last readings of this node instead of counts
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only this stream
    #[arg(long, value_name = "NAME", requires = "node")]
    pub stream: Option<String>,
    /// How many readings
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub limit: usize,
    /// How to print
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: OutputFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Table,
    Json,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SimulateCommand {
    /// MQTT clients that publish readings
    Mqtt(SimulateMqttOptions),
    /// Modbus TCP slaves on one port
    Modbus(SimulateModbusOptions),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateMqttOptions {
    /// The broker
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "IP:PORT")]
    pub broker: SocketAddr,
    /// Devices as NAMESPACE/PREFIX; clients are named PREFIX-1, PREFIX-2, …
    #[arg(long, default_value = "default/sensor", value_name = "NAME")]
    pub devices: String,
    /// How many clients
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub count: usize,
    /// Publish JSON readings to this topic instead of KubeEdge's twin topics; {namespace} and {device} are replaced
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Replay this file of `timestamp,value` lines instead of generated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Readings per second of each client; 0: as fast as they are acknowledged
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    pub rate: f64,
    /// MQTT quality of service
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1), value_name = "QOS")]
    pub qos: u8,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateModbusOptions {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:1502", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Slaves, with unit ids from 1
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub count: u8,
    /// Replay this file of `timestamp,value` lines instead of generated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Changes of each value per second
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    pub rate: f64,
}

/// `90s`, `1.5h`, `2h30m`, `250ms`: Go's durations, as kubectl and k3s take them.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a time; write it as 90s, 15m, 2h30m or 250ms");
    let (mut rest, mut total) = (text.trim(), 0.0_f64);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += number * seconds;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn durations_are_written_as_in_go() {
        let cases = [
            ("90s", Some(90_000)),
            ("2h30m", Some(9_000_000)),
            ("250ms", Some(250)),
            ("1.5h", Some(5_400_000)),
            ("5", None),
            ("", None),
            ("3x", None),
            ("ms", None),
            ("1e400s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text).ok().map(|time| time.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn the_last_of_repeated_flags_wins() {
        use clap::FromArgMatches as _;
        let matches =
            command().try_get_matches_from(["edgeward", "server", "--link-port=1", "--link-port=2"]).expect("valid");
        let Command::Server(options) = Cli::from_arg_matches(&matches).expect("valid").command else {
            panic!("not a server")
        };
        assert_eq!(options.link_port, 2);
    }
}
