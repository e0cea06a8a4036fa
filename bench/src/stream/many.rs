//! What a rule costs when there are thousands on one stream.

use std::time::Instant;

use edgeward_engine::RuleHandle;

use super::lab::{Lab, resident_bytes, stream};
use crate::figure::{Figure, megabytes};

const RULES: usize = 8_000;
const MOST_RULES: usize = 100_000;
/// Rules of [`RULES`] whose condition the hot rows meet.
const MATCHING: usize = 80;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let lab = Lab::new()?;
    let (alone, _) = rules(&lab, 1, 0)?;
    let (idle, memory) = rules(&lab, RULES, 0)?;
    let (some, _) = rules(&lab, RULES, MATCHING)?;
    let (few, _) = rules(&lab, MATCHING, MATCHING)?;
    let (seconds, grown) = load(&lab)?;
    let with = |what: &str| format!("stream: {RULES} rules on one stream, {what}");
    Ok(vec![
        Figure::new(&with("memory"), memory / 1024.0, "KB a rule").aim("<= 8").peer(450.0, "eKuiper"),
        Figure::new(&with("none matches"), idle, "ns a message").aim("as one rule").peer(alone, "one rule"),
        Figure::new(&with(&format!("{MATCHING} match 1 of 10")), some, "ns a message")
            .aim("grows with matches only")
            .peer(few, &format!("those {MATCHING} rules alone")),
        Figure::new(&format!("stream: {MOST_RULES} rules loaded"), seconds, "s").aim("< 10"),
        Figure::new(&format!("stream: memory of {MOST_RULES} rules"), megabytes(grown as u64), "MB").aim("< 1,000"),
    ])
}

/// Nanoseconds a message and bytes a rule with `count` rules, of which `matching` keep what is above 50.
fn rules(lab: &Lab, count: usize, matching: usize) -> anyhow::Result<(f64, f64)> {
    let stream = stream()?;
    let before = resident_bytes();
    let mut started: Vec<RuleHandle> = Vec::with_capacity(count);
    for number in 0..count {
        let threshold = if number < matching { 50 } else { 1_000 + number };
        let sql = format!("SELECT temperature FROM demo WHERE temperature > {threshold}");
        started.push(lab.rule(&format!("rule-{number}"), &sql, &stream)?.0);
    }
    let memory = (resident_bytes() - before) / count as f64;
    let nanos = lab.row(&stream)?;
    lab.stop(started);
    Ok((nanos, memory))
}

/// Seconds and bytes of starting many rules.
fn load(lab: &Lab) -> anyhow::Result<(f64, f64)> {
    let stream = stream()?;
    let (before, begun) = (resident_bytes(), Instant::now());
    let started: anyhow::Result<Vec<RuleHandle>> = (0..MOST_RULES)
        .map(|number| {
            let sql = format!("SELECT deviceid, temperature FROM demo WHERE temperature > {number}");
            Ok(lab.rule(&format!("rule-{number}"), &sql, &stream)?.0)
        })
        .collect();
    let started = started?;
    let measured = (begun.elapsed().as_secs_f64(), resident_bytes() - before);
    lab.stop(started);
    Ok(measured)
}
