//! A client of the core protocol: lines of text, and payloads with their length.

use bytes::{Buf, Bytes, BytesMut};
use serde_json::{Value, json};

use super::config::{Login, Server};
use crate::wire::{Conn, PATIENCE};

/// Longest line.
const MAX_LINE: usize = 1 << 20;
/// Largest payload a server can be configured to pass on.
const MAX_PAYLOAD: usize = 8 << 20;

/// What a server says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Info(Value),
    Message { subject: String, payload: Bytes },
    Ping,
    Pong,
    Ok,
    Error(String),
}

/// Takes one whole operation off the front.
///
/// # Errors
/// It is none.
pub(super) fn parse(buffer: &mut BytesMut) -> Result<Option<Op>, String> {
    let bad = |why: &str| Err(format!("the server does not speak NATS's protocol: {why}"));
    let Some(end) = buffer.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if buffer.len() >= MAX_LINE { bad("a line is too long") } else { Ok(None) };
    };
    let line = String::from_utf8_lossy(&buffer[..end]).trim_end().to_owned();
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
    let op = match word.to_ascii_uppercase().as_str() {
        "MSG" => return message(rest, end + 1, buffer),
        "INFO" => match serde_json::from_str(rest) {
            Ok(info) => Op::Info(info),
            Err(_) => return bad("INFO is no JSON"),
        },
        "PING" => Op::Ping,
        "PONG" => Op::Pong,
        "+OK" => Op::Ok,
        "-ERR" => Op::Error(rest.trim_matches('\'').to_owned()),
        _ => return bad("an unknown operation"),
    };
    buffer.advance(end + 1);
    Ok(Some(op))
}

/// `MSG subject sid [reply-to] length`, then the payload.
fn message(rest: &str, start: usize, buffer: &mut BytesMut) -> Result<Option<Op>, String> {
    let bad = || "the server does not speak NATS's protocol: a message without a length".to_owned();
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ([subject, _, length] | [subject, _, _, length]) = words[..] else { return Err(bad()) };
    let length: usize = length.parse().ok().filter(|length| *length <= MAX_PAYLOAD).ok_or_else(bad)?;
    match buffer.get(start + length..start + length + 2) {
        None => Ok(None),
        Some(b"\r\n") => {
            let subject = subject.to_owned();
            buffer.advance(start);
            let payload = buffer.split_to(length).freeze();
            buffer.advance(2);
            Ok(Some(Op::Message { subject, payload }))
        }
        Some(_) => Err("the server does not speak NATS's protocol: a message longer than its length".to_owned()),
    }
}

/// A connection that is logged in.
pub(super) struct Client {
    conn: Conn,
    /// Largest payload the server takes.
    pub(super) max_payload: usize,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; the text says why.
    pub(super) async fn connect(server: &Server) -> Result<Client, String> {
        let plain = server.target.plain().await?;
        // The server speaks first, and in the clear, whatever follows.
        let mut conn = Conn::new(Box::new(plain));
        let Op::Info(info) = conn.answer(PATIENCE, parse).await? else {
            return Err(server.target.failed(&"the server does not introduce itself"));
        };
        let must = info["tls_required"].as_bool() == Some(true);
        let conn = match &server.target.tls {
            Some(config) => server.target.secure(conn.into_wire(), config).await?,
            None if must => return Err(server.target.failed(&"the server wants TLS; use tls://")),
            None => conn,
        };
        let max_payload = info["max_payload"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
        let mut client = Client { conn, max_payload: max_payload.unwrap_or(1 << 20) };
        let mut about = json!({"verbose": false, "pedantic": false, "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
            "name": "edgeward", "protocol": 0, "tls_required": server.target.tls.is_some()});
        match &server.login {
            Login::Nobody => {}
            Login::User(user, password) => (about["user"], about["pass"]) = (json!(user), json!(password)),
            Login::Token(token) => about["auth_token"] = json!(token),
        }
        let sent = client.flush(format!("CONNECT {about}\r\n").as_bytes()).await;
        sent.map_err(|error| server.target.failed(&error))?;
        Ok(client)
    }

    /// Writes operations and waits until the server has taken them.
    ///
    /// # Errors
    /// The connection is lost, or the server refuses something.
    pub(super) async fn flush(&mut self, operations: &[u8]) -> Result<(), String> {
        self.say(&[operations, b"PING\r\n"].concat()).await?;
        loop {
            match self.conn.answer(PATIENCE, parse).await? {
                Op::Pong => return Ok(()),
                Op::Ping => self.say(b"PONG\r\n").await?,
                Op::Error(text) => return Err(text),
                _ => {}
            }
        }
    }

    pub(super) async fn say(&mut self, operations: &[u8]) -> Result<(), String> {
        self.conn.write(operations).await
    }

    /// The next thing the server says. Safe to drop while waiting.
    pub(super) async fn hear(&mut self) -> Result<Op, String> {
        self.conn.read(parse).await
    }

    /// Whether the connection still stands.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.conn.is_quiet()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<Option<Op>, ()>, kept: usize) {
        let mut buffer = BytesMut::from(text);
        assert_eq!((parse(&mut buffer).map_err(drop), buffer.len()), (expect, kept), "{text:?}");
    }

    #[test]
    fn reads_operations() {
        let message = |payload: &'static str| Ok(Some(Op::Message { subject: "a.b".into(), payload: payload.into() }));
        check("MSG a.b 1 3\r\nx\r\n\r\nPING", message("x\r\n"), 4);
        check("msg a.b 1 reply 0\r\n\r\n", message(""), 0);
        check("INFO {\"a\":1} \r\n", Ok(Some(Op::Info(json!({"a": 1})))), 0);
        check("PING\r\nPONG\r\n", Ok(Some(Op::Ping)), 6);
        check("-ERR 'no such'\r\n", Ok(Some(Op::Error("no such".into()))), 0);
        for part in ["", "PIN", "MSG a.b 1 3\r\nabc", "MSG a.b 1 3\r\nabc\r"] {
            check(part, Ok(None), part.len());
        }
        for bad in [
            "HTTP/1.1 400\r\n",
            "MSG a 1\r\n",
            "MSG a 1 x\r\n",
            "MSG a 1 99999999\r\n",
            "MSG a 1 1\r\nabc",
            "INFO {\r\n",
        ] {
            check(bad, Err(()), bad.len());
        }
    }

    proptest! {
        #[test]
        fn messages_survive_any_fragmentation(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6),
            piece in 1usize..20,
        ) {
            let (mut wire, mut buffer, mut got) = (Vec::new(), BytesMut::new(), Vec::new());
            for payload in &payloads {
                wire.extend([format!("MSG s 1 {}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat());
            }
            for piece in wire.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(op) = parse(&mut buffer).unwrap() {
                    let Op::Message { payload, .. } = op else { panic!("{op:?}") };
                    got.push(payload.to_vec());
                }
            }
            prop_assert_eq!(got, payloads);
        }

        #[test]
        fn any_bytes_are_an_operation_or_not(text in "(MSG|PING|INFO|-ERR|x)[ a0-9{}\r\n]{0,30}") {
            let _ = parse(&mut BytesMut::from(text.as_str()));
        }
    }
}
