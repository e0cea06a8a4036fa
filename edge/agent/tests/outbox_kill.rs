//! What `append` answered survives kill -9.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed unwrap in a test is a failed test"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use edgeward_agent::outbox::{Options, Outbox};
use edgeward_service::Tasks;

const CHILD: &str = "EDGEWARD_OUTBOX_KILL_FOLDER";

fn open(folder: &Path, tasks: &Tasks) -> Outbox {
    let options = Options { folder: folder.to_owned(), segment_bytes: 20_000, ..Options::default() };
    Outbox::open(options, tasks).unwrap()
}

/// The writing process: appends from several tasks for ever and prints each number it was given.
#[tokio::main(flavor = "current_thread")]
async fn write_for_ever(folder: &Path) {
    let tasks = Tasks::root("child");
    let outbox = open(folder, &tasks);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let outbox = outbox.clone();
        writers.spawn(async move {
            loop {
                let seq = outbox.append("s", 0, &[b'x'; 60]).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "kept {seq}").unwrap();
                out.flush().unwrap();
            }
        });
    }
    writers.join_all().await;
}

#[test]
fn what_was_answered_survives_kill_9() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for round in 0..10u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_answered_survives_kill_9", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut kept = 0u64;
        // Killed after a number of answers that differs from round to round, then what was still in the pipe is read.
        while let Some(Ok(line)) = lines.next() {
            let Some(seq) = line.strip_prefix("kept ") else { continue };
            highest = highest.max(seq.parse().unwrap());
            kept += 1;
            if kept == 150 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(kept >= 150 + round * 37);
        check(folder.path(), highest);
    }
}

/// Everything from the first number to the highest answered one is there.
#[tokio::main(flavor = "current_thread")]
async fn check(folder: &Path, highest: u64) {
    let tasks = Tasks::root("parent");
    let outbox = open(folder, &tasks);
    let mut reader = outbox.reader();
    let mut expected = outbox.status().first;
    while reader.position() <= highest {
        let batch = reader.next_batch().await.unwrap();
        assert_eq!(batch.first_seq(), expected);
        expected = batch.last_seq() + 1;
    }
    assert!(expected > highest);
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
}
