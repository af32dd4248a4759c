//! Where a message ends in a stream of bytes. Pure.

use std::io;

/// How messages are sent over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// To a media node: two bytes with the length before each (RFC 4571).
    Length,
    /// To a TURN server: one STUN message after the other, each of which has its length (RFC 8489 section 6.2.2).
    Stun,
}

/// Header of a STUN message.
const STUN_HEADER: usize = 20;

impl Framing {
    /// A message as it is sent.
    #[must_use]
    pub fn framed(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Length => {
                let length = u16::try_from(message.len()).expect("a check has some hundred bytes");
                [&length.to_be_bytes()[..], message].concat()
            }
            Self::Stun => message.to_vec(),
        }
    }

    /// Takes the first message out of what was received, if it is complete; none has more than 64 KiB.
    ///
    /// # Errors
    /// When what comes is no message.
    pub fn next_message(self, received: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let Some(head) = received.first_chunk::<4>().copied() else {
            return Ok(None);
        };
        let (before, length) = match self {
            Self::Length => (2, usize::from(u16::from_be_bytes([head[0], head[1]]))),
            // The first two bits are zero (RFC 8489 section 5).
            Self::Stun if head[0] < 0x40 => (0, STUN_HEADER + usize::from(u16::from_be_bytes([head[2], head[3]]))),
            Self::Stun => return Err(io::Error::new(io::ErrorKind::InvalidData, "what it says is no STUN")),
        };
        if received.len() < before + length {
            return Ok(None);
        }
        let message = received.drain(..before + length).skip(before).collect();
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_one_by_one_however_they_came_in() {
        let stun = [&[1_u8, 1, 0, 4][..], &[7; 16], &[1, 2, 3, 4]].concat();
        for framing in [Framing::Length, Framing::Stun] {
            let sent = [framing.framed(&stun), framing.framed(&stun)].concat();
            let (mut received, mut taken): (Vec<u8>, Vec<Vec<u8>>) = Default::default();
            for byte in sent {
                received.push(byte);
                taken.extend(framing.next_message(&mut received).unwrap());
            }
            assert_eq!(taken, [stun.clone(), stun.clone()], "{framing:?}");
            assert!(received.is_empty());
        }
    }

    #[test]
    fn what_is_no_stun_is_an_error() {
        let mut received = b"HTTP/1.1 400 Bad Request".to_vec();
        assert!(Framing::Stun.next_message(&mut received).is_err());
    }
}
