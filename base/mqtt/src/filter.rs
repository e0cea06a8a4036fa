//! Topic names and filters (MQTT 3.1.1 section 4.7).

use std::fmt;

use crate::{MqttError, Text};

/// Most levels a filter may have, so that walking a tree of filters needs a bounded stack.
pub const MAX_LEVELS: usize = 128;

/// A valid topic filter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Text);

impl Filter {
    /// Checks a filter.
    ///
    /// # Errors
    /// Empty, too long, too deep, `#` not last, or a wildcard beside other characters in its level.
    pub fn new(text: Text) -> Result<Filter, MqttError> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > usize::from(u16::MAX) {
            return Err(MqttError::BadFilter);
        }
        let mut ended = false;
        for (index, level) in levels(bytes).enumerate() {
            let wild = memchr::memchr2(b'+', b'#', level).is_some();
            if ended || index >= MAX_LEVELS || (wild && level.len() != 1) {
                return Err(MqttError::BadFilter);
            }
            ended = level == b"#";
        }
        Ok(Filter(text))
    }

    /// The text as it was given.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// The filter's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether a topic name falls under it.
    pub fn matches(&self, topic: &[u8]) -> bool {
        matches(self.as_bytes(), topic)
    }

    /// The bytes every matching topic begins with: all, if there is no wildcard; else those before the first wildcard,
    /// without the `/` in front of `#` (because `a/#` matches `a`).
    pub fn literal_prefix(&self) -> &[u8] {
        let bytes = self.as_bytes();
        match memchr::memchr2(b'+', b'#', bytes) {
            None => bytes,
            Some(at) if bytes[at] == b'#' => &bytes[..at.saturating_sub(1)],
            Some(at) => &bytes[..at],
        }
    }

    /// The filter of the topics themselves: without the `$share/GROUP/` of a shared subscription (MQTT 5 section 4.8.2).
    #[must_use]
    pub fn unshared(&self) -> Filter {
        let text = self.0.as_str();
        let topics = text.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map(|(_, topics)| topics);
        topics.and_then(|topics| Filter::try_from(topics).ok()).unwrap_or_else(|| self.clone())
    }

    /// Whether it holds no wildcard.
    pub fn is_literal(&self) -> bool {
        memchr::memchr2(b'+', b'#', self.as_bytes()).is_none()
    }

    /// A copy that does not keep the buffer alive it was read into.
    #[must_use]
    pub fn detached(&self) -> Filter {
        Filter(self.0.detached())
    }
}

impl TryFrom<&str> for Filter {
    type Error = MqttError;

    fn try_from(text: &str) -> Result<Filter, MqttError> {
        Filter::new(Text::try_from(text)?)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// Checks the name of a topic: not empty, no wildcard, at most 65535 bytes.
///
/// # Errors
/// [`MqttError::BadTopic`].
pub fn check_topic(topic: &[u8]) -> Result<(), MqttError> {
    let bad = topic.is_empty() || topic.len() > usize::from(u16::MAX) || memchr::memchr2(b'+', b'#', topic).is_some();
    if bad { Err(MqttError::BadTopic) } else { Ok(()) }
}

/// Whether `topic` falls under the valid filter `filter`. A wildcard at the first level does not match a topic that begins
/// with `$` (section 4.7.2).
pub fn matches(filter: &[u8], topic: &[u8]) -> bool {
    let mut names = levels(topic);
    for (index, wanted) in levels(filter).enumerate() {
        let hidden = index == 0 && topic.first() == Some(&b'$');
        if wanted == b"#" {
            return !hidden;
        }
        match names.next() {
            Some(name) if name == wanted || (wanted == b"+" && !hidden) => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// The levels between the slashes.
pub(crate) fn levels(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses_filters() {
        let deep = "a/".repeat(MAX_LEVELS - 1) + "a";
        for good in
            ["#", "+", "/", "a", "a/b", "/a", "a/", "a//b", "+/+", "a/+/b", "a/#", "+/#", "$SYS/#", "ü/ß", &deep]
        {
            assert!(Filter::try_from(good).is_ok(), "{good}");
        }
        let too_deep = deep.clone() + "/a";
        for bad in ["", "a#", "a/#/b", "#/a", "a+", "+a", "a/b+/c", "##", "a/b#", "a\0b", &too_deep] {
            assert!(Filter::try_from(bad).is_err(), "{bad}");
        }
        assert!(Filter::try_from("a".repeat(65_536).as_str()).is_err());
    }

    #[test]
    fn accepts_and_refuses_topics() {
        for (topic, good) in
            [("a", true), ("/", true), ("$x", true), ("a b", true), ("", false), ("a/+", false), ("#", false)]
        {
            assert_eq!(check_topic(topic.as_bytes()).is_ok(), good, "{topic}");
        }
    }

    #[test]
    fn matches_as_the_standard_says() {
        let cases = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a/b", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/+/c", "a//c", true),
            ("a/b", "a/b/", false),
            ("a/b/", "a/b", false),
            ("a/+/#", "a/b", true),
            ("a/+/#", "a", false),
        ];
        for (filter, topic, expect) in cases {
            assert_eq!(Filter::try_from(filter).unwrap().matches(topic.as_bytes()), expect, "{filter} {topic}");
        }
    }

    #[test]
    fn knows_the_topics_of_a_shared_subscription() {
        for (filter, expect) in
            [("$share/g/a/+", "a/+"), ("a/+", "a/+"), ("$share/g", "$share/g"), ("$share/g/", "$share/g/")]
        {
            assert_eq!(Filter::try_from(filter).unwrap().unshared().text().as_str(), expect);
        }
    }

    #[test]
    fn knows_the_literal_prefix() {
        for (filter, expect) in [("a/b", "a/b"), ("a/#", "a"), ("#", ""), ("a/+/b", "a/"), ("+/a", "")] {
            let filter = Filter::try_from(filter).unwrap();
            assert_eq!(filter.literal_prefix(), expect.as_bytes());
            assert_eq!(filter.is_literal(), filter.as_bytes() == expect.as_bytes());
        }
    }
}
