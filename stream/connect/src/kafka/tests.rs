//! Records through the mock cluster of librdkafka and its command line program.

use serde_json::{Value, json};

use crate::peer::{Peer, run};
use crate::testing::{emission, request, start};
use crate::{Hosts, registry};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"lab\")";

/// A cluster of one broker that lives in a consumer, and its address. The consumer prints the records of topic `lab`.
async fn cluster() -> Option<(Peer, String)> {
    let script = "exec kcat -C -u -q -t lab -o beginning -b none -X test.mock.num.brokers=1 \
                  -f '%k %p %s %h\\n' 2>&1";
    Peer::installed("kcat")?;
    let mut peer = Peer::start("sh", &["-c", script])?;
    loop {
        if let Some((_, address)) = peer.line().await.rsplit_once("replaced with ") {
            return Some((peer, address.trim().to_owned()));
        }
    }
}

async fn printed(peer: &mut Peer) -> String {
    loop {
        let line = peer.line().await;
        // What it says of itself begins so.
        if !line.starts_with('%') && !line.starts_with('+') {
            return line;
        }
    }
}

fn produce(address: &str, lines: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    // Something to pack: librdkafka leaves alone what does not shrink.
    let padding = " ".repeat(2_000);
    std::fs::write(&file, lines.replace('}', &format!("{padding}}}"))).unwrap();
    for codec in CODECS {
        run(&["kcat", "-P", "-b", address, "-t", "lab", "-p", "0", "-z", codec, "-l", file.to_str().unwrap()]);
    }
}

#[tokio::test]
async fn records_pass() {
    let Some((mut peer, address)) = cluster().await else { return };
    let properties =
        json!({"brokers": address, "topic": "lab", "key": "{{.id}}", "headers": {"h": "{{.n}}"}, "sendSingle": true});
    let mut sink = registry::sink("kafka", &request(&properties), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"id":"a","n":1}]"#)).await.unwrap();
    let first = printed(&mut peer).await;
    assert!(first.starts_with("a ") && first.ends_with(r#" {"id":"a","n":1} h=1"#), "{first}");
    // The same key, the same partition.
    sink.send(&emission(r#"[{"id":"a","n":1},{"id":"a","n":1}]"#)).await.unwrap();
    assert_eq!([printed(&mut peer).await, printed(&mut peer).await], [first.clone(), first]);
    assert_eq!(sink.connection(), Some(edgeward_engine::Connection::Connected));
    for bad in ["a b", ""] {
        let mut all = properties.clone();
        all["topic"] = json!("{{.id}}");
        let mut sink = registry::sink("kafka", &request(&all), &Hosts::default()).unwrap().sink;
        assert!(sink.send(&emission(&format!(r#"[{{"id":"{bad}"}}]"#))).await.is_err());
    }
}

#[tokio::test]
async fn a_partition_is_read_from_now_on() {
    let Some((_peer, address)) = cluster().await else { return };
    produce(&address, "{\"old\":1}\n");
    let properties = json!({"brokers": address, "partition": 0});
    let mut running = start("kafka", STREAM, &properties, &Hosts::default()).unwrap();
    running.connected().await;
    produce(&address, "{\"a\":1}\n{\"a\":2}\n");
    for expect in [r#"{"a":1}"#, r#"{"a":2}"#].into_iter().cycle().take(2 * CODECS.len()) {
        assert_eq!(running.row().await, expect);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_group_goes_on_where_it_was() {
    let Some((_peer, address)) = cluster().await else { return };
    produce(&address, "{\"a\":1}\n");
    let properties: Value = json!({"brokers": address, "groupID": "g"});
    let mut running = start("kafka", STREAM, &properties, &Hosts::default()).unwrap();
    for _ in CODECS {
        assert_eq!(running.row().await, r#"{"a":1}"#);
    }
    // The position is kept when the rule is done with a record and the next answer has come: a record later at the latest.
    produce(&address, "{\"a\":2}\n");
    for _ in CODECS {
        assert_eq!(running.row().await, r#"{"a":2}"#);
    }
    running.stop().await;
    let mut running = start("kafka", STREAM, &properties, &Hosts::default()).unwrap();
    produce(&address, "{\"a\":3}\n");
    let mut rows = vec![running.row().await];
    while rows.last().is_none_or(|row| row != r#"{"a":3}"#) {
        rows.push(running.row().await);
    }
    assert!(!rows.contains(&r#"{"a":1}"#.to_owned()), "{rows:?}");
    running.stop().await;
}

/// A member of group `g` of another make. It prints what it reads of topic `lab`, and what the group gives it.
fn member(address: &str) -> Peer {
    let script = format!("exec kcat -u -b {address} -G g -X session.timeout.ms=10000 -f '%s\\n' lab 2>&1");
    Peer::start("sh", &["-c", &script]).unwrap()
}

/// Waits until the group gives a member so many partitions, and it reads them at their ends.
async fn given(peer: &mut Peer, count: usize) {
    loop {
        let line = peer.line().await;
        if line.split_once("assigned:").is_some_and(|(_, given)| given.matches("lab [").count() == count) {
            break;
        }
    }
    for _ in 0..count {
        while !peer.line().await.contains("Reached end of topic lab") {}
    }
}

/// One row to each partition: two are ours and two the other member's.
async fn shared(address: &str, ours: &mut crate::testing::Running, other: &mut Peer) {
    let folder = tempfile::tempdir().unwrap();
    for partition in 0..4 {
        let (number, file) = (partition.to_string(), folder.path().join("line"));
        std::fs::write(&file, format!("{{\"p\":{partition}}}\n")).unwrap();
        run(&["kcat", "-P", "-b", address, "-t", "lab", "-p", &number, "-l", file.to_str().unwrap()]);
    }
    let mut rows = vec![ours.row().await, ours.row().await];
    while rows.len() < 4 {
        rows.extend(Some(other.line().await).filter(|line| line.starts_with('{')));
    }
    rows.sort();
    let expect: Vec<String> = (0..4).map(|partition| format!("{{\"p\":{partition}}}")).collect();
    assert_eq!(rows, expect);
    assert!(ours.is_quiet());
}

#[tokio::test]
async fn a_group_shares_its_partitions() {
    let properties = |address: &str| json!({"brokers": address, "groupID": "g"});
    // We lead, and the other follows; then it leaves.
    let Some((_peer, address)) = cluster().await else { return };
    let mut ours = start("kafka", STREAM, &properties(&address), &Hosts::default()).unwrap();
    ours.connected().await;
    let mut other = member(&address);
    given(&mut other, 2).await;
    shared(&address, &mut ours, &mut other).await;
    ours.stop().await;
    // Our farewell gives the other everything.
    given(&mut other, 4).await;
    // The other leads, and we follow.
    let mut ours = start("kafka", STREAM, &properties(&address), &Hosts::default()).unwrap();
    given(&mut other, 2).await;
    shared(&address, &mut ours, &mut other).await;
    ours.stop().await;
}
