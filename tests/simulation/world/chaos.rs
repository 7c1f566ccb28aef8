//! What is to go wrong beside the link: with devices, with the server's clock and its store.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use narrowcast::clock::{Instant, Utc};
use narrowcast::coap::{Code, Message, OptionNumber, Token};
use narrowcast::lwm2m::{Path, path};
use narrowcast::model::{CampaignId, RetryPolicy, StopMode};
use narrowcast::sim::log::DeviceEvent;

use super::World;
use super::air::Happening;
use super::operators::Deed;
use super::requests::Ask;
use crate::bugs::Stale;
use crate::fleet;
use crate::link::Link;
use crate::wire::SentRequest;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Loss,
    Duplication,
    Reordering,
    Corruption,
    Delay,
    PowerCut,
    StateForgotten,
    NotificationLost,
    AnswerLost,
    OutOfCoverage,
    Rebinding,
    WrongVersion,
    ClockAhead,
    ClockBack,
    StoreError,
    DiesBeforeCommit,
    DiesAfterCommit,
}

impl Fault {
    pub(crate) const ALL: [Self; 17] = [
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::Corruption,
        Self::Delay,
        Self::PowerCut,
        Self::StateForgotten,
        Self::NotificationLost,
        Self::AnswerLost,
        Self::OutOfCoverage,
        Self::Rebinding,
        Self::WrongVersion,
        Self::ClockAhead,
        Self::ClockBack,
        Self::StoreError,
        Self::DiesBeforeCommit,
        Self::DiesAfterCommit,
    ];
}

/// Something that goes wrong, or that an operator does, at a time of its own.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    PowerCut {
        device: usize,
        off: Duration,
        forgets: bool,
    },
    /// Nothing reaches a device, nothing of it arrives.
    OutOfCoverage(usize, Duration),
    /// What a device answers to requests of one resource does not arrive.
    AnswersLost(usize, Path, Duration),
    NotificationsLost(usize, Duration),
    /// The NAT gives the device other ports.
    Rebinding(usize),
    /// The clock on the wall is set; in milliseconds.
    Clock(i64),
    /// The next commit fails.
    StoreError,
    /// A second campaign, for these devices.
    Campaign(Vec<usize>, RetryPolicy),
    Stop(CampaignId, StopMode),
    /// Failed tasks of a campaign are tried again.
    Retry(CampaignId),
    /// Somebody agrees to the update of a device, or of all.
    Consent(CampaignId, Option<usize>),
    /// The key that signed all packages is revoked: what runs is stopped, and nothing begins after it.
    Revoke,
    /// An operator asks something of a device, to be done within this time.
    Asked(usize, Ask, Duration),
    /// An operator does something with a campaign.
    Deed(CampaignId, Deed),
    /// Nothing more goes wrong from now on.
    Calm,
}

/// What befalls one device in each of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It leaves coverage once it has the URI.
    GoneInDownload,
    /// It leaves coverage once it is to install.
    GoneInInstall,
    /// Neither Result nor version can be read once it is to install.
    DumbInInstall,
}

#[derive(Debug, Default)]
pub(crate) struct Chaos {
    /// Of a hundred power cuts, in how many the package is lost too.
    pub(crate) forget_percent: u32,
    pub(crate) fates: BTreeMap<usize, Fate>,
    pub(crate) calm: bool,
    revoked: bool,
    counts: BTreeMap<Fault, u64>,
    dark_until: BTreeMap<usize, Instant>,
    deaf_until: BTreeMap<usize, Instant>,
    mutes: Vec<(usize, Path, Instant)>,
    muted: BTreeSet<Token>,
    stale: BTreeMap<usize, Stale>,
    last_arrivals: BTreeMap<(SocketAddr, bool), Instant>,
    /// When something damaged of a device last arrived.
    misheard: BTreeMap<IpAddr, Instant>,
    pub(crate) told: Vec<(Instant, Trouble)>,
}

impl Chaos {
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> &BTreeMap<Fault, u64> {
        &self.counts
    }

    pub(super) fn stale(&mut self, device: usize) -> &mut Stale {
        self.stale.entry(device).or_default()
    }

    /// A request leaves for a device: whether its answer will arrive.
    pub(super) fn asked(&mut self, now: Instant, device: usize, request: &SentRequest) {
        self.stale(device).asked(request);
        let of = |(muted, path, until): &(usize, Path, Instant)| {
            *muted == device && *path == request.path && now < *until
        };
        if self.mutes.iter().any(of) {
            self.muted.insert(request.token);
        }
    }

    /// Whether what a device sends is lost, whatever the link does.
    pub(super) fn swallows(&mut self, now: Instant, device: usize, datagram: &[u8]) -> bool {
        let deaf = self.deaf_until.get(&device).is_some_and(|at| now < *at);
        if !deaf && self.muted.is_empty() {
            return false;
        }
        let Ok(message) = Message::decode(datagram, 32) else {
            return false;
        };
        if message.code != Code::EMPTY && self.muted.contains(&message.token) {
            self.count(Fault::AnswerLost);
            return true;
        }
        let notifies = message.options.first(OptionNumber::OBSERVE).is_some();
        if deaf && notifies {
            self.count(Fault::NotificationLost);
        }
        deaf && notifies
    }

    pub(super) fn damages(&mut self, (device, sends): (SocketAddr, bool), at: Instant) {
        self.count(Fault::Corruption);
        if sends {
            self.misheard.insert(device.ip(), at);
        }
    }

    /// Whether what the server has heard of a device since then may not be what it said.
    pub(super) fn misheard_since(&self, device: SocketAddr, since: Instant) -> bool {
        let at = self.misheard.get(&device.ip());
        at.is_some_and(|at| *at >= since)
    }

    pub(super) fn arrives(&mut self, way: (SocketAddr, bool), at: Instant) {
        let last = self.last_arrivals.entry(way).or_default();
        let overtakes = at < *last;
        *last = at.max(*last);
        if overtakes {
            self.count(Fault::Reordering);
        }
    }
}

impl World {
    /// Lets something go wrong later.
    pub(crate) fn plan(&mut self, after: Duration, trouble: Trouble) {
        self.after(after, Happening::Trouble(trouble));
    }

    pub(super) fn is_dark(&mut self, device: usize) -> bool {
        let until = self.chaos.dark_until.get(&device);
        let dark = until.is_some_and(|until| self.now.instant < *until);
        if dark {
            self.chaos.count(Fault::OutOfCoverage);
        }
        dark
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        let now = self.now.instant;
        self.chaos.told.push((now, trouble.clone()));
        match trouble {
            Trouble::PowerCut {
                device,
                off,
                forgets,
            } => self.happen(Happening::PowerCut(device, off, forgets)),
            Trouble::OutOfCoverage(device, time) => {
                self.chaos.dark_until.insert(device, now + time);
            }
            Trouble::AnswersLost(device, path, time) => {
                self.chaos.mutes.push((device, path, now + time));
            }
            Trouble::NotificationsLost(device, time) => {
                self.chaos.deaf_until.insert(device, now + time);
            }
            Trouble::Rebinding(device) => {
                self.chaos.count(Fault::Rebinding);
                self.rebind(device);
            }
            Trouble::Clock(jump_ms) => {
                self.chaos.count(if jump_ms > 0 {
                    Fault::ClockAhead
                } else {
                    Fault::ClockBack
                });
                let back_ms = jump_ms.min(0).unsigned_abs();
                self.server.requests.set_back += Duration::from_millis(back_ms);
                self.now.utc = Utc::from_unix_ms(self.now.utc.unix_ms() + jump_ms);
            }
            Trouble::StoreError => {
                self.chaos.count(Fault::StoreError);
                self.server.store.fail_after(1);
            }
            Trouble::Campaign(..) if self.chaos.revoked => {}
            Trouble::Campaign(devices, retry) => {
                let id = self.draft(&devices, retry);
                self.activate(id).unwrap();
            }
            Trouble::Stop(id, mode) => {
                self.stop_as(id, mode);
            }
            Trouble::Retry(_) if self.chaos.revoked => {}
            Trouble::Retry(id) => {
                self.retry(id, |_| true);
            }
            Trouble::Consent(id, device) => {
                // One that may join later has no task yet.
                if device.is_none_or(|device| self.has_task(id, device)) {
                    self.consent(id, device, true);
                }
            }
            Trouble::Revoke => {
                let package = fleet::package(&self.image, self.now.utc);
                self.chaos.revoked = true;
                self.revoke(package.key_id().expect("it is signed"));
            }
            Trouble::Asked(device, ask, within) => self.ask(device, ask, within),
            Trouble::Deed(id, deed) => self.deed(id, deed),
            Trouble::Calm => self.calm(),
        }
    }

    fn calm(&mut self) {
        self.link = Link::clean();
        (self.crash_permille, self.cut_percent) = (0, 0);
        self.server.store.fail_after(0);
        self.chaos.calm = true;
        self.chaos.fates.clear();
        self.chaos.dark_until.clear();
        self.chaos.deaf_until.clear();
        self.chaos.mutes.clear();
        self.chaos.muted.clear();
    }

    /// What befalls a device at a step of its way.
    pub(super) fn afflict(&mut self, device: usize, event: &DeviceEvent) {
        if matches!(event, DeviceEvent::Flashed { version } if version != fleet::TARGET_VERSION) {
            self.chaos.count(Fault::WrongVersion);
        }
        let hour = Duration::from_secs(3600);
        let Some(fate) = self.chaos.fates.get(&device) else {
            return;
        };
        match (fate, event) {
            (Fate::GoneInDownload, DeviceEvent::UriAccepted)
            | (Fate::GoneInInstall, DeviceEvent::ExecuteAccepted) => {
                self.trouble(Trouble::OutOfCoverage(device, hour));
            }
            (Fate::DumbInInstall, DeviceEvent::ExecuteAccepted) => {
                for path in [path::FIRMWARE_UPDATE_RESULT, path::DEVICE_FIRMWARE_VERSION] {
                    self.trouble(Trouble::AnswersLost(device, path, hour));
                }
            }
            _ => {}
        }
    }
}
