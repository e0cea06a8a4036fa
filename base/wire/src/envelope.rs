//! The KubeEdge envelope: `{"header":{…},"route":{…},"content":…}` and the ways a message comes into being.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Resource};

/// Message content: the raw JSON text, kept as it came so that it can be stored or passed on without a re-encoding.
pub type Content = Box<RawValue>;

/// One message of the hub channel, in the key order and with the omissions of KubeEdge 1.23 (beehive `model.Message`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Identity and version.
    pub header: Header,
    /// Who speaks to whom about what.
    #[serde(default)]
    pub route: Route,
    /// Any JSON: an object for Kubernetes objects, a string for patches and `"OK"`, `null` for none.
    #[serde(default = "null")]
    pub content: Content,
}

/// `header` of an [`Envelope`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// UUID of this message.
    #[serde(rename = "msg_id")]
    pub id: String,
    /// In answers and acks: the id of the message answered; else empty.
    #[serde(rename = "parent_msg_id", default, skip_serializing_if = "String::is_empty")]
    pub parent_id: String,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub timestamp: i64,
    /// Kubernetes resourceVersion of the content; acknowledged deliveries must carry it unless they delete.
    #[serde(rename = "resourceversion", default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The sender waits. Has a local meaning only and was never seen on the wire.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sync: bool,
    /// Lower-case kind on watch pushes; never seen on the wire.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// `route` of an [`Envelope`]. The usual values are in [`source`], [`group`] and [`operation`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// The module that speaks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Unused on the wire.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// The receiving side's dispatcher group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What is done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// What it is done to; parse with [`Envelope::resource`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
}

impl Envelope {
    /// A new message that answers nothing.
    pub fn new(now_ms: i64, source: &str, group: &str, operation: &str, resource: String, content: Content) -> Self {
        Self {
            header: Header { id: new_id(), timestamp: now_ms, ..Header::default() },
            route: Route {
                source: source.into(),
                destination: String::new(),
                group: group.into(),
                operation: operation.into(),
                resource,
            },
            content,
        }
    }

    /// The same message with a resourceVersion in its header.
    pub fn with_version(mut self, resource_version: impl Into<String>) -> Self {
        self.header.resource_version = resource_version.into();
        self
    }

    /// The answer to this message: operation `response`, our id as its parent, the resource kept.
    pub fn answer(&self, now_ms: i64, source: &str, group: &str, content: Content) -> Self {
        let resource = self.route.resource.clone();
        let mut answer = Self::new(now_ms, source, group, operation::RESPONSE, resource, content);
        answer.header.parent_id.clone_from(&self.header.id);
        answer
    }

    /// The acknowledgement of this message: its own route, operation `response`, content `"OK"`.
    /// (KubeEdge 1.23 metamanager; its devicetwin answers some with source `meta`, group `twin`, which no receiver looks at.)
    pub fn ack(&self, now_ms: i64) -> Self {
        self.answer(now_ms, &self.route.source, &self.route.group, ok())
    }

    /// The refusal of this message: operation `error`, the reason as a JSON string.
    pub fn refuse(&self, now_ms: i64, source: &str, group: &str, reason: &str) -> Self {
        let mut refusal = self.answer(now_ms, source, group, text(reason));
        refusal.route.operation = operation::ERROR.into();
        refusal
    }

    /// Whether this answers or acknowledges an earlier message.
    pub fn is_answer(&self) -> bool {
        !self.header.parent_id.is_empty()
    }

    /// `route.resource`, parsed. Resources of group `user` are free text (MQTT topics, URLs) and are not parsed.
    pub fn resource(&self) -> Resource<'_> {
        if self.route.group == group::USER {
            return Resource::Other(&self.route.resource);
        }
        Resource::parse(&self.route.resource)
    }

    /// Reads the content as `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(self.content.get())
            .map_err(|source| Error::Content { resource: self.route.resource.clone(), source })
    }

    /// Reads content that may be a JSON document or, as KubeEdge sends patches and some device messages, a JSON string
    /// that holds one. Gives the inner document's text.
    pub fn document(&self) -> Result<Cow<'_, str>, Error> {
        if self.content.get().starts_with('"') {
            self.read::<String>().map(Cow::Owned)
        } else {
            Ok(self.content.get().into())
        }
    }

    /// Decodes one text frame.
    pub fn decode(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::Envelope)
    }

    /// Encodes as Go's `json.Encoder` does: `<`, `>`, `&`, U+2028 and U+2029 escaped, a newline at the end.
    pub fn encode(&self) -> String {
        // Strings, an integer, a bool and raw JSON cannot fail to serialise into memory.
        #[allow(clippy::expect_used)]
        let text = serde_json::to_string(self).expect("an envelope is always serialisable");
        let mut text = match escape_html(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(escaped) => escaped,
        };
        text.push('\n');
        text
    }
}

/// Equality of what is on the wire.
impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.route == other.route && self.content.get() == other.content.get()
    }
}

/// Writes `value` as message content. Fails only for types that JSON cannot hold (maps with non-text keys).
pub fn content<T: Serialize + ?Sized>(value: &T) -> Result<Content, Error> {
    serde_json::value::to_raw_value(value)
        .map_err(|source| Error::Content { resource: std::any::type_name::<T>().into(), source })
}

/// A random message id.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Content `null`.
pub fn null() -> Content {
    RawValue::NULL.to_owned()
}

/// Content `"OK"`: plain success.
pub fn ok() -> Content {
    text("OK")
}

fn text(value: &str) -> Content {
    // A string always serialises.
    #[allow(clippy::expect_used)]
    serde_json::value::to_raw_value(value).expect("a string is always serialisable")
}

/// Escapes what Go escapes in JSON text: those characters can only stand inside strings there, so a plain replacement is
/// right, and text that is escaped already stays as it is.
pub fn escape_html(json: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    let Some(first) = json.find(special) else { return Cow::Borrowed(json) };
    let mut out = String::with_capacity(json.len() + 16);
    out.push_str(&json[..first]);
    for c in json[first..].chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Values of `route.operation`.
pub mod operation {
    #![allow(missing_docs, reason = "each constant is its text")]
    pub const INSERT: &str = "insert";
    pub const UPDATE: &str = "update";
    pub const DELETE: &str = "delete";
    pub const QUERY: &str = "query";
    pub const PATCH: &str = "patch";
    pub const UPLOAD: &str = "upload";
    pub const RESPONSE: &str = "response";
    pub const ERROR: &str = "error";
    pub const KEEPALIVE: &str = "keepalive";
    pub const GET: &str = "get";
    pub const APPLICATION_RESPONSE: &str = "applicationResponse";
}

/// Values of `route.source`.
pub mod source {
    #![allow(missing_docs, reason = "each constant is its text")]
    pub const EDGE_CONTROLLER: &str = "edgecontroller";
    pub const DEVICE_CONTROLLER: &str = "devicecontroller";
    pub const DYNAMIC_CONTROLLER: &str = "dynamiccontroller";
    pub const CLOUD_HUB: &str = "cloudhub";
    pub const TASK_MANAGER: &str = "taskmanager";
    pub const NODE_UPGRADE: &str = "nodeupgradejobcontroller";
    pub const EDGED: &str = "edged";
    pub const TWIN: &str = "twin";
    pub const META: &str = "meta";
    pub const META_SERVER: &str = "metaserver";
    pub const WEBSOCKET: &str = "websocket";
    pub const BUS: &str = "bus";
    pub const SERVICE_BUS: &str = "servicebus";
}

/// Values of `route.group`.
pub mod group {
    #![allow(missing_docs, reason = "each constant is its text")]
    pub const RESOURCE: &str = "resource";
    pub const META: &str = "meta";
    pub const TWIN: &str = "twin";
    pub const USER: &str = "user";
    pub const HUB: &str = "hub";
    pub const DYNAMIC_CONTROLLER: &str = "dynamiccontroller";
}
