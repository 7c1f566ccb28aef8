//! The one place that decides: from what is wanted, what the device reports and what was already
//! intended, the next step of an update. Pure, so that after a crash, a reboot or a lost answer the
//! way is the same.
//!
//! Before Execute:
//!  1. read State, then the version; the target version is a success, whatever else is true
//!  2. read cell, RSRP, SINR; ask for a slot
//!  3. observe State, write the URI, wait for the download; or push the package
//!  4. read State and version again, Execute
//!
//! After Execute only what is read decides: nothing is ever executed again.

mod conditions;
mod outcome;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Utc;
use crate::coap::Code;
use crate::lwm2m::{Path, path};
use crate::model::{
    CellId, CoverageTier, Delivery, DownloadProtocol, Failure, FailureReason, FirmwareVersion,
    Image, ObservationCancel, Preconditions, ProductSettings, Rsrp, Severity, SignalReading, Sinr,
    SlotClaim, SlotHeld, SuccessNote, TierBorders,
};

use super::object5::{DeliveryMethod, State, UpdateResult};

pub use conditions::BatteryStatus;
pub(super) use conditions::told;

/// HTTP in `/5/0/8` (LwM2M 1.0, E.6).
const PROTOCOL_HTTP: i64 = 2;

/// What a campaign wants of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// 目标版本.
    pub target_version: FirmwareVersion,
    /// 支持设备源版本; empty: any.
    pub source_versions: Vec<FirmwareVersion>,
    /// What may not be given up for it; `None`: it may replace anything.
    pub precedence: Option<Precedence>,
    /// Nothing is begun with it after this time, as signed.
    pub not_after: Option<Utc>,
    /// Size of the image in bytes.
    pub image_size_bytes: u64,
    /// The image itself, shared, for a device that it is pushed to.
    pub image: Image,
    /// What stands before the capability in the Package URI, e.g. `coap://203.0.113.5:5683/fw/`.
    pub uri_base: String,
    /// What stands behind it: nothing, or `/` and a file name.
    pub uri_suffix: String,
}

impl Wanted {
    /// Why nothing is begun with the package at this time, where that is so.
    pub fn expired(&self, now: Utc) -> Option<Failure> {
        let end = self.not_after.filter(|end| *end < now)?;
        Some(Failure {
            reason: FailureReason::NotEligible,
            evidence: format!("the package's signed notAfter is {end}, and it is {now}"),
        })
    }
}

/// What a package's signed sequence is held against: a device is not taken back to a lower one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precedence {
    /// The package's.
    pub sequence: u64,
    /// Those of the product's releases.
    pub released: Arc<BTreeMap<FirmwareVersion, u64>>,
    /// That of what the device was last given.
    pub given: Option<u64>,
}

impl Precedence {
    /// The sequence that a device of this version runs, where it is higher than the package's.
    fn higher(&self, version: &FirmwareVersion) -> Option<u64> {
        let running = self.released.get(version).copied().or(self.given)?;
        (running > self.sequence).then_some(running)
    }
}

/// On which terms a device is updated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What its product needs: one for all its devices.
    pub settings: Arc<ProductSettings>,
    /// Cells with borders of tiers of their own: one for all devices.
    pub cell_borders: Arc<BTreeMap<CellId, TierBorders>>,
    /// Whether the device names Cancel (`/5/0/10`) in its links.
    pub names_cancel: bool,
    /// Which of the resources of Object 5 v1.1 about deferral it names there.
    pub names_deferral: DeferralResources,
    /// What it must have before it asks for a slot.
    pub preconditions: Preconditions,
    /// How urgent its user is told that it is.
    pub severity: Option<Severity>,
    /// How long its user may put the installation off, in seconds.
    pub defer_seconds_max: Option<u32>,
    /// Whether its slot is a part of the cell's airtime, of which a device that installs takes none.
    pub budgets_airtime: bool,
    /// Why its campaign was stopped, where it was before the session is opened.
    pub stopped: Option<Failure>,
}

/// Resources of Object 5 v1.1 that a device may name in its links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeferralResources {
    /// Severity, `/5/0/11`.
    pub severity: bool,
    /// Maximum Defer Period, `/5/0/13`.
    pub defer_period: bool,
}

impl Terms {
    /// How long its slot is held.
    pub fn slot_held(&self) -> SlotHeld {
        if self.budgets_airtime {
            SlotHeld::UntilDownloaded
        } else {
            self.settings.slot_held
        }
    }
}

/// What is known of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reading<T> {
    /// Must be read before anything that rests on it is decided.
    #[default]
    Unread,
    /// The device will say it of itself; it is not asked without a reason.
    Awaited,
    /// Asked and not learnt: refused with this code, or not answered, or not understood.
    Unreadable(Option<Code>),
    /// This it was.
    Value(T),
}

impl<T> Reading<T> {
    /// The value, where there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unread | Self::Awaited | Self::Unreadable(_) => None,
        }
    }

    pub(super) const fn is_unread(&self) -> bool {
        matches!(self, Self::Unread)
    }
}

/// What the device reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// `/5/0/3`.
    pub state: Reading<State>,
    /// `/3/0/3`.
    pub version: Reading<FirmwareVersion>,
    /// `/5/0/5`.
    pub result: Reading<UpdateResult>,
    /// `/5/0/9`, where it decides.
    pub delivery_method: Reading<DeliveryMethod>,
    /// `/5/0/8`, where it decides: all that it lists.
    pub protocols: Reading<Vec<i64>>,
    /// `/4/0/8`.
    pub cell: Reading<CellId>,
    /// `/4/0/2`.
    pub rsrp: Reading<Rsrp>,
    /// `/4/0/11`.
    pub sinr: Reading<Sinr>,
    /// `/3/0/9`, where it is asked for.
    pub battery_percent: Reading<u8>,
    /// `/3/0/20`, where the battery alone does not suffice.
    pub battery_status: Reading<BatteryStatus>,
    /// `/3/0/10`, where it is asked for.
    pub free_kib: Reading<i64>,
}

/// What became of the URI of this attempt, or of the package that was pushed instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriWrite {
    /// Not written.
    NotIntended,
    /// Intended; whether it arrived or still stands is not known. Of a push: it was cut short.
    Uncertain,
    /// The device answered 2.04, or began to fetch.
    Accepted,
    /// The device answered with this code.
    Refused(Code),
}

/// What became of the Execute of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// Not intended: the only state in which it may be sent.
    NotIntended,
    /// Intended and perhaps sent; the device may be at it.
    Open,
    /// The device said no, or has rebooted since: what it reports now is final.
    Over,
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Not asked for, or no longer there.
    Absent,
    /// The device notifies.
    Live,
    /// The device notified before a restart, under a token that is kept. Another token in its place
    /// would leave a notification that is on its way unacknowledged, and some modules give up then.
    Presumed,
    /// The device does not do it: it is read instead.
    Refused,
}

impl Observation {
    /// Whether the device may notify.
    pub const fn may_be_live(self) -> bool {
        matches!(self, Self::Live | Self::Presumed)
    }
}

/// What was already done in this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The URI.
    pub uri: UriWrite,
    /// Whether the URI may be written once more.
    pub may_write_uri: bool,
    /// Whether an earlier attempt of this task may have given the device our URI.
    pub uri_known: bool,
    /// Whether a fetch was seen since the URI was written.
    pub download_begun: bool,
    /// Whether what the device has in State 2 is our package.
    pub own_package: bool,
    /// Execute.
    pub execution: Execution,
    /// Whether an earlier attempt of this task came as far as Execute.
    pub executed_before: bool,
    /// Whether the attempt was taken up again after a restart. Its Result may have been read
    /// already, and reading it twice spoils it on some modules, so the version goes first.
    pub resumed: bool,
    /// Whether a slot was granted.
    pub slot: bool,
    /// The observation of State.
    pub state_observation: Observation,
    /// The observation of the Result, where the product says that it is safe.
    pub result_observation: Observation,
    /// Whether the device was told how urgent the update is, or said that it does not want to know.
    pub severity_told: bool,
    /// The same of how long it may be put off.
    pub defer_period_told: bool,
    /// Whether an outcome that was not yet plain had time to settle.
    pub settled: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read a resource.
    Read(Path),
    /// Wait until the device has what is asked for; what it lacks, in words.
    AwaitCondition(String),
    /// Write what the device's user is told of the update.
    Tell(Path, u32),
    /// Ask the scheduler.
    RequestSlot(SlotClaim),
    /// Observe a resource.
    Observe(Path),
    /// Cancel an observation, before Execute.
    CancelObservation(Path),
    /// Write the Package URI.
    WriteUri,
    /// Write the Package.
    Push,
    /// Wait for the device to fetch, or to say that it has.
    AwaitDownload,
    /// Wait for the end of a download that is not ours.
    AwaitIdle,
    /// Execute Update.
    Execute,
    /// Wait for the end of an update.
    AwaitOutcome,
    /// Wait for the device's user, who has put the installation off.
    AwaitDeferred,
    /// Give the device time, then read once more.
    Settle,
    /// The device runs the target version.
    Succeed(Option<SuccessNote>),
    /// The attempt failed.
    Fail(Failure),
}

impl Step {
    fn fail(reason: FailureReason, evidence: String) -> Self {
        Self::Fail(Failure { reason, evidence })
    }
}

/// The next step.
pub fn step(wanted: &Wanted, terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    let untouched = progress.uri == UriWrite::NotIntended
        && progress.execution == Execution::NotIntended
        && !progress.uri_known
        && !progress.executed_before;
    if reported.version.value() == Some(&wanted.target_version) {
        return Step::Succeed(untouched.then_some(SuccessNote::UpToDate));
    }
    match progress.execution {
        Execution::NotIntended => before_execute(wanted, terms, reported, progress),
        Execution::Open | Execution::Over => outcome::after_execute(terms, reported, progress),
    }
}

fn before_execute(
    wanted: &Wanted,
    terms: &Terms,
    reported: &Reported,
    progress: &Progress,
) -> Step {
    if reported.state.is_unread() {
        return Step::Read(path::FIRMWARE_STATE);
    }
    match &reported.version {
        Reading::Unread => return Step::Read(path::DEVICE_FIRMWARE_VERSION),
        Reading::Unreadable(code) => {
            return Step::fail(
                FailureReason::VersionTimeout,
                unreadable(path::DEVICE_FIRMWARE_VERSION, *code),
            );
        }
        Reading::Value(version) if !is_source(wanted, version) => {
            return Step::fail(
                FailureReason::NotEligible,
                format!("/3/0/3 = {version} is no source version of the package"),
            );
        }
        Reading::Value(version) => {
            if let Some(precedence) = &wanted.precedence
                && let Some(running) = precedence.higher(version)
            {
                let sequence = precedence.sequence;
                return Step::fail(
                    FailureReason::NotEligible,
                    format!(
                        "/3/0/3 = {version} has the sequence {running}, the package {sequence}: a \
                         downgrade, which the campaign does not allow"
                    ),
                );
            }
        }
        Reading::Awaited => {}
    }
    if terms.settings.delivery == Delivery::Auto && reported.delivery_method.is_unread() {
        return Step::Read(path::FIRMWARE_DELIVERY_METHOD);
    }
    match &reported.state {
        Reading::Unread => Step::Read(path::FIRMWARE_STATE),
        Reading::Unreadable(code) => Step::fail(
            FailureReason::NotEligible,
            unreadable(path::FIRMWARE_STATE, *code),
        ),
        Reading::Awaited => Step::AwaitDownload,
        Reading::Value(State::Updating) => Step::AwaitOutcome,
        Reading::Value(State::Downloading) => downloading(terms, reported, progress),
        Reading::Value(State::Downloaded) if is_past_download(terms, progress) => {
            execute(terms, progress)
        }
        Reading::Value(State::Downloaded) if progress.own_package => {
            preparation(terms, reported, progress).unwrap_or_else(|| execute(terms, progress))
        }
        Reading::Value(State::Idle) => idle(terms, reported, progress),
        Reading::Value(State::Downloaded) => foreign_package(terms, reported, progress),
    }
}

fn is_source(wanted: &Wanted, version: &FirmwareVersion) -> bool {
    wanted.source_versions.is_empty() || wanted.source_versions.contains(version)
}

/// Whether State 2 means that this attempt needs no slot any more: the device has what was fetched under
/// its URI. An attempt that only finds the package of an earlier one asks for a slot as any other does.
pub(super) fn is_past_download(terms: &Terms, progress: &Progress) -> bool {
    terms.slot_held() == SlotHeld::UntilDownloaded
        && progress.own_package
        && progress.uri != UriWrite::NotIntended
}

/// Whether the package is written to the device, rather than its URI.
pub(super) fn is_pushed(settings: &ProductSettings, reported: &Reported) -> bool {
    match settings.delivery {
        Delivery::Pull => false,
        Delivery::Push => true,
        Delivery::Auto => reported.delivery_method.value() == Some(&DeliveryMethod::PushOnly),
    }
}

/// Whether a push was cut short: the device waits for blocks that do not come, or has given them up.
fn is_cut_short(terms: &Terms, reported: &Reported, progress: &Progress) -> bool {
    progress.uri == UriWrite::Uncertain && is_pushed(&terms.settings, reported)
}

/// State 1: a URI is never written, it would end the download that runs. A push is begun again.
fn downloading(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    if is_cut_short(terms, reported, progress) {
        return if progress.may_write_uri {
            deliver(terms, reported, progress)
        } else {
            given_up(State::Downloading)
        };
    }
    let ours =
        progress.uri_known || matches!(progress.uri, UriWrite::Uncertain | UriWrite::Accepted);
    if ours {
        preparation(terms, reported, progress)
            .or_else(|| observation(terms, progress))
            .unwrap_or(Step::AwaitDownload)
    } else {
        observation(terms, progress).unwrap_or(Step::AwaitIdle)
    }
}

/// State 0 before Execute.
fn idle(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    if progress.uri == UriWrite::NotIntended {
        return deliver(terms, reported, progress);
    }
    if is_cut_short(terms, reported, progress) && progress.may_write_uri {
        return deliver(terms, reported, progress);
    }
    // A URI that the device does not like changes only the Result (carrier flows §3.2, clients.md 1).
    if reported.result.is_unread() {
        return Step::Read(path::FIRMWARE_UPDATE_RESULT);
    }
    if let Some(result) = reported.result.value()
        && let Some(reason) = result.failure_reason()
    {
        return Step::fail(
            reason,
            format!("/5/0/3 = 0, /5/0/5 = {} after the URI", result.number()),
        );
    }
    match progress.uri {
        UriWrite::Refused(code) => refused(terms, reported, code, State::Idle),
        UriWrite::Accepted if !progress.download_begun => Step::AwaitDownload,
        UriWrite::NotIntended | UriWrite::Uncertain | UriWrite::Accepted => {
            if progress.may_write_uri {
                deliver(terms, reported, progress)
            } else {
                given_up(State::Idle)
            }
        }
    }
}

/// State 2 with a package that is not ours: some modules take a new URI then, others ignore it.
fn foreign_package(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    match progress.uri {
        UriWrite::NotIntended => deliver(terms, reported, progress),
        UriWrite::Uncertain if progress.may_write_uri => deliver(terms, reported, progress),
        UriWrite::Uncertain | UriWrite::Accepted => Step::AwaitDownload,
        UriWrite::Refused(code) => refused(terms, reported, code, State::Downloaded),
    }
}

fn refused(terms: &Terms, reported: &Reported, code: Code, state: State) -> Step {
    let (path, reason) = if is_pushed(&terms.settings, reported) {
        (path::FIRMWARE_PACKAGE, push_refusal(code))
    } else {
        (path::FIRMWARE_PACKAGE_URI, FailureReason::InvalidUri)
    };
    let number = state.number();
    Step::fail(
        reason,
        format!("{path} was answered {code}, /5/0/3 = {number}"),
    )
}

/// What a refusal of the package itself means, where no Result says it.
fn push_refusal(code: Code) -> FailureReason {
    match code {
        Code::REQUEST_ENTITY_TOO_LARGE => FailureReason::NoSpace,
        Code::REQUEST_ENTITY_INCOMPLETE => FailureReason::ConnectionLost,
        Code::NOT_FOUND | Code::METHOD_NOT_ALLOWED => FailureReason::UnsupportedProtocol,
        Code::BAD_REQUEST | Code::UNSUPPORTED_CONTENT_FORMAT => FailureReason::UnsupportedPackage,
        _ => FailureReason::ConnectionLost,
    }
}

fn given_up(state: State) -> Step {
    let number = state.number();
    Step::fail(
        FailureReason::ConnectionLost,
        format!("/5/0/3 = {number} again: the device gives its download up each time"),
    )
}

fn deliver(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    let write = if is_pushed(&terms.settings, reported) {
        Step::Push
    } else {
        if let Some(step) = protocol(terms, reported) {
            return step;
        }
        Step::WriteUri
    };
    // What was presumed is made sure of before anything new rests on it.
    let presumed = progress.state_observation == Observation::Presumed;
    preparation(terms, reported, progress)
        .or_else(|| presumed.then_some(Step::Observe(path::FIRMWARE_STATE)))
        .or_else(|| observation(terms, progress))
        .unwrap_or(write)
}

/// What is missing before a device is told a URL, or why it is told none.
fn protocol(terms: &Terms, reported: &Reported) -> Option<Step> {
    if terms.settings.download != DownloadProtocol::Http {
        return None;
    }
    match &reported.protocols {
        Reading::Unread => Some(Step::Read(path::FIRMWARE_PROTOCOLS)),
        Reading::Value(listed) if !listed.contains(&PROTOCOL_HTTP) => {
            let listed: Vec<_> = listed.iter().map(i64::to_string).collect();
            Some(Step::fail(
                FailureReason::UnsupportedProtocol,
                format!("/5/0/8 = {}: HTTP (2) is not among them", listed.join(", ")),
            ))
        }
        Reading::Value(_) | Reading::Awaited | Reading::Unreadable(_) => None,
    }
}

fn execute(terms: &Terms, progress: &Progress) -> Step {
    if let Some(step) = untold(terms, progress) {
        return step;
    }
    let cancel = terms.settings.observation_cancel == ObservationCancel::AfterDownload;
    if cancel && progress.state_observation.may_be_live() {
        Step::CancelObservation(path::FIRMWARE_STATE)
    } else {
        Step::Execute
    }
}

/// What the device is told before Execute, where it names what it is written to.
fn untold(terms: &Terms, progress: &Progress) -> Option<Step> {
    if let Some(severity) = terms.severity
        && terms.names_deferral.severity
        && !progress.severity_told
    {
        return Some(Step::Tell(
            path::FIRMWARE_SEVERITY,
            severity.number().into(),
        ));
    }
    let seconds = terms.defer_seconds_max?;
    (terms.names_deferral.defer_period && !progress.defer_period_told)
        .then_some(Step::Tell(path::FIRMWARE_DEFER_PERIOD, seconds))
}

/// What is missing before a slot is held.
fn preparation(terms: &Terms, reported: &Reported, progress: &Progress) -> Option<Step> {
    if progress.slot {
        return None;
    }
    let cell = match &reported.cell {
        Reading::Unread | Reading::Awaited => return Some(Step::Read(path::CELL_ID)),
        Reading::Unreadable(code) => {
            return Some(Step::fail(
                FailureReason::CellUnknown,
                unreadable(path::CELL_ID, *code),
            ));
        }
        Reading::Value(cell) => *cell,
    };
    if reported.rsrp.is_unread() {
        return Some(Step::Read(path::RADIO_SIGNAL_STRENGTH));
    }
    if reported.sinr.is_unread() {
        return Some(Step::Read(path::SIGNAL_SNR));
    }
    let signal = SignalReading {
        rsrp: reported.rsrp.value().copied(),
        sinr: reported.sinr.value().copied(),
    };
    if let Some(step) = conditions::before_slot(&terms.preconditions, reported) {
        return Some(step);
    }
    let own = terms.cell_borders.get(&cell);
    let borders = own.unwrap_or(&terms.settings.tier_borders);
    let tier = CoverageTier::of(signal, borders);
    Some(Step::RequestSlot(SlotClaim { cell, tier }))
}

/// What is missing before the device may say what it does: some modules wait for the ACK of their
/// first notification before they fetch a block.
fn observation(terms: &Terms, progress: &Progress) -> Option<Step> {
    if progress.state_observation == Observation::Absent {
        return Some(Step::Observe(path::FIRMWARE_STATE));
    }
    if terms.settings.observe_result && progress.result_observation == Observation::Absent {
        return Some(Step::Observe(path::FIRMWARE_UPDATE_RESULT));
    }
    None
}

fn unreadable(path: Path, code: Option<Code>) -> String {
    code.map_or_else(
        || format!("{path} could not be read"),
        |code| format!("{path} was answered {code}"),
    )
}

#[cfg(test)]
mod tests;
