//! The pipeline every source shares, between the connector and its stream: the end, the rate limit, then decompression.
//!
//! Decoding and what `payloadField` asks for are the format's ([`crate::decoder`]).

mod limit;
#[cfg(test)]
mod rewind_tests;
#[cfg(test)]
mod tests;
mod unpack;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Body, Message, Reset, Source, SourceContext, SourceError, Step};
use futures::future::BoxFuture;
use tokio::sync::Notify;

use self::limit::Limit;
pub(crate) use self::unpack::Unpack;
use crate::{ConnectError, Props};

/// Sources that ask for their data: their `interval` says how often, and files are decompressed as a whole.
const PULLING: [&str; 6] = ["file", "httppull", "nexmark", "random", "simulator", "sql"];

/// The pipeline of one source.
#[derive(Debug, Default, PartialEq)]
struct Steps {
    /// At most one message in this time, or one for each value of a column.
    limit: Option<(Duration, Option<String>)>,
    decompression: Option<Unpack>,
    /// The payload that ends the input (`eofMessage` of mqtt).
    end: Option<Bytes>,
}

impl Steps {
    fn read(kind: &str, props: &Props) -> Result<Steps, ConnectError> {
        props.refuse(&["merger"])?;
        if kind != "file" {
            props.refuse(&["sendInterval"])?;
        }
        if PULLING.contains(&kind) {
            let decompression = if kind == "file" { None } else { Unpack::read(props)? };
            return Ok(Steps { limit: None, decompression, end: None });
        }
        let interval = props.duration_ms("interval")?.filter(|ms| *ms > 0).map(Duration::from_millis);
        let merged_by = props.text("mergeField")?.map(str::to_owned);
        if merged_by.is_some() && interval.is_none() {
            return Err(ConnectError::Invalid { key: "mergeField", reason: "it needs an interval".to_owned() });
        }
        let limit = interval.map(|interval| (interval, merged_by));
        let end = props.text("eofMessage")?.filter(|_| kind == "mqtt");
        let end = end.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Ok(Steps { limit, decompression: Unpack::read(props)?, end })
    }
}

/// A source with the pipeline its properties ask for.
///
/// # Errors
/// A property of the pipeline is wrong.
pub(crate) fn piped(kind: &str, props: &Props, source: Box<dyn Source>) -> Result<Box<dyn Source>, ConnectError> {
    let steps = Steps::read(kind, props)?;
    if steps == Steps::default() {
        return Ok(source);
    }
    Ok(Box::new(Piped { source, steps }))
}

struct Piped {
    source: Box<dyn Source>,
    steps: Steps,
}

impl Source for Piped {
    fn reset(&self) -> Option<Reset> {
        self.source.reset()
    }

    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        let SourceContext { emitter, tasks, position } = context;
        let Steps { limit, decompression, end } = self.steps;
        let emitter = match decompression {
            None => emitter,
            Some(unpack) => emitter.through(Arc::new(unpack)),
        };
        let limited = limit.map(|(interval, merged_by)| (interval, Arc::new(Limit::new(merged_by))));
        let mut way = emitter.clone();
        if let Some((_, limit)) = &limited {
            way = way.through(limit.clone());
        }
        let end = end.map(|text| Arc::new(End { text, came: Notify::new() }));
        if let Some(end) = &end {
            way = way.through(end.clone());
        }
        let running = self.source.run(SourceContext { emitter: way, tasks, position });
        Box::pin(async move {
            let ticks = async {
                match &limited {
                    Some((interval, limit)) => limit.run(*interval, &emitter).await,
                    None => std::future::pending().await,
                }
            };
            let came = async {
                match &end {
                    Some(end) => end.came.notified().await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                ended = running => ended,
                never = ticks => never,
                () = came => Ok(()),
            };
            // What waits is not lost with the end of the input.
            if let Some((_, limit)) = &limited {
                emitter.emit_all(limit.take()).await;
            }
            ended
        })
    }
}

/// Watches for the payload that ends the input.
struct End {
    text: Bytes,
    came: Notify,
}

impl Step for End {
    fn pass(&self, message: Message, out: &mut Vec<Message>) -> Result<(), String> {
        match &message.body {
            Body::Payload(payload) if *payload == self.text => self.came.notify_one(),
            _ => out.push(message),
        }
        Ok(())
    }
}
