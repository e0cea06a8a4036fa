//! Handshake and frames: bytes only, no socket.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::SpError;

/// Length of the handshake, in bytes.
pub const HANDSHAKE: usize = 8;
/// What every frame of a unix socket begins with.
const MARK: u8 = 1;

/// The protocol an end speaks (numbers of the SP registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One to one.
    Pair,
    /// Asks.
    Req,
    /// Answers.
    Rep,
    /// Hands out work.
    Push,
    /// Takes work.
    Pull,
}

impl Protocol {
    const fn number(self) -> u16 {
        match self {
            Protocol::Pair => 0x10,
            Protocol::Req => 0x30,
            Protocol::Rep => 0x31,
            Protocol::Push => 0x50,
            Protocol::Pull => 0x51,
        }
    }

    /// What the other end must speak.
    pub const fn peer(self) -> Protocol {
        match self {
            Protocol::Pair => Protocol::Pair,
            Protocol::Req => Protocol::Rep,
            Protocol::Rep => Protocol::Req,
            Protocol::Push => Protocol::Pull,
            Protocol::Pull => Protocol::Push,
        }
    }

    /// The eight bytes this end begins with.
    pub fn handshake(self) -> [u8; HANDSHAKE] {
        let [high, low] = self.number().to_be_bytes();
        [0, b'S', b'P', 0, high, low, 0, 0]
    }

    /// Checks the eight bytes of the other end.
    ///
    /// # Errors
    /// It is not SP, or not the protocol that fits.
    pub fn accept(self, bytes: [u8; HANDSHAKE]) -> Result<(), SpError> {
        if bytes[..4] != [0, b'S', b'P', 0] || bytes[6..] != [0, 0] {
            return Err(SpError::Handshake("no SP handshake"));
        }
        if bytes[4..6] != self.peer().number().to_be_bytes() {
            return Err(SpError::Handshake("a protocol that does not fit"));
        }
        Ok(())
    }
}

/// How messages are framed: on unix sockets each begins with a byte 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `tcp://`.
    Tcp,
    /// `ipc://`.
    Ipc,
}

impl Framing {
    const fn mark(self) -> &'static [u8] {
        match self {
            Framing::Tcp => &[],
            Framing::Ipc => &[MARK],
        }
    }
}

/// Frames of at most `max` bytes.
#[derive(Debug, Clone, Copy)]
pub struct FrameCodec {
    /// What the connection runs on.
    pub framing: Framing,
    /// Largest payload in bytes.
    pub max: usize,
}

impl Decoder for FrameCodec {
    type Item = Bytes;
    type Error = SpError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Bytes>, SpError> {
        let mark = self.framing.mark();
        if source.iter().zip(mark).any(|(byte, mark)| byte != mark) {
            return Err(SpError::BadFrame);
        }
        let head = mark.len() + size_of::<u64>();
        let Some(mut length) = source.get(mark.len()..head) else { return Ok(None) };
        let length = length.get_u64();
        // Refused before anything is reserved for it.
        let size = usize::try_from(length).ok().filter(|size| *size <= self.max).ok_or(SpError::TooLarge(length))?;
        if source.len() - head < size {
            return Ok(None);
        }
        source.advance(head);
        Ok(Some(source.split_to(size).freeze()))
    }
}

/// The protocol's header, if it has one, and the body: together they are the frame's payload.
impl Encoder<(Option<[u8; 4]>, Bytes)> for FrameCodec {
    type Error = SpError;

    fn encode(&mut self, (head, body): (Option<[u8; 4]>, Bytes), into: &mut BytesMut) -> Result<(), SpError> {
        let head = head.as_ref().map_or(&[][..], |head| &head[..]);
        let size = head.len() + body.len();
        if size > self.max {
            return Err(SpError::TooLarge(size as u64));
        }
        let mark = self.framing.mark();
        into.reserve(mark.len() + size_of::<u64>() + size);
        into.put_slice(mark);
        into.put_u64(size as u64);
        into.put_slice(head);
        into.put_slice(&body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 64;

    fn codec(ipc: bool) -> FrameCodec {
        FrameCodec { framing: if ipc { Framing::Ipc } else { Framing::Tcp }, max: MAX }
    }

    fn decode_all(mut codec: FrameCodec, bytes: &[u8], piece: usize) -> (Vec<Bytes>, bool) {
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(_) => return (frames, false),
                }
            }
        }
        (frames, true)
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=MAX), 0..8),
            piece in 1usize..40,
            ipc in any::<bool>(),
        ) {
            let (mut codec, mut wire) = (codec(ipc), BytesMut::new());
            for payload in &payloads {
                let (head, body) = match payload.split_first_chunk::<4>() {
                    Some((head, body)) => (Some(*head), body),
                    None => (None, payload.as_slice()),
                };
                codec.encode((head, Bytes::copy_from_slice(body)), &mut wire).unwrap();
            }
            let (frames, whole) = decode_all(codec, &wire, piece);
            prop_assert!(whole);
            prop_assert_eq!(frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>(), payloads);
        }

        #[test]
        fn any_bytes_give_frames_or_an_error(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..200)) {
            for ipc in [false, true] {
                let (frames, _) = decode_all(codec(ipc), &bytes, 7);
                prop_assert!(frames.iter().all(|frame| frame.len() <= MAX));
            }
        }

        #[test]
        fn only_the_fitting_handshake_is_accepted(bytes in any::<[u8; HANDSHAKE]>()) {
            prop_assert_eq!(Protocol::Pull.accept(bytes).is_ok(), bytes == Protocol::Push.handshake());
        }
    }

    #[test]
    fn handshakes() {
        assert_eq!(Protocol::Req.handshake(), [0, b'S', b'P', 0, 0, 0x30, 0, 0]);
        for protocol in [Protocol::Pair, Protocol::Req, Protocol::Rep, Protocol::Push, Protocol::Pull] {
            protocol.accept(protocol.peer().handshake()).unwrap();
        }
        assert!(Protocol::Rep.accept(Protocol::Rep.handshake()).is_err());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_by_its_head() {
        for ipc in [false, true] {
            let mut codec = codec(ipc);
            let mut wire = BytesMut::from(codec.framing.mark());
            wire.put_u64(u64::MAX);
            assert!(matches!(codec.decode(&mut wire), Err(SpError::TooLarge(u64::MAX))));
            assert!(codec.encode((Some([0; 4]), Bytes::from_static(&[0; MAX - 3])), &mut wire).is_err());
        }
        let mut other = BytesMut::from(&[2][..]);
        assert!(matches!(codec(true).decode(&mut other), Err(SpError::BadFrame)));
    }
}
