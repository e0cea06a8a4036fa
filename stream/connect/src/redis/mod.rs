//! Redis: `redis` stores rows under keys and looks them up, `redisPub` publishes payloads and `redisSub` listens to
//! channels.

mod config;
mod lookup;
mod resp;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use self::config::{Config, DataType, Server};
use self::sink::Link;
use crate::keep::Kept;
use crate::lookup::Pool;
use crate::sink::{Encoder, Payloads};
use crate::template::Template;
use crate::{ConnectError, Hosts, LookupRequest, LookupSource, Props, SinkOptions, SinkRequest, SourceRequest};

/// `redisSub`.
pub(crate) fn subscribe(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let channels = config::channels(&request.props)?;
    Ok(Box::new(Kept(source::SubSource { server: Server::read(&request.props, None)?, channels })))
}

/// `redis`.
pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = Config::read(&request.props)?;
    let link = Link::new(config.server.clone());
    Ok(Box::new(sink::KeySink { config, options, link }))
}

/// `redisPub`.
pub(crate) fn publish(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let channel = Template::read(&request.props, "channel")?.ok_or(ConnectError::Missing("channel"))?;
    let link = Link::new(Server::read(&request.props, None)?);
    Ok(Box::new(sink::PubSink { channel, encoder: Encoder::new(options), payloads: Payloads::default(), link }))
}

/// `redis` as a lookup table; its DATASOURCE is the number of the database.
pub(crate) fn lookup(request: &LookupRequest, _: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    let datasource = request.datasource.trim();
    let bad =
        || ConnectError::Invalid { key: "DATASOURCE", reason: format!("{datasource:?} is no database (0 to 15)") };
    let db = if datasource.is_empty() { 0 } else { datasource.parse().map_err(|_| bad())? };
    let server = Server::read(&request.props, Some(db))?;
    let links = Pool::new(move || Link::new(server.clone()));
    Ok(Box::new(lookup::RedisLookup { links, data_type: DataType::read(&request.props)? }))
}

/// Connects and logs in, and that is all.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<(), ConnectError> {
    let mut asking = Vec::new();
    resp::command(&[b"PING"], &mut asking);
    let answer = Link::new(Server::read(props, None)?).calls(&asking, 1).await;
    answer.map(drop).map_err(|failure| ConnectError::Unreachable(failure.text().to_owned()))
}
