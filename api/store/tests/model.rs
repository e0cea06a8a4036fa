//! Random histories against a model that keeps every state: lists of every revision and watches from every revision agree.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

mod common;

use std::collections::BTreeMap;

use common::{create, delete, list, scope, settle, show, show_change, update};
use edgeward_store::{Options, SqliteStore, Store, StoreError};
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// An object of another resource: takes a revision, shows nowhere.
    Other(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..6_u8).prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Other),
    ];
    prop::collection::vec(step, 0..60)
}

/// What should be: the list at each revision, and each change as a watch shows it.
#[derive(Default)]
struct Model {
    now: BTreeMap<String, (String, u64)>,
    lists: BTreeMap<u64, String>,
    changes: Vec<(u64, String)>,
}

impl Model {
    async fn run(store: &SqliteStore, steps: &[Step]) -> Self {
        let mut model = Self::default();
        model.lists.insert(1, String::new());
        for (turn, step) in steps.iter().enumerate() {
            model.step(store, step, turn).await;
            let list: Vec<_> = model.now.iter().map(|(key, (value, _))| format!("{key}={value}")).collect();
            model.lists.insert(store.revision(), list.join(" "));
        }
        model
    }

    async fn step(&mut self, store: &SqliteStore, step: &Step, turn: usize) {
        match step {
            Step::Put(key, value) => {
                let (key, value) = (name(*key), format!("{value}.{turn}"));
                let before = self.now.get(&key).map(|(_, revision)| *revision);
                let (sign, entry) = match before {
                    None => ('+', create(store, &key, &value).await.unwrap()),
                    Some(revision) => ('~', update(store, &key, &value, revision).await.unwrap()),
                };
                self.changes.push((entry.revision, format!("{sign}{key}={value}@{}", entry.revision)));
                self.now.insert(key, (value, entry.revision));
            }
            Step::Delete(key) => {
                let key = name(*key);
                let Some((value, _)) = self.now.remove(&key) else {
                    assert!(matches!(delete(store, &key, None).await, Err(StoreError::NotFound(_))));
                    return;
                };
                let entry = delete(store, &key, None).await.unwrap();
                self.changes.push((entry.revision, format!("-{key}={value}@{}", entry.revision)));
            }
            Step::Other(key) => drop(create(store, &format!("{key}-{turn}"), "node").await.unwrap()),
        }
    }
}

fn name(key: u8) -> String {
    format!("ns{}/{key}", key % 2)
}

async fn check(steps: Vec<Step>, options: Options) {
    let store = SqliteStore::in_memory_with(options).unwrap();
    let model = Model::run(&store, &steps).await;
    settle(&store).await;
    for (revision, expect) in &model.lists {
        match list(&store, Some(*revision)).await {
            Ok(page) => assert_eq!(&show(&page.entries), expect, "at {revision}"),
            Err(StoreError::Compacted { compacted, .. }) => assert!(*revision < compacted),
            Err(error) => panic!("{error}"),
        }
        match store.watch(scope(None), *revision) {
            Ok(watch) => {
                let expect: Vec<_> =
                    model.changes.iter().filter(|(at, _)| at > revision).map(|(_, text)| text).collect();
                let mut watch = watch.map(|change| show_change(&change.unwrap()));
                let seen: Vec<_> = watch.by_ref().take(expect.len()).collect().await;
                assert_eq!(seen.iter().collect::<Vec<_>>(), expect, "from {revision}");
                assert!(watch.next().now_or_never().is_none(), "nothing more");
            }
            Err(error) => assert!(matches!(error, StoreError::Compacted { .. }), "{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_past_is_as_it_was(steps in steps(), history in prop_oneof![Just(10_u64), Just(10_000)], recent in prop_oneof![Just(0_usize), Just(1500), Just(1 << 20)]) {
        let options = Options { history_revisions: history, recent_bytes: recent, ..Options::default() };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(steps, options));
    }
}
