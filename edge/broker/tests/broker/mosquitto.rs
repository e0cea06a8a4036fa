//! mosquitto's command-line clients against this broker.

use std::process::Stdio;
use std::time::Duration;

use edgeward_broker::{Handle, Message, Options, QoS, SubscribeOptions};
use tokio::process::Command;

use crate::start;

fn installed() -> bool {
    let found = std::process::Command::new("mosquitto_pub").arg("--help").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: mosquitto-clients is not installed; interoperation with its clients is not tested");
    }
    found
}

fn command(program: &str, broker: &Handle, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    let port = broker.addresses()[0].port().to_string();
    command.args(["-h", "127.0.0.1", "-p", &port]).args(arguments).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> String {
    let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn mosquitto_publishes_and_subscribes() {
    if !installed() {
        return;
    }
    let (broker, _tasks) = start(Options::default()).await;
    let mut bus = broker.subscribe(&["lab/#"], SubscribeOptions::default()).unwrap();
    for (qos, version) in [("0", "mqttv311"), ("1", "mqttv311"), ("2", "mqttv31")] {
        run(&mut command("mosquitto_pub", &broker, &["-t", "lab/x", "-m", qos, "-q", qos, "-r", "-V", version])).await;
        let got = bus.recv().await;
        assert_eq!((&got.payload[..], got.qos as u8), (qos.as_bytes(), qos.parse().unwrap()));
    }
    let retained =
        run(&mut command("mosquitto_sub", &broker, &["-t", "lab/+", "-q", "2", "-C", "1", "-F", "%t %p %r"])).await;
    assert_eq!(retained, "lab/x 2 1\n");
}

#[tokio::test]
async fn a_mosquitto_session_is_kept_while_it_is_away() {
    if !installed() {
        return;
    }
    let (broker, _tasks) = start(Options::default()).await;
    let session = ["-i", "away", "-c", "-q", "1", "-t", "s/#"];
    run(command("mosquitto_sub", &broker, &session).arg("-E")).await;
    for payload in ["1", "2", "3"] {
        let message = Message::new("s/x", payload).unwrap().with_qos(QoS::AtLeastOnce);
        broker.publish(message).await.unwrap();
    }
    assert_eq!(run(command("mosquitto_sub", &broker, &session).args(["-C", "3"])).await, "1\n2\n3\n");
}
