//! `nats`: messages of subjects, over the core protocol of NATS (no JetStream: a message that nobody listens to is gone).

mod client;
mod config;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use self::config::{Server, check_subject};
use crate::keep::Kept;
use crate::sink::{Encoder, Payloads};
use crate::template::Template;
use crate::{ConnectError, Hosts, Props, SinkOptions, SinkRequest, SourceRequest};

/// The DATASOURCE is the subject, with `*` and `>`.
pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let subject = request.datasource.clone();
    check_subject(&subject, true).map_err(|reason| ConnectError::Invalid { key: "DATASOURCE", reason })?;
    let group = request.props.text("queueGroup")?.map(str::to_owned);
    if let Some(group) = &group {
        check_subject(group, false).map_err(|reason| ConnectError::Invalid { key: "queueGroup", reason })?;
    }
    Ok(Box::new(Kept(source::NatsSource { server: Server::read(&request.props)?, subject, group })))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let subject = Template::read(&request.props, "subject")?.ok_or(ConnectError::Missing("subject"))?;
    if let Some(text) = subject.constant() {
        check_subject(text, false).map_err(|reason| ConnectError::Invalid { key: "subject", reason })?;
    }
    let server = Server::read(&request.props)?;
    Ok(Box::new(sink::NatsSink::new(server, subject, Encoder::new(options), Payloads::default())))
}

/// Connects and logs in, and that is all.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<(), ConnectError> {
    client::Client::connect(&Server::read(props)?).await.map(drop).map_err(ConnectError::Unreachable)
}
