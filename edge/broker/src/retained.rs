//! The last retained message of each topic.

use std::collections::BTreeMap;
use std::ops::Bound;

use edgeward_mqtt::{Filter, Text};
use parking_lot::RwLock;

use crate::{Limits, Message};

/// Retained messages by topic, in order, so that a filter only looks at topics with its literal prefix.
#[derive(Default)]
pub(crate) struct Retained {
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    messages: BTreeMap<Text, Message>,
    bytes: usize,
}

impl Retained {
    /// Keeps a message that is already [`Message::detached`], or forgets the topic's if the payload is empty. Returns
    /// false when a limit forbids it.
    pub(crate) fn set(&self, message: Message, limits: &Limits) -> bool {
        let mut kept = self.kept.write();
        let before = kept.messages.get(message.topic.as_bytes()).map_or(0, Message::size);
        if message.payload.is_empty() {
            kept.messages.remove(message.topic.as_bytes());
            kept.bytes -= before;
            return true;
        }
        let bytes = kept.bytes - before + message.size();
        if (before == 0 && kept.messages.len() >= limits.max_retained) || bytes > limits.max_retained_bytes {
            return false;
        }
        kept.bytes = bytes;
        kept.messages.insert(message.topic.clone(), message);
        true
    }

    /// The retained messages a new subscription gets.
    pub(crate) fn matching(&self, filter: &Filter) -> Vec<Message> {
        let kept = self.kept.read();
        if filter.is_literal() {
            return kept.messages.get(filter.as_bytes()).cloned().into_iter().collect();
        }
        let prefix = filter.literal_prefix();
        kept.messages
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.as_bytes().starts_with(prefix))
            .filter(|(topic, _)| filter.matches(topic.as_bytes()))
            .map(|(_, message)| message.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_message_of_each_topic_within_limits() {
        let limits = Limits { max_retained: 3, max_retained_bytes: 20, ..Limits::default() };
        let retained = Retained::default();
        let set = |topic: &str, payload: &'static str| {
            retained.set(Message::new(topic, payload).unwrap().retained(), &limits)
        };
        let found = |filter: &str| -> Vec<String> {
            let messages = retained.matching(&Filter::try_from(filter).unwrap());
            messages
                .iter()
                .map(|message| format!("{}={}", message.topic, String::from_utf8_lossy(&message.payload)))
                .collect()
        };
        assert!(set("a", "1") && set("a/b", "2") && set("a0", "3"));
        assert_eq!(found("a/#"), ["a=1", "a/b=2"]);
        assert_eq!(found("+"), ["a=1", "a0=3"]);
        assert_eq!(found("a/b"), ["a/b=2"]);
        assert!(!set("c", "4"), "too many");
        assert!(!set("a", "123456789012345"), "too long");
        assert!(set("a", "5") && set("a/b", ""));
        assert_eq!(found("#"), ["a=5", "a0=3"]);
        assert!(set("c", "4"));
    }
}
