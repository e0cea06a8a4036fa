//! A call over gRPC with messages known only at run time.

use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Schemes of addresses that speak TLS; `tcp` and `http` do not.
const TLS: [&str; 3] = ["https", "tls", "ssl"];

/// Settings of a TLS connection, if the address asks for one.
pub(super) fn tls(address: &str, config: &ClientConfig) -> Option<Arc<ClientConfig>> {
    let (scheme, _) = address.split_once("://")?;
    TLS.contains(&scheme).then(|| {
        let mut config = config.clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    })
}

/// A connection that is made with the first call and again when it was lost.
pub(super) fn channel(address: &str, tls: Option<&Arc<ClientConfig>>) -> Result<Channel, String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let endpoint = Endpoint::from_shared(format!("http://{}", rest.trim_end_matches('/')));
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let Some(config) = tls else { return Ok(endpoint.connect_lazy()) };
    let connector = TlsConnector::from(config.clone());
    let connect = move |uri: Uri| secured(connector.clone(), uri);
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(connect)))
}

async fn secured(connector: TlsConnector, uri: Uri) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(TokioIo::new(connector.connect(name, stream).await?))
}

/// Calls a method.
///
/// # Errors
/// The server's status, or why it cannot be reached.
pub(super) async fn call(
    channel: Channel,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<DynamicMessage, String> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = path.parse().map_err(|_| format!("{path} is no path"))?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let answer = client.unary(Request::new(message), path, Dynamic(method.output())).await;
    answer.map(tonic::Response::into_inner).map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

/// Messages by their descriptor.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Write;
    type Decoder = Read;

    fn encoder(&mut self) -> Write {
        Write
    }

    fn decoder(&mut self) -> Read {
        Read(self.0.clone())
    }
}

struct Write;

impl Encoder for Write {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

struct Read(MessageDescriptor);

impl Decoder for Read {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), buffer);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
