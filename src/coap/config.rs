//! The bounds of one endpoint, and what its clients get to see of their use.

use std::time::Duration;

use super::TransmissionParameters;

/// What one endpoint holds at most. The defaults follow security notes §6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Answers kept for duplicates. When full the oldest goes: 262,144 are all requests of the last
    /// 45 s (MAX_TRANSMIT_SPAN, in which duplicates come) at 5,800 a second.
    pub dedup_entries_max: usize,
    /// Exchanges that we began and that have not ended, over all peers. When full: [`super::Full`].
    pub requests_max: usize,
    /// Exchanges that wait for NSTART, for one peer; 0 counts as 1. When full: [`super::Full`].
    pub queue_per_peer_max: usize,
    /// Peers whose last message id is remembered. When full the oldest goes.
    pub message_ids_max: usize,
    /// Unfinished Block1 bodies, over all peers. When full the longest idle goes.
    pub block1_bodies_max: usize,
    /// Unfinished Block1 bodies of one peer. When full its longest begun goes.
    pub block1_bodies_per_peer_max: usize,
    /// Length of a Block1 body in bytes. Beyond: 4.13.
    pub block1_body_bytes_max: usize,
    /// How long an unfinished Block1 body may be idle.
    pub block1_lifetime: Duration,
    /// The size of blocks in which bodies of requests go out, as an exponent: 2^(szx + 4) bytes, 0 to 6.
    /// A peer that answers with a smaller one gets that.
    pub block1_szx: u8,
    /// Responses in blocks that are being fetched, over all peers. Beyond:
    /// [`super::TransferError::TooMany`]; with 0 a first block is handed over as it came.
    pub block2_bodies_max: usize,
    /// Length of a response that is fetched in blocks, in bytes. Beyond:
    /// [`super::TransferError::TooLarge`].
    pub block2_body_bytes_max: usize,
    /// How often one body is begun again in blocks (RFC 7959 §2.4, §2.9.2, §2.9.3).
    pub block_restarts_max: u8,
    /// Observations that we made. When full: [`super::Full`].
    pub observations_max: usize,
    /// The longest answer, in bytes, to a sender that has proved nothing, where three times as much as it
    /// sent is less. Beyond: 4.01 with Echo (RFC 9175 §2.4).
    pub unproved_answer_bytes_max: usize,
    /// Length of a datagram that is looked at, in bytes. Beyond: dropped.
    pub datagram_bytes_max: usize,
    /// Options of a message that is looked at. Beyond: rejected.
    pub options_max: usize,
    /// Timing of what peers begin: lifetimes of duplicates, and separate responses.
    pub parameters: TransmissionParameters,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            dedup_entries_max: 262_144,
            requests_max: 100_000,
            queue_per_peer_max: 16,
            message_ids_max: 262_144,
            block1_bodies_max: 1024,
            block1_bodies_per_peer_max: 4,
            block1_body_bytes_max: 64 * 1024,
            block1_lifetime: Duration::from_secs(5 * 60),
            block1_szx: 5,
            block2_bodies_max: 1024,
            block2_body_bytes_max: 64 * 1024,
            block_restarts_max: 3,
            observations_max: 1_000_000,
            unproved_answer_bytes_max: 136,
            datagram_bytes_max: 2048,
            options_max: 32,
            parameters: TransmissionParameters::default(),
        }
    }
}

/// What happened since the endpoint was made. Every figure only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub received: u64,
    /// Datagrams handed out.
    pub sent: u64,
    /// Datagrams dropped or rejected for their format (RFC 7252 §3), version, or size.
    pub malformed: u64,
    /// Empty confirmable messages answered with a Reset (RFC 7252 §4.3).
    pub pings: u64,
    /// Duplicates that were answered again or ignored (RFC 7252 §4.5).
    pub duplicates: u64,
    /// Answers that were no longer kept for duplicates because the store was full.
    pub duplicates_evicted: u64,
    /// Requests that were given to the application.
    pub requests: u64,
    /// Messages refused for a critical option (RFC 7252 §5.4.1).
    pub bad_options: u64,
    /// Requests answered here with an error of another kind: 4.00, 4.05, 4.08, 4.13, 5.05.
    pub refused: u64,
    /// Retransmissions (RFC 7252 §4.2).
    pub retransmissions: u64,
    /// Exchanges given up.
    pub timeouts: u64,
    /// Exchanges that the peer ended with a Reset.
    pub resets: u64,
    /// Empty acknowledgements of messages of ours.
    pub acknowledgements: u64,
    /// Responses that were matched with their request.
    pub responses: u64,
    /// Fresh notifications.
    pub notifications: u64,
    /// Responses and notifications with a token that nobody waits for.
    pub unmatched: u64,
    /// Notifications that were not fresh (RFC 7641 §3.4).
    pub stale_notifications: u64,
    /// Block1 bodies dropped unfinished: idle, or pushed out.
    pub bodies_dropped: u64,
    /// Requests whose body, or whose response, could not be brought across in blocks.
    pub transfers_broken: u64,
    /// Answers that were too long for what their request proved (RFC 9175 §2.4).
    pub unproved: u64,
    /// Requests of ours that were sent once more with an Echo (RFC 9175 §2.3).
    pub echoed: u64,
}

/// How much an endpoint holds now. Each figure has its bound in [`EndpointConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Answers kept for duplicates: `dedup_entries_max`.
    pub dedup_entries: usize,
    /// Exchanges that we began: `requests_max`.
    pub requests: usize,
    /// Peers whose last message id is remembered: `message_ids_max`.
    pub message_ids: usize,
    /// Unfinished Block1 bodies: `block1_bodies_max`.
    pub block1_bodies: usize,
    /// Requests and responses that are under way in blocks: `requests_max`, and of responses
    /// `block2_bodies_max`.
    pub transfers: usize,
    /// Observations that we made: `observations_max`.
    pub observations: usize,
    /// Deadlines of exchanges and of bodies, those that no longer count among them: a small multiple
    /// of what they are for.
    pub deadlines: usize,
}
