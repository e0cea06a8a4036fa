//! What a client and a server say about themselves when they meet.

use std::time::Duration;

use edgeward_mqtt::v5::{ConnAck, Connect, Properties, Property, Will};
use edgeward_mqtt::{QoS, Text, Version};

use crate::Options;

/// Topics the server may replace by numbers.
const ALIASES: u16 = 64;

/// What holds for one connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// The server still knew the session.
    pub(crate) session_present: bool,
    /// QoS 1 and 2 messages that may wait for the server.
    pub(crate) max_inflight: usize,
    /// Largest packet the server takes, in bytes.
    pub(crate) max_packet_bytes: usize,
    pub(crate) max_qos: QoS,
    pub(crate) retain: bool,
    pub(crate) keep_alive: Duration,
    /// The client identifier the server has chosen.
    pub(crate) client_id: Option<Text>,
}

impl Terms {
    /// What the client asked for, as far as the server agrees.
    pub(crate) fn new(options: &Options, ack: &ConnAck) -> Terms {
        let mut terms = Terms {
            version: options.version,
            session_present: ack.session_present,
            max_inflight: options.max_inflight.max(1),
            max_packet_bytes: usize::MAX,
            max_qos: QoS::ExactlyOnce,
            retain: true,
            keep_alive: options.keep_alive.max(Duration::from_secs(1)),
            client_id: None,
        };
        for property in &ack.properties {
            match property {
                Property::ReceiveMaximum(most) => terms.max_inflight = terms.max_inflight.min(usize::from(*most)),
                Property::MaximumPacketSize(most) => {
                    terms.max_packet_bytes = usize::try_from(*most).unwrap_or(usize::MAX)
                }
                Property::MaximumQosIsOne(one) => terms.max_qos = if *one { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                Property::RetainAvailable(retain) => terms.retain = *retain,
                Property::ServerKeepAlive(0) => {}
                Property::ServerKeepAlive(seconds) => terms.keep_alive = Duration::from_secs(u64::from(*seconds)),
                Property::AssignedClientId(id) => terms.client_id = Some(id.detached()),
                _ => {}
            }
        }
        terms
    }
}

/// The CONNECT of a client; `assigned` is the identifier a server gave it before.
pub(crate) fn hello(options: &Options, assigned: Option<&Text>) -> Connect {
    let seconds = options.keep_alive.as_secs().clamp(1, u64::from(u16::MAX));
    let will = options.will.clone().map(|will| {
        let edgeward_mqtt::Will { topic, payload, qos, retain } = will;
        Will { topic, payload, qos, retain, properties: Properties::default() }
    });
    let given = Some(&options.client_id).filter(|id| !id.is_empty());
    Connect {
        client_id: given.or(assigned).cloned().unwrap_or_default(),
        clean_start: options.clean_session,
        keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
        properties: if options.version == Version::V5 { properties(options) } else { Properties::default() },
        will,
        username: options.username.clone(),
        password: options.password.clone(),
    }
}

fn properties(options: &Options) -> Properties {
    let limit = u32::try_from(options.max_packet_bytes).unwrap_or(u32::MAX).max(1);
    let mut properties =
        Properties::from_iter([Property::MaximumPacketSize(limit), Property::TopicAliasMaximum(ALIASES)]);
    if !options.clean_session {
        let seconds = options.session_expiry.map(|expiry| u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX));
        properties.push(Property::SessionExpiry(seconds.unwrap_or(u32::MAX)));
    }
    properties
}

/// Topics the server has given numbers, for one connection.
#[derive(Debug, Default)]
pub(crate) struct Aliases(Vec<Text>);

impl Aliases {
    /// The topic of a message: as it stands there, or the one its number stands for.
    ///
    /// # Errors
    /// The number was not agreed on, or nothing stands behind it.
    pub(crate) fn resolve(&mut self, topic: Text, alias: Option<u16>) -> Result<Text, String> {
        let Some(alias) = alias else { return Ok(topic) };
        if alias == 0 || alias > ALIASES {
            return Err(format!("the server uses the topic alias {alias}, of 1 to {ALIASES}"));
        }
        let at = usize::from(alias) - 1;
        if !topic.is_empty() {
            self.0.resize(self.0.len().max(at + 1), Text::default());
            self.0[at] = topic.detached();
            return Ok(topic);
        }
        let known = self.0.get(at).filter(|topic| !topic.is_empty());
        known.cloned().ok_or_else(|| format!("the server uses the topic alias {alias} without a topic"))
    }
}

#[cfg(test)]
mod tests {
    use edgeward_mqtt::v5::Reason;

    use super::*;
    use crate::Server;

    fn options() -> Options {
        Options { version: Version::V5, ..Options::new(Server::parse("broker").unwrap()) }
    }

    #[test]
    fn a_server_may_ask_for_less() {
        let ack = |properties: Vec<Property>| ConnAck {
            session_present: false,
            reason: Reason::SUCCESS,
            properties: properties.into_iter().collect(),
        };
        let free = Terms::new(&options(), &ack(vec![]));
        assert_eq!((free.max_inflight, free.max_qos, free.retain), (100, QoS::ExactlyOnce, true));
        let terms = Terms::new(
            &options(),
            &ack(vec![
                Property::ReceiveMaximum(7),
                Property::MaximumPacketSize(1_000),
                Property::MaximumQosIsOne(true),
                Property::RetainAvailable(false),
                Property::ServerKeepAlive(5),
                Property::AssignedClientId(Text::from_static("auto")),
            ]),
        );
        let expect = Terms {
            version: Version::V5,
            session_present: false,
            max_inflight: 7,
            max_packet_bytes: 1_000,
            max_qos: QoS::AtLeastOnce,
            retain: false,
            keep_alive: Duration::from_secs(5),
            client_id: Some(Text::from_static("auto")),
        };
        assert_eq!(terms, expect);
        assert_eq!(Terms::new(&options(), &ack(vec![Property::ReceiveMaximum(1_000)])).max_inflight, 100);
    }

    #[test]
    fn an_assigned_identifier_is_used_again_unless_there_is_one() {
        let assigned = Text::from_static("auto");
        assert_eq!(hello(&options(), Some(&assigned)).client_id, assigned);
        let named = Options { client_id: Text::from_static("me"), ..options() };
        assert_eq!(hello(&named, Some(&assigned)).client_id.as_str(), "me");
    }

    #[test]
    fn a_session_is_kept_as_long_as_asked() {
        for (clean_session, expiry, expect) in [
            (true, Some(Duration::from_secs(9)), None),
            (false, None, Some(u32::MAX)),
            (false, Some(Duration::from_secs(9)), Some(9)),
        ] {
            let hello = hello(&Options { clean_session, session_expiry: expiry, ..options() }, None);
            let found = hello.properties.iter().find_map(|property| match property {
                Property::SessionExpiry(seconds) => Some(*seconds),
                _ => None,
            });
            assert_eq!((hello.clean_start, found), (clean_session, expect));
        }
        assert!(super::hello(&Options { version: Version::V311, ..options() }, None).properties.is_empty());
    }

    #[test]
    fn aliases_stand_for_the_topic_they_came_with() {
        let mut aliases = Aliases::default();
        let text = |text: &'static str| Text::from_static(text);
        assert!(aliases.resolve(Text::default(), Some(2)).is_err());
        for (topic, alias, expect) in
            [("a", Some(2), "a"), ("", Some(2), "a"), ("b", Some(2), "b"), ("", Some(2), "b"), ("c", None, "c")]
        {
            assert_eq!(aliases.resolve(text(topic), alias), Ok(text(expect)));
        }
        for alias in [0, 1, 65, u16::MAX] {
            assert!(aliases.resolve(Text::default(), Some(alias)).is_err(), "{alias}");
        }
    }
}
