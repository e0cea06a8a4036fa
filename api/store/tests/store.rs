//! What the store promises, on a file and in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

mod common;

use std::time::Duration;

use common::{create, delete, key, list, scope, settle, show, show_change, update};
use edgeward_store::{ListQuery, Options, SqliteStore, Store, StoreError, Write};
use futures::{FutureExt, StreamExt};

/// Runs a case on a file and in memory, with the same limits.
async fn on_both<F: AsyncFn(&SqliteStore)>(options: Options, case: F) {
    let folder = tempfile::tempdir().unwrap();
    case(&SqliteStore::open(folder.path().join("store.db"), options.clone()).unwrap()).await;
    case(&SqliteStore::in_memory_with(options).unwrap()).await;
}

async fn take(watch: &mut edgeward_store::Watch, count: usize) -> Vec<String> {
    watch.take(count).map(|change| show_change(&change.unwrap())).collect().await
}

#[tokio::test]
async fn writes_number_the_whole_store_and_check_what_they_expect() {
    on_both(Options::default(), async |store| {
        assert_eq!(store.revision(), 1);
        let first = create(store, "a/x", "1").await.unwrap();
        assert_eq!((first.created, first.revision), (2, 2));
        assert_eq!(create(store, "n1", "node").await.unwrap().revision, 3);
        let second = update(store, "a/x", "2", 2).await.unwrap();
        assert_eq!((second.created, second.revision), (2, 4));

        assert!(matches!(create(store, "a/x", "9").await, Err(StoreError::Exists(_))));
        assert!(matches!(update(store, "a/x", "9", 2).await, Err(StoreError::Conflict { expected: 2, actual: 4, .. })));
        assert!(matches!(update(store, "a/y", "9", 2).await, Err(StoreError::NotFound(_))));
        assert!(matches!(delete(store, "a/x", Some(3)).await, Err(StoreError::Conflict { .. })));
        assert!(matches!(delete(store, "a/y", None).await, Err(StoreError::NotFound(_))));
        assert_eq!(store.revision(), 4, "refused writes make no revision");

        let same = update(store, "a/x", "2", 4).await.unwrap();
        assert_eq!(same.revision, 4, "equal bytes make no revision");

        assert_eq!(delete(store, "a/x", Some(4)).await.unwrap().revision, 5);
        assert!(store.get(key("a/x")).await.unwrap().is_none());
        let again = create(store, "a/x", "3").await.unwrap();
        assert_eq!((again.created, again.revision), (6, 6));
        assert_eq!(store.get(key("n1")).await.unwrap().unwrap().revision, 3);
    })
    .await;
}

#[tokio::test]
async fn a_write_too_large_is_refused_before_the_disk() {
    on_both(Options { max_value_bytes: 3, ..Options::default() }, async |store| {
        let refused = create(store, "a/x", "1234").await;
        assert!(matches!(refused, Err(StoreError::TooLarge { size: 4, limit: 3, .. })));
    })
    .await;
}

#[tokio::test]
async fn lists_read_the_present_the_past_and_pages_of_either() {
    on_both(Options::default(), async |store| {
        for name in ["b/x", "a/y", "a/x", "c/x"] {
            create(store, name, "1").await.unwrap();
        }
        let then = store.revision();
        update(store, "a/y", "2", 3).await.unwrap();
        delete(store, "b/x", None).await.unwrap();
        create(store, "a/z", "1").await.unwrap();

        assert_eq!(show(&list(store, None).await.unwrap().entries), "a/x=1 a/y=2 a/z=1 c/x=1");
        assert_eq!(show(&list(store, Some(then)).await.unwrap().entries), "a/x=1 a/y=1 b/x=1 c/x=1");
        assert_eq!(show(&list(store, Some(1)).await.unwrap().entries), "");
        assert!(matches!(list(store, Some(99)).await, Err(StoreError::Future { requested: 99, current: 8 })));

        let in_a = ListQuery { scope: scope(Some("a")), at: None, limit: 0, after: None };
        assert_eq!(show(&store.list(in_a.clone()).await.unwrap().entries), "a/x=1 a/y=2 a/z=1");
        let second = ListQuery { limit: 1, after: Some(key("a/x")), ..in_a };
        let page = store.list(second).await.unwrap();
        assert_eq!((show(&page.entries).as_str(), page.remaining, page.more()), ("a/y=2", 1, true));

        let mut pinned = ListQuery { scope: scope(None), at: Some(then), limit: 3, after: None };
        let page = store.list(pinned.clone()).await.unwrap();
        assert_eq!((show(&page.entries).as_str(), page.remaining), ("a/x=1 a/y=1 b/x=1", 1));
        pinned.after = page.entries.last().map(|entry| entry.key.clone());
        let page = store.list(pinned).await.unwrap();
        assert_eq!((show(&page.entries).as_str(), page.remaining, page.revision), ("c/x=1", 0, then));
    })
    .await;
}

#[tokio::test]
async fn watches_see_each_change_once_from_memory_or_disk() {
    // No memory at all makes every change come from the disk; the default makes none.
    for recent_bytes in [0, 1000, Options::default().recent_bytes] {
        on_both(Options { recent_bytes, ..Options::default() }, async |store| {
            let mut future = store.watch(scope(None), 4).unwrap();
            create(store, "a/x", "1").await.unwrap();
            create(store, "n1", "node").await.unwrap();
            update(store, "a/x", "2", 2).await.unwrap();
            create(store, "b/x", "1").await.unwrap();
            store.write(Write::Delete { key: key("a/x"), expected: None, last: Some("final".into()) }).await.unwrap();

            let all = ["+a/x=1@2", "~a/x=2@4", "+b/x=1@5", "-a/x=final@6"];
            let mut watch = store.watch(scope(None), 1).unwrap();
            assert_eq!(take(&mut watch, 4).await, all);
            assert_eq!(take(&mut future, 2).await, all[2..]);
            let mut in_a = store.watch(scope(Some("a")), 2).unwrap();
            assert_eq!(take(&mut in_a, 2).await, ["~a/x=2@4", "-a/x=final@6"]);
            assert!(in_a.next().now_or_never().is_none());
            create(store, "a/new", "1").await.unwrap();
            assert_eq!(take(&mut watch, 1).await, ["+a/new=1@7"]);
            assert_eq!(take(&mut in_a, 1).await, ["+a/new=1@7"]);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_watches_miss_and_repeat_nothing_while_history_is_forgotten() {
    let options = Options { recent_bytes: 20_000, history_revisions: 5000, ..Options::default() };
    on_both(options, async |store| {
        let writers = (0..8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..100 {
                    let name = format!("ns{writer}/{}", turn % 5);
                    match store.get(key(&name)).await.unwrap() {
                        None => drop(create(&store, &name, &turn.to_string()).await.unwrap()),
                        Some(_) if turn % 7 == 0 => drop(delete(&store, &name, None).await.unwrap()),
                        Some(entry) => drop(update(&store, &name, &turn.to_string(), entry.revision).await.unwrap()),
                    }
                }
            })
        });
        let watchers = (0..40).map(|_| {
            let mut watch = store.watch(scope(None), 1).unwrap();
            tokio::spawn(async move {
                let mut expected = 2;
                while expected <= 801 {
                    assert_eq!(watch.next().await.unwrap().unwrap().revision(), expected);
                    expected += 1;
                }
            })
        });
        let all: Vec<_> = writers.chain(watchers).collect();
        for task in all {
            task.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn compaction_forgets_by_count_and_keeps_the_present() {
    on_both(Options { history_revisions: 20, recent_bytes: 0, ..Options::default() }, async |store| {
        create(store, "a/old", "kept").await.unwrap();
        let mut slow = store.watch(scope(None), 1).unwrap();
        let mut revision = create(store, "a/x", "0").await.unwrap().revision;
        for turn in 1..100 {
            revision = update(store, "a/x", &turn.to_string(), revision).await.unwrap().revision;
        }
        delete(store, "a/x", None).await.unwrap();
        create(store, "a/y", "1").await.unwrap();
        create(store, "a/z", "1").await.unwrap();
        settle(store).await;
        let compacted = store.compacted();
        assert!((75..=90).contains(&compacted), "history starts at {compacted}");
        assert_eq!(show(&list(store, None).await.unwrap().entries), "a/old=kept a/y=1 a/z=1");
        let pinned = list(store, Some(compacted)).await.unwrap();
        assert_eq!(show(&pinned.entries), format!("a/old=kept a/x={}", compacted - 3));
        assert!(matches!(list(store, Some(compacted - 1)).await, Err(StoreError::Compacted { .. })));
        assert!(matches!(store.watch(scope(None), compacted - 1), Err(StoreError::Compacted { .. })));
        let mut exact = store.watch(scope(None), compacted).unwrap();
        assert_eq!(take(&mut exact, 1).await, [format!("~a/x={}@{}", compacted - 2, compacted + 1)]);
        assert!(matches!(slow.next().await, Some(Err(StoreError::Compacted { .. }))));
        assert!(slow.next().await.is_none(), "an error ends the watch");
    })
    .await;
}

#[tokio::test]
async fn compaction_by_bytes_and_age_shrinks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let age = Options { history_age: Duration::from_millis(300), ..Options::default() };
    let bytes = Options { history_bytes: 1 << 20, ..Options::default() };
    for (case, options) in [("age", age), ("bytes", bytes)] {
        let store = SqliteStore::open(&path, options).unwrap();
        let big = "x".repeat(100_000);
        let mut revision = create(&store, &format!("a/{case}"), "0").await.unwrap().revision;
        for turn in 0..200 {
            revision = update(&store, &format!("a/{case}"), &format!("{turn}{big}"), revision).await.unwrap().revision;
        }
        // Forgetting runs by itself; wait for its effect, however long this machine takes.
        while std::fs::metadata(&path).unwrap().len() > 5 << 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(store.compacted() > 1, "{case}");
    }
}

#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, Options::default()).unwrap();
    create(&store, "a/x", "1").await.unwrap();
    create(&store, "a/y", "1").await.unwrap();
    delete(&store, "a/y", None).await.unwrap();
    let mut watch = store.watch(scope(None), store.revision()).unwrap();
    let copy = folder.path().join("copy.db");
    store.snapshot(copy.clone()).await.unwrap();
    drop(store);
    assert!(matches!(watch.next().await, Some(Err(StoreError::Closed))));
    for path in [path, copy] {
        let store = SqliteStore::open(&path, Options::default()).unwrap();
        assert_eq!(store.revision(), 4, "a deletion is the newest revision");
        assert_eq!(show(&list(&store, None).await.unwrap().entries), "a/x=1");
        let mut watch = store.watch(scope(None), 1).unwrap();
        assert_eq!(take(&mut watch, 3).await, ["+a/x=1@2", "+a/y=1@3", "-a/y=1@4"]);
        assert_eq!(create(&store, "a/z", "1").await.unwrap().revision, 5);
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = |path: &std::path::Path| SqliteStore::open(path, Options::default()).map(drop).unwrap_err();

    let first = SqliteStore::open(&path, Options::default()).unwrap();
    assert!(matches!(open(&path), StoreError::Locked(_)));
    drop(first);

    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    assert!(matches!(open(&path), StoreError::Newer { found: 99, .. }));

    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(open(&foreign), StoreError::Corrupt(_)));

    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "not a database, whatever its name says".repeat(100)).unwrap();
    assert!(matches!(open(&garbage), StoreError::Corrupt(_)));

    let missing = open(&folder.path().join("missing/store.db"));
    assert!(matches!(missing, StoreError::NotWritable { .. }));
    assert!(!missing.to_string().contains('\n'));
}

#[tokio::test]
async fn a_store_at_its_limit_still_reads_and_deletes() {
    on_both(Options { max_file_bytes: 400 << 10, ..Options::default() }, async |store| {
        let mut count = 0;
        let refused = loop {
            match create(store, &format!("a/{count:03}"), &"x".repeat(10_000)).await {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Quota { limit: 409_600 }), "{refused}");
        assert_eq!(list(store, None).await.unwrap().entries.len(), count);
        assert_eq!(store.revision(), count as u64 + 1, "a refused write makes no revision");
        let deleted = delete(store, "a/000", None).await.expect("deleting still works");
        assert_eq!(deleted.revision, count as u64 + 2);
    })
    .await;
}
