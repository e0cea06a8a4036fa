//! What can be wrong with a packet, a topic or a filter.

/// Why bytes are not a packet, or values cannot become one. Every decoding error is fatal for its connection: MQTT 3.1.1
/// has no way to refuse a single packet (section 4.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MqttError {
    /// The first byte names no packet type, or one that this side never receives.
    #[error("packet type {0} does not exist")]
    UnknownType(u8),
    /// The lower four bits of the first byte are not those the packet type prescribes.
    #[error("reserved flags of the {packet} packet are {flags:#06b}")]
    ReservedFlags {
        /// Name of the packet type.
        packet: &'static str,
        /// The bits that came.
        flags: u8,
    },
    /// The remaining length takes more than four bytes.
    #[error("remaining length is longer than four bytes")]
    BadLength,
    /// The packet is larger than the limit of this side.
    #[error("packet of {size} bytes is larger than the limit of {limit}; send smaller packets or raise the limit")]
    TooLarge {
        /// Size of the whole packet in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A field reaches beyond the end of its packet.
    #[error("{0} ends early")]
    Truncated(&'static str),
    /// Bytes are left over after the last field.
    #[error("{count} bytes are left over at the end of the {packet} packet")]
    Trailing {
        /// Name of the packet type.
        packet: &'static str,
        /// How many.
        count: usize,
    },
    /// A string is not UTF-8 or holds U+0000.
    #[error("{0} is not text as MQTT wants it: UTF-8 without U+0000")]
    BadText(&'static str),
    /// A string or binary field is longer than its 16-bit length can say.
    #[error("{0} is longer than 65535 bytes")]
    TooLong(&'static str),
    /// CONNECT names another protocol.
    #[error("protocol name is not MQTT")]
    UnknownProtocol,
    /// CONNECT asks for a version this side does not speak.
    #[error("protocol level {0} is not supported; use MQTT 3.1.1 (level 4)")]
    UnsupportedVersion(u8),
    /// A quality of service of 3, or one where none may be.
    #[error("quality of service {0} does not exist")]
    BadQos(u8),
    /// A packet that needs an identifier has 0.
    #[error("packet identifier of the {0} packet is 0")]
    ZeroPacketId(&'static str),
    /// CONNECT's flags contradict each other.
    #[error("connect flags {0:#010b} contradict each other")]
    BadConnectFlags(u8),
    /// A reply code that does not exist.
    #[error("{packet} code {code} does not exist")]
    BadCode {
        /// Name of the packet type.
        packet: &'static str,
        /// The code that came.
        code: u8,
    },
    /// A property of MQTT 5 that does not exist, stands where it may not, comes twice or has no valid value.
    #[error("property {0:#04x} does not exist, is not allowed there, comes twice or has a wrong value")]
    BadProperty(u8),
    /// SUBSCRIBE or UNSUBSCRIBE without a filter, SUBACK without a code.
    #[error("{0} packet has an empty list")]
    EmptyList(&'static str),
    /// The name of a topic is empty or holds a wildcard.
    #[error("topic name is empty, too long or holds a wildcard")]
    BadTopic,
    /// A topic filter breaks the wildcard rules.
    #[error("topic filter is empty, too long, deeper than 128 levels or has a wildcard beside other characters")]
    BadFilter,
}
