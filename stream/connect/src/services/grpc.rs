//! A call over gRPC with messages known only at run time.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A connection that is made with the first call and again when it was lost.
pub(super) fn channel(address: &str) -> Result<Channel, String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    if address.starts_with("https://") {
        return Err("gRPC over TLS is not supported by this version; use tcp:// or http://".into());
    }
    let endpoint = Endpoint::from_shared(format!("http://{}", rest.trim_end_matches('/')));
    endpoint.map(|endpoint| endpoint.connect_lazy()).map_err(|error| error.to_string())
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
