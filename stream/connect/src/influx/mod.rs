//! `influx` and `influx2`: rows as points in InfluxDB's line protocol, over its HTTP interfaces of versions 1 and 2.

mod config;
mod line;
mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};
use config::Config;

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    Ok(Box::new(sink::InfluxSink { config: Config::version1(&request.props)?, options, points: Vec::new() }))
}

pub(crate) fn sink2(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    Ok(Box::new(sink::InfluxSink { config: Config::version2(&request.props)?, options, points: Vec::new() }))
}
