//! Properties (section 2.2.2).

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::fields::Fields;
use crate::codec::{kind, varint};
use crate::{MqttError, Text};

/// A property of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// Whether the payload is UTF-8.
    PayloadIsText(bool),
    /// Seconds after which a message is not delivered any more.
    MessageExpiry(u32),
    /// What the payload is.
    ContentType(Text),
    /// Where an answer is expected.
    ResponseTopic(Text),
    /// What an answer carries along.
    CorrelationData(Bytes),
    /// Of the subscription a message comes by; 1 to 268,435,455.
    SubscriptionId(u32),
    /// Seconds the server keeps the session after the connection.
    SessionExpiry(u32),
    /// The client identifier the server has chosen.
    AssignedClientId(Text),
    /// Seconds the client must use.
    ServerKeepAlive(u16),
    /// Name of an enhanced authentication.
    AuthMethod(Text),
    /// Its data.
    AuthData(Bytes),
    /// Whether the server may send reason strings.
    RequestProblemInfo(bool),
    /// Seconds the server waits with a will.
    WillDelay(u32),
    /// Whether the client wants response information.
    RequestResponseInfo(bool),
    /// From which a client makes response topics.
    ResponseInfo(Text),
    /// Another server to use.
    ServerReference(Text),
    /// Why, for people.
    Reason(Text),
    /// QoS 1 and 2 messages that may be on their way at once; not 0.
    ReceiveMaximum(u16),
    /// Highest topic alias that is accepted.
    TopicAliasMaximum(u16),
    /// Number that stands for a topic; not 0.
    TopicAlias(u16),
    /// Whether QoS 1 is the highest (else 0).
    MaximumQosIsOne(bool),
    /// Whether messages can be retained.
    RetainAvailable(bool),
    /// Whatever the users agree on.
    User(Text, Text),
    /// Largest packet in bytes that is accepted; not 0.
    MaximumPacketSize(u32),
    /// Whether filters may have wildcards.
    WildcardsAvailable(bool),
    /// Whether subscriptions may have identifiers.
    SubscriptionIdsAvailable(bool),
    /// Whether subscriptions may be shared.
    SharedAvailable(bool),
}

/// Stands for the will in a CONNECT where a packet type is asked for.
pub(super) const WILL: u8 = 0;

const CONNECT: u16 = 1 << kind::CONNECT;
const CONNACK: u16 = 1 << kind::CONNACK;
const MESSAGE: u16 = 1 << kind::PUBLISH | 1 << WILL;
const ACKS: u16 = 1 << kind::PUBACK | 1 << kind::PUBREC | 1 << kind::PUBREL | 1 << kind::PUBCOMP;
const SUBACKS: u16 = 1 << kind::SUBACK | 1 << kind::UNSUBACK;
const DISCONNECT: u16 = 1 << kind::DISCONNECT;
const AUTH: u16 = 1 << kind::AUTH;

impl Property {
    fn id(&self) -> u8 {
        match self {
            Property::PayloadIsText(_) => 0x01,
            Property::MessageExpiry(_) => 0x02,
            Property::ContentType(_) => 0x03,
            Property::ResponseTopic(_) => 0x08,
            Property::CorrelationData(_) => 0x09,
            Property::SubscriptionId(_) => 0x0b,
            Property::SessionExpiry(_) => 0x11,
            Property::AssignedClientId(_) => 0x12,
            Property::ServerKeepAlive(_) => 0x13,
            Property::AuthMethod(_) => 0x15,
            Property::AuthData(_) => 0x16,
            Property::RequestProblemInfo(_) => 0x17,
            Property::WillDelay(_) => 0x18,
            Property::RequestResponseInfo(_) => 0x19,
            Property::ResponseInfo(_) => 0x1a,
            Property::ServerReference(_) => 0x1c,
            Property::Reason(_) => 0x1f,
            Property::ReceiveMaximum(_) => 0x21,
            Property::TopicAliasMaximum(_) => 0x22,
            Property::TopicAlias(_) => 0x23,
            Property::MaximumQosIsOne(_) => 0x24,
            Property::RetainAvailable(_) => 0x25,
            Property::User(..) => 0x26,
            Property::MaximumPacketSize(_) => 0x27,
            Property::WildcardsAvailable(_) => 0x28,
            Property::SubscriptionIdsAvailable(_) => 0x29,
            Property::SharedAvailable(_) => 0x2a,
        }
    }

    fn read(id: u8, fields: &mut Fields) -> Result<Property, MqttError> {
        let name = "property";
        Ok(match id {
            0x01 => Property::PayloadIsText(flag(id, fields)?),
            0x02 => Property::MessageExpiry(fields.u32(name)?),
            0x03 => Property::ContentType(fields.text(name)?),
            0x08 => Property::ResponseTopic(fields.text(name)?),
            0x09 => Property::CorrelationData(fields.binary(name)?),
            0x0b => Property::SubscriptionId(not_0(id, fields.varint(name)?)?),
            0x11 => Property::SessionExpiry(fields.u32(name)?),
            0x12 => Property::AssignedClientId(fields.text(name)?),
            0x13 => Property::ServerKeepAlive(fields.u16(name)?),
            0x15 => Property::AuthMethod(fields.text(name)?),
            0x16 => Property::AuthData(fields.binary(name)?),
            0x17 => Property::RequestProblemInfo(flag(id, fields)?),
            0x18 => Property::WillDelay(fields.u32(name)?),
            0x19 => Property::RequestResponseInfo(flag(id, fields)?),
            0x1a => Property::ResponseInfo(fields.text(name)?),
            0x1c => Property::ServerReference(fields.text(name)?),
            0x1f => Property::Reason(fields.text(name)?),
            0x21 => Property::ReceiveMaximum(not_0(id, fields.u16(name)?)?),
            0x22 => Property::TopicAliasMaximum(fields.u16(name)?),
            0x23 => Property::TopicAlias(not_0(id, fields.u16(name)?)?),
            0x24 => Property::MaximumQosIsOne(flag(id, fields)?),
            0x25 => Property::RetainAvailable(flag(id, fields)?),
            0x26 => Property::User(fields.text(name)?, fields.text(name)?),
            0x27 => Property::MaximumPacketSize(not_0(id, fields.u32(name)?)?),
            0x28 => Property::WildcardsAvailable(flag(id, fields)?),
            0x29 => Property::SubscriptionIdsAvailable(flag(id, fields)?),
            0x2a => Property::SharedAvailable(flag(id, fields)?),
            id => return Err(MqttError::BadProperty(id)),
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), MqttError> {
        out.put_u8(self.id());
        match self {
            Property::PayloadIsText(flag)
            | Property::RequestProblemInfo(flag)
            | Property::RequestResponseInfo(flag)
            | Property::MaximumQosIsOne(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardsAvailable(flag)
            | Property::SubscriptionIdsAvailable(flag)
            | Property::SharedAvailable(flag) => out.put_u8(u8::from(*flag)),
            Property::ServerKeepAlive(number) | Property::TopicAliasMaximum(number) => out.put_u16(*number),
            Property::ReceiveMaximum(number) | Property::TopicAlias(number) => out.put_u16(not_0(self.id(), *number)?),
            Property::MessageExpiry(number) | Property::SessionExpiry(number) | Property::WillDelay(number) => {
                out.put_u32(*number);
            }
            Property::MaximumPacketSize(number) => out.put_u32(not_0(self.id(), *number)?),
            Property::SubscriptionId(number) => varint(not_0(self.id(), *number)? as usize, out)?,
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientId(text)
            | Property::AuthMethod(text)
            | Property::ResponseInfo(text)
            | Property::ServerReference(text)
            | Property::Reason(text) => sized(text.as_bytes(), out)?,
            Property::CorrelationData(bytes) | Property::AuthData(bytes) => sized(bytes, out)?,
            Property::User(key, value) => {
                sized(key.as_bytes(), out)?;
                sized(value.as_bytes(), out)?;
            }
        }
        Ok(())
    }

    /// The packet types that may carry it, as bits.
    fn homes(id: u8) -> u16 {
        match id {
            0x01..=0x03 | 0x08 | 0x09 => MESSAGE,
            0x0b => 1 << kind::PUBLISH | 1 << kind::SUBSCRIBE,
            0x11 => CONNECT | CONNACK | DISCONNECT,
            0x12 | 0x13 | 0x1a | 0x24 | 0x25 | 0x28..=0x2a => CONNACK,
            0x15 | 0x16 => CONNECT | CONNACK | AUTH,
            0x17 | 0x19 => CONNECT,
            0x18 => 1 << WILL,
            0x1c => CONNACK | DISCONNECT,
            0x1f => CONNACK | ACKS | SUBACKS | DISCONNECT | AUTH,
            0x21 | 0x22 | 0x27 => CONNECT | CONNACK,
            0x23 => 1 << kind::PUBLISH,
            0x26 => !0,
            _ => 0,
        }
    }
}

fn flag(id: u8, fields: &mut Fields) -> Result<bool, MqttError> {
    match fields.u8("property")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(MqttError::BadProperty(id)),
    }
}

fn not_0<T: PartialEq + From<u8>>(id: u8, number: T) -> Result<T, MqttError> {
    if number == T::from(0) { Err(MqttError::BadProperty(id)) } else { Ok(number) }
}

/// A field behind a 16-bit length.
pub(super) fn sized(bytes: &[u8], out: &mut BytesMut) -> Result<(), MqttError> {
    let length = u16::try_from(bytes.len()).map_err(|_| MqttError::TooLong("field"))?;
    out.put_u16(length);
    out.put_slice(bytes);
    Ok(())
}

/// The properties of a packet, in order. Only user properties, and subscription identifiers of a message, may come more
/// than once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties(Vec<Property>);

impl Properties {
    /// Adds one.
    pub fn push(&mut self, property: Property) {
        self.0.push(property);
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reason string.
    pub fn reason(&self) -> Option<&Text> {
        self.0.iter().find_map(|property| if let Property::Reason(text) = property { Some(text) } else { None })
    }

    /// The topic alias.
    pub fn topic_alias(&self) -> Option<u16> {
        self.0.iter().find_map(|property| if let Property::TopicAlias(alias) = property { Some(*alias) } else { None })
    }

    /// Reads those of a packet type, or of the [`WILL`].
    pub(super) fn read(home: u8, fields: &mut Fields) -> Result<Properties, MqttError> {
        let length = fields.varint("length of properties")? as usize;
        if length == 0 {
            return Ok(Properties::default());
        }
        let mut fields = fields.part(length, "properties")?;
        let (mut properties, mut seen) = (Vec::new(), 0_u64);
        while !fields.is_empty() {
            let id = fields.u8("property")?;
            let property = Property::read(id, &mut fields)?;
            check(id, home, &mut seen)?;
            properties.push(property);
        }
        Ok(Properties(properties))
    }

    /// Appends them behind their length.
    pub(super) fn write(&self, home: u8, out: &mut BytesMut) -> Result<(), MqttError> {
        if self.0.is_empty() {
            out.put_u8(0);
            return Ok(());
        }
        let (mut bytes, mut seen) = (BytesMut::new(), 0_u64);
        for property in &self.0 {
            check(property.id(), home, &mut seen)?;
            property.write(&mut bytes)?;
        }
        varint(bytes.len(), out)?;
        out.put_slice(&bytes);
        Ok(())
    }
}

/// Whether a property may be here, and once more; ids are below 64.
fn check(id: u8, home: u8, seen: &mut u64) -> Result<(), MqttError> {
    let repeats = id == 0x26 || (id == 0x0b && home == kind::PUBLISH);
    let again = *seen >> id & 1 == 1 && !repeats;
    *seen |= 1 << id;
    if again || Property::homes(id) >> home & 1 == 0 { Err(MqttError::BadProperty(id)) } else { Ok(()) }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Properties {
        Properties(properties.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
