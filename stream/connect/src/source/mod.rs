//! The pipeline every source shares, between the connector and its stream: rate limit, then decompression.
//!
//! Decoding and what `payloadField` asks for are the format's ([`crate::decoder`]).

mod limit;
#[cfg(test)]
mod tests;
mod unpack;

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Source, SourceContext, SourceError};
use futures::future::BoxFuture;

use self::limit::Limit;
use self::unpack::Unpack;
use crate::{ConnectError, Props};

/// Sources that ask for their data: their `interval` says how often, and files are decompressed as a whole.
const PULLING: [&str; 6] = ["file", "httppull", "nexmark", "random", "simulator", "sql"];

/// The pipeline of one source.
#[derive(Debug, PartialEq)]
struct Steps {
    /// At most one message in this time, or one for each value of a column.
    limit: Option<(Duration, Option<String>)>,
    decompression: Option<Unpack>,
}

impl Steps {
    fn read(kind: &str, props: &Props) -> Result<Steps, ConnectError> {
        props.refuse(&["merger"])?;
        if kind != "file" {
            props.refuse(&["sendInterval"])?;
        }
        if PULLING.contains(&kind) {
            let decompression = if kind == "file" { None } else { Unpack::read(props)? };
            return Ok(Steps { limit: None, decompression });
        }
        let interval = props.duration_ms("interval")?.filter(|ms| *ms > 0).map(Duration::from_millis);
        let merged_by = props.text("mergeField")?.map(str::to_owned);
        if merged_by.is_some() && interval.is_none() {
            return Err(ConnectError::Invalid { key: "mergeField", reason: "it needs an interval".to_owned() });
        }
        let limit = interval.map(|interval| (interval, merged_by));
        Ok(Steps { limit, decompression: Unpack::read(props)? })
    }
}

/// A source with the pipeline its properties ask for.
///
/// # Errors
/// A property of the pipeline is wrong.
pub(crate) fn piped(kind: &str, props: &Props, source: Box<dyn Source>) -> Result<Box<dyn Source>, ConnectError> {
    let steps = Steps::read(kind, props)?;
    if steps.limit.is_none() && steps.decompression.is_none() {
        return Ok(source);
    }
    Ok(Box::new(Piped { source, steps }))
}

struct Piped {
    source: Box<dyn Source>,
    steps: Steps,
}

impl Source for Piped {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        let SourceContext { emitter, tasks } = context;
        let Steps { limit, decompression } = self.steps;
        let emitter = match decompression {
            None => emitter,
            Some(unpack) => emitter.through(Arc::new(unpack)),
        };
        let Some((interval, merged_by)) = limit else { return self.source.run(SourceContext { emitter, tasks }) };
        let limit = Arc::new(Limit::new(merged_by));
        let limited = emitter.clone().through(limit.clone());
        let ticks = limit.clone();
        let running = self.source.run(SourceContext { emitter: limited, tasks });
        Box::pin(async move {
            let ended = tokio::select! {
                ended = running => ended,
                never = ticks.run(interval, &emitter) => never,
            };
            // What waits is not lost with the end of the input.
            emitter.emit_all(limit.take()).await;
            ended
        })
    }
}
