//! What a row costs: decoding, filtering, averaging.

use super::lab::{Lab, Stalled, stream};
use crate::figure::Figure;

const FILTER: &str = "SELECT * FROM demo WHERE temperature > 50";
const WINDOW: &str = "SELECT deviceid, avg(temperature) AS average FROM demo GROUP BY deviceid, TUMBLINGWINDOW(ss, 1)";

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let lab = Lab::new()?;
    let baseline = lab.baseline()?;
    let filter = one(&lab, FILTER, |sent, kept| kept == (sent / 1_024 * 103) as u64)?;
    let window = one(&lab, WINDOW, |_, _| true)?;
    let stalled = beside_a_stalled_sink(&lab)?;
    let figure = |what: &str, nanos: f64, aim: &str| {
        Figure::rate(&format!("stream: {what}, in process, one core"), 1e9 / nanos, "rows/s").aim(aim)
    };
    let peer = |figure: Figure| figure.peer(1e9 / baseline, "serde_json::Value of the same payloads");
    Ok(vec![
        peer(figure("decode, filter, SELECT * (1 of 10 kept)", filter, "> 4,000,000; 3x, better 6x")),
        peer(figure("two columns, average per device over 1 s", window, "> 2,000,000")),
        figure("the filter beside a rule whose sink hangs", stalled, "as alone").peer(1e9 / filter, "alone"),
    ])
}

/// Nanoseconds a row of one rule, which must not have lost any.
fn one(lab: &Lab, sql: &str, kept: impl Fn(usize, u64) -> bool) -> anyhow::Result<f64> {
    let stream = stream()?;
    let (rule, count) = lab.rule("one", sql, &stream)?;
    let nanos = lab.row(&stream)?;
    lab.wait("the rows of the rule", || kept(Lab::sent(), count.get()))?;
    let lost: u64 = rule.metrics().iter().map(|node| node.exceptions).sum();
    anyhow::ensure!(lost == 0, "{sql}: {lost} rows were lost");
    lab.stop([rule]);
    Ok(nanos)
}

/// Nanoseconds a row of the filter when its neighbour on the stream is stuck; both are counted.
fn beside_a_stalled_sink(lab: &Lab) -> anyhow::Result<f64> {
    let stream = stream()?;
    let stuck = lab.start("stuck", "SELECT * FROM demo WHERE temperature > 1000", &stream, Box::new(Stalled))?;
    let blocked = lab.start("blocked", FILTER, &stream, Box::new(Stalled))?;
    let (rule, count) = lab.rule("one", FILTER, &stream)?;
    let nanos = lab.row(&stream)?;
    lab.wait("the rows of the rule", || count.get() == (Lab::sent() / 1_024 * 103) as u64)?;
    drop((stuck, blocked));
    lab.stop([rule]);
    Ok(nanos)
}
