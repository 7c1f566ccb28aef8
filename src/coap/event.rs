//! What an endpoint tells its user, and the handles by which the user answers.

use bytes::Bytes;

use super::{BlockValue, MessageId, Request, Response, Token};
use crate::clock::Instant;
use crate::model::Peer;

/// One exchange that we began: a request, an observation, a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// Which request a response belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    pub(super) peer: Peer,
    pub(super) message_id: MessageId,
    pub(super) token: Token,
    pub(super) reliability: Reliability,
    /// The last piece of a body that came in blocks; the response repeats it (RFC 7959 §2.3).
    pub(super) block1: Option<BlockValue>,
    pub(super) received_at: Instant,
    /// Whether asking again does no harm (RFC 7252 §5.1).
    pub(super) is_safe: bool,
    /// The longest answer that goes to a sender who has proved no more (RFC 9175 §2.4).
    pub(super) answer_bytes_max: usize,
}

impl ReplyTo {
    /// Who asked.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The request's token; notifications carry it too (RFC 7641 §3.2).
    pub const fn token(&self) -> Token {
        self.token
    }
}

/// Whether a message is repeated until it is acknowledged (RFC 7252 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
}

/// What came of the datagrams and of time passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request, its body complete. It is to be answered, or acknowledged, in the same call.
    Request {
        /// Who asks.
        peer: Peer,
        /// For [`super::Endpoint::respond`].
        reply_to: ReplyTo,
        /// What is asked; the options of the last piece where the body came in blocks.
        request: Request,
    },
    /// The response to a request, piggy-backed or separate. For an observation without an Observe
    /// option in it, the observation does not exist (RFC 7641 §3.1).
    Response {
        /// Which request.
        id: RequestId,
        /// Who answers.
        peer: Peer,
        /// The answer.
        response: Response,
    },
    /// A fresh notification (RFC 7641 §3.4), already acknowledged. An error code, or no Observe
    /// option, says that it is the last.
    Notification {
        /// Whence it came, which need not be where the observation was made.
        peer: Peer,
        /// Which observation.
        token: Token,
        /// The state.
        response: Response,
    },
    /// A fresh notification of which this is the first block (RFC 7959 §2.6), already acknowledged. It is
    /// not to be taken for the whole, which [`super::Endpoint::fetch_notification`] fetches.
    NotificationBegun {
        /// Whence it came.
        peer: Peer,
        /// Which observation.
        token: Token,
        /// The first block.
        first: Response,
    },
    /// A confirmable notification of ours was acknowledged, or a ping of ours answered.
    Delivered {
        /// Which of them.
        id: RequestId,
        /// By whom.
        peer: Peer,
    },
    /// A block of a request's body was taken (RFC 7959 §2.5); the response to the whole follows.
    BlockTaken {
        /// Which request.
        id: RequestId,
        /// By whom.
        peer: Peer,
        /// How much of the body was taken by now.
        taken_bytes: u64,
    },
    /// What came in blocks, or went out in them, cannot be brought to an end.
    Broken {
        /// Which request.
        id: RequestId,
        /// With whom.
        peer: Peer,
        /// Why.
        error: TransferError,
    },
    /// No answer came in time.
    TimedOut {
        /// Which request, notification or ping.
        id: RequestId,
        /// From whom.
        peer: Peer,
    },
    /// The peer rejected our message; for a notification it wants no more (RFC 7641 §3.6).
    Reset {
        /// Which request or notification.
        id: RequestId,
        /// By whom.
        peer: Peer,
    },
}

/// Why a body does not get across in blocks (RFC 7959 §2.4, §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// It is longer than the limit, or has more blocks than can be counted.
    #[error("the body is too long")]
    TooLarge,
    /// As many responses as may be are being fetched.
    #[error("too many bodies are being fetched")]
    TooMany,
    /// The resource changed each time that it was fetched.
    #[error("the resource changes while it is fetched")]
    Changed,
    /// An answer does not fit the block that it is for.
    #[error("an answer does not fit its block")]
    OutOfStep,
}

/// A bound was hit; nothing was sent or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many exchanges are outstanding")]
pub struct Full;

/// A short text for a person in an error response (RFC 7252 §5.5.2).
pub(super) fn diagnostic(mut response: Response, text: String) -> Response {
    response.payload = Bytes::from(text);
    response
}
