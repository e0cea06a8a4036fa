//! `edgeward readings`: what the telemetry store holds.

use std::process::ExitCode;

use edgeward_ingest::Reader;
use edgeward_service::clock;
use serde_json::json;

use crate::cli::{OutputFormat, ReadingsOptions};
use crate::output;
use crate::server::telemetry_file;

pub(crate) async fn run(options: ReadingsOptions) -> anyhow::Result<ExitCode> {
    let reader = Reader::open(&telemetry_file(&options.data_dir))?;
    match &options.node {
        Some(node) => last(&reader, node, &options)?,
        None => counts(&reader, options.output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn counts(reader: &Reader, format: OutputFormat) -> anyhow::Result<()> {
    let counts = reader.counts()?;
    match format {
        OutputFormat::Table => output::table(
            ["NODE", "STREAM", "READINGS", "BYTES"],
            counts.into_iter().map(|c| [c.node, c.stream, c.readings.to_string(), c.bytes.to_string()]),
        ),
        OutputFormat::Json => {
            let rows: Vec<_> = counts
                .into_iter()
                .map(|c| json!({"node": c.node, "stream": c.stream, "readings": c.readings, "bytes": c.bytes}))
                .collect();
            output::line(json!(rows));
        }
    }
    Ok(())
}

fn last(reader: &Reader, node: &str, options: &ReadingsOptions) -> anyhow::Result<()> {
    let readings = reader.last(node, options.stream.as_deref(), options.limit)?;
    let time = |ms: i64| clock::rfc3339(u64::try_from(ms / 1000).unwrap_or(0));
    match options.output {
        OutputFormat::Table => output::table(
            ["STREAM", "SEQUENCE", "TIME", "PAYLOAD"],
            readings.into_iter().map(|r| {
                [r.stream, r.seq.to_string(), time(r.timestamp_ms), String::from_utf8_lossy(&r.payload).into_owned()]
            }),
        ),
        OutputFormat::Json => {
            let rows: Vec<_> = readings
                .into_iter()
                .map(|r| {
                    let payload = String::from_utf8_lossy(&r.payload).into_owned();
                    json!({"stream": r.stream, "sequence": r.seq, "time": r.timestamp_ms, "payload": payload})
                })
                .collect();
            output::line(json!(rows));
        }
    }
    Ok(())
}
