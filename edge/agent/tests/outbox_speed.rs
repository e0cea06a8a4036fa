//! How many readings a second are kept on this machine. Run with `--ignored --nocapture` on a release build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed unwrap in a test is a failed test"
)]

use std::time::{Duration, Instant};

use edgeward_agent::outbox::{Options, Outbox};
use edgeward_service::Tasks;

const READINGS: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn readings_per_second() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("bench");
    let outbox = Outbox::open(Options { folder: folder.path().to_owned(), ..Options::default() }, &tasks).unwrap();
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let outbox = outbox.clone();
        writers.spawn(async move {
            for _ in 0..READINGS / 500 {
                outbox.append("factory/line-1/temperature", 0, &[b'x'; 80]).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let written = start.elapsed();
    let start = Instant::now();
    let mut reader = outbox.reader();
    let mut read = 0;
    while read < READINGS {
        read += reader.next_batch().await.unwrap().len();
    }
    let per_second = |time: Duration| (READINGS as f64 / time.as_secs_f64()) as u64;
    println!("append: {}/s from 500 tasks, read: {}/s", per_second(written), per_second(start.elapsed()));
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
}
