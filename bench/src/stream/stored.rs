//! Thousands of stored rules: the start of the program, its memory, and what it costs at rest and at work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use edgeward_tests::site::{on_a_site, ports};
use edgeward_tests::{Cloud, Node, PATIENCE, Process, Site, http};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::lab::payload;
use crate::figure::{Figure, megabytes, milliseconds};
use crate::raw;

const RULES: usize = 8_000;
const MOST_RULES: usize = 100_000;
/// How long processor time is counted.
const SECONDS: u64 = 8;

/// `edgeward stream`: the engine as a program of its own.
pub(super) struct Engine {
    site: Arc<Site>,
    dir: PathBuf,
    rest: SocketAddr,
    process: Option<Process>,
}

impl Engine {
    /// A program that is not started yet.
    pub(super) fn new(site: &Arc<Site>, name: &str, party: u8) -> Engine {
        let rest = (site.address(party), ports::REST).into();
        Engine { site: site.clone(), dir: site.dir().join(name), rest, process: None }
    }

    /// Starts it and waits until it serves.
    pub(super) async fn start(&mut self) -> anyhow::Result<Duration> {
        let mut command = self.site.command();
        command.arg("stream").arg("--data-dir").arg(&self.dir).arg(format!("--rest-listen={}", self.rest));
        let begun = Instant::now();
        self.process = Some(self.site.spawn("engine", command)?);
        while http::call(None, self.rest, "GET", "/ping", "").await.is_err() {
            anyhow::ensure!(begun.elapsed() < PATIENCE * 4, "the engine does not serve");
            sleep(Duration::from_millis(2)).await;
        }
        Ok(begun.elapsed())
    }

    pub(super) fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("the engine is not started")
    }

    /// Calls its REST; fails when it is refused.
    pub(super) async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http::call(None, self.rest, method, path, &body).await?;
        anyhow::ensure!(status < 300, "{method} {path}: {status}: {answer}");
        Ok(answer)
    }

    /// Messages a rule's source has had.
    pub(super) async fn records(&self, rule: &str) -> anyhow::Result<u64> {
        let status = self.call("GET", &format!("/rules/{rule}/status"), &Value::Null).await?;
        status["source_demo_0_records_in_total"].as_u64().context("no count of records")
    }

    fn stop(&mut self) {
        self.process = None;
    }
}

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut figures = on_a_site("bench-stored", async |site| {
        let mut figures = Vec::new();
        for (count, start, memory) in [(RULES, "< 2,000", "<= 64"), (MOST_RULES, "< 10,000", "< 1,000")] {
            let mut engine = Engine::new(&site, &format!("engine-{count}"), 41);
            engine.start().await?;
            let empty = engine.process()?.resident_bytes()?;
            engine.stop();
            let shared =
                r#"CREATE STREAM demo () WITH (DATASOURCE="demo", FORMAT="json", TYPE="memory", SHARED="true")"#;
            store(&engine.dir, [("demo".to_owned(), shared.to_owned())], count, |_| "demo".to_owned())?;
            let took = engine.start().await?;
            let grown = engine.process()?.resident_bytes()?.saturating_sub(empty);
            let idle = percent(engine.process()?, Duration::from_secs(SECONDS)).await?;
            let named = |what: &str| format!("stream: {count} stored rules, {what}");
            figures.push(Figure::new(&named("start to serving"), milliseconds(took), "ms").aim(start));
            figures.push(Figure::new(&named("memory"), megabytes(grown), "MB").aim(memory));
            figures.push(Figure::new(&named("processor at rest"), idle, "% of a core").aim("0"));
        }
        Ok(figures)
    })?;
    figures.extend(topics()?);
    Ok(figures)
}

/// A rule on each of as many topics of an agent's own broker.
fn topics() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-topics", async |site| {
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        node.process()?.stop(PATIENCE).await?;
        let stream = |number: usize| {
            let options = format!(r#"DATASOURCE="t/{number}", FORMAT="json", TYPE="mqtt""#);
            (format!("s{number}"), format!("CREATE STREAM s{number} () WITH ({options})"))
        };
        store(&node.dir().join("rules"), (0..RULES).map(stream), RULES, |number| format!("s{number}"))?;
        node.launch(None)?;
        node.serves().await?;
        sleep(Duration::from_secs(2)).await;
        let idle = percent(node.process()?, Duration::from_secs(SECONDS)).await?;
        let sending = tokio::task::spawn_blocking({
            let broker = node.mqtt();
            move || pace(broker, Duration::from_secs(SECONDS + 1))
        });
        let busy = percent(node.process()?, Duration::from_secs(SECONDS)).await?;
        sending.await??;
        let named = |what: &str| format!("stream: {RULES} rules on {RULES} topics, {what}");
        Ok(vec![
            Figure::new(&named("800 messages/s"), busy, "% of a core").aim("< 5"),
            Figure::new(&named("at rest, whole agent"), idle, "% of a core"),
        ])
    })
}

/// Writes streams and rules into the catalogue of a program that is not running.
fn store(
    dir: &Path,
    streams: impl IntoIterator<Item = (String, String)>,
    rules: usize,
    stream_of: impl Fn(usize) -> String,
) -> anyhow::Result<()> {
    let mut catalogue = rusqlite::Connection::open(dir.join("rules.db"))?;
    let transaction = catalogue.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO definition VALUES (?1, ?2, ?3)")?;
        for (name, statement) in streams {
            insert.execute(("source", name, statement))?;
        }
        for number in 0..rules {
            let id = format!("rule-{number}");
            let sql = format!("SELECT deviceid, temperature FROM {} WHERE temperature > {number}", stream_of(number));
            let rule = json!({"id": id, "triggered": true, "sql": sql, "actions": [{"nop": {}}]});
            insert.execute(("rule", id, rule.to_string()))?;
        }
    }
    Ok(transaction.commit()?)
}

/// Processor time of a program over a while, in percent of a core.
async fn percent(process: &Process, span: Duration) -> anyhow::Result<f64> {
    let (begun, before) = (Instant::now(), process.cpu_time()?);
    sleep(span).await;
    Ok((process.cpu_time()? - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

/// Publishes 800 messages a second over all topics in turn.
fn pace(broker: SocketAddr, span: Duration) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut socket = raw::connect(broker, "pace")?;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < span {
        let due = (begun.elapsed().as_secs_f64() * 800.0) as usize;
        let mut packets = Vec::new();
        for number in sent..due {
            packets.extend(raw::publish(&format!("t/{}", number * 37 % RULES), payload(number).as_bytes(), 0));
        }
        socket.write_all(&packets)?;
        sent = due;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
