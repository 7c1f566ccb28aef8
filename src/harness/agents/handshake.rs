//! How two ends of a connection show each other that they hold the same secret and are of the same
//! version. Sans-IO: bytes in, bytes out.
//!
//! Agent: hello. Commander: hello, proof. Agent: proof. A hello is `NCAG`, the protocol's number (two
//! bytes), the length of the version (one) and the version, and 32 bytes that are new each time. A
//! proof is a tag of both hellos, with a label that is not the other side's; from the same come
//! the keys of the frames that follow, one for each direction. The secret itself is never sent, and
//! nothing that was recorded once is of use again, as either side's hello is new.

use subtle::ConstantTimeEq;

use super::frame::{Opener, Sealer};
use super::secret::{Key, Secret, TAG_BYTES};

/// The number of this protocol: other messages, another number.
pub const PROTOCOL: u16 = 1;

/// Bytes that are new in each hello.
pub(super) const NONCE_BYTES: usize = 32;

/// Bytes of a version at the most.
const VERSION_BYTES_MAX: usize = 64;

const MAGIC: &[u8] = b"NCAG";

/// Before the version's text.
const HEAD_BYTES: usize = MAGIC.len() + 3;

/// What either side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// [`PROTOCOL`].
    pub protocol: u16,
    /// The version of narrowcast: devices behave as it has them.
    pub version: String,
}

impl Identity {
    /// That of this program.
    pub fn own() -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (protocol {})", self.version, self.protocol)
    }
}

/// Why two ends do not come together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It does not speak this protocol.
    #[error("the other side is no narrowcast agent or commander")]
    NotOurs,
    /// Devices of one run must be of one version.
    #[error("this is narrowcast {ours}, and the other side is {theirs}: use the same version")]
    Version {
        /// This side's.
        ours: Identity,
        /// The other side's.
        theirs: Identity,
    },
    /// Its proof is not that of who holds the secret.
    #[error("the other side holds another secret: give both the same secret file")]
    Secret,
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Commander,
    Agent,
}

impl Role {
    const fn other(self) -> Self {
        match self {
            Self::Commander => Self::Agent,
            Self::Agent => Self::Commander,
        }
    }

    const fn proof_label(self) -> &'static str {
        match self {
            Self::Commander => "narrowcast agents: proof of the commander",
            Self::Agent => "narrowcast agents: proof of the agent",
        }
    }

    /// Of the frames that this end sends.
    const fn key_label(self) -> &'static str {
        match self {
            Self::Commander => "narrowcast agents: frames of the commander",
            Self::Agent => "narrowcast agents: frames of the agent",
        }
    }
}

/// One end of a handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    role: Role,
    secret: Secret,
    own: Identity,
    own_hello: Vec<u8>,
    their_hello: Option<Vec<u8>>,
    received: Vec<u8>,
    transmit: Vec<u8>,
}

impl Handshake {
    /// `nonce` must be new each time.
    pub(super) fn new(role: Role, secret: Secret, own: Identity, nonce: [u8; NONCE_BYTES]) -> Self {
        let own_hello = hello(&own, &nonce);
        let transmit = match role {
            Role::Agent => own_hello.clone(),
            Role::Commander => Vec::new(),
        };
        Self {
            role,
            secret,
            own,
            own_hello,
            their_hello: None,
            received: Vec::new(),
            transmit,
        }
    }

    /// What is to be sent now; before the connection is closed too where the handshake has failed, as it
    /// tells the other side why.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.transmit.is_empty()).then(|| std::mem::take(&mut self.transmit))
    }

    /// Takes what came. Where that was the last of it: both ends of the frames that follow. What came
    /// of those already is in the [`Opener`].
    ///
    /// # Errors
    /// Where the two do not come together: nothing more is to be taken.
    pub(super) fn handle_bytes(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(Sealer, Opener)>, HandshakeError> {
        self.received.extend_from_slice(bytes);
        if self.their_hello.is_none() && !self.take_hello()? {
            return Ok(None);
        }
        if self.received.len() < TAG_BYTES {
            return Ok(None);
        }
        let rest = self.received.split_off(TAG_BYTES);
        let transcript = self.transcript();
        let expected = self.derived(self.role.other().proof_label(), &transcript);
        let is_right: bool = expected.as_slice().ct_eq(&self.received).into();
        if self.role == Role::Agent {
            // Also where the commander's is wrong: so it learns that the secrets differ.
            let proof = self.derived(self.role.proof_label(), &transcript);
            self.transmit.extend_from_slice(&*proof);
        }
        if !is_right {
            return Err(HandshakeError::Secret);
        }
        let key = |role: Role| Key::new(&*self.derived(role.key_label(), &transcript));
        let opener = Opener::new(key(self.role.other()), rest);
        Ok(Some((Sealer::new(key(self.role)), opener)))
    }

    /// Whether it is there.
    fn take_hello(&mut self) -> Result<bool, HandshakeError> {
        let Some((theirs, length)) = parse_identity(&self.received)? else {
            return Ok(false);
        };
        let is_same = theirs == self.own;
        if !is_same {
            if self.role == Role::Commander {
                self.transmit.extend_from_slice(&self.own_hello);
            }
            let ours = self.own.clone();
            return Err(HandshakeError::Version { ours, theirs });
        }
        let length = length + NONCE_BYTES;
        if self.received.len() < length {
            return Ok(false);
        }
        let rest = self.received.split_off(length);
        self.their_hello = Some(std::mem::replace(&mut self.received, rest));
        if self.role == Role::Commander {
            let proof = self.derived(self.role.proof_label(), &self.transcript());
            self.transmit.extend_from_slice(&self.own_hello);
            self.transmit.extend_from_slice(&*proof);
        }
        Ok(true)
    }

    fn derived(&self, label: &str, transcript: &[u8]) -> zeroize::Zeroizing<[u8; TAG_BYTES]> {
        self.secret.derived(label, transcript)
    }

    /// Both hellos, the agent's first.
    fn transcript(&self) -> Vec<u8> {
        let theirs = self.their_hello.as_deref().unwrap_or_default();
        match self.role {
            Role::Agent => [&self.own_hello, theirs].concat(),
            Role::Commander => [theirs, &self.own_hello].concat(),
        }
    }
}

fn hello(identity: &Identity, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let version = identity.version.as_bytes();
    let version = version.get(..VERSION_BYTES_MAX).unwrap_or(version);
    let length = u8::try_from(version.len()).unwrap_or(u8::MAX);
    let mut hello = MAGIC.to_vec();
    hello.extend_from_slice(&identity.protocol.to_be_bytes());
    hello.push(length);
    hello.extend_from_slice(version);
    hello.extend_from_slice(nonce);
    hello
}

/// Who the other side is, as soon as that is there, and how many bytes say so.
fn parse_identity(received: &[u8]) -> Result<Option<(Identity, usize)>, HandshakeError> {
    let begin = received.len().min(MAGIC.len());
    if received.get(..begin) != MAGIC.get(..begin) {
        return Err(HandshakeError::NotOurs);
    }
    let Some([high, low, length]) = received.get(MAGIC.len()..HEAD_BYTES) else {
        return Ok(None);
    };
    let length = usize::from(*length);
    if length > VERSION_BYTES_MAX {
        return Err(HandshakeError::NotOurs);
    }
    let Some(version) = received.get(HEAD_BYTES..HEAD_BYTES + length) else {
        return Ok(None);
    };
    // It is shown to people before anything is proven.
    if !version.iter().all(u8::is_ascii_graphic) {
        return Err(HandshakeError::NotOurs);
    }
    let identity = Identity {
        protocol: u16::from_be_bytes([*high, *low]),
        version: String::from_utf8_lossy(version).into_owned(),
    };
    Ok(Some((identity, HEAD_BYTES + length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; 32]).unwrap()
    }

    fn end(role: Role, secret_byte: u8) -> Handshake {
        let nonce = match role {
            Role::Commander => [0xc0; NONCE_BYTES],
            Role::Agent => [0xa0; NONCE_BYTES],
        };
        Handshake::new(role, secret(secret_byte), Identity::own(), nonce)
    }

    type Ended = Result<Option<(Sealer, Opener)>, HandshakeError>;

    /// Lets both talk, the bytes in pieces of this size, until neither says more: how it ended for the
    /// commander and for the agent.
    fn talk(commander: &mut Handshake, agent: &mut Handshake, piece: usize) -> (Ended, Ended) {
        let mut ended = (Ok(None), Ok(None));
        loop {
            let of_agent = agent.poll_transmit().unwrap_or_default();
            for bytes in of_agent.chunks(piece) {
                if let Ok(None) = ended.0 {
                    ended.0 = commander.handle_bytes(bytes);
                }
            }
            let of_commander = commander.poll_transmit().unwrap_or_default();
            for bytes in of_commander.chunks(piece) {
                if let Ok(None) = ended.1 {
                    ended.1 = agent.handle_bytes(bytes);
                }
            }
            if of_agent.is_empty() && of_commander.is_empty() {
                return ended;
            }
        }
    }

    #[test]
    fn who_holds_the_same_secret_comes_together_and_frames_pass_both_ways() {
        for piece in [1, 7, 1000] {
            let (mut commander, mut agent) = (end(Role::Commander, 1), end(Role::Agent, 1));
            let (of_commander, of_agent) = talk(&mut commander, &mut agent, piece);
            let (mut seals, mut opens) = of_commander.unwrap().unwrap();
            let (mut agent_seals, mut agent_opens) = of_agent.unwrap().unwrap();
            agent_opens.handle_bytes(&seals.seal(b"go").unwrap());
            assert_eq!(agent_opens.poll_frame(), Ok(Some(b"go".to_vec())));
            opens.handle_bytes(&agent_seals.seal(b"gone").unwrap());
            assert_eq!(opens.poll_frame(), Ok(Some(b"gone".to_vec())));
            // What one end sends is nothing that it would take itself.
            opens.handle_bytes(&seals.seal(b"go").unwrap());
            assert!(opens.poll_frame().is_err());
        }
    }

    #[test]
    fn another_secret_is_refused_by_both_and_both_know_why() {
        let (mut commander, mut agent) = (end(Role::Commander, 1), end(Role::Agent, 2));
        let (of_commander, of_agent) = talk(&mut commander, &mut agent, 1000);
        assert_eq!(of_commander.unwrap_err(), HandshakeError::Secret);
        assert_eq!(of_agent.unwrap_err(), HandshakeError::Secret);
    }

    #[test]
    fn another_version_or_protocol_is_refused_by_both_and_both_are_named() {
        for (protocol, version) in [
            (PROTOCOL, "99.0.0"),
            (PROTOCOL + 1, Identity::own().version.as_str()),
        ] {
            let theirs = Identity {
                protocol,
                version: version.to_owned(),
            };
            let mut commander = end(Role::Commander, 1);
            let mut agent =
                Handshake::new(Role::Agent, secret(1), theirs.clone(), [0; NONCE_BYTES]);
            let (of_commander, of_agent) = talk(&mut commander, &mut agent, 1000);
            for error in [of_commander.unwrap_err(), of_agent.unwrap_err()] {
                let told = error.to_string();
                assert!(told.contains(&theirs.to_string()), "{told}");
                assert!(told.contains(&Identity::own().to_string()), "{told}");
            }
        }
    }

    #[test]
    fn the_secret_is_not_in_what_is_sent() {
        let (mut commander, mut agent) = (end(Role::Commander, 0x53), end(Role::Agent, 0x53));
        let hello = agent.poll_transmit().unwrap();
        commander.handle_bytes(&hello).unwrap();
        let answer = commander.poll_transmit().unwrap();
        agent.handle_bytes(&answer).unwrap();
        let sent = [hello, answer, agent.poll_transmit().unwrap()].concat();
        assert!(!sent.windows(4).any(|part| part == [0x53; 4]));
    }

    #[test]
    fn a_recorded_handshake_is_of_no_use_against_a_new_hello() {
        let (mut commander, mut agent) = (end(Role::Commander, 1), end(Role::Agent, 1));
        let hello = agent.poll_transmit().unwrap();
        commander.handle_bytes(&hello).unwrap();
        agent
            .handle_bytes(&commander.poll_transmit().unwrap())
            .unwrap();
        let proof = agent.poll_transmit().unwrap();
        let mut again = Handshake::new(Role::Commander, secret(1), Identity::own(), [7; 32]);
        again.handle_bytes(&hello).unwrap();
        assert_eq!(
            again.handle_bytes(&proof).unwrap_err(),
            HandshakeError::Secret
        );
    }

    #[test]
    fn a_proof_sent_back_to_who_made_it_proves_nothing() {
        let mut commander = end(Role::Commander, 1);
        let stranger = hello(&Identity::own(), &[9; NONCE_BYTES]);
        commander.handle_bytes(&stranger).unwrap();
        let answer = commander.poll_transmit().unwrap();
        let its_own_proof = &answer[answer.len() - TAG_BYTES..];
        assert_eq!(
            commander.handle_bytes(its_own_proof).unwrap_err(),
            HandshakeError::Secret
        );
    }

    #[test]
    fn other_protocols_are_told_apart_at_their_first_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"N\0",
            b"NCAG\0\x01\xff",
            b"NCAG\0\x01\x02\x1b[",
        ] {
            let told = end(Role::Commander, 1).handle_bytes(bytes);
            assert_eq!(told.unwrap_err(), HandshakeError::NotOurs, "{bytes:?}");
        }
    }

    proptest! {
        /// Whatever bit of a handshake is turned over on the way, nobody comes together by it.
        #[test]
        fn a_handshake_that_was_touched_joins_nobody(
            of_whom in 0..3_usize,
            at in 0..1000_usize,
            bit in 0..8_u32,
        ) {
            let (mut commander, mut agent) = (end(Role::Commander, 1), end(Role::Agent, 1));
            let touched = |turn: usize, mut bytes: Vec<u8>| {
                if turn == of_whom {
                    let at = at % bytes.len();
                    bytes[at] ^= 1 << bit;
                }
                bytes
            };
            let hello = touched(0, agent.poll_transmit().unwrap());
            let first = commander.handle_bytes(&hello);
            let answer = touched(1, commander.poll_transmit().unwrap_or_else(|| vec![0]));
            let of_agent = agent.handle_bytes(&answer);
            let is_agent_in = matches!(of_agent, Ok(Some(_)));
            let proof = touched(2, agent.poll_transmit().unwrap_or_else(|| vec![0]));
            let is_commander_in =
                first.is_ok() && matches!(commander.handle_bytes(&proof), Ok(Some(_)));
            prop_assert!(!is_commander_in || !is_agent_in);
            // An agent is in before its proof is looked at, and one that is not in ends the connection.
            prop_assert!(!is_agent_in || of_whom == 2);
            prop_assert!(!is_commander_in || of_whom == 1);
        }
    }
}
