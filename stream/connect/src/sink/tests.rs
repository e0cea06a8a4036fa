//! Batches and caches before a sink that fails when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use edgeward_engine::{Emission, Sink, SinkError};
use edgeward_functions::json::Printer;
use edgeward_service::Tasks;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::stage::{Behind, Staged};
use super::{Folder, SinkOptions};
use crate::Hosts;
use crate::testing::{emission, props, until};

/// A peer that can go away.
#[derive(Clone, Default)]
struct Peer {
    gone: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<String>>>,
}

impl Sink for Peer {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async {
            if self.gone.load(Ordering::SeqCst) {
                self.refused.fetch_add(1, Ordering::SeqCst);
                return Err(SinkError::Recoverable("gone".into()));
            }
            let mut text = Vec::new();
            emission.write_json(&Printer::default(), &mut text).unwrap();
            self.got.lock().push(String::from_utf8(text).unwrap());
            Ok(())
        })
    }
}

impl Peer {
    fn is_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
    }

    /// Waits until it has refused a message so often.
    async fn refused(&self, times: usize) {
        until(|| self.refused.load(Ordering::SeqCst) >= times).await;
    }

    async fn got(&self, expect: &[&str]) {
        until(|| self.got.lock().len() >= expect.len()).await;
        assert_eq!(*self.got.lock(), expect);
    }
}

struct Stage {
    peer: Peer,
    again: Peer,
    sink: Box<dyn Sink>,
}

fn stage(properties: Value, folder: Option<&std::path::Path>) -> Stage {
    let (peer, again) = (Peer::default(), Peer::default());
    let options = SinkOptions::read(&props(&properties), &Hosts::default()).unwrap();
    let place = folder.map(|folder| Folder::place(folder, "r", "test", &props(&properties)));
    let elsewhere = properties.get("resendDestination").map(|_| Box::new(again.clone()) as Box<dyn Sink>);
    let behind = Behind { sink: Box::new(peer.clone()), again: elsewhere };
    let mut sink = Staged::before(behind, &options, place, &Tasks::root("test"));
    sink.open();
    Stage { peer, again, sink }
}

impl Stage {
    async fn send(&mut self, rows: &[&str]) {
        for row in rows {
            // What is told here is the failure of an earlier message.
            let _ = self.sink.send(&emission(row)).await;
        }
    }
}

const A: &str = r#"[{"n":1}]"#;
const B: &str = r#"[{"n":2},{"n":3}]"#;
const C: &str = r#"[{"n":4}]"#;

#[tokio::test]
async fn rows_go_together() {
    let mut batch = stage(json!({"batchSize": 3}), None);
    batch.send(&[A, B, C]).await;
    batch.peer.got(&[r#"[{"n":1},{"n":2},{"n":3}]"#]).await;
    batch.sink.close().await;
    assert_eq!(batch.peer.got.lock().len(), 2, "the rest goes at the end");
    let mut linger = stage(json!({"lingerInterval": "20ms"}), None);
    linger.send(&[A]).await;
    linger.peer.got(&[A]).await;
    linger.send(&[C]).await;
    linger.peer.got(&[A, C]).await;
    linger.sink.close().await;
}

#[tokio::test]
async fn what_fails_is_sent_again_in_order() {
    let mut cached = stage(json!({"enableCache": true, "resendInterval": "5ms"}), None);
    cached.peer.is_gone(true);
    cached.send(&[A]).await;
    cached.peer.refused(2).await;
    let told = cached.sink.send(&emission(B)).await;
    assert!(told.is_err_and(|error| error.to_string() == "gone"), "a failure is told with the next message");
    assert!(cached.peer.got.lock().is_empty());
    cached.peer.is_gone(false);
    cached.send(&[C]).await;
    cached.peer.got(&[A, B, C]).await;
    cached.sink.close().await;
}

#[tokio::test]
async fn what_was_not_sent_is_sent_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let properties =
        json!({"enableCache": true, "memoryCacheThreshold": 2, "bufferPageSize": 1, "resendInterval": "5ms"});
    let mut first = stage(properties.clone(), Some(folder.path()));
    first.peer.is_gone(true);
    first.send(&[A, B, C, A, B]).await;
    first.sink.close().await;
    drop(first);
    // Nothing new comes: opening alone sends what waits.
    let mut second = stage(properties, Some(folder.path()));
    second.peer.got(&[A, B, C, A, B]).await;
    second.sink.close().await;
}

/// What the killed program and the one after it have in common.
fn on_disk(folder: &std::path::Path) -> Stage {
    let properties =
        json!({"enableCache": true, "memoryCacheThreshold": 2, "bufferPageSize": 2, "resendInterval": "5ms"});
    stage(properties, Some(folder))
}

const KILLED_IN: &str = "EDGEWARD_TEST_KILLED_IN";

/// Takes messages for a peer that is gone, and waits for its end.
#[tokio::test]
#[ignore = "the program that `pages_survive_kill_9` kills"]
async fn the_program_that_is_killed() {
    let Some(folder) = std::env::var_os(KILLED_IN) else { return };
    let mut cached = on_disk(folder.as_ref());
    cached.peer.is_gone(true);
    for number in 0..11 {
        cached.send(&[&format!(r#"[{{"n":{number}}}]"#)]).await;
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn pages_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sink::tests::the_program_that_is_killed", "--ignored"])
        .env(KILLED_IN, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pages = || {
        let folders = std::fs::read_dir(folder.path().join("r_r")).into_iter().flatten().flatten();
        let files = folders.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten().flatten());
        files.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "page")).count()
    };
    // 0 and 1 are in memory, 2 to 9 in pages of two, 10 waits for its page.
    until(|| pages() == 4).await;
    program.kill().unwrap();
    program.wait().unwrap();
    let mut next = on_disk(folder.path());
    let expect: Vec<String> = (2..10).map(|number| format!(r#"[{{"n":{number}}}]"#)).collect();
    next.peer.got(&expect.iter().map(String::as_str).collect::<Vec<_>>()).await;
    next.sink.close().await;
    drop(next);
    assert_eq!(pages(), 0);
}

#[tokio::test]
async fn a_queue_of_its_own_does_not_hold_up_new_messages() {
    let properties = json!({
        "enableCache": true, "resendInterval": "10ms", "resendAlterQueue": true, "resendIndicatorField": "again",
        "resendDestination": "elsewhere",
    });
    let mut altered = stage(properties, None);
    altered.again.is_gone(true);
    altered.peer.is_gone(true);
    altered.send(&[A]).await;
    altered.peer.refused(1).await;
    altered.again.refused(1).await;
    altered.peer.is_gone(false);
    altered.send(&[C]).await;
    until(|| altered.peer.got.lock().last().is_some_and(|last| last == C)).await;
    altered.again.is_gone(false);
    until(|| altered.again.got.lock().first().is_some_and(|first| first == r#"[{"again":true,"n":1}]"#)).await;
    altered.sink.close().await;
}
