//! Kill -9 while rules with `qos` 1 and 2 read sources that rewind: nothing is lost, and no state counts anything twice.
//!
//! The service runs in a process of its own, which is this test binary once more.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use edgeward_rules::{Hosts, Options, Rules, RulesError};
use edgeward_service::Tasks;
use serde_json::{Value, json};

/// Tells the child where it works.
const FOLDER: &str = "EDGEWARD_TEST_KILL_FOLDER";
/// Rows of each source.
const ROWS: i64 = 600;
/// Rows of a window.
const WINDOW: i64 = 10;
const KILLS: usize = 6;
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows 1, 2, 3, … in a table, and the same with times in two files of lines.
fn write_inputs(folder: &Path) {
    let mut database = rusqlite::Connection::open(folder.join("input.sqlite")).unwrap();
    let insert = database.transaction().unwrap();
    insert.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)", []).unwrap();
    for a in 1..=ROWS {
        insert.execute("INSERT INTO t VALUES (?1)", [a]).unwrap();
    }
    insert.commit().unwrap();
    // Some more, so that the last window that is looked at closes.
    let lines: String = (0..ROWS + 2 * WINDOW).map(|a| format!("{{\"a\":{a},\"t\":{a}}}\n")).collect();
    for name in ["l", "r"] {
        std::fs::write(folder.join(name), &lines).unwrap();
    }
}

fn streams(folder: &Path) -> Vec<String> {
    let extra = |value: Value| value.to_string().replace('"', "\\\"");
    let query = json!({"table": "t", "indexField": "a", "limit": 7});
    let url = format!("sqlite://{}/input.sqlite", folder.display());
    let sql = extra(json!({"url": url, "interval": "5ms", "internalSqlQueryCfg": query}));
    let file = extra(json!({"path": folder, "fileType": "lines", "sendInterval": "1ms", "interval": "1h"}));
    let mut all = vec![format!("CREATE STREAM s (a BIGINT) WITH (TYPE=\"sql\", DATASOURCE=\"t\", EXTRA=\"{sql}\")")];
    for name in ["l", "r"] {
        all.push(format!(
            "CREATE STREAM {name} (a BIGINT, t BIGINT) WITH (TYPE=\"file\", DATASOURCE=\"{name}\", TIMESTAMP=\"t\", EXTRA=\"{file}\")"
        ));
    }
    all
}

fn rules(folder: &Path) -> Vec<String> {
    let join = format!("GROUP BY TUMBLINGWINDOW(ms, {WINDOW})");
    let count = format!("SELECT count(*) AS n, min(a) AS lo, max(a) AS hi FROM s GROUP BY COUNTWINDOW({WINDOW})");
    let join = format!("SELECT count(*) AS n, min(l.a) AS lo, max(r.a) AS hi FROM l INNER JOIN r ON l.a = r.a {join}");
    [
        ("plain", 1, "SELECT a FROM s", false),
        ("filter", 1, "SELECT a FROM s WHERE a % 2 = 0", false),
        ("running", 2, "SELECT a, acc_count(a) AS n, acc_sum(a) AS sum, lag(a) AS last FROM s", false),
        ("count", 2, &count, false),
        ("join", 2, &join, true),
    ]
    .map(|(id, qos, sql, event_time)| {
        let out = json!([{"file": {"path": folder.join(format!("{id}.out")), "sendSingle": true}}]);
        let options = json!({"qos": qos, "checkpointInterval": "40ms", "isEventTime": event_time, "lateTolerance": 0});
        json!({"id": id, "sql": sql, "actions": out, "options": options}).to_string()
    })
    .into()
}

/// The child: serves until it is killed, or until its parent is gone.
#[test]
fn the_service_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let handle =
            Rules::start(Options::new(folder), Hosts::default(), &Tasks::root("killed")).await.expect("the service");
        // They are there from the second time on.
        let made = |result: Result<String, RulesError>| match result {
            Err(error) if !error.to_string().contains("already exists") => panic!("{error}"),
            _ => {}
        };
        for sql in streams(folder) {
            made(handle.execute(&sql).await);
        }
        for rule in rules(folder) {
            made(handle.create_rule(&rule).await);
        }
        let gone = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = gone.await;
    });
}

fn start(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "the_service_that_is_killed"]).env(FOLDER, folder);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// What a rule has said so far.
fn said(folder: &Path, rule: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(format!("{rule}.out"))).unwrap_or_default();
    let mut rows: Vec<_> = text.lines().map(serde_json::from_str).collect();
    // The last line may be on its way.
    rows.pop_if(|last| last.is_err());
    rows.into_iter().map(|row| row.unwrap_or_else(|error| panic!("{rule}: {error}: {text}"))).collect()
}

fn numbers(rows: &[Value], column: &str) -> BTreeSet<i64> {
    rows.iter().filter_map(|row| row[column].as_i64()).collect()
}

/// The first rule that has not yet said all it must, with how much it has.
fn incomplete(folder: &Path) -> Option<(&'static str, usize)> {
    let windows = usize::try_from(ROWS / WINDOW).unwrap();
    let rows = usize::try_from(ROWS).unwrap();
    [
        ("plain", "a", rows),
        ("filter", "a", rows / 2),
        ("running", "a", rows),
        ("count", "lo", windows),
        ("join", "lo", windows),
    ]
    .into_iter()
    .map(|(rule, column, expect)| (rule, numbers(&said(folder, rule), column).len(), expect))
    .find_map(|(rule, found, expect)| (found < expect).then_some((rule, found)))
}

fn wait_for(what: &str, folder: &Path, child: &mut Child, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    while !holds() {
        let waits = begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none();
        assert!(waits, "waited in vain for {what}; {:?}; {}", incomplete(folder), log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_lost_and_no_state_counts_twice() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos() as usize;
    for _ in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lines = || said(folder, "plain").len() + said(folder, "join").len();
        let enough = lines() + 20 + random / 7 % 100;
        let mut child = start(folder);
        wait_for("more lines", folder, &mut child, || lines() >= enough || incomplete(folder).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = start(folder);
    wait_for("every row", folder, &mut child, || incomplete(folder).is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    for row in said(folder, "running") {
        let a = row["a"].as_i64().unwrap();
        let expect = json!({"a": a, "n": a, "sum": a * (a + 1) / 2});
        let last = (a > 1).then(|| json!(a - 1));
        let got = json!({"a": row["a"], "n": row["n"], "sum": row["sum"]});
        assert_eq!((got, row.get("last")), (expect, last.as_ref()), "{row}");
    }
    for (rule, first) in [("count", 1), ("join", 0)] {
        for row in said(folder, rule) {
            let lo = row["lo"].as_i64().unwrap();
            assert_eq!(row, json!({"n": WINDOW, "lo": lo, "hi": lo + WINDOW - 1}), "{rule}");
            assert_eq!((lo - first) % WINDOW, 0, "{rule}: {row}");
        }
    }
}
