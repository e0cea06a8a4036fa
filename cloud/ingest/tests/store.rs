//! The store as its users see it: exactly once, bounded, clear about failures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

use std::time::Duration;

use edgeward_ingest::{COUNTER_BITS, Error, GAP, Handle, Ingest, Options, Reader};
use edgeward_service::Tasks;
use edgeward_wire::{Limits, Record, Telemetry, TelemetryBuilder};
use proptest::prelude::*;

const EPOCH: u64 = 7;

fn seq(counter: u64) -> u64 {
    EPOCH << COUNTER_BITS | counter
}

fn readings(first: u64, count: u64) -> Telemetry {
    let mut builder = TelemetryBuilder::new(first, Limits::default());
    for offset in 0..count {
        let payload = format!("reading {}", first + offset);
        let id = if offset % 2 == 0 { "even" } else { "odd" };
        assert!(builder.push(Record {
            id,
            timestamp_ms: offset as i64,
            payload: payload.as_bytes(),
            ..Record::default()
        }));
    }
    builder.build()
}

fn gap(first: u64, last: u64) -> Telemetry {
    let mut builder = TelemetryBuilder::new(seq(last), Limits::default());
    assert!(builder.push(Record { id: GAP, payload: &seq(first).to_le_bytes(), ..Record::default() }));
    builder.build()
}

fn options(folder: &tempfile::TempDir) -> Options {
    Options { path: folder.path().join("deep/telemetry.db"), ..Options::default() }
}

async fn with_store<F: AsyncFnOnce(Handle)>(options: Options, body: F) {
    let tasks = Tasks::root("test");
    let handle = Ingest::start(options, &tasks).unwrap();
    body(handle).await;
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
}

/// Batches given as (first, count) or gaps as (first, last) lead to (contiguous, stored, lost, duplicates).
#[tokio::test]
async fn stores_each_number_once_and_answers_the_contiguous_end() {
    enum Send {
        Data(u64, u64),
        Gap(u64, u64),
    }
    use Send::{Data, Gap};
    let check = async |sends: &[Send], expect: (i64, u64, u64, u64)| {
        let folder = tempfile::tempdir().unwrap();
        with_store(options(&folder), async |handle| {
            let mut through = 0;
            for send in sends {
                let batch = match *send {
                    Data(first, count) => readings(seq(first), count),
                    Gap(first, last) => gap(first, last),
                };
                through = handle.store("n", batch).await.unwrap();
            }
            let totals = handle.reader().unwrap().totals().unwrap();
            let source = &totals[0];
            assert_eq!((source.through, source.stored, source.lost, source.duplicates), expect);
            assert_eq!(through, (EPOCH << COUNTER_BITS).wrapping_add_signed(expect.0));
            let held: u64 = handle.reader().unwrap().counts().unwrap().iter().map(|count| count.readings).sum();
            assert_eq!(held, expect.1);
        })
        .await;
    };
    check(&[Data(0, 0)], (-1, 0, 0, 0)).await;
    check(&[Data(0, 10)], (9, 10, 0, 0)).await;
    check(&[Data(0, 10), Data(10, 5)], (14, 15, 0, 0)).await;
    check(&[Data(0, 10), Data(0, 10)], (9, 10, 0, 10)).await;
    check(&[Data(0, 10), Data(5, 10)], (14, 15, 0, 5)).await;
    check(&[Data(5, 5)], (-1, 5, 0, 0)).await;
    check(&[Data(5, 5), Data(0, 5)], (9, 10, 0, 0)).await;
    check(&[Data(5, 5), Data(5, 5), Data(0, 6)], (9, 10, 0, 6)).await;
    check(&[Data(8, 2), Data(4, 2), Data(0, 4), Data(6, 2)], (9, 10, 0, 0)).await;
    check(&[Gap(0, 4), Data(5, 5)], (9, 5, 5, 0)).await;
    check(&[Data(5, 5), Gap(0, 4)], (9, 5, 5, 0)).await;
    check(&[Data(0, 3), Gap(3, 9)], (9, 3, 7, 0)).await;
    check(&[Data(0, 3), Gap(0, 9)], (9, 3, 7, 0)).await;
    check(&[Gap(5, 9), Data(0, 5)], (9, 5, 5, 0)).await;
    check(&[Gap(5, 9), Gap(10, 11), Data(0, 5)], (11, 5, 7, 0)).await;
    check(&[Data(6, 2), Gap(0, 9)], (9, 2, 8, 0)).await;
    check(&[Gap(0, 9), Data(6, 2)], (9, 0, 10, 2)).await;
    check(&[Gap(9, 3)], (-1, 0, 0, 0)).await;
}

#[tokio::test]
async fn a_wiped_node_counts_from_zero_in_another_epoch() {
    let folder = tempfile::tempdir().unwrap();
    with_store(options(&folder), async |handle| {
        assert_eq!(handle.store("n", readings(seq(0), 3)).await.unwrap(), seq(2));
        let other = 9 << COUNTER_BITS;
        assert_eq!(handle.store("n", readings(other, 2)).await.unwrap(), other + 1);
        assert_eq!(handle.store("m", readings(seq(0), 2)).await.unwrap(), seq(1));
        let reader = handle.reader().unwrap();
        let totals: Vec<_> =
            reader.totals().unwrap().into_iter().map(|t| (t.node, t.epoch, t.stored, t.duplicates)).collect();
        assert_eq!(totals, [("m".into(), 7, 2, 0), ("n".into(), 7, 3, 0), ("n".into(), 9, 2, 0)]);
        let last: Vec<_> = reader.last("n", None, 3).unwrap().into_iter().map(|r| (r.epoch, r.seq)).collect();
        assert_eq!(last, [(7, 2), (9, 0), (9, 1)]);
        let odd = reader.last("n", Some("odd"), 10).unwrap();
        assert_eq!(odd.iter().map(|r| r.stream.as_str()).collect::<Vec<_>>(), ["odd", "odd"]);
        assert_eq!(odd[0].payload, format!("reading {}", seq(1)).as_bytes());
    })
    .await;
}

#[tokio::test]
async fn refuses_what_breaks_the_numbering_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    with_store(Options { max_ahead: 4, ..options(&folder) }, async |handle| {
        let long = "n".repeat(254);
        for (node, batch) in [
            ("", readings(seq(0), 1)),
            (long.as_str(), readings(seq(0), 1)),
            ("n", readings(1 << 63, 1)),
            ("n", readings(seq((1 << COUNTER_BITS) - 1), 2)),
        ] {
            assert!(matches!(handle.store(node, batch).await, Err(Error::Invalid { .. })), "{node}");
        }
        assert_eq!(handle.reader().unwrap().totals().unwrap(), []);
        // Too far ahead: the first four numbers after the hole's start are taken, the rest is not.
        assert_eq!(handle.store("n", readings(seq(2), 10)).await.unwrap(), seq(0) - 1);
        assert_eq!(handle.reader().unwrap().totals().unwrap()[0].stored, 2);
        assert_eq!(handle.store("n", readings(seq(0), 2)).await.unwrap(), seq(3));
    })
    .await;
}

#[tokio::test]
async fn retention_deletes_the_oldest_and_still_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    with_store(Options { retention_bytes: 2_000, ..options(&folder) }, async |handle| {
        for batch in 0..50 {
            handle.store("n", readings(seq(batch * 10), 10)).await.unwrap();
        }
        // A store after the last deletion proves that the writer is done with it.
        assert_eq!(handle.store("n", readings(seq(0), 10)).await.unwrap(), seq(499));
        let reader = handle.reader().unwrap();
        let totals = &reader.totals().unwrap()[0];
        assert_eq!((totals.stored, totals.duplicates), (500, 10));
        let counts = reader.counts().unwrap();
        let (held, bytes) = counts.iter().fold((0, 0), |(n, b), count| (n + count.readings, b + count.bytes));
        assert!(held < 500 && bytes <= 2_000, "{held} readings of {bytes} bytes are held");
        let last = reader.last("n", None, 1000).unwrap();
        assert_eq!((last.len() as u64, last.last().unwrap().seq), (held, 499));
    })
    .await;
}

#[tokio::test]
async fn survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    with_store(options(&folder), async |handle| {
        handle.store("n", readings(seq(0), 100)).await.unwrap();
    })
    .await;
    with_store(options(&folder), async |handle| {
        assert_eq!(handle.store("n", readings(seq(50), 100)).await.unwrap(), seq(149));
    })
    .await;
    let totals = Reader::open(&options(&folder).path).unwrap().totals().unwrap();
    assert_eq!((totals[0].stored, totals[0].duplicates), (150, 50));
}

#[tokio::test]
async fn refuses_files_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::root("test");
    let path = folder.path().join("x.db");
    let start =
        || Ingest::start(Options { path: path.clone(), busy_timeout: Duration::ZERO, ..Options::default() }, &tasks);
    let check = |expect: &str| {
        let error = start().unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains("x.db"), "{error}");
    };
    std::fs::write(&path, "not a database, but long enough to be taken for one ".repeat(50)).unwrap();
    check("not usable");
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE foreign_table (x)").unwrap();
    check("another program");
    std::fs::remove_file(&path).unwrap();
    drop(start().unwrap());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    check("locked by another process");
    other.execute_batch("ROLLBACK; PRAGMA user_version = 99").unwrap();
    check("has version 99");
    drop(other);
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let error =
        Ingest::start(Options { path: folder.path().join("folder"), ..Options::default() }, &tasks).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(Reader::open(&folder.path().join("missing.db")).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_share_a_small_queue() {
    let folder = tempfile::tempdir().unwrap();
    let small = Options { queue_batches: 2, queue_bytes: 4096, ..options(&folder) };
    with_store(small, async |handle| {
        let mut sessions = tokio::task::JoinSet::new();
        for node in 0..8 {
            let handle = handle.clone();
            sessions.spawn(async move {
                for batch in 0..20 {
                    handle.store(&format!("n{node}"), readings(seq(batch * 50), 50)).await.unwrap();
                }
            });
        }
        sessions.join_all().await;
        let totals = handle.reader().unwrap().totals().unwrap();
        assert_eq!(totals.len(), 8);
        assert!(totals.iter().all(|t| (t.stored, t.through, t.duplicates) == (1000, 999, 0)));
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is sent in whatever order, the store holds the union, and its answer is the contiguous end of it.
    #[test]
    fn holds_the_union_of_what_was_sent(sends in proptest::collection::vec((0u64..200, 0u64..40), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(with_store(options(&folder), async |handle| {
            let mut seen = std::collections::BTreeSet::new();
            let mut sent = 0;
            for (first, count) in sends {
                let through = handle.store("n", readings(seq(first), count)).await.unwrap();
                seen.extend(first..first + count);
                sent += count;
                let contiguous = seen.iter().zip(0..).take_while(|(a, b)| **a == *b).count() as u64;
                assert_eq!(through, seq(0) + contiguous - 1);
            }
            let reader = handle.reader().unwrap();
            let totals = &reader.totals().unwrap()[0];
            assert_eq!((totals.stored, totals.duplicates), (seen.len() as u64, sent - seen.len() as u64));
            let held: Vec<_> = reader.last("n", None, 1000).unwrap().into_iter().map(|r| r.seq).collect();
            assert_eq!(held, seen.into_iter().collect::<Vec<_>>());
        }));
    }
}

/// A reading that says what makes it the one it is may come under several numbers: a device sends again what it got no
/// acknowledgement for, and the node cannot know it.
#[tokio::test]
async fn a_reading_with_an_identity_is_stored_once_under_whatever_number_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let batch = |first: u64, identities: &[&[u8]]| {
        let mut builder = TelemetryBuilder::new(seq(first), Limits::default());
        for identity in identities {
            assert!(builder.push(Record { id: "machine", timestamp_ms: 0, identity, payload: b"1" }));
        }
        builder.build()
    };
    with_store(options(&folder), async |handle| {
        assert_eq!(handle.store("n", batch(0, &[b"a", b"b", b"a", b"", b""])).await.unwrap(), seq(4));
        assert_eq!(handle.store("n", batch(5, &[b"b", b"c"])).await.unwrap(), seq(6));
        assert_eq!(handle.store("other", batch(0, &[b"a"])).await.unwrap(), seq(0), "identities are a node's own");
        let reader = handle.reader().unwrap();
        let totals = reader.totals().unwrap();
        assert_eq!((totals[0].stored, totals[0].duplicates, totals[1].stored), (5, 2, 1));
        assert_eq!(reader.last("n", Some("machine"), 100).unwrap().len(), 5);
    })
    .await;
}
