//! The audit log: entries that are only ever added, each with the hash of the one before it, so that
//! none can be changed, taken out or put in between unseen.
//!
//! An entry's SHA-256 is over the previous entry's (32 bytes, zero for the first), its number and its
//! time in Unix milliseconds (8 bytes each, the most significant first), and its texts in the order of
//! [`AuditEntry`], each after its length in bytes (4 bytes). Texts are bounded, so an entry takes less
//! than 6 KiB. Entries that were taken off the end show only against a head that was noted elsewhere.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{NewCampaign, StoredKey, StoredToken};
use crate::clock::Utc;
use crate::model::{
    AuditAction, AuditActor, AuditStamp, CampaignId, Device, DownloadLink, EndpointName, GroupId,
    KeyChange, LinkId, NewAuditEntry, Package, PackageId, Product, ProfileId, Provenance,
    SettingChanges, TaskState, TimelineEntry, TimelineStep, UpdateTask, Webhook, WebhookDelivery,
    WebhookId, WebhookState,
};

/// An entry in its place.
///
/// Its words are kept as texts: one that somebody has altered must still be read to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, from 1 on without gaps.
    pub number: u64,
    /// When.
    pub at: Utc,
    /// Who: a token's name, `cli` or `server`.
    pub actor: String,
    /// The token's role; `cli` or `server` where it was no token.
    pub role: String,
    /// A word of [`AuditAction`].
    pub action: String,
    /// A word of [`crate::model::AuditKind`].
    pub kind: String,
    /// Which key, package, link, campaign, token, device, group or task.
    pub object: String,
    /// A JSON object of texts.
    pub details: String,
    /// The SHA-256 of the entry before; zero for the first.
    pub previous: [u8; 32],
    /// Its own SHA-256.
    pub sha256: [u8; 32],
}

impl AuditEntry {
    fn computed_sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.previous);
        hash.update(self.number.to_be_bytes());
        hash.update(self.at.unix_ms().to_be_bytes());
        for text in [
            &self.actor,
            &self.role,
            &self.action,
            &self.kind,
            &self.object,
            &self.details,
        ] {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            hash.update(length.to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Where the chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditBreak {
    /// There is no entry of this number, but there are later ones.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// It does not have the hash of the entry before it.
    #[error("entry {0} does not follow the entry before it")]
    Unlinked(u64),
    /// It does not have its own hash.
    #[error("entry {0} was altered")]
    Altered(u64),
    /// The chain holds, but is another than it was when this entry was noted elsewhere.
    #[error("entry {0} is not the one that was noted: the chain was computed anew")]
    Rewritten(u64),
    /// Later entries were noted elsewhere, and this is where they are cut off.
    #[error("entry {0} and those behind it are gone: a later one was noted")]
    Cut(u64),
}

impl AuditBreak {
    /// The number of the first entry that does not hold.
    pub const fn number(self) -> u64 {
        match self {
            Self::Missing(number)
            | Self::Unlinked(number)
            | Self::Altered(number)
            | Self::Rewritten(number)
            | Self::Cut(number) => number,
        }
    }
}

/// The last entry at some time, for elsewhere: as text, `SHA256@N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// How many entries there were, which is its number.
    pub entries: u64,
    /// Its SHA-256; zero where there was none.
    pub sha256: [u8; 32],
}

impl AuditHead {
    /// Whether the entry has this number and another hash.
    pub fn contradicts(&self, entry: &AuditEntry) -> bool {
        entry.number == self.entries && entry.sha256 != self.sha256
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", hex::encode(self.sha256), self.entries)
    }
}

/// A text that is no head of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is 64 hexadecimal digits, @ and a number")]
pub struct InvalidAuditHead;

impl FromStr for AuditHead {
    type Err = InvalidAuditHead;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, entries) = text.split_once('@').ok_or(InvalidAuditHead)?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(digits, &mut sha256).map_err(|_| InvalidAuditHead)?;
        let entries = entries.parse().map_err(|_| InvalidAuditHead)?;
        Ok(Self { entries, sha256 })
    }
}

/// The end of a chain of entries, as far as it was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditChain {
    /// How many entries it has, which is the number of the last.
    pub entries: u64,
    /// The last entry's SHA-256; zero where there is none.
    pub head: [u8; 32],
}

impl AuditChain {
    /// Follows the chain by one entry.
    ///
    /// # Errors
    /// Where the entry is not the next one, or is not as it was written.
    pub fn follow(&mut self, entry: &AuditEntry) -> Result<(), AuditBreak> {
        let number = self.entries.saturating_add(1);
        if entry.number != number {
            return Err(AuditBreak::Missing(number));
        }
        if entry.previous != self.head {
            return Err(AuditBreak::Unlinked(number));
        }
        if entry.sha256 != entry.computed_sha256() {
            return Err(AuditBreak::Altered(number));
        }
        self.entries = number;
        self.head = entry.sha256;
        Ok(())
    }

    /// Puts an entry at the end of the chain.
    pub(super) fn append(&mut self, new: NewAuditEntry) -> AuditEntry {
        let mut more = NewAuditEntry::REASON_BYTES_MAX;
        let details = new.details.into_iter().map(|(name, text)| {
            let text = cut(&text, NewAuditEntry::TEXT_BYTES_MAX + more);
            more -= text.len().saturating_sub(NewAuditEntry::TEXT_BYTES_MAX);
            (name.to_owned(), text.into())
        });
        let mut entry = AuditEntry {
            number: self.entries.saturating_add(1),
            at: new.stamp.at,
            actor: bounded(&new.stamp.actor.name),
            role: bounded(&new.stamp.actor.role),
            action: new.action.word().to_owned(),
            kind: new.action.kind().word().to_owned(),
            object: bounded(&new.object),
            details: serde_json::Value::Object(details.collect()).to_string(),
            previous: self.head,
            sha256: [0; 32],
        };
        entry.sha256 = entry.computed_sha256();
        self.entries = entry.number;
        self.head = entry.sha256;
        entry
    }
}

/// Cut to what an entry may hold.
fn bounded(text: &str) -> String {
    cut(text, NewAuditEntry::TEXT_BYTES_MAX)
}

/// The beginning of a text. Control characters would take six bytes each in JSON.
fn cut(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    let seen = |text: &str| text.replace(char::is_control, " ");
    if text.len() <= bytes_max {
        // A control character of two bytes becomes a space of one.
        return seen(text);
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(ELLIPSIS.len_utf8()));
    let mut beginning = seen(&text[..end]);
    beginning.push(ELLIPSIS);
    beginning
}

fn entry(
    stamp: &AuditStamp,
    action: AuditAction,
    object: impl ToString,
    details: Vec<(&'static str, String)>,
) -> NewAuditEntry {
    NewAuditEntry {
        stamp: stamp.clone(),
        action,
        object: object.to_string(),
        details,
    }
}

pub(super) fn key_created(key: &StoredKey, stamp: &AuditStamp) -> NewAuditEntry {
    let details = vec![
        ("manufacturer", key.manufacturer.to_string()),
        ("algorithm", key.algorithm.clone()),
        ("bits", key.bits.to_string()),
    ];
    entry(stamp, AuditAction::KeyCreated, &key.id, details)
}

pub(super) fn key_retired(id: &str, change: &KeyChange, stamp: &AuditStamp) -> NewAuditEntry {
    let details = vec![("reason", change.reason.clone())];
    entry(stamp, AuditAction::KeyRetired, id, details)
}

pub(super) fn package_accepted(
    id: PackageId,
    package: &Package,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let mut details = vec![
        ("file", package.file.name.clone()),
        ("files", package.files().count().to_string()),
        ("archive_sha256", package.archive_sha256.to_string()),
        ("image_sha256", package.file.sha256.to_string()),
        ("version", package.target_version.to_string()),
    ];
    match &package.provenance {
        Provenance::Signed { key_id } => details.push(("key", key_id.clone())),
        Provenance::Unsigned { reason, .. } => details.push(("unsigned", reason.clone())),
    }
    entry(stamp, AuditAction::PackageAccepted, id.0, details)
}

pub(super) fn link_created(id: LinkId, link: &DownloadLink, stamp: &AuditStamp) -> NewAuditEntry {
    let mut details = vec![
        ("package", link.package.0.to_string()),
        ("file", link.file_name.clone()),
        ("file_sha256", link.file_sha256.to_string()),
        ("expires_at", link.expires_at.to_string()),
        ("budget_bytes", link.budget_bytes.to_string()),
    ];
    if let Some(device) = &link.device {
        details.push(("device", device.clone()));
    }
    entry(stamp, AuditAction::LinkCreated, id.0, details)
}

pub(super) fn link_revoked(id: LinkId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::LinkRevoked, id.0, Vec::new())
}

pub(super) fn link_served_whole(id: LinkId, at: Utc) -> NewAuditEntry {
    let stamp = AuditStamp {
        at,
        actor: AuditActor::server(),
    };
    entry(&stamp, AuditAction::LinkServedWhole, id.0, Vec::new())
}

pub(super) fn profile_created(
    id: ProfileId,
    product: &Product,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![
        ("device_type", product.device_type.to_string()),
        ("manufacturer", product.manufacturer.to_string()),
        ("model", product.model.to_string()),
        ("protocol", product.protocol.clone()),
    ];
    entry(stamp, AuditAction::ProfileCreated, id.0, details)
}

/// Tells how the settings are now, as `name=value`, those that differ from the defaults.
pub(super) fn profile_settings_changed(
    id: ProfileId,
    quirks: Option<&str>,
    changes: &SettingChanges,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let settings = changes.iter();
    let settings: Vec<String> = settings
        .map(|(setting, value)| format!("{setting}={}", value.to_text()))
        .collect();
    let details = vec![
        ("quirks", quirks.unwrap_or_default().to_owned()),
        ("settings", settings.join(", ")),
    ];
    entry(stamp, AuditAction::ProfileSettingsChanged, id.0, details)
}

pub(super) fn profile_deleted(id: ProfileId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::ProfileDeleted, id.0, Vec::new())
}

pub(super) fn package_edited(id: PackageId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::PackageEdited, id.0, Vec::new())
}

pub(super) fn package_deleted(package: &Package, stamp: &AuditStamp) -> NewAuditEntry {
    let details = vec![
        ("file", package.file.name.clone()),
        ("archive_sha256", package.archive_sha256.to_string()),
        ("version", package.target_version.to_string()),
    ];
    entry(stamp, AuditAction::PackageDeleted, package.id.0, details)
}

pub(super) fn campaign_created(
    id: CampaignId,
    campaign: &NewCampaign,
    tasks: usize,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let mut details = vec![
        ("name", campaign.name.clone()),
        ("package", campaign.package.0.to_string()),
        ("tasks", tasks.to_string()),
    ];
    let downgrade = campaign.downgrade.as_ref();
    details.extend(downgrade.map(|allowed| ("downgrade", allowed.reason.clone())));
    if let Some(policy) = campaign.admission {
        details.push(("admission", policy.to_string()));
    }
    let filter = campaign.targets.filter.as_ref();
    details.extend(filter.map(|filter| ("filter", filter.clone())));
    if campaign.targets.dynamic {
        details.push(("dynamic", "true".to_owned()));
    }
    entry(stamp, AuditAction::CampaignCreated, id.0, details)
}

pub(super) fn campaign_deleted(id: CampaignId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::CampaignDeleted, id.0, Vec::new())
}

pub(super) fn devices_created(devices: &[Device], stamp: &AuditStamp) -> NewAuditEntry {
    if let [device] = devices {
        return of_device(AuditAction::DeviceCreated, device, stamp);
    }
    let mut details = vec![("devices", devices.len().to_string())];
    let ends = [("first", devices.first()), ("last", devices.last())];
    details.extend(
        ends.into_iter()
            .filter_map(|(name, device)| Some((name, device?.endpoint.to_string()))),
    );
    entry(stamp, AuditAction::DevicesImported, "", details)
}

pub(super) fn device_replaced(device: &Device, stamp: &AuditStamp) -> NewAuditEntry {
    of_device(AuditAction::DeviceReplaced, device, stamp)
}

fn of_device(action: AuditAction, device: &Device, stamp: &AuditStamp) -> NewAuditEntry {
    let said = [
        (
            "manufacturer",
            device.manufacturer.as_ref().map(ToString::to_string),
        ),
        ("model", device.model.as_ref().map(ToString::to_string)),
        (
            "device_type",
            device.device_type.as_ref().map(ToString::to_string),
        ),
        (
            "tags",
            (!device.tags.is_empty()).then(|| device.tags.join(";")),
        ),
    ];
    let details = said
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    entry(stamp, action, &device.endpoint, details.collect())
}

pub(super) fn group_created(id: GroupId, name: &str, stamp: &AuditStamp) -> NewAuditEntry {
    entry(
        stamp,
        AuditAction::GroupCreated,
        id.0,
        vec![("name", name.to_owned())],
    )
}

/// A group of what a filter finds.
pub(super) fn filter_group_created(
    id: GroupId,
    name: &str,
    filter: &str,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("name", name.to_owned()), ("filter", filter.to_owned())];
    entry(stamp, AuditAction::GroupCreated, id.0, details)
}

pub(super) fn filter_group_replaced(
    id: GroupId,
    name: &str,
    filter: &str,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("name", name.to_owned()), ("filter", filter.to_owned())];
    entry(stamp, AuditAction::GroupRenamed, id.0, details)
}

pub(super) fn group_renamed(id: GroupId, name: &str, stamp: &AuditStamp) -> NewAuditEntry {
    entry(
        stamp,
        AuditAction::GroupRenamed,
        id.0,
        vec![("name", name.to_owned())],
    )
}

pub(super) fn group_deleted(id: GroupId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::GroupDeleted, id.0, Vec::new())
}

pub(super) fn group_devices_bound(
    id: GroupId,
    devices: &[EndpointName],
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("devices", devices.len().to_string())];
    entry(stamp, AuditAction::GroupDevicesBound, id.0, details)
}

pub(super) fn group_devices_replaced(
    id: GroupId,
    devices: &[EndpointName],
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("devices", devices.len().to_string())];
    entry(stamp, AuditAction::GroupDevicesReplaced, id.0, details)
}

pub(super) fn group_device_unbound(
    id: GroupId,
    device: &EndpointName,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("endpoint", device.to_string())];
    entry(stamp, AuditAction::GroupDeviceUnbound, id.0, details)
}

pub(super) fn token_created(token: &StoredToken, stamp: &AuditStamp) -> NewAuditEntry {
    let details = vec![("role", token.role.clone())];
    entry(stamp, AuditAction::TokenCreated, &token.name, details)
}

pub(super) fn token_deleted(name: &str, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::TokenDeleted, name, Vec::new())
}

/// Without its secret.
pub(super) fn webhook_created(
    id: WebhookId,
    webhook: &Webhook,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let mut details = vec![("url", webhook.url.clone())];
    for (name, list) in [("topics", &webhook.topics), ("types", &webhook.types)] {
        if !list.is_empty() {
            details.push((name, list.join(",")));
        }
    }
    entry(stamp, AuditAction::WebhookCreated, id.0, details)
}

pub(super) fn webhook_changed(
    id: WebhookId,
    state: WebhookState,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let action = match state {
        WebhookState::Active => AuditAction::WebhookEnabled,
        WebhookState::Disabled => AuditAction::WebhookDisabled,
    };
    entry(stamp, action, id.0, Vec::new())
}

pub(super) fn webhook_deleted(id: WebhookId, stamp: &AuditStamp) -> NewAuditEntry {
    entry(stamp, AuditAction::WebhookDeleted, id.0, Vec::new())
}

pub(super) fn delivery_asked(
    id: WebhookId,
    delivery: &WebhookDelivery,
    stamp: &AuditStamp,
) -> NewAuditEntry {
    let details = vec![("message", delivery.message_id.clone())];
    entry(stamp, AuditAction::WebhookDeliveryAsked, id.0, details)
}

/// What a line of a device's history means to the audit log, if anything: that the device is to be
/// told to flash, or that an attempt failed. How a task ends is read from the task: that is committed
/// before the last line of its history.
pub(super) fn of_timeline(line: &TimelineEntry) -> Option<NewAuditEntry> {
    let action = match line.step {
        TimelineStep::ExecuteIntended => AuditAction::ExecuteIntended,
        TimelineStep::Failed => AuditAction::AttemptFailed,
        TimelineStep::Queued
        | TimelineStep::Contact
        | TimelineStep::Negotiated
        | TimelineStep::SlotGranted
        | TimelineStep::SlotQueued
        | TimelineStep::Held
        | TimelineStep::HoldEnded
        | TimelineStep::Observed
        | TimelineStep::UriWritten
        | TimelineStep::DownloadBegun
        | TimelineStep::Downloaded
        | TimelineStep::ExecuteAnswered
        | TimelineStep::ResultRead
        | TimelineStep::VersionRead
        | TimelineStep::SlotReleased
        | TimelineStep::RetryPlanned
        | TimelineStep::Succeeded
        | TimelineStep::Stopped
        | TimelineStep::ConditionUnmet
        | TimelineStep::Consent
        | TimelineStep::Deferred
        | TimelineStep::Note => return None,
    };
    let stamp = AuditStamp {
        at: line.at,
        actor: AuditActor::server(),
    };
    let details = vec![
        ("endpoint", line.endpoint.to_string()),
        ("attempt", line.attempt.to_string()),
        ("detail", line.detail.clone()),
    ];
    Some(entry(&stamp, action, line.task.0, details))
}

/// How a task ended, whose stored state was not final.
pub(super) fn task_ended(task: &UpdateTask) -> Option<NewAuditEntry> {
    let action = match task.state {
        TaskState::Succeeded => AuditAction::TaskSucceeded,
        TaskState::Failed => AuditAction::TaskFailed,
        TaskState::Stopped => AuditAction::TaskStopped,
        TaskState::Pending | TaskState::Running => return None,
    };
    let stamp = AuditStamp {
        at: task.since,
        actor: AuditActor::server(),
    };
    let mut details = vec![
        ("endpoint", task.endpoint.to_string()),
        ("campaign", task.campaign.0.to_string()),
        ("attempt", task.attempt.to_string()),
    ];
    if let Some(failure) = &task.failure {
        details.push(("failure", failure.reason.to_string()));
    }
    Some(entry(&stamp, action, task.id.0, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(object: &str, detail: &str) -> NewAuditEntry {
        let stamp = AuditStamp {
            at: Utc::from_unix_ms(1_700_000_000_000),
            actor: AuditActor::cli(),
        };
        let details = ["a", "b", "c", "d", "e"].map(|name| (name, detail.to_owned()));
        entry(&stamp, AuditAction::TokenCreated, object, details.into())
    }

    #[test]
    fn each_byte_of_an_entry_counts() {
        let mut chain = AuditChain::default();
        let whole = chain.append(new("ci", "x"));
        let alterations: [fn(&mut AuditEntry); 7] = [
            |entry| entry.at = Utc::from_unix_ms(entry.at.unix_ms() + 1),
            |entry| entry.actor.push('x'),
            |entry| entry.role.push('x'),
            |entry| entry.action.push('x'),
            |entry| entry.kind.push('x'),
            |entry| entry.object.push('x'),
            |entry| entry.details.push('x'),
        ];
        for alter in alterations {
            let mut altered = whole.clone();
            alter(&mut altered);
            let followed = AuditChain::default().follow(&altered);
            assert_eq!(followed, Err(AuditBreak::Altered(1)));
        }
        AuditChain::default().follow(&whole).unwrap();
    }

    #[test]
    fn what_goes_from_one_text_into_the_next_is_seen() {
        let mut moved = AuditChain::default().append(new("ci", "x"));
        moved.kind.push_str(&moved.object);
        moved.object.clear();
        assert!(AuditChain::default().follow(&moved).is_err());
    }

    #[test]
    fn an_entry_is_bounded_whatever_it_is_told() {
        for text in ["\u{1}", "\u{85}", "\"", "\\", "夜", "😀", "x"] {
            let text = text.repeat(5000);
            let entry = AuditChain::default().append(new(&text, &text));
            let bytes = entry.object.len() + entry.details.len();
            assert!(bytes < 4500, "{bytes} bytes: {entry:?}");
            assert!(entry.object.ends_with('…'));
            AuditChain::default().follow(&entry).unwrap();
        }
    }

    #[test]
    fn the_longest_reason_is_kept_whole() {
        let reason = "😀".repeat(KeyChange::REASON_CHARS_MAX);
        let change = KeyChange {
            at: Utc::from_unix_ms(0),
            by: "ada".to_owned(),
            reason: reason.clone(),
        };
        let stamp = AuditStamp {
            at: change.at,
            actor: AuditActor::cli(),
        };
        let entry = AuditChain::default().append(key_retired("5c1f", &change, &stamp));
        let details: serde_json::Value = serde_json::from_str(&entry.details).unwrap();
        assert_eq!(details["reason"], reason);
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let entry = AuditChain::default().append(new("ci", "x"));
        let head = AuditHead {
            entries: entry.number,
            sha256: entry.sha256,
        };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert!(!head.contradicts(&entry));
        let other = AuditHead {
            sha256: [7; 32],
            ..head
        };
        assert!(other.contradicts(&entry));
        let digits = "0".repeat(64);
        for text in [
            "",
            "@1",
            &digits,
            &format!("{digits}@"),
            &format!("{digits}@-1"),
            "00@1",
        ] {
            assert_eq!(text.parse::<AuditHead>(), Err(InvalidAuditHead), "{text}");
        }
    }
}
