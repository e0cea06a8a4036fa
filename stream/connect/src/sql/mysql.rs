//! A client of MySQL and MariaDB: protocol 4.1, text queries.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use edgeward_engine::{Map, Value};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::database::{MAX_ANSWER, Rows, WORK};
use super::place::{Server, Tls};
use super::values;
use crate::wire::{Conn, Failure, PATIENCE};

/// A message of this length goes on in the next one: larger than anything allowed here.
const MAX_PACKET: usize = 0xff_ff_ff;
/// Protocol 4.1, long passwords, transactions, named ways to log in, a database.
const CAPABILITIES: u32 = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
const SSL: u32 = 0x800;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// Columns of this character set hold bytes.
const BINARY: u16 = 63;
/// Quoting relies on what a backslash means, and reading on the zone of times.
const SETTINGS: &str = "SET SESSION sql_mode = REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', ''), time_zone = '+00:00'";

/// A connection that is logged in.
pub(super) struct Client {
    conn: Conn,
    /// Number of the next message of an exchange.
    next: u8,
}

/// Takes one whole message off the front: its number and its body.
fn packet(buffer: &mut BytesMut) -> Result<Option<(u8, Bytes)>, String> {
    let Some(mut head) = buffer.get(..4) else { return Ok(None) };
    let (length, number) = (head.get_uint_le(3) as usize, head.get_u8());
    if length >= MAX_PACKET {
        return Err("a message of the server is too large".to_owned());
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some((number, buffer.split_to(length).freeze())))
}

/// What a server says first.
struct Greeting {
    capabilities: u32,
    salt: Vec<u8>,
    plugin: String,
}

impl Client {
    /// Connects and logs in.
    pub(super) async fn connect(server: &Server) -> Result<Client, Failure> {
        let failed = |why: &str| Failure::Passing(server.target.failed(&why));
        let mut plain = server.target.plain().await.map_err(Failure::Passing)?;
        let greeting = tokio::time::timeout(PATIENCE, first_packet(&mut plain)).await;
        let greeting = greeting.map_err(|_| failed("no answer"))?.map_err(|why| failed(&why))?;
        let greeting = greet(greeting).map_err(|failure| failed(failure.text()))?;
        let (config, must) = match &server.tls {
            Tls::Never => (None, false),
            Tls::Prefer(config) => (Some(config), false),
            Tls::Require(config) => (Some(config), true),
        };
        let can = greeting.capabilities & SSL != 0;
        let mut client = match config.filter(|_| can) {
            None if must => return Err(failed("the server has no TLS; set tls=false if that is meant")),
            None => Client { conn: Conn::new(Box::new(plain)), next: 1 },
            Some(config) => {
                let head = head(CAPABILITIES | SSL);
                let wish = [&[u8::try_from(head.len()).unwrap_or_default(), 0, 0, 1][..], &head].concat();
                let sent = tokio::io::AsyncWriteExt::write_all(&mut plain, &wish).await;
                sent.map_err(|error| failed(&error.to_string()))?;
                Client { conn: server.target.secure(plain, config).await.map_err(Failure::Passing)?, next: 2 }
            }
        };
        let secure = config.is_some() && can;
        let logged = client.log_in(server, greeting, secure).await;
        logged.map_err(|failure| failed(failure.text()))?;
        client.one(SETTINGS).await?;
        Ok(client)
    }

    pub(super) fn is_quiet(&mut self) -> bool {
        self.conn.is_quiet()
    }

    /// Carries out statements, all or none, and gives the rows of the last one.
    pub(super) async fn work(&mut self, statements: &[String]) -> Result<Rows, Failure> {
        if let [only] = statements {
            return self.one(only).await;
        }
        self.one("START TRANSACTION").await?;
        let mut rows = Rows::new();
        for statement in statements {
            match self.one(statement).await {
                Ok(found) => rows = found,
                Err(failure) => {
                    self.one("ROLLBACK").await?;
                    return Err(failure);
                }
            }
        }
        self.one("COMMIT").await?;
        Ok(rows)
    }

    async fn one(&mut self, sql: &str) -> Result<Rows, Failure> {
        self.next = 0;
        self.say(&[b"\x03", sql.as_bytes()].concat()).await?;
        let mut first = self.hear().await?;
        match first.first() {
            Some(0) => return Ok(Rows::new()),
            Some(0xff) => return Err(refusal(first)),
            Some(0xfb) => return Err(Failure::Passing("LOAD DATA LOCAL is not supported".to_owned())),
            _ => {}
        }
        let count = length(&mut first)?.unwrap_or_default();
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(described(self.hear().await?)?);
        }
        self.hear().await?;
        let (mut rows, mut size) = (Rows::new(), 0);
        loop {
            let body = self.hear().await?;
            match body.first() {
                Some(0xfe) if body.len() < 9 => return Ok(rows),
                Some(0xff) => return Err(refusal(body)),
                _ => {}
            }
            size += 64 * columns.len() + body.len();
            if size > MAX_ANSWER {
                return Err(Failure::Passing(format!("the answer is larger than {MAX_ANSWER} bytes; use a LIMIT")));
            }
            rows.push(row(&columns, body)?);
        }
    }

    async fn log_in(&mut self, server: &Server, greeting: Greeting, secure: bool) -> Result<(), Failure> {
        let mut answer = head(CAPABILITIES | if secure { SSL } else { 0 });
        let proof = prove(&greeting.plugin, &server.password, &greeting.salt).unwrap_or_default();
        answer
            .extend([server.user.as_bytes(), b"\0", &[u8::try_from(proof.len()).unwrap_or_default()], &proof].concat());
        answer.extend([server.database.as_bytes(), b"\0", greeting.plugin.as_bytes(), b"\0"].concat());
        self.say(&answer).await?;
        loop {
            let mut body = self.hear().await?;
            match body.first().copied() {
                Some(0) => return Ok(()),
                Some(0xff) => return Err(refusal(body)),
                // Another way to log in: its name and its salt.
                Some(0xfe) => {
                    body.advance(1);
                    let plugin = until_zero(&mut body)?;
                    let proof = prove(&plugin, &server.password, body.strip_suffix(b"\0").unwrap_or(&body));
                    let unknown = || Failure::Passing(format!("the way to log in {plugin} is not supported"));
                    self.say(&proof.ok_or_else(unknown)?).await?;
                }
                // caching_sha2_password: 3 is a welcome, 4 asks for the password itself.
                Some(1) if body.get(1) == Some(&3) => {}
                Some(1) if body.get(1) == Some(&4) && secure => {
                    self.say(&[server.password.as_bytes(), b"\0"].concat()).await?;
                }
                _ => return Err(Failure::Passing("the login needs TLS; remove tls=false".to_owned())),
            }
        }
    }

    async fn say(&mut self, body: &[u8]) -> Result<(), Failure> {
        if body.len() >= MAX_PACKET {
            return Err(Failure::Refused("the statement is too large".to_owned()));
        }
        let length = u32::try_from(body.len()).unwrap_or_default().to_le_bytes();
        let sent = self.conn.write(&[&length[..3], &[self.next], body].concat()).await;
        self.next = self.next.wrapping_add(1);
        sent.map_err(Failure::Passing)
    }

    async fn hear(&mut self) -> Result<Bytes, Failure> {
        let (number, body) = self.conn.answer(WORK, packet).await.map_err(Failure::Passing)?;
        self.next = number.wrapping_add(1);
        Ok(body)
    }
}

/// Reads the greeting and not a byte more: what follows may be TLS.
async fn first_packet(wire: &mut tokio::net::TcpStream) -> Result<Bytes, String> {
    use tokio::io::AsyncReadExt;
    let mut head = [0; 4];
    wire.read_exact(&mut head).await.map_err(|error| error.to_string())?;
    let mut body = vec![0; usize::from(u16::from_le_bytes([head[0], head[1]]))];
    wire.read_exact(&mut body).await.map_err(|error| error.to_string())?;
    Ok(body.into())
}

fn cut() -> Failure {
    Failure::Passing("the server does not speak MySQL's protocol: a message is cut off".to_owned())
}

fn greet(mut body: Bytes) -> Result<Greeting, Failure> {
    match body.try_get_u8() {
        Ok(10) => {}
        Ok(0xff) => return Err(refusal([&[0xff], &body[..]].concat().into())),
        _ => return Err(Failure::Passing("the server does not speak MySQL's protocol".to_owned())),
    }
    until_zero(&mut body)?;
    // Id of the connection, salt, filler, half of the capabilities, character set, state, the other half, length of the
    // salt, nothing, the rest of the salt.
    if body.len() < 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10 + 12 {
        return Err(cut());
    }
    body.advance(4);
    let mut salt = body.split_to(8).to_vec();
    body.advance(1);
    let low = u32::from(body.get_u16_le());
    body.advance(3);
    let high = u32::from(body.get_u16_le());
    body.advance(11);
    salt.extend_from_slice(&body.split_to(12));
    if body.first() == Some(&0) {
        body.advance(1);
    }
    let plugin = until_zero(&mut body).unwrap_or_else(|_| "mysql_native_password".to_owned());
    Ok(Greeting { capabilities: low | high << 16, salt, plugin })
}

/// The beginning of the answer to a greeting.
fn head(capabilities: u32) -> Vec<u8> {
    let mut out = capabilities.to_le_bytes().to_vec();
    out.extend_from_slice(&(MAX_PACKET as u32).to_le_bytes());
    out.push(CHARSET);
    out.resize(32, 0);
    out
}

/// The proof that the password is known; none when the way to log in is unknown.
fn prove(plugin: &str, password: &str, salt: &[u8]) -> Option<Vec<u8>> {
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    match plugin {
        "mysql_native_password" | "caching_sha2_password" if password.is_empty() => Some(Vec::new()),
        "mysql_native_password" => {
            let once = Sha1::digest(password);
            Some(xor(&once, &Sha1::digest([salt, &Sha1::digest(once)[..]].concat())))
        }
        "caching_sha2_password" => {
            let once = Sha256::digest(password);
            Some(xor(&once, &Sha256::digest([&Sha256::digest(once)[..], salt].concat())))
        }
        _ => None,
    }
}

/// States of the server that pass: too many connections, shutdown, locks and deadlocks, lost connections.
fn refusal(mut body: Bytes) -> Failure {
    body.advance(1);
    let code = body.try_get_u16_le().unwrap_or_default();
    if body.first() == Some(&b'#') && body.len() >= 6 {
        body.advance(6);
    }
    let text = format!("Error {code}: {}", String::from_utf8_lossy(&body));
    match code {
        1040 | 1053 | 1158..=1161 | 1203 | 1205 | 1213 => Failure::Passing(text),
        _ => Failure::Refused(text),
    }
}

fn until_zero(body: &mut Bytes) -> Result<String, Failure> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
    let text = String::from_utf8_lossy(&body.split_to(end)).into_owned();
    body.advance(1);
    Ok(text)
}

/// A length; none for NULL.
fn length(body: &mut Bytes) -> Result<Option<u64>, Failure> {
    let size = match body.try_get_u8().map_err(|_| cut())? {
        0xfb => return Ok(None),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        small => return Ok(Some(small.into())),
    };
    if body.len() < size {
        return Err(cut());
    }
    Ok(Some(body.get_uint_le(size)))
}

fn bytes(body: &mut Bytes) -> Result<Option<Bytes>, Failure> {
    let Some(length) = length(body)? else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= body.len()).ok_or_else(cut)?;
    Ok(Some(body.split_to(length)))
}

/// A column of an answer.
struct Column {
    name: Arc<str>,
    kind: u8,
    charset: u16,
}

fn described(mut body: Bytes) -> Result<Column, Failure> {
    // Catalogue, schema, table, table's own name.
    for _ in 0..4 {
        bytes(&mut body)?;
    }
    let name = bytes(&mut body)?.unwrap_or_default();
    bytes(&mut body)?;
    // A length, the character set, the width, the type.
    if body.len() < 8 {
        return Err(cut());
    }
    body.advance(1);
    let charset = body.get_u16_le();
    body.advance(4);
    Ok(Column { name: String::from_utf8_lossy(&name).as_ref().into(), kind: body.get_u8(), charset })
}

fn row(columns: &[Column], mut body: Bytes) -> Result<Arc<Map>, Failure> {
    let mut map = Map::new();
    for column in columns {
        let value = bytes(&mut body)?.map_or(Value::Nil, |text| value(column, &text));
        map.insert(column.name.clone(), value);
    }
    Ok(Arc::new(map))
}

/// A value by its type; what has no counterpart stays text.
fn value(column: &Column, text: &Bytes) -> Value {
    let read = |make: fn(&str) -> Value| make(&String::from_utf8_lossy(text));
    match column.kind {
        1 | 2 | 3 | 8 | 9 | 13 => read(values::int),
        0 | 4 | 5 | 0xf6 => read(values::float),
        7 | 10 | 12 => read(values::time),
        16 => Value::bytes(text.clone()),
        0xf9..=0xff | 15 if column.charset == BINARY => Value::bytes(text.clone()),
        _ => read(|text| Value::str(text)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_not(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(10u8), Just(0xfe), any::<u8>()], 0..120)) {
            let _ = packet(&mut BytesMut::from(&bytes[..]));
            let body = Bytes::from(bytes);
            let _ = greet(body.clone());
            let columns: Vec<Column> = described(body.clone()).into_iter().collect();
            let _ = row(&columns, body.clone());
            if !body.is_empty() {
                let _ = refusal(body);
            }
        }
    }

    #[test]
    fn passwords_are_proved_and_not_sent() {
        // Computed by another library from the published definitions.
        let salt: Vec<u8> = (1..=20).collect();
        for (plugin, expect) in [
            ("caching_sha2_password", "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9"),
            ("mysql_native_password", "b32bb3a583e1340c0a1108d58b1be49781ad8c2f"),
        ] {
            let proof = prove(plugin, "secret", &salt).unwrap();
            assert_eq!(proof.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expect, "{plugin}");
            assert_eq!(prove(plugin, "", &salt), Some(Vec::new()));
        }
        assert_eq!(prove("sha256_password", "secret", &salt), None);
    }

    #[test]
    fn packets_have_a_bound() {
        assert!(packet(&mut BytesMut::from(&[0xff, 0xff, 0xff, 0][..])).is_err());
        assert_eq!(packet(&mut BytesMut::from(&[2, 0, 0, 7, 1][..])), Ok(None));
        assert_eq!(packet(&mut BytesMut::from(&[1, 0, 0, 7, 1][..])), Ok(Some((7, Bytes::from_static(&[1])))));
    }
}
