//! The outbox as drivers, rules and the link see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed unwrap in a test is a failed test"
)]

use std::path::Path;
use std::time::Duration;

use edgeward_agent::Error;
use edgeward_agent::outbox::{COUNTER_BITS, GAP, Options, Outbox};
use edgeward_service::Tasks;
use edgeward_wire::Record;
use proptest::prelude::*;

fn options(folder: &Path) -> Options {
    Options { folder: folder.join("outbox"), flush_interval: Duration::ZERO, ..Options::default() }
}

fn counter(seq: u64) -> u64 {
    seq & ((1 << COUNTER_BITS) - 1)
}

/// Opens the log, runs the body, and shuts down cleanly.
async fn with_outbox<T>(options: Options, body: impl AsyncFnOnce(&Outbox) -> T) -> T {
    let tasks = Tasks::root("test");
    let outbox = Outbox::open(options, &tasks).unwrap();
    let result = body(&outbox).await;
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
    result
}

async fn fill(outbox: &Outbox, count: usize) -> u64 {
    let mut last = 0;
    for number in 0..count {
        last = outbox.append("s", number as i64, format!("payload {number}").as_bytes()).await.unwrap();
    }
    last
}

/// Everything from the reader's place to the end, as (counter, payload).
async fn read_all(outbox: &Outbox) -> Vec<(u64, String)> {
    let mut reader = outbox.reader();
    let mut all = Vec::new();
    while reader.position() < outbox.status().next {
        let batch = tokio::time::timeout(Duration::from_millis(500), reader.next_batch()).await;
        // Damage at the very end leaves nothing to wait for.
        let Ok(batch) = batch else { break };
        let batch = batch.unwrap();
        all.extend(batch.records().map(|(seq, r)| (counter(seq), String::from_utf8(r.payload.to_vec()).unwrap())));
    }
    all
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("outbox"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn numbers_without_gaps_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 300, ..options(folder.path()) };
    let mut epochs = std::collections::BTreeSet::new();
    for round in 0..3 {
        with_outbox(small.clone(), async |outbox| {
            let last = fill(outbox, 20).await;
            assert_eq!(counter(last), round * 20 + 19);
            epochs.insert(last >> COUNTER_BITS);
            let group = outbox.append_all([]).await;
            assert!(matches!(group, Err(Error::Reading { .. })));
            let all = read_all(outbox).await;
            assert_eq!(all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (0..(round + 1) * 20).collect::<Vec<_>>());
            assert_eq!(all[25 % all.len()].1, format!("payload {}", 25 % all.len() % 20));
        })
        .await;
    }
    assert_eq!(epochs.len(), 1);
    assert!(segments(folder.path()).len() > 3);
    std::fs::remove_dir_all(folder.path().join("outbox")).unwrap();
    with_outbox(small, async |outbox| assert!(epochs.insert(fill(outbox, 1).await >> COUNTER_BITS))).await;
}

#[tokio::test]
async fn confirmed_segments_are_deleted_and_stay_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 300, ..options(folder.path()) };
    let kept = with_outbox(small.clone(), async |outbox| {
        let last = fill(outbox, 50).await;
        outbox.ack(last + 1);
        outbox.ack(u64::MAX);
        assert_eq!(outbox.status().unconfirmed, outbox.status().first, "a number never given out is ignored");
        outbox.ack(last - 20);
        let status = outbox.status();
        assert_eq!((counter(status.unconfirmed), counter(status.next), status.dropped), (30, 50, 0));
        assert!(status.first > last - 49 && status.first <= status.unconfirmed);
        assert_eq!(read_all(outbox).await.first().unwrap().0, 30);
        outbox.ack(last - 40);
        assert_eq!(counter(outbox.status().unconfirmed), 30, "confirmations do not go back");
        counter(status.first)
    })
    .await;
    with_outbox(small, async |outbox| {
        assert_eq!(read_all(outbox).await.first().unwrap().0, kept);
        outbox.ack(outbox.status().next - 1);
        assert_eq!(segments(folder.path()).len(), 1);
        assert_eq!(counter(fill(outbox, 1).await), 50);
    })
    .await;
}

#[tokio::test]
async fn what_the_bounds_force_out_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = Options { max_bytes: 2_000, ..options(folder.path()) };
    with_outbox(bounded, async |outbox| {
        let last = fill(outbox, 200).await;
        // The writer enforces the bound after it answered; the next answer proves that it is done.
        assert_eq!(outbox.append("s", 0, b"one more").await.unwrap(), last + 1);
        let status = outbox.status();
        assert!(status.bytes <= 2_000 + 500, "{status:?}");
        let read = read_all(outbox).await;
        assert_eq!(read.len() as u64 + status.dropped, 201);
        assert_eq!(read.last().unwrap().0, 200);
        assert_eq!(read.first().unwrap().0, status.dropped, "readers see the jump");
    })
    .await;
    let aged = Options { max_age: Duration::ZERO, ..options(folder.path()) };
    with_outbox(aged, async |outbox| {
        let next = outbox.append("s", 0, b"makes the writer look at the ages").await.unwrap();
        assert_eq!(counter(next), 201);
        let next = outbox.append("s", 0, b"again").await.unwrap();
        assert_eq!(read_all(outbox).await.iter().filter(|(seq, _)| *seq < 200).count(), 0);
        assert_eq!(counter(next), 202);
    })
    .await;
}

#[tokio::test]
async fn refuses_readings_it_could_never_send() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(Options { record_bytes: 100, ..options(folder.path()) }, async |outbox| {
        let long = "s".repeat(1025);
        for (stream, payload, expect) in [
            ("", &b"x"[..], "stream name must have"),
            (&long, b"x", "stream name must have"),
            (GAP, b"x", "reserved"),
            ("s", &[0; 100], "it has 101 bytes, the limit is 100"),
        ] {
            let error = outbox.append(stream, 0, payload).await.unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        assert_eq!(outbox.append("s", 0, &[0; 99]).await.unwrap(), outbox.status().first);
        assert_eq!(outbox.append("s", 0, &[]).await.unwrap(), outbox.status().first + 1);
    })
    .await;
}

#[tokio::test]
async fn a_reader_waits_and_sees_what_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(Options { segment_bytes: 100, ..options(folder.path()) }, async |outbox| {
        let mut reader = outbox.reader();
        for round in 0..20 {
            let writes = async {
                tokio::task::yield_now().await;
                fill(outbox, 1).await
            };
            let (batch, seq) = tokio::join!(reader.next_batch(), writes);
            let batch = batch.unwrap();
            assert_eq!((batch.first_seq(), batch.len(), counter(seq)), (seq, 1, round));
        }
    })
    .await;
}

#[tokio::test]
async fn damage_costs_the_rest_of_its_segment_only() {
    let folder = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 300, ..options(folder.path()) };
    with_outbox(small.clone(), async |outbox| fill(outbox, 50).await).await;
    let files = segments(folder.path());
    let mut bytes = std::fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[1], bytes).unwrap();
    with_outbox(small.clone(), async |outbox| {
        let all = read_all(outbox).await;
        assert!(all.len() < 50 && all.len() > 35, "{}", all.len());
        assert_eq!((all.first().unwrap().0, all.last().unwrap().0), (0, 49));
        fill(outbox, 1).await;
    })
    .await;
    // A head that lies costs the segment, and the log goes on.
    let mut bytes = std::fs::read(&files[2]).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&files[2], bytes).unwrap();
    with_outbox(small, async |outbox| assert_eq!(read_all(outbox).await.last().unwrap().0, 50)).await;
    assert!(files[2].with_extension("bad").exists());
}

#[tokio::test]
async fn one_process_owns_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(options(folder.path()), async |_| {
        let error = Outbox::open(options(folder.path()), &Tasks::root("second")).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
    })
    .await;
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Outbox::open(Options { folder: file, ..Options::default() }, &Tasks::root("third")).unwrap_err();
    assert!(error.to_string().contains("check that the folder exists"), "{error}");
}

/// Unmounts when the test ends, however it ends.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(kibibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "edgeward-test"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_keeps_what_was_accepted() {
    let Some(disk) = SmallDisk::mount(64) else {
        println!("LEFT OUT: outbox on a full disk; mounting a small file system needs root");
        return;
    };
    let folder = disk.0.path();
    let ballast = folder.join("ballast");
    with_outbox(options(folder), async |outbox| {
        let mut kept = 0;
        let error = loop {
            match outbox.append("s", 0, &[b'x'; 1000]).await {
                Ok(seq) => kept = counter(seq) + 1,
                Err(error) => break error,
            }
            if kept == 10 {
                std::fs::write(&ballast, vec![0; 30_000]).unwrap();
            }
        };
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert_eq!(read_all(outbox).await.len() as u64, kept);
        std::fs::remove_file(&ballast).unwrap();
        assert_eq!(counter(outbox.append("s", 0, b"after").await.unwrap()), kept, "no number is lost");
    })
    .await;
    with_outbox(options(folder), async |outbox| {
        assert_eq!(read_all(outbox).await.last().unwrap().1, "after");
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Wherever the last segment is cut off or scribbled on, the log opens, the records before that point are whole, and
    /// it goes on with the next number.
    #[test]
    fn any_torn_tail_is_cut(at in 0.0f64..1.0, junk in proptest::collection::vec(any::<u8>(), 0..64)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            with_outbox(options(folder.path()), async |outbox| fill(outbox, 30).await).await;
            let path = segments(folder.path()).pop().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(24 + ((bytes.len() - 24) as f64 * at) as usize);
            let cut = bytes.len();
            bytes.extend(&junk);
            std::fs::write(&path, bytes).unwrap();
            with_outbox(options(folder.path()), async |outbox| {
                let kept = read_all(outbox).await;
                let record = |number: usize| 8 + 11 + 1 + format!("payload {number}").len();
                let whole = (0..30).scan(24, |end, n| { *end += record(n); Some(*end) }).take_while(|end| *end <= cut).count();
                assert!(kept.len() >= whole && kept.len() <= 30, "{} of {whole}", kept.len());
                assert!(kept.iter().enumerate().all(|(n, (seq, payload))| *seq == n as u64 && *payload == format!("payload {n}")));
                assert_eq!(counter(fill(outbox, 1).await), kept.len() as u64);
            })
            .await;
        });
    }
}

#[tokio::test]
async fn groups_are_numbered_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(options(folder.path()), async |outbox| {
        let group = |name: &'static str| {
            (0..100).map(move |n| Record { id: name, timestamp_ms: n, payload: b"x", ..Record::default() })
        };
        let (a, b) = tokio::join!(outbox.append_all(group("a")), outbox.append_all(group("b")));
        let mut lasts = [counter(a.unwrap()), counter(b.unwrap())];
        lasts.sort_unstable();
        assert_eq!(lasts, [99, 199]);
        let batch = outbox.reader().next_batch().await.unwrap();
        let names: Vec<_> = batch.records().map(|(_, record)| (record.id, record.timestamp_ms)).collect();
        assert_eq!((names.len(), names[99].1, names[199].1), (200, 99, 99));
        assert!(names[..100].iter().all(|(name, _)| *name == names[0].0));
    })
    .await;
}
