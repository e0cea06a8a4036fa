//! Rows become records, and their tokens wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgeward_engine::Ack;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::testing::{emission, request};
use crate::{CloudOutbox, CloudRecord, ConnectError, Hosts, MAX_APPEND_BYTES, MAX_RECORD_BYTES, registry};

#[derive(Default)]
struct Memory {
    records: Mutex<Vec<CloudRecord>>,
    full: AtomicBool,
    tried: Notify,
}

impl CloudOutbox for Memory {
    fn append<'a>(&'a self, records: &'a [CloudRecord]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.tried.notify_one();
            if self.full.load(Ordering::SeqCst) {
                return Err("disk full".into());
            }
            let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
            assert!(!records.is_empty() && bytes <= MAX_APPEND_BYTES);
            self.records.lock().extend_from_slice(records);
            Ok(())
        })
    }
}

#[tokio::test]
async fn each_row_is_a_record_with_time_and_identity() {
    let outbox = Arc::new(Memory::default());
    let hosts = Hosts { outbox: Some(outbox.clone()), ..Hosts::default() };
    let props = json!({"stream": "s", "timestampField": "ts", "identity": ["device", "n"]});
    let mut sink = registry::sink("cloud", &request(&props), &hosts).unwrap().sink;
    let long = "x".repeat(40);
    let rows = format!(r#"[{{"device":"d","n":1,"ts":5}},{{"device":"{long}","n":2}}]"#);
    sink.send(&emission(&rows)).await.unwrap();
    sink.send(&emission("[]")).await.unwrap();
    sink.close().await;
    let records = outbox.records.lock();
    assert_eq!((records.len(), &*records[0].stream), (2, "s"));
    assert_eq!((records[0].at, &records[0].identity[..]), (5, &b"\"d\" 1"[..]));
    assert_eq!(records[0].payload, br#"{"device":"d","n":1,"ts":5}"#);
    assert_eq!((records[1].at, records[1].identity.len()), (7, 32));
}

#[tokio::test]
async fn tokens_wait_for_the_disk() {
    let outbox = Arc::new(Memory::default());
    outbox.full.store(true, Ordering::SeqCst);
    let hosts = Hosts { outbox: Some(outbox.clone()), ..Hosts::default() };
    let request = request(&json!({}));
    for disk_recovers in [true, false] {
        outbox.full.store(true, Ordering::SeqCst);
        let mut sink = registry::sink("cloud", &request, &hosts).unwrap().sink;
        let (told, safe) = tokio::sync::oneshot::channel();
        let mut sent = emission(r#"[{"a":1}]"#);
        sent.acks.push(Ack::new(move |ok| told.send(ok).unwrap()));
        sink.send(&sent).await.unwrap();
        drop(sent);
        outbox.tried.notified().await;
        outbox.tried.notified().await;
        if disk_recovers {
            outbox.full.store(false, Ordering::SeqCst);
        } else {
            request.tasks.token().cancel();
        }
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), safe).await.unwrap(), Ok(disk_recovers));
        sink.close().await;
    }
}

#[tokio::test]
async fn there_must_be_an_outbox() {
    let made = registry::sink("cloud", &request(&json!({})), &Hosts::default());
    assert!(matches!(made.err(), Some(ConnectError::NotHere(_))));
}

#[tokio::test]
async fn large_results_are_appended_in_groups_and_too_large_rows_refused() {
    let outbox = Arc::new(Memory::default());
    let hosts = Hosts { outbox: Some(outbox.clone()), ..Hosts::default() };
    let mut sink = registry::sink("cloud", &request(&json!({})), &hosts).unwrap().sink;
    let row = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
    let rows = vec![row(MAX_RECORD_BYTES - 100); 3].join(",");
    sink.send(&emission(&format!("[{rows}]"))).await.unwrap();
    let refused = sink.send(&emission(&format!("[{}]", row(MAX_RECORD_BYTES)))).await;
    assert!(matches!(refused, Err(edgeward_engine::SinkError::Rejected(_))));
    sink.close().await;
    assert_eq!(outbox.records.lock().len(), 3);
}
