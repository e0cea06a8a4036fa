//! kill -9 while writing: what was acknowledged is there, and nothing half-written is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

mod common;

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use common::{create, key, list};
use edgeward_store::{Options, SqliteStore, Store};

/// Set for the child: this binary run again writes into that datastore until it is killed.
const CHILD: &str = "EDGEWARD_STORE_CRASH_CHILD";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9() {
    if let Ok(path) = std::env::var(CHILD) {
        return write_until_killed(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut acknowledged = Vec::new();
    for life in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["acknowledged_writes_survive_kill_9", "--exact", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acks = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acked ").map(str::to_owned));
        let mut acks = acks.fuse();
        // A different moment of the writer's work in each life.
        acknowledged.extend(acks.by_ref().take(20 + 37 * life));
        child.kill().unwrap();
        acknowledged.extend(acks);
        child.wait().unwrap();

        let store = SqliteStore::open(&path, Options::default()).unwrap();
        let mut revisions = Vec::new();
        for ack in &acknowledged {
            let (name, revision) = ack.split_once(' ').unwrap();
            let entry = store.get(key(name)).await.unwrap().unwrap_or_else(|| panic!("{name} was acknowledged"));
            assert_eq!(entry.revision.to_string(), revision);
            revisions.push(entry.revision);
        }
        let stored = list(&store, None).await.unwrap().entries;
        assert_eq!(stored.len() as u64 + 1, store.revision(), "one object per revision, none in between lost");
        assert!(stored.len() >= acknowledged.len());
    }
    assert!(acknowledged.len() >= 400, "the child must have written something");
}

async fn write_until_killed(path: &str) {
    let store = SqliteStore::open(path, Options::default()).unwrap();
    let run = store.revision();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for turn in 0.. {
                let name = format!("run{run}/{writer}-{turn}");
                let entry = create(&store, &name, &"v".repeat(turn % 3000)).await.unwrap();
                // One write call per line: a line is whole or absent.
                std::io::stdout().write_all(format!("acked {name} {}\n", entry.revision).as_bytes()).unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
