//! Frames: a length (four bytes), a body, and a tag of both and of the frame's number in its
//! direction. Sans-IO.
//!
//! One that was changed, left out, sent twice or moved is not taken, nor any after it.

use subtle::ConstantTimeEq;

use super::secret::{Key, TAG_BYTES, Tag};

/// Bytes of a body at the most: the longest scenario, and some.
pub(super) const BODY_BYTES_MAX: usize = 2 << 20;

const LENGTH_BYTES: usize = 4;

/// Why a frame is not taken, or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is longer than any that is sent.
    #[error("a frame has {bytes} bytes, and may have {BODY_BYTES_MAX} at the most")]
    TooLong {
        /// Bytes of its body.
        bytes: usize,
    },
    /// It is not what the other side sent as its next one.
    #[error("a frame was changed on its way")]
    Forged,
}

/// Makes frames.
#[derive(Debug)]
pub(super) struct Sealer {
    key: Key,
    number: u64,
}

impl Sealer {
    pub(super) const fn new(key: Key) -> Self {
        Self { key, number: 0 }
    }

    /// The next frame.
    ///
    /// # Errors
    /// Where the body is longer than [`BODY_BYTES_MAX`].
    pub(super) fn seal(&mut self, body: &[u8]) -> Result<Vec<u8>, FrameError> {
        let bytes = body.len();
        let length = u32::try_from(bytes)
            .ok()
            .filter(|_| bytes <= BODY_BYTES_MAX);
        let length = length.ok_or(FrameError::TooLong { bytes })?.to_be_bytes();
        let tag = tag(&self.key, self.number, length, body);
        self.number += 1;
        Ok([&length, body, &tag].concat())
    }
}

/// Takes frames.
#[derive(Debug)]
pub(super) struct Opener {
    key: Key,
    number: u64,
    received: Vec<u8>,
    /// How many of those are taken already.
    taken: usize,
    fault: Option<FrameError>,
}

impl Opener {
    /// `received` is what came already.
    pub(super) const fn new(key: Key, received: Vec<u8>) -> Self {
        Self {
            key,
            number: 0,
            received,
            taken: 0,
            fault: None,
        }
    }

    /// Takes what came; all frames of it are to be polled before more is.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) {
        self.received.drain(..std::mem::take(&mut self.taken));
        if self.fault.is_none() {
            self.received.extend_from_slice(bytes);
        }
    }

    /// The body of the next frame, where the whole of it is there.
    ///
    /// # Errors
    /// Where it is too long, or not the next one of the other side. From then on always.
    pub(super) fn poll_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let body = self.open();
        if let Err(fault) = body {
            self.fault = Some(fault);
            self.received = Vec::new();
            self.taken = 0;
        }
        body
    }

    /// Whether the connection may end here without having cut a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.fault.is_none() && self.taken == self.received.len()
    }

    fn open(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let waiting = self.received.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes > BODY_BYTES_MAX {
            return Err(FrameError::TooLong { bytes });
        }
        let Some((body, rest)) = rest.split_at_checked(bytes) else {
            return Ok(None);
        };
        let Some(theirs) = rest.get(..TAG_BYTES) else {
            return Ok(None);
        };
        let ours = tag(&self.key, self.number, *length, body);
        if !bool::from(ours.as_slice().ct_eq(theirs)) {
            return Err(FrameError::Forged);
        }
        let body = body.to_vec();
        self.number += 1;
        self.taken += LENGTH_BYTES + bytes + TAG_BYTES;
        Ok(Some(body))
    }
}

fn tag(key: &Key, number: u64, length: [u8; LENGTH_BYTES], body: &[u8]) -> Tag {
    key.tag(&[&number.to_be_bytes(), &length, body])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn pair() -> (Sealer, Opener) {
        let key = Key::new(&[3; 32]);
        (Sealer::new(key.clone()), Opener::new(key, Vec::new()))
    }

    /// All that is taken of these bytes, and why no more was.
    fn opened(
        opener: &mut Opener,
        bytes: &[u8],
        piece: usize,
    ) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut bodies = Vec::new();
        for bytes in bytes.chunks(piece) {
            opener.handle_bytes(bytes);
            loop {
                match opener.poll_frame() {
                    Ok(Some(body)) => bodies.push(body),
                    Ok(None) => break,
                    Err(fault) => return (bodies, Some(fault)),
                }
            }
        }
        (bodies, None)
    }

    #[test]
    fn a_frame_that_says_it_is_too_long_is_refused_before_it_comes() {
        let (mut sealer, mut opener) = pair();
        let bytes = BODY_BYTES_MAX + 1;
        let too_long = FrameError::TooLong { bytes };
        assert_eq!(sealer.seal(&vec![0; bytes]), Err(too_long));
        opener.handle_bytes(&u32::try_from(bytes).unwrap().to_be_bytes());
        assert_eq!(opener.poll_frame(), Err(too_long));
        opener.handle_bytes(&[0; 4096]);
        assert_eq!(opener.poll_frame(), Err(too_long));
        assert_eq!(
            opener.received.capacity(),
            0,
            "it keeps what it will not take"
        );
    }

    #[test]
    fn the_longest_frame_passes() {
        let (mut sealer, mut opener) = pair();
        let body = vec![7; BODY_BYTES_MAX];
        opener.handle_bytes(&sealer.seal(&body).unwrap());
        assert_eq!(opener.poll_frame(), Ok(Some(body)));
    }

    proptest! {
        #[test]
        fn bodies_come_out_as_they_went_in_however_the_bytes_are_cut(
            bodies in vec(vec(any::<u8>(), 0..200), 0..8),
            piece in 1..300_usize,
        ) {
            let (mut sealer, mut opener) = pair();
            let sent: Vec<u8> =
                bodies.iter().flat_map(|body| sealer.seal(body).unwrap()).collect();
            prop_assert_eq!(opened(&mut opener, &sent, piece), (bodies, None));
            prop_assert!(opener.is_between_frames());
        }

        #[test]
        fn after_a_bit_that_was_turned_over_nothing_is_taken(
            bodies in vec(vec(any::<u8>(), 0..50), 1..6),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let (mut sealer, mut opener) = pair();
            let frames: Vec<_> = bodies.iter().map(|body| sealer.seal(body).unwrap()).collect();
            let mut sent = frames.concat();
            let at = at.index(sent.len());
            sent[at] ^= 1 << bit;
            let mut whole = 0;
            let mut end = 0;
            while end + frames[whole].len() <= at {
                end += frames[whole].len();
                whole += 1;
            }
            let (taken, fault) = opened(&mut opener, &sent, 64);
            prop_assert_eq!(&taken[..], &bodies[..whole]);
            // A length that was turned over may have it wait for what never comes.
            prop_assert!(fault.is_some() || !opener.is_between_frames());
        }

        #[test]
        fn a_frame_that_is_left_out_sent_twice_or_moved_is_not_taken(
            bodies in vec(vec(any::<u8>(), 0..50), 3..6),
            what in 0..3_u8,
            at in any::<prop::sample::Index>(),
        ) {
            let (mut sealer, mut opener) = pair();
            let mut frames: Vec<_> =
                bodies.iter().map(|body| sealer.seal(body).unwrap()).collect();
            let at = at.index(frames.len() - 1);
            match what {
                0 => drop(frames.remove(at)),
                1 => frames.insert(at, frames[at].clone()),
                _ => frames.swap(at, at + 1),
            }
            let (taken, fault) = opened(&mut opener, &frames.concat(), 1000);
            let good = at + usize::from(what == 1);
            prop_assert_eq!(&taken[..], &bodies[..good]);
            prop_assert_eq!(fault, Some(FrameError::Forged));
        }

        #[test]
        fn a_connection_that_ends_within_a_frame_is_seen_to(
            body in vec(any::<u8>(), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut sealer, mut opener) = pair();
            let frame = sealer.seal(&body).unwrap();
            let cut = cut.index(frame.len());
            let (taken, fault) = opened(&mut opener, &frame[..cut], 1000);
            prop_assert_eq!((taken.len(), fault), (0, None));
            prop_assert_eq!(opener.is_between_frames(), cut == 0);
        }
    }
}
