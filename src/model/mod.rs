//! The nouns, their states and the legal transitions between them. No protocol, no I/O.

mod admission;
mod audit;
mod byte_ranges;
mod campaign;
mod cell;
mod datagram;
mod delivery;
mod device;
mod device_request;
mod download_link;
mod event;
mod event_filter;
mod installed;
mod key;
mod language;
mod next_action;
mod package;
mod peer;
mod policy;
mod product;
mod radio;
mod record;
mod registration;
mod restored;
mod setting;
mod task;
mod uplink;
mod webhook;
mod words;

pub use admission::{AdmissionMode, AdmissionPolicy, AirtimePermille};
pub use audit::{AuditAction, AuditActor, AuditKind, AuditStamp, NewAuditEntry};
pub use byte_ranges::ByteRanges;
pub use campaign::{
    Campaign, CampaignId, CampaignState, CampaignTargets, DowngradeAllowed, GroupId,
    InvalidTransition, RetryPolicy, StopMode,
};
pub use cell::{CellId, CoverageTier, Rsrp, SignalReading, Sinr, TierBorders, TierLimits};
pub use datagram::{Datagram, Transmit};
pub use delivery::DeliveryHistory;
pub use device::{
    Device, DeviceModel, DeviceReport, DeviceType, EndpointName, FirmwareVersion, InvalidName,
    Manufacturer,
};
pub use device_request::{
    DeviceAnswer, DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState,
    NewDeviceRequest,
};
pub use download_link::{DownloadLink, LinkId, LinkProgress, LinkState};
pub use event::{Event, EventKind, Happening, Milestone, NewEvent};
pub use event_filter::{EventFilter, InvalidEventFilter};
pub use installed::InstalledSequences;
pub use key::{KeyChange, KeyPurpose, KeyState};
pub use language::Language;
pub use next_action::NextAction;
pub use package::{
    Component, Image, Package, PackageFile, PackageId, PackageKind, Provenance, ReleaseNotes,
    Sha256Digest,
};
pub use peer::{Identity, Peer};
pub use policy::{
    Backoff, CampaignPolicy, CampaignStop, Conditions, Consent, ConsentRefusal, ConsentText,
    ErrorThreshold, Governors, OnErrors, PauseReason, PhaseMembers, Preconditions, PushWindow,
    RetryPacing, Rollout, RolloutPhase, RolloutState, RolloutStep, Schedule, Severity,
    UnknownValue, WaitingRoomPolicy, Weekdays,
};
pub use product::{
    Delivery, DownloadProtocol, ObservationCancel, Product, ProductSettings, ProfileId, RadioUnit,
    SlotHeld, TransmissionPreset, UpdateCancel, WaitingPing, protocol_family,
};
pub use record::{Record, TimelineEntry, TimelineStep};
pub use registration::{
    BindingMode, Lwm2mVersion, Registration, RegistrationSlot, StoredObservation,
};
pub use restored::Restored;
pub use setting::{InvalidSetting, Setting, SettingChanges, SettingValue};
pub use task::{
    DownloadCapability, Failure, FailureReason, Phase, SlotClaim, SuccessNote, TaskId, TaskState,
    UpdateTask, WaitingFor,
};
pub use uplink::Uplink;
pub use webhook::{DeliveryState, Webhook, WebhookDelivery, WebhookId, WebhookState};

pub(crate) use words::words;
