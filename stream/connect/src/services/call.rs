//! One function: arguments to a request, an answer to a value.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use edgeward_functions::json::{Numbers, Printer, parse};
use edgeward_functions::{Args, Context, Error, Map, UserFunction, Value};
use edgeward_service::Tasks;
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, header};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::transport::Channel;

use super::definition::{Interface, Protocol};
use super::method::{HttpRule, Method};
use super::{grpc, msgpack, refused};
use crate::format::protobuf;
use crate::http::{HttpClient, escape, pairs};
use crate::{ConnectError, Props, tls};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A function of a service.
pub(super) struct Function {
    name: String,
    pub(super) interface: String,
    address: String,
    method: Method,
    way: Way,
    tasks: Tasks,
}

/// How a server is reached.
enum Way {
    Rest {
        client: Arc<HttpClient>,
        headers: Arc<HeaderMap>,
    },
    /// A channel needs a runtime, which there may be none of when the function is made.
    Grpc {
        channel: tokio::sync::OnceCell<Channel>,
        /// None: in the clear.
        tls: Option<Arc<rustls::ClientConfig>>,
    },
    Msgpack,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Function").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

impl Function {
    pub(super) fn new(
        name: &str,
        interface_name: &str,
        interface: &Interface,
        method: Method,
        tasks: &Tasks,
    ) -> Result<Function, ConnectError> {
        let props = Props::new(interface.options.clone());
        let way = match interface.protocol {
            Protocol::Rest => {
                crate::http::check_url("address", &interface.address)?;
                let client = HttpClient::new(&tls::client_config(&props, false)?, PATIENCE);
                Way::Rest { client: Arc::new(client), headers: Arc::new(headers(&props)?) }
            }
            Protocol::MsgpackRpc => Way::Msgpack,
            Protocol::Grpc => {
                let tls = grpc::tls(&interface.address, &*tls::client_config(&props, false)?);
                Way::Grpc { channel: tokio::sync::OnceCell::new(), tls }
            }
        };
        Ok(Function {
            name: name.to_owned(),
            interface: interface_name.to_owned(),
            address: interface.address.trim_end_matches('/').to_owned(),
            method,
            way,
            tasks: tasks.clone(),
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What is called at the server.
    pub(super) fn method_name(&self) -> &str {
        match &self.method {
            Method::Schemaless(name) => name,
            Method::Typed { method, .. } => method.name(),
        }
    }

    /// What is to be done, with everything that can be refused refused.
    fn job(&self, args: &[Value]) -> Result<Job, String> {
        match (&self.way, &self.method) {
            (Way::Rest { client, headers }, Method::Schemaless(_)) => {
                let request = schemaless(&self.address, args)?;
                Ok(Job::Rest { client: client.clone(), headers: headers.clone(), request, output: None })
            }
            (Way::Rest { client, headers }, Method::Typed { method, rule }) => {
                let request = typed(&self.address, rule, &arguments(&method.input(), args)?)?;
                let output = Some(method.output());
                Ok(Job::Rest { client: client.clone(), headers: headers.clone(), request, output })
            }
            (Way::Grpc { channel, tls }, Method::Typed { method, .. }) => {
                let row = arguments(&method.input(), args)?;
                let message = protobuf::message(&method.input(), &row)?;
                let channel = match channel.get() {
                    Some(channel) => channel.clone(),
                    None => {
                        let made = grpc::channel(&self.address, tls.as_ref())?;
                        // Somebody else may have been faster; then both work.
                        let _ = channel.set(made.clone());
                        made
                    }
                };
                Ok(Job::Grpc { channel, method: method.clone(), message: Box::new(message) })
            }
            (Way::Msgpack, Method::Typed { method, .. }) => {
                let row = arguments(&method.input(), args)?;
                let mut fields: Vec<_> = method.input().fields().collect();
                fields.sort_unstable_by_key(prost_reflect::FieldDescriptor::number);
                let args = fields.iter().map(|field| row.get(field.name()).cloned().unwrap_or_default()).collect();
                Ok(Job::Msgpack { address: self.address.clone(), method: method.name().to_owned(), args })
            }
            (Way::Grpc { .. } | Way::Msgpack, Method::Schemaless(_)) => Err("this protocol needs a schema".into()),
        }
    }
}

impl UserFunction for Function {
    fn is_aggregate(&self) -> bool {
        false
    }

    fn call(&self, args: &Args<'_>, _: &Context) -> Result<Value, Error> {
        let failed = |reason: String| Error::call(format!("call func {} error: {reason}", self.name));
        let args: Vec<Value> = args.iter().map(|arg| arg.clone().into_owned()).collect();
        let job = self.job(&args).map_err(failed)?;
        let (sender, answer) = mpsc::sync_channel(1);
        self.tasks.spawn_until_cancelled("service-call", async move {
            // Whoever asked may have given up.
            let _ = sender.send(job.run().await);
        });
        // A little longer than the call itself may take, so that its own reason is told.
        match answer.recv_timeout(PATIENCE + Duration::from_secs(1)) {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed(format!("{} did not answer within {PATIENCE:?}", self.address))),
        }
    }
}

/// A request over HTTP.
#[derive(Debug, PartialEq)]
struct Request {
    method: HttpMethod,
    url: String,
    body: Vec<u8>,
}

/// A call that is ready to be made.
enum Job {
    Rest { client: Arc<HttpClient>, headers: Arc<HeaderMap>, request: Request, output: Option<MessageDescriptor> },
    Grpc { channel: Channel, method: prost_reflect::MethodDescriptor, message: Box<DynamicMessage> },
    Msgpack { address: String, method: String, args: Vec<Value> },
}

impl Job {
    async fn run(self) -> Result<Value, String> {
        match self {
            Job::Rest { client, headers, request, output } => {
                let Request { method, url, body } = request;
                let reply = client.send(&method, &url, &headers, Bytes::from(body)).await;
                let reply = reply.map_err(|error| format!("{url}: {error}"))?;
                if !reply.status.is_success() {
                    let text: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
                    return Err(format!("{url} answered {}: {text}", reply.status.as_u16()));
                }
                answer(&reply.body, output.as_ref())
            }
            Job::Grpc { channel, method, message } => {
                let call = grpc::call(channel, &method, *message);
                let answer = tokio::time::timeout(PATIENCE, call).await;
                let message = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))?;
                Ok(protobuf::value_of(&message))
            }
            Job::Msgpack { address, method, args } => {
                let call = msgpack::call(&address, &method, &args);
                let answer = tokio::time::timeout(PATIENCE, call).await;
                answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
            }
        }
    }
}

/// The value of an answer: JSON, or its text.
fn answer(body: &[u8], output: Option<&MessageDescriptor>) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Nil);
    }
    match (parse(body, Numbers::Float), output) {
        (Ok(value), _) => Ok(value),
        (Err(_), None) => Ok(Value::str(String::from_utf8_lossy(body))),
        (Err(error), Some(output)) => Err(format!("the answer is no {}: {error}", output.name())),
    }
}

/// The arguments as fields of a request: one map holds all of them, else they come in the order of the fields.
fn arguments(input: &MessageDescriptor, args: &[Value]) -> Result<Map, String> {
    if let [Value::Map(map)] = args
        && (input.fields().len() != 1 || input.fields().any(|field| map.contains_key(field.name())))
    {
        return Ok((**map).clone());
    }
    let mut fields: Vec<_> = input.fields().collect();
    fields.sort_unstable_by_key(prost_reflect::FieldDescriptor::number);
    if fields.len() != args.len() {
        return Err(format!("Expect {} arguments but found {}.", fields.len(), args.len()));
    }
    Ok(fields.iter().zip(args).map(|(field, arg)| (field.name().into(), arg.clone())).collect())
}

/// A request by an HTTP rule: fields go into the path, the body, and what is left of them into the query.
fn typed(address: &str, rule: &HttpRule, row: &Map) -> Result<Request, String> {
    let mut left = row.clone();
    let mut url = address.to_owned();
    let mut rest = rule.path.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("{} has no end of a field", rule.path))?;
        // `{name=pattern}`: the pattern says what the server takes.
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let value = left.remove(name).ok_or_else(|| format!("field {name} of the path is missing"))?;
        url.push_str(before);
        url.push_str(&escape(&plain(&value)).replace('+', "%20"));
        rest = after;
    }
    url.push_str(rest);
    let body = match rule.body.as_str() {
        "*" => Some(Value::map(std::mem::take(&mut left))),
        "" => None,
        field => left.remove(field),
    };
    let query: Vec<String> =
        left.iter().map(|(name, value)| format!("{}={}", escape(name), escape(&plain(value)))).collect();
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query.join("&"));
    }
    let body = body.map_or(Ok(Vec::new()), |body| json(&body))?;
    Ok(Request { method: rule.method.clone(), url, body })
}

/// A request without a schema: HTTP method, path and body.
fn schemaless(address: &str, args: &[Value]) -> Result<Request, String> {
    let (method, path, body) = match args {
        [Value::Str(method), Value::Str(path)] => (method, path, None),
        [Value::Str(method), Value::Str(path), body] => (method, path, Some(body)),
        _ => return Err("a function without a schema takes the HTTP method, the path and the body".into()),
    };
    let method = method.to_uppercase().parse().map_err(|_| format!("{method} is no HTTP method"))?;
    let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let body = match body {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::Str(text)) => text.as_bytes().to_vec(),
        Some(Value::Bytes(bytes)) => bytes.to_vec(),
        Some(other) => json(other)?,
    };
    Ok(Request { method, url: format!("{address}{slash}{path}"), body })
}

fn json(value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    Printer::default().write(value, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// A value in a path or query.
fn plain(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => json(other).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default(),
    }
}

fn headers(props: &Props) -> Result<HeaderMap, ConnectError> {
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for (name, value) in pairs(props, "headers")? {
        let bad = || refused(format!("header {name}: {value} is not valid"));
        let name = name.parse::<HeaderName>().map_err(|_| bad())?;
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| bad())?);
    }
    Ok(headers)
}
