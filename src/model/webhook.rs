//! Webhooks: receivers of operators that are told of events.

use super::words::words;
use crate::clock::Utc;

/// A webhook's number. None is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(pub u64);

words! {
    /// Whether a webhook is told of events.
    pub enum WebhookState {
        /// It is.
        Active = "active",
        /// An operator stopped that, or its receiver did by answering 410. What happens meanwhile is
        /// told later, as far as it is kept.
        Disabled = "disabled",
    }
}

words! {
    /// Where a delivery stands.
    pub enum DeliveryState {
        /// It is tried, or tried again later.
        Pending = "pending",
        /// The receiver took it.
        Delivered = "delivered",
        /// It was tried for as long as it may be.
        Dead = "dead",
    }
}

/// A receiver of events.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// Where events are posted to.
    pub url: String,
    /// What its deliveries are signed with. `Debug` leaves it out.
    pub secret: Vec<u8>,
    /// Which things it is told of, `campaign:12` or `device:<endpoint>`; empty: all.
    pub topics: Vec<String>,
    /// Which kinds of events, `task.failed` or `campaign.*`; empty: all.
    pub types: Vec<String>,
    /// Whether it is told.
    pub state: WebhookState,
    /// Why it is disabled.
    pub reason: String,
    /// The last event that it was told of, or that was not for it.
    pub cursor: u64,
    /// When it was made.
    pub created_at: Utc,
    /// The name of the token that it was made with.
    pub created_by: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("state", &self.state)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// One thing that a webhook is told, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// Its place among those of its webhook, from 1 on.
    pub number: u64,
    /// The id of the message: the same at each try, so that a receiver knows what it has.
    pub message_id: String,
    /// What is posted: a CloudEvent in JSON.
    pub body: String,
    /// Whether later events wait for it.
    pub in_order: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried, a second delivery by hand counted by itself.
    pub attempts: u32,
    /// When what it tells of happened, or when it was asked for by hand.
    pub created_at: Utc,
    /// When it was last tried.
    pub last_at: Option<Utc>,
    /// When it is tried next.
    pub next_at: Option<Utc>,
    /// The HTTP status of the last answer.
    pub answer_status: Option<u16>,
    /// Why the last try failed, where no status says so.
    pub error: String,
}
