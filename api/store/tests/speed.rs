//! Numbers for people: `cargo test --release -p edgeward-store --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "measures and prints; promises nothing")]

mod common;

use std::time::{Duration, Instant};

use common::{create, list, scope, update};
use edgeward_store::{Options, SqliteStore, Store};
use futures::StreamExt;

const KEYS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, proves nothing"]
async fn speed() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, Options::default()).unwrap();
    let value = "v".repeat(1000);

    let mut latencies = Vec::new();
    for turn in 0..300 {
        let start = Instant::now();
        create(&store, &format!("lone/{turn}"), &value).await.unwrap();
        latencies.push(start.elapsed());
    }
    latencies.sort();
    println!("lone writer: p50 {:?}, p99 {:?}", latencies[150], latencies[297]);

    let mut watches: Vec<_> = (0..300).map(|_| store.watch(scope(Some("busy")), store.revision()).unwrap()).collect();
    let start = Instant::now();
    let writers = (0..KEYS).map(|writer| {
        let (store, value) = (store.clone(), value.clone());
        tokio::spawn(async move {
            let name = format!("busy/{writer}");
            let mut revision = create(&store, &name, &value).await.unwrap().revision;
            let mut latencies = Vec::new();
            for turn in 0..200 {
                let start = Instant::now();
                revision = update(&store, &name, &format!("{turn}{value}"), revision).await.unwrap().revision;
                latencies.push(start.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        latencies.extend(writer.await.unwrap());
    }
    latencies.sort();
    let (count, took) = (latencies.len() + KEYS, start.elapsed());
    let rate = count as f64 / took.as_secs_f64();
    println!(
        "{KEYS} writers: {rate:.0} writes/s, p50 {:?}, p99 {:?}",
        latencies[count / 2],
        latencies[count * 99 / 100 - KEYS]
    );

    let start = Instant::now();
    for watch in &mut watches {
        assert_eq!(watch.take(count).count().await, count);
    }
    println!("300 watches read {count} changes each in {:?}", start.elapsed());

    let start = Instant::now();
    let entries = list(&store, None).await.unwrap().entries.len();
    println!("list of {entries}: {:?}; file {} KiB", start.elapsed(), std::fs::metadata(&path).unwrap().len() / 1024);
}
