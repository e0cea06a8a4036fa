//! Text that shares its bytes with the packet it came in.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;

use crate::MqttError;

/// UTF-8 text without U+0000 (MQTT 3.1.1 section 1.5.3) over shared bytes: a clone costs a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Bytes);

impl Text {
    /// Text over static memory; empty if it holds U+0000.
    pub fn from_static(text: &'static str) -> Text {
        if text.contains('\0') { Text::default() } else { Text(Bytes::from_static(text.as_bytes())) }
    }

    /// Takes bytes over, checking them; `what` names the field in the error.
    ///
    /// # Errors
    /// The bytes are not UTF-8 or hold U+0000.
    pub fn from_bytes(bytes: Bytes, what: &'static str) -> Result<Text, MqttError> {
        let valid = memchr::memchr(0, &bytes).is_none() && std::str::from_utf8(&bytes).is_ok();
        if valid { Ok(Text(bytes)) } else { Err(MqttError::BadText(what)) }
    }

    /// The bytes; free.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text. Costs a pass over the bytes (the crate has no unsafe code), so hot paths use [`Text::as_bytes`].
    pub fn as_str(&self) -> &str {
        // Every constructor checked the bytes.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that does not keep the buffer alive it was read into: for text that is stored.
    #[must_use]
    pub fn detached(&self) -> Text {
        Text(Bytes::copy_from_slice(&self.0))
    }
}

impl TryFrom<&str> for Text {
    type Error = MqttError;

    fn try_from(text: &str) -> Result<Text, MqttError> {
        Text::from_bytes(Bytes::copy_from_slice(text.as_bytes()), "text")
    }
}

impl TryFrom<String> for Text {
    type Error = MqttError;

    fn try_from(text: String) -> Result<Text, MqttError> {
        Text::from_bytes(Bytes::from(text), "text")
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}
