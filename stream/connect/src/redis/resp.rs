//! A Redis client of the few commands needed here, over RESP 2.

use bytes::{Buf, Bytes, BytesMut};

use super::config::Server;
use crate::wire::{Conn, Failure, PATIENCE};

/// Arrays within arrays that are still read.
const MAX_DEPTH: u32 = 4;
/// Longest line of a simple text or a length.
const MAX_LINE: usize = 64 << 10;
/// Largest bulk text the server itself allows.
const MAX_BULK: i64 = 512 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Bytes),
    Array(Vec<Reply>),
    /// Nothing there: the nil bulk and the nil array.
    Nil,
}

/// Takes one whole answer off the front; none when it is not complete.
///
/// # Errors
/// It is no RESP.
pub(super) fn parse(buffer: &mut BytesMut) -> Result<Option<Reply>, String> {
    let parsed = Parser { bytes: buffer, at: 0 }.reply(0);
    match parsed {
        Ok((reply, end)) => {
            buffer.advance(end);
            Ok(Some(reply))
        }
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Bad(why)) => Err(format!("the server does not speak Redis's protocol: {why}")),
    }
}

enum Stop {
    Incomplete,
    Bad(&'static str),
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    /// The answer at the front and where it ends.
    fn reply(&mut self, depth: u32) -> Result<(Reply, usize), Stop> {
        let reply = match self.byte()? {
            b'+' => Reply::Simple(self.text()?),
            b'-' => Reply::Error(self.text()?),
            b':' => Reply::Int(self.number()?),
            b'$' => self.bulk()?,
            b'*' if depth < MAX_DEPTH => self.array(depth)?,
            b'*' => return Err(Stop::Bad("arrays nested too deeply")),
            _ => return Err(Stop::Bad("unknown type of answer")),
        };
        Ok((reply, self.at))
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::Incomplete)?;
        self.at += 1;
        Ok(byte)
    }

    fn line(&mut self) -> Result<&[u8], Stop> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\r') else {
            return Err(if rest.len() >= MAX_LINE { Stop::Bad("a line is too long") } else { Stop::Incomplete });
        };
        match rest.get(end + 1) {
            None => Err(Stop::Incomplete),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(&rest[..end])
            }
            Some(_) => Err(Stop::Bad("a line does not end with CR LF")),
        }
    }

    fn text(&mut self) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(self.line()?).into_owned())
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let text = std::str::from_utf8(self.line()?).ok();
        text.and_then(|text| text.parse().ok()).ok_or(Stop::Bad("a number is none"))
    }

    fn bulk(&mut self) -> Result<Reply, Stop> {
        let length = match self.number()? {
            -1 => return Ok(Reply::Nil),
            length if (0..=MAX_BULK).contains(&length) => length as usize,
            _ => return Err(Stop::Bad("a length makes no sense")),
        };
        let rest = &self.bytes[self.at..];
        match rest.get(length..length + 2) {
            None => Err(Stop::Incomplete),
            Some(b"\r\n") => {
                self.at += length + 2;
                Ok(Reply::Bulk(Bytes::copy_from_slice(&rest[..length])))
            }
            Some(_) => Err(Stop::Bad("a text is longer than its length")),
        }
    }

    /// The buffer is bounded, so nothing is reserved for what the length claims.
    fn array(&mut self, depth: u32) -> Result<Reply, Stop> {
        let length = match self.number()? {
            -1 => return Ok(Reply::Nil),
            length if length >= 0 => length,
            _ => return Err(Stop::Bad("a length makes no sense")),
        };
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.reply(depth + 1)?.0);
        }
        Ok(Reply::Array(items))
    }
}

/// Appends a command.
pub(super) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// A connection that is logged in and has its database.
pub(super) struct Client(Conn);

impl Client {
    /// Connects, logs in and selects the database.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; the text says why.
    pub(super) async fn connect(server: &Server) -> Result<Client, String> {
        let mut client = Client(server.target.dial().await?);
        let mut commands = Vec::new();
        let mut count = 1;
        if let Some(password) = &server.password {
            match &server.username {
                Some(user) => command(&[b"AUTH", user.as_bytes(), password.as_bytes()], &mut commands),
                None => command(&[b"AUTH", password.as_bytes()], &mut commands),
            }
            count += 1;
        }
        command(&[b"SELECT", server.db.to_string().as_bytes()], &mut commands);
        let answered = client.calls(&commands, count).await;
        answered.map_err(|failure| server.target.failed(&failure.text()))?;
        Ok(client)
    }

    /// Sends commands and takes their answers.
    ///
    /// # Errors
    /// The first failure; the answers after a refusal are taken too, so that the connection can go on.
    pub(super) async fn calls(&mut self, commands: &[u8], count: usize) -> Result<Vec<Reply>, Failure> {
        self.0.write(commands).await.map_err(Failure::Passing)?;
        let (mut replies, mut refused) = (Vec::with_capacity(count), None);
        for _ in 0..count {
            match self.0.answer(PATIENCE, parse).await.map_err(Failure::Passing)? {
                Reply::Error(text) => refused = refused.or(Some(refusal(text))),
                reply => replies.push(reply),
            }
        }
        refused.map_or(Ok(replies), Err)
    }

    /// Sends without waiting for an answer.
    pub(super) async fn say(&mut self, words: &[&[u8]]) -> Result<(), String> {
        let mut out = Vec::new();
        command(words, &mut out);
        self.0.write(&out).await
    }

    /// The next thing the server says. Safe to drop while waiting.
    pub(super) async fn hear(&mut self) -> Result<Reply, String> {
        self.0.read(parse).await
    }

    /// Whether the connection still stands.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.0.is_quiet()
    }
}

/// States of the server that pass.
fn refusal(text: String) -> Failure {
    let kind = text.split(' ').next().unwrap_or_default();
    match ["LOADING", "BUSY", "READONLY", "MASTERDOWN", "OOM", "CLUSTERDOWN", "TRYAGAIN"].contains(&kind) {
        true => Failure::Passing(text),
        false => Failure::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<Option<Reply>, ()>) {
        let mut buffer = BytesMut::from(text);
        assert_eq!(parse(&mut buffer).map_err(drop), expect, "{text:?}");
        let kept = if expect == Ok(None) { text.len() } else { buffer.len() };
        assert_eq!(buffer.len(), kept);
    }

    #[test]
    fn reads_answers() {
        check("+OK\r\n", Ok(Some(Reply::Simple("OK".into()))));
        check("-ERR no\r\nrest", Ok(Some(Reply::Error("ERR no".into()))));
        check(":-5\r\n", Ok(Some(Reply::Int(-5))));
        check("$3\r\na\r\n\r\n", Ok(Some(Reply::Bulk("a\r\n".into()))));
        check("$-1\r\n", Ok(Some(Reply::Nil)));
        check("*-1\r\n", Ok(Some(Reply::Nil)));
        check("*2\r\n$1\r\na\r\n:1\r\n", Ok(Some(Reply::Array(vec![Reply::Bulk("a".into()), Reply::Int(1)]))));
        for part in ["", "+OK", "+OK\r", "$3\r\nab", "$3\r\nabc\r", "*1\r\n", "*9999999999\r\n"] {
            check(part, Ok(None));
        }
        for bad in [
            "HTTP",
            "$-2\r\n",
            "$x\r\n",
            "$1\r\nabc",
            "+a\rb",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            "$99999999999\r\n",
        ] {
            check(bad, Err(()));
        }
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            "[ -~]{0,8}".prop_map(Reply::Simple),
            "[ -~]{0,8}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Int),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Reply::Bulk(bytes.into())),
            Just(Reply::Nil),
        ];
        leaf.prop_recursive(2, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Reply::Array))
    }

    fn write(reply: &Reply, out: &mut Vec<u8>) {
        match reply {
            Reply::Simple(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Reply::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Reply::Int(int) => out.extend_from_slice(format!(":{int}\r\n").as_bytes()),
            Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
            Reply::Bulk(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Array(items) => {
                out.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| write(item, out));
            }
        }
    }

    proptest! {
        #[test]
        fn answers_survive_any_fragmentation(replies in prop::collection::vec(reply(), 0..4), piece in 1usize..30) {
            let (mut wire, mut buffer, mut got) = (Vec::new(), BytesMut::new(), Vec::new());
            replies.iter().for_each(|reply| write(reply, &mut wire));
            for piece in wire.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(reply) = parse(&mut buffer).unwrap() {
                    got.push(reply);
                }
            }
            prop_assert_eq!(got, replies);
        }

        #[test]
        fn any_bytes_are_an_answer_or_not(bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'*'), Just(b'$'), Just(b'1'), any::<u8>()], 0..60)) {
            let _ = parse(&mut BytesMut::from(&bytes[..]));
        }
    }
}
