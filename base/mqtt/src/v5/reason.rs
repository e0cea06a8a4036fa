//! Reason codes (section 2.4).

use std::fmt;

/// What became of a packet, or why a connection ends. Codes from 0x80 on are failures.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Reason(pub u8);

impl Reason {
    /// Success, normal disconnection, granted with QoS 0.
    pub const SUCCESS: Reason = Reason(0x00);
    /// A packet that does not follow the specification.
    pub const MALFORMED_PACKET: Reason = Reason(0x81);
    /// A packet that may not come here.
    pub const PROTOCOL_ERROR: Reason = Reason(0x82);
    /// The server does not speak the version.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Reason = Reason(0x84);
    /// The client identifier is not allowed.
    pub const CLIENT_IDENTIFIER_NOT_VALID: Reason = Reason(0x85);
    /// User name or password is wrong.
    pub const BAD_USER_NAME_OR_PASSWORD: Reason = Reason(0x86);
    /// Not allowed.
    pub const NOT_AUTHORIZED: Reason = Reason(0x87);
    /// The server is not available.
    pub const SERVER_UNAVAILABLE: Reason = Reason(0x88);
    /// No subscription was there.
    pub const NO_SUBSCRIPTION_EXISTED: Reason = Reason(0x11);
    /// A failure of which nothing is said.
    pub const UNSPECIFIED_ERROR: Reason = Reason(0x80);
    /// A topic alias that was not agreed on.
    pub const TOPIC_ALIAS_INVALID: Reason = Reason(0x94);

    /// Whether it is a failure.
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// Its name in the specification.
    pub fn text(self) -> &'static str {
        let named = NAMES.binary_search_by_key(&self.0, |(code, _)| *code);
        named.map_or("a reason the specification does not know", |index| NAMES[index].1)
    }
}

/// By code.
const NAMES: [(u8, &str); 43] = [
    (0x00, "success"),
    (0x01, "granted QoS 1"),
    (0x02, "granted QoS 2"),
    (0x04, "disconnect with will message"),
    (0x10, "no matching subscribers"),
    (0x11, "no subscription existed"),
    (0x18, "continue authentication"),
    (0x19, "re-authenticate"),
    (0x80, "unspecified error"),
    (0x81, "malformed packet"),
    (0x82, "protocol error"),
    (0x83, "implementation specific error"),
    (0x84, "unsupported protocol version"),
    (0x85, "client identifier not valid"),
    (0x86, "bad user name or password"),
    (0x87, "not authorized"),
    (0x88, "server unavailable"),
    (0x89, "server busy"),
    (0x8a, "banned"),
    (0x8b, "server shutting down"),
    (0x8c, "bad authentication method"),
    (0x8d, "keep alive timeout"),
    (0x8e, "session taken over"),
    (0x8f, "topic filter invalid"),
    (0x90, "topic name invalid"),
    (0x91, "packet identifier in use"),
    (0x92, "packet identifier not found"),
    (0x93, "receive maximum exceeded"),
    (0x94, "topic alias invalid"),
    (0x95, "packet too large"),
    (0x96, "message rate too high"),
    (0x97, "quota exceeded"),
    (0x98, "administrative action"),
    (0x99, "payload format invalid"),
    (0x9a, "retain not supported"),
    (0x9b, "QoS not supported"),
    (0x9c, "use another server"),
    (0x9d, "server moved"),
    (0x9e, "shared subscriptions not supported"),
    (0x9f, "connection rate exceeded"),
    (0xa0, "maximum connect time"),
    (0xa1, "subscription identifiers not supported"),
    (0xa2, "wildcard subscriptions not supported"),
];

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#04x} {}", self.0, self.text())
    }
}
