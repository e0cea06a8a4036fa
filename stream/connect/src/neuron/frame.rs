//! The pair protocol of nanomsg (SP): a greeting of eight bytes, then messages with their length. Bytes only, no socket.
//!
//! `stream/plugins` speaks more of SP, over unix sockets only; it stands on top of this room and cannot be used here.

use bytes::{Buf, Bytes, BytesMut};

/// What both ends say first: `\0SP\0`, pair version 0, nothing.
pub(super) const GREETING: [u8; 8] = [0, b'S', b'P', 0, 0, 0x10, 0, 0];
/// Largest message.
pub(super) const MAX_MESSAGE: usize = 8 << 20;

/// Takes the greeting off the front.
///
/// # Errors
/// It is another one.
pub(super) fn greeting(buffer: &mut BytesMut) -> Result<Option<()>, String> {
    match buffer.get(..GREETING.len()) {
        None => Ok(None),
        Some(known) if *known == GREETING => {
            buffer.advance(GREETING.len());
            Ok(Some(()))
        }
        Some(_) => Err("the peer does not speak nanomsg's pair protocol".to_owned()),
    }
}

/// How messages are framed: on unix sockets each begins with a byte 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Tcp,
    Ipc,
}

impl Framing {
    /// Takes a whole message off the front.
    ///
    /// # Errors
    /// It is none, or too large.
    pub(super) fn parse(self, buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
        let start = match self {
            Framing::Tcp => 0,
            Framing::Ipc => match buffer.first() {
                None => return Ok(None),
                Some(1) => 1,
                Some(_) => return Err("a message does not begin with 1".to_owned()),
            },
        };
        let Some(mut head) = buffer.get(start..start + 8) else { return Ok(None) };
        let length = head.get_u64();
        let too_large = || format!("a message of {length} bytes is larger than {MAX_MESSAGE}");
        let size = usize::try_from(length).ok().filter(|size| *size <= MAX_MESSAGE).ok_or_else(too_large)?;
        if buffer.len() < start + 8 + size {
            return Ok(None);
        }
        buffer.advance(start + 8);
        Ok(Some(buffer.split_to(size).freeze()))
    }

    /// A message as it goes out.
    pub(super) fn write(self, body: &[u8]) -> Vec<u8> {
        let mark: &[u8] = if self == Framing::Ipc { &[1] } else { &[] };
        [mark, &(body.len() as u64).to_be_bytes(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_survive_any_fragmentation(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            piece in 1usize..20,
            ipc in any::<bool>(),
        ) {
            let framing = if ipc { Framing::Ipc } else { Framing::Tcp };
            let wire: Vec<u8> = messages.iter().flat_map(|message| framing.write(message)).collect();
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(message) = framing.parse(&mut buffer).unwrap() {
                    got.push(message.to_vec());
                }
            }
            prop_assert_eq!(got, messages);
        }

        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..60)) {
            for framing in [Framing::Tcp, Framing::Ipc] {
                let mut buffer = BytesMut::from(&bytes[..]);
                let _ = greeting(&mut buffer);
                while let Ok(Some(_)) = framing.parse(&mut buffer) {}
            }
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_head() {
        assert!(Framing::Tcp.parse(&mut BytesMut::from(&[0xff; 8][..])).is_err());
        assert!(Framing::Ipc.parse(&mut BytesMut::from(&[2][..])).is_err());
        assert!(greeting(&mut BytesMut::from(&b"HTTP/1.1"[..])).is_err());
    }
}
