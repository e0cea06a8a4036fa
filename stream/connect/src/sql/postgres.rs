//! A client of PostgreSQL: protocol 3, simple queries, values as text.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use edgeward_engine::{Map, Value};
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::database::{MAX_ANSWER, Rows, WORK};
use super::place::{Server, Tls};
use super::values;
use crate::scram::{Hash, Login};
use crate::wire::{Conn, Failure};

/// Asks for TLS before anything else is said.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Session settings on which reading and quoting rely.
const SETTINGS: [(&str, &str); 4] =
    [("client_encoding", "UTF8"), ("DateStyle", "ISO"), ("TimeZone", "UTC"), ("standard_conforming_strings", "on")];

/// A connection that is logged in.
pub(super) struct Client(Conn);

/// One message: its type and its body.
type Frame = (u8, Bytes);

/// Takes one whole message off the front.
fn frame(buffer: &mut BytesMut) -> Result<Option<Frame>, String> {
    let (Some(kind), Some(mut head)) = (buffer.first().copied(), buffer.get(1..5)) else { return Ok(None) };
    let length = head.get_u32() as usize;
    if !(4..=MAX_ANSWER).contains(&length) {
        return Err(format!("the server does not speak PostgreSQL's protocol: a message of {length} bytes"));
    }
    if buffer.len() <= length {
        return Ok(None);
    }
    let mut message = buffer.split_to(length + 1);
    message.advance(5);
    Ok(Some((kind, message.freeze())))
}

impl Client {
    /// Connects and logs in.
    pub(super) async fn connect(server: &Server) -> Result<Client, Failure> {
        let mut client = Client(open(server).await.map_err(Failure::Passing)?);
        let logged = client.log_in(server).await;
        logged.map_err(|failure| Failure::Passing(server.target.failed(&failure.text())))?;
        Ok(client)
    }

    pub(super) fn is_quiet(&mut self) -> bool {
        self.0.is_quiet()
    }

    /// Carries out statements, all or none, and gives the rows of the last one. Statements of one text are one transaction.
    pub(super) async fn work(&mut self, statements: &[String]) -> Result<Rows, Failure> {
        let text = statements.join(";\n");
        if text.contains('\0') {
            return Err(Failure::Refused("a statement with a zero byte cannot be sent".to_owned()));
        }
        self.say(b'Q', &[text.as_bytes(), b"\0"].concat()).await?;
        let (mut columns, mut rows, mut size, mut failed) = (Vec::new(), Rows::new(), 0, None);
        loop {
            let (kind, body) = self.hear().await?;
            match kind {
                b'T' => (columns, rows) = (described(body)?, Rows::new()),
                b'D' => {
                    size += 64 * columns.len() + body.len();
                    if size > MAX_ANSWER {
                        return Err(Failure::Passing(format!(
                            "the answer is larger than {MAX_ANSWER} bytes; use a LIMIT"
                        )));
                    }
                    rows.push(row(&columns, body)?);
                }
                b'E' => failed = Some(refusal(&body)),
                b'Z' => return failed.map_or(Ok(rows), Err),
                b'G' | b'H' | b'W' => return Err(Failure::Passing("COPY is not supported; use SELECT".to_owned())),
                // Completions, notices, settings.
                _ => {}
            }
        }
    }

    async fn log_in(&mut self, server: &Server) -> Result<(), Failure> {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let own = [("user", server.user.as_str()), ("database", server.database.as_str())];
        for (key, value) in own.into_iter().chain(SETTINGS) {
            for text in [key, value] {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        self.0.write(&[&length.to_be_bytes()[..], &body].concat()).await.map_err(Failure::Passing)?;
        let mut login = Login::new(Hash::Sha256, "");
        loop {
            let (kind, body) = self.hear().await?;
            match kind {
                b'R' => {
                    if let Some(answer) = authenticate(server, body, &mut login)? {
                        self.say(b'p', &answer).await?;
                    }
                }
                b'E' => return Err(refusal(&body)),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    async fn say(&mut self, kind: u8, body: &[u8]) -> Result<(), Failure> {
        let too_large = |_| Failure::Refused("the statement is too large".to_owned());
        let length = u32::try_from(body.len() + 4).map_err(too_large)?;
        self.0.write(&[&[kind][..], &length.to_be_bytes(), body].concat()).await.map_err(Failure::Passing)
    }

    async fn hear(&mut self) -> Result<Frame, Failure> {
        self.0.answer(WORK, frame).await.map_err(Failure::Passing)
    }
}

async fn open(server: &Server) -> Result<Conn, String> {
    let mut plain = server.target.plain().await?;
    let (config, must) = match &server.tls {
        Tls::Never => return Ok(Conn::new(Box::new(plain))),
        Tls::Prefer(config) => (config, false),
        Tls::Require(config) => (config, true),
    };
    let asked = async {
        plain.write_all(&SSL_REQUEST).await?;
        plain.read_u8().await
    };
    let asked = tokio::time::timeout(crate::wire::PATIENCE, asked).await;
    let answer =
        asked.map_err(|_| server.target.failed(&"no answer"))?.map_err(|error| server.target.failed(&error))?;
    match answer {
        b'S' => server.target.secure(plain, config).await,
        _ if must => Err(server.target.failed(&"the server has no TLS; set sslmode=disable if that is meant")),
        _ => Ok(Conn::new(Box::new(plain))),
    }
}

/// The answer to a question of the login, if it has one.
fn authenticate(server: &Server, mut body: Bytes, login: &mut Login) -> Result<Option<Vec<u8>>, Failure> {
    let bad = |why: &str| Failure::Passing(format!("the login failed: {why}"));
    let kind = body.try_get_u32().map_err(|_| bad("an empty question"))?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let (user, password) = (server.user.as_str(), server.password.as_str());
    Ok(match kind {
        0 => None,
        3 => Some([password.as_bytes(), b"\0"].concat()),
        5 => {
            let inner = hex(&Md5::digest(format!("{password}{user}")));
            Some(format!("md5{}\0", hex(&Md5::digest([inner.as_bytes(), &body].concat()))).into_bytes())
        }
        10 if text.split('\0').any(|name| name == "SCRAM-SHA-256") => {
            let first = login.first();
            let length = u32::try_from(first.len()).unwrap_or_default().to_be_bytes();
            Some([&b"SCRAM-SHA-256\0"[..], &length, first.as_bytes()].concat())
        }
        // PostgreSQL puts no name into the exchange.
        11 => Some(login.prove(password, &text).map_err(bad)?.into_bytes()),
        12 => {
            login.verify(&text).map_err(bad)?;
            None
        }
        _ => return Err(bad("the server asks for a kind of password that is not supported; use scram-sha-256")),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// States of the server that pass: lost connections, too few resources, shutdown, conflicts with others, locks.
fn refusal(body: &Bytes) -> Failure {
    let fields = || body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
    let field = |kind: u8| fields().find(|(known, _)| **known == kind).map(|(_, text)| String::from_utf8_lossy(text));
    let (code, text) = (field(b'C').unwrap_or_default(), field(b'M').unwrap_or_default());
    let text = format!("pq: {text}");
    match ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class)) {
        true => Failure::Passing(text),
        false => Failure::Refused(text),
    }
}

fn bad_row() -> Failure {
    Failure::Passing("the server does not speak PostgreSQL's protocol: a row is cut off".to_owned())
}

/// Names and type numbers of columns.
fn described(mut body: Bytes) -> Result<Vec<(Arc<str>, u32)>, Failure> {
    let count = body.try_get_u16().map_err(|_| bad_row())?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let end = body.iter().position(|byte| *byte == 0).ok_or_else(bad_row)?;
        let name = Arc::from(String::from_utf8_lossy(&body.split_to(end)).as_ref());
        // Zero byte, table and place in it; type; size, modifier and format.
        if body.len() < 19 {
            return Err(bad_row());
        }
        columns.push((name, (&body[7..11]).get_u32()));
        body.advance(19);
    }
    Ok(columns)
}

fn row(columns: &[(Arc<str>, u32)], mut body: Bytes) -> Result<Arc<Map>, Failure> {
    let count = body.try_get_u16().map_err(|_| bad_row())?;
    let mut map = Map::new();
    for (name, kind) in columns.iter().take(count.into()) {
        let value = match body.try_get_i32().map_err(|_| bad_row())? {
            -1 => Value::Nil,
            length => {
                let length = usize::try_from(length).ok().filter(|length| *length <= body.len()).ok_or_else(bad_row)?;
                value(*kind, &body.split_to(length))
            }
        };
        map.insert(name.clone(), value);
    }
    Ok(Arc::new(map))
}

/// A value by the number of its type (`pg_type.oid`); what has no counterpart stays text.
fn value(kind: u32, text: &[u8]) -> Value {
    let text = String::from_utf8_lossy(text);
    match kind {
        16 => Value::Bool(text == "t"),
        20 | 21 | 23 | 26 => values::int(&text),
        700 | 701 | 1700 => values::float(&text),
        17 => values::hex(text.strip_prefix("\\x").unwrap_or(&text)),
        1082 | 1114 | 1184 => values::time(&text),
        _ => Value::str(&*text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_not(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..80)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some((_, body))) = frame(&mut buffer) {
                let columns = described(body.clone()).unwrap_or_default();
                let _ = row(&columns, body.clone());
                let _ = refusal(&body);
            }
            let columns: Vec<(Arc<str>, u32)> = (0..4).map(|index| ("a".into(), 16 + index)).collect();
            let _ = row(&columns, bytes.into());
        }

        #[test]
        fn any_text_is_a_value(kind in prop_oneof![Just(16u32), Just(20), Just(701), Just(17), Just(1114), Just(1184)], text in ".{0,20}") {
            let _ = value(kind, text.as_bytes());
        }
    }
}
