//! Properties of `kafka`.

use crate::http::pairs;
use crate::template::Template;
use crate::wire::Target;
use crate::{ConnectError, Props};

/// Longest name of a topic.
const MAX_TOPIC: usize = 249;

/// Where to begin and how to log in.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// At least one.
    pub(super) brokers: Vec<Target>,
    pub(super) login: Option<Login>,
}

/// How to log in.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
    /// SCRAM-SHA-512; else the password itself is sent (PLAIN).
    pub(super) scram: bool,
}

impl Cluster {
    /// Reads `brokers` and how to log in.
    pub(super) fn read(props: &Props) -> Result<Cluster, ConnectError> {
        let text = props.text("brokers")?.unwrap_or("127.0.0.1:9092");
        let read = |text: &str| Target::read(("brokers", text.trim()), (&[], 9_092), props);
        let brokers = text.split(',').map(read).collect::<Result<_, _>>()?;
        let login = match props.text("saslAuthType")?.unwrap_or("none") {
            "none" => None,
            kind @ ("plain" | "scram") => {
                let user = props.text("saslUserName")?.ok_or(ConnectError::Missing("saslUserName"))?;
                let password = match props.text("saslPassword")? {
                    Some(password) => password,
                    None => props.text("password")?.unwrap_or_default(),
                };
                Some(Login { user: user.to_owned(), password: password.to_owned(), scram: kind == "scram" })
            }
            other => {
                let reason = format!("{other} is not supported; use none, plain or scram");
                return Err(ConnectError::Invalid { key: "saslAuthType", reason });
            }
        };
        Ok(Cluster { brokers, login })
    }
}

/// The source.
pub(super) struct SourceConfig {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) from: From,
    /// Most bytes of one answer; default 1 MB.
    pub(super) max_bytes: i32,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// What comes from now on to one partition.
    Partition(i32),
    /// All partitions, from where the group has got to.
    Group(String),
}

impl SourceConfig {
    pub(super) fn read(datasource: &str, props: &Props) -> Result<SourceConfig, ConnectError> {
        let group = props.text("groupID")?.map(|group| From::Group(group.to_owned()));
        let number = |key, default, max: u64| {
            let number = props.number(key)?.unwrap_or(default);
            let known = i32::try_from(number).ok().filter(|_| number <= max);
            known.ok_or_else(|| ConnectError::Invalid { key, reason: format!("{number} is more than {max}") })
        };
        let partition = number("partition", 0, 1_000_000)?;
        Ok(SourceConfig {
            cluster: Cluster::read(props)?,
            topic: check_topic("DATASOURCE", datasource)?.to_owned(),
            from: group.unwrap_or(From::Partition(partition)),
            max_bytes: number("maxBytes", 1_000_000, 8 << 20)?.max(1),
        })
    }
}

/// The sink.
pub(super) struct SinkConfig {
    pub(super) cluster: Cluster,
    pub(super) topic: Template,
    pub(super) key: Option<Template>,
    pub(super) headers: Vec<(String, Template)>,
    /// -1 waits for all replicas (default), 1 for the leader, 0 for nobody.
    pub(super) acks: i16,
    /// How often a message is tried; default 1.
    pub(super) attempts: u64,
}

impl SinkConfig {
    pub(super) fn read(props: &Props) -> Result<SinkConfig, ConnectError> {
        let topic = Template::read(props, "topic")?.ok_or(ConnectError::Missing("topic"))?;
        let acks = match props.get("requiredACKs").map(|acks| acks.as_i64()) {
            None => -1,
            Some(Some(acks @ -1..=1)) => acks as i16,
            Some(_) => {
                return Err(ConnectError::Invalid { key: "requiredACKs", reason: "it is not -1, 0 or 1".to_owned() });
            }
        };
        let header = |(name, value): (String, String)| Ok((name, Template::parse("headers", &value)?));
        Ok(SinkConfig {
            cluster: Cluster::read(props)?,
            topic,
            key: Template::read(props, "key")?,
            headers: pairs(props, "headers")?.into_iter().map(header).collect::<Result<_, ConnectError>>()?,
            acks,
            attempts: props.number("maxAttempts")?.unwrap_or(1).clamp(1, 100),
        })
    }
}

/// Checks the name of a topic.
pub(super) fn check_topic<'a>(key: &'static str, topic: &'a str) -> Result<&'a str, ConnectError> {
    let good = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > MAX_TOPIC || matches!(topic, "." | "..") || !topic.chars().all(good) {
        return Err(ConnectError::Invalid { key, reason: format!("{topic:?} is no name of a topic") });
    }
    Ok(topic)
}
