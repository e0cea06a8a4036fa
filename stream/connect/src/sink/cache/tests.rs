//! What goes in comes out in order, also over the disk and over the end of the program.

use std::collections::VecDeque;
use std::path::Path;

use edgeward_engine::{Ack, OutRow, Value};
use proptest::prelude::*;
use serde_json::json;

use super::pages::message;
use super::*;
use crate::testing::props;

fn options(memory: usize, disk: usize, page: usize) -> CacheOptions {
    CacheOptions { memory, disk, page, interval: Duration::ZERO, clean: false, alter: None }
}

fn numbered(number: i64) -> Arc<Emission> {
    let row = [("n".into(), Value::Int(number))].into();
    Arc::new(Emission::of_rows(number, vec![OutRow::Free(Arc::new(row))]))
}

fn number(emission: &Emission) -> i64 {
    assert_eq!(emission.rows[0].get("n"), &Value::Int(emission.at));
    emission.at
}

fn rest(store: &mut Store) -> Vec<i64> {
    let mut out = Vec::new();
    while let Some(front) = store.front() {
        out.push(number(&front));
        store.pop();
    }
    out
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn the_oldest_page_is_lost_when_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sink");
    let mut store = Store::open(options(2, 4, 2), Some(place.clone()));
    (0..10).for_each(|number| store.push(numbered(number)));
    // 0 and 1 are in memory, 2 and 3 were the oldest page when the third one came.
    assert_eq!(files(&place), 2);
    assert_eq!(rest(&mut store), [0, 1, 6, 7, 8, 9]);
    assert_eq!(files(&place), 0);
}

#[test]
fn without_a_folder_the_oldest_message_is_lost() {
    let mut store = Store::open(options(2, 4, 2), None);
    (0..5).for_each(|number| store.push(numbered(number)));
    assert_eq!(rest(&mut store), [3, 4]);
}

#[test]
fn pages_survive_a_stop_and_a_kill() {
    for (killed, expect) in [(false, vec![1, 2, 3, 4, 5, 6]), (true, vec![2, 3, 4, 5])] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("sink");
        let mut store = Store::open(options(2, 100, 2), Some(place.clone()));
        (0..7).for_each(|number| store.push(numbered(number)));
        assert_eq!(store.front().map(|front| number(&front)), Some(0));
        store.pop();
        if !killed {
            store.close();
        }
        drop(store);
        let mut store = Store::open(options(2, 100, 2), Some(place));
        assert_eq!(rest(&mut store), expect, "killed: {killed}");
    }
}

#[test]
fn a_page_stays_until_all_of_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sink");
    let mut store = Store::open(options(1, 100, 1), Some(place.clone()));
    (0..3).for_each(|number| store.push(numbered(number)));
    store.pop();
    assert_eq!(store.front().map(|front| number(&front)), Some(1));
    drop(store);
    assert_eq!(rest(&mut Store::open(options(1, 100, 1), Some(place))), [1, 2]);
}

#[test]
fn nothing_survives_a_stop_that_cleans() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sink");
    let clean = CacheOptions { clean: true, ..options(1, 100, 1) };
    let mut store = Store::open(clean.clone(), Some(place.clone()));
    (0..5).for_each(|number| store.push(numbered(number)));
    store.close();
    drop(store);
    assert!(Store::open(clean, Some(place)).is_empty());
}

#[test]
fn tokens_are_kept_in_memory_and_released_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut store = Store::open(options(1, 100, 1), Some(folder.path().join("sink")));
    for number in 0..2 {
        let log = told.clone();
        let mut emission = Arc::unwrap_or_clone(numbered(number));
        emission.acks.push(Ack::new(move |safe| log.lock().push((number, safe))));
        store.push(Arc::new(emission));
    }
    assert_eq!(*told.lock(), [(1, true)], "the second one is on disk");
    drop(store);
    assert_eq!(*told.lock(), [(1, true), (0, false)], "the first one is lost");
}

#[test]
fn two_equal_actions_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let place = Folder::place(folder.path(), "r/1", "rest", &props(&json!({"url": "http://h"})));
    assert!(place.starts_with(folder.path().join("r_r%2f1")));
    let mut first = Store::open(options(1, 100, 1), Some(place.clone()));
    let mut second = Store::open(options(1, 100, 1), Some(place.clone()));
    for store in [&mut first, &mut second] {
        (0..3).for_each(|number| store.push(numbered(number)));
    }
    assert_eq!((rest(&mut first), rest(&mut second)), (vec![0, 1, 2], vec![0, 1, 2]));
    forget(folder.path(), "r/1").unwrap();
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_damaged_page_costs_only_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sink");
    let mut store = Store::open(options(2, 100, 2), Some(place.clone()));
    (0..6).for_each(|number| store.push(numbered(number)));
    drop(store);
    let page = place.join("0.page");
    let mut bytes = std::fs::read(&page).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(page, bytes).unwrap();
    assert_eq!(rest(&mut Store::open(options(2, 100, 2), Some(place))), [2, 4, 5]);
}

#[test]
fn refuses_sizes_that_do_not_fit() {
    for (properties, expect) in [
        (json!({"bufferPageSize": 0}), "bufferPageSize must be positive"),
        (json!({"memoryCacheThreshold": 1}), "memoryCacheThreshold must be greater than or equal to bufferPageSize"),
        (json!({"memoryCacheThreshold": 257}), "memoryCacheThreshold must be a multiple of bufferPageSize"),
        (json!({"maxDiskCache": 2}), "maxDiskCache must be greater than bufferPageSize"),
        (json!({"maxDiskCache": 257}), "maxDiskCache must be a multiple of bufferPageSize"),
        (json!({"resendPriority": 2}), "2 is not -1, 0 or 1"),
        (json!({"resendInterval": "x"}), "invalid duration"),
    ] {
        let mut all = props(&properties).all().clone();
        all.insert("enableCache".into(), true.into());
        let error = CacheOptions::read(&Props::new(all)).unwrap_err().to_string();
        assert!(error.contains(expect), "{properties}: {error}");
    }
    assert_eq!(CacheOptions::read(&props(&json!({"bufferPageSize": 10}))), Ok(None));
}

proptest! {
    // Every page is flushed to the disk.
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn order_is_kept_whatever_comes_and_goes(steps in prop::collection::vec(0..3_u8, 0..200), restart in 0..200_usize) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("sink");
        let open = || Store::open(options(4, 1_000, 2), Some(place.clone()));
        let (mut store, mut model, mut next) = (open(), VecDeque::new(), 0);
        for (index, step) in steps.into_iter().enumerate() {
            if index == restart {
                store.close();
                drop(store);
                store = open();
            }
            if step < 2 {
                store.push(numbered(next));
                model.push_back(next);
                next += 1;
            } else {
                prop_assert_eq!(store.front().map(|front| number(&front)), model.pop_front());
                store.pop();
            }
        }
        prop_assert_eq!(rest(&mut store), Vec::from(model));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_not(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = message(&mut &bytes[..]);
    }
}
