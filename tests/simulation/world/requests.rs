//! What operators ask of devices, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::Instant;
use narrowcast::coap::{Message, MessageId};
use narrowcast::engine::CommandError;
use narrowcast::lwm2m::{Path, SenmlRecord, Value, encode_kept, path};
use narrowcast::model::{
    DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState, EndpointName,
    NewDeviceRequest,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::store::Store;
use rand::Rng;
use rand::rngs::StdRng;

use super::{Check, World};
use crate::fleet;
use crate::server::{Server, ready};
use crate::wire::SentRequest;

const REBOOT: Path = Path::of_resource(3, 0, 4);

/// So much longer than its own time a request may take: what is under way then comes to its own end,
/// behind what is under way to the same device.
const UNDER_WAY: Duration = Duration::from_secs(30 * 60);

/// What an operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Read(Path),
    /// Data for `/19/1/0`.
    Write,
    /// A reboot.
    Execute,
    /// Of Object 5, where the device has a task: it is refused.
    Disturb(DeviceOperation, Path),
}

impl Ask {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        const READ: [Path; 5] = [
            path::DEVICE_MANUFACTURER,
            path::DEVICE_FIRMWARE_VERSION,
            path::FIRMWARE_STATE,
            path::CELL_ID,
            Path::of_resource(3, 0, 99),
        ];
        const DISTURB: [(DeviceOperation, Path); 3] = [
            (DeviceOperation::Execute, path::FIRMWARE_UPDATE),
            (DeviceOperation::Write, path::FIRMWARE_PACKAGE_URI),
            (DeviceOperation::Read, path::FIRMWARE_UPDATE_RESULT),
        ];
        match rng.gen_range(0..10) {
            0..=2 => Self::Read(READ[rng.gen_range(0..READ.len())]),
            3..=6 => Self::Write,
            7 => Self::Execute,
            _ => {
                let (operation, path) = DISTURB[rng.gen_range(0..DISTURB.len())];
                Self::Disturb(operation, path)
            }
        }
    }
}

/// What was asked, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    Read,
    Write,
    Execute,
    UpdateDisturbed,
    QueueFull,
    Done,
    Failed,
    Expired,
    Unknown,
    /// A copy of one message was done once more, by a device that forgot the first with its power.
    DoneAgain,
}

impl Errand {
    pub(crate) const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Execute,
        Self::UpdateDisturbed,
        Self::QueueFull,
        Self::Done,
        Self::Failed,
        Self::Expired,
        Self::Unknown,
        Self::DoneAgain,
    ];

    const fn of(state: DeviceRequestState) -> Option<Self> {
        match state {
            DeviceRequestState::Done => Some(Self::Done),
            DeviceRequestState::Failed => Some(Self::Failed),
            DeviceRequestState::Expired => Some(Self::Expired),
            DeviceRequestState::Unknown => Some(Self::Unknown),
            DeviceRequestState::Queued
            | DeviceRequestState::Sent
            | DeviceRequestState::Cancelled => None,
        }
    }
}

/// What a write or an Execute carries, so that each is known again: a number and its complement, which
/// no turned bit makes another of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark(u32);

impl Mark {
    fn bytes(self) -> Bytes {
        let both = [self.0.to_be_bytes(), (!self.0).to_be_bytes()];
        Bytes::from(both.concat())
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, complement) = bytes.split_at_checked(4)?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        (complement == (!number).to_be_bytes()).then_some(Self(number))
    }

    fn arguments(self) -> Bytes {
        Bytes::from(format!("0='{:08x}{:08x}'", self.0, !self.0))
    }

    fn of_arguments(arguments: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(arguments).ok()?;
        let hex = text.strip_prefix("0='")?.strip_suffix('\'')?;
        Self::of_bytes(&u64::from_str_radix(hex, 16).ok()?.to_be_bytes())
    }

    fn of_datagram(datagram: &[u8]) -> Option<(Self, MessageId)> {
        // Few have it, and of most a look at the code is enough: PUT or POST.
        if !matches!(datagram.get(1), Some(2 | 3)) {
            return None;
        }
        let request = SentRequest::decode(datagram)?;
        let payload = Message::decode(datagram, 32).ok()?.payload;
        let mark = if request.path == path::DOWNLINK_DATA {
            Self::of_bytes(&payload)
        } else if request.path == REBOOT {
            Self::of_arguments(&payload)
        } else {
            None
        };
        Some((mark?, request.id))
    }

    fn of_event(event: &DeviceEvent) -> Option<Self> {
        if let DeviceEvent::DownlinkTaken { data } = event {
            Self::of_bytes(data)
        } else if let DeviceEvent::RebootTaken { arguments } = event {
            Self::of_arguments(arguments)
        } else {
            None
        }
    }
}

/// A request as it was last committed.
#[derive(Clone, Debug)]
struct Kept {
    request: DeviceRequest,
    since: Instant,
}

/// All that was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    kept: BTreeMap<DeviceRequestId, Kept>,
    marks: u32,
    mark_of: BTreeMap<(EndpointName, Bytes), Mark>,
    /// Under which message ids each left.
    left: BTreeMap<Mark, BTreeSet<MessageId>>,
    /// Of which a copy was damaged: what the device takes it for is not known.
    damaged: BTreeSet<Mark>,
    effects: BTreeMap<Mark, Instant>,
    /// When each device last booted.
    booted: BTreeMap<usize, Instant>,
    /// How far the clock on the wall was set back in all.
    pub(super) set_back: Duration,
    errands: BTreeMap<Errand, u64>,
}

impl Requests {
    fn count(&mut self, errand: Errand) {
        *self.errands.entry(errand).or_default() += 1;
    }

    pub(super) fn damaged(&mut self, datagram: &[u8]) {
        if let Some((mark, _)) = Mark::of_datagram(datagram) {
            self.damaged.insert(mark);
        }
    }

    pub(super) fn all_ended(&self) -> bool {
        let mut kept = self.kept.values();
        kept.all(|kept| kept.request.state.is_final())
    }

    fn waiting(&self) -> impl Iterator<Item = &DeviceRequest> {
        let requests = self.kept.values().map(|kept| &kept.request);
        requests.filter(|request| !request.state.is_final())
    }

    fn waiting_of(&self, endpoint: &EndpointName) -> usize {
        let of_device = |request: &&DeviceRequest| request.asked.endpoint == *endpoint;
        self.waiting().filter(of_device).count()
    }
}

impl Server {
    /// A request was committed.
    pub(crate) fn check_change_of_request(&mut self, at: Instant, request: &DeviceRequest) {
        let before = self.requests.kept.get(&request.id).cloned();
        let since = before.as_ref().map_or(at, |kept| kept.since);
        if let Some(before) = before.map(|kept| kept.request)
            && (before.asked != request.asked
                || (before.state.is_final() && before.state != request.state))
        {
            let told = format!("{before:?} became {request:?}");
            self.breach(at, Check::Requests, told);
        }
        let within = request
            .asked
            .expires_at
            .saturating_since(request.created_at);
        let longest = within + self.requests.set_back + UNDER_WAY;
        let took = at.saturating_since(since);
        if took > longest {
            let told = format!("after {took:?} and not {longest:?}: {request:?}");
            self.breach(at, Check::Requests, told);
        }
        let kept = Kept {
            request: request.clone(),
            since,
        };
        self.requests.kept.insert(request.id, kept);
    }

    pub(crate) fn too_many_requests(&self) -> Option<String> {
        let limits = self.config.device_requests;
        let mut of_device: BTreeMap<&EndpointName, usize> = BTreeMap::new();
        for request in self.requests.waiting() {
            *of_device.entry(&request.asked.endpoint).or_default() += 1;
        }
        let most = of_device.values().copied().max().unwrap_or_default();
        let all: usize = of_device.values().sum();
        (most > limits.waiting_per_device_max || all > limits.waiting_max)
            .then(|| format!("{all} requests wait, {most} of them for one device"))
    }
}

impl World {
    /// An operator asks something of a device.
    pub(super) fn ask(&mut self, device: usize, ask: Ask, within: Duration) {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let mut tasks = self.server.tasks.values();
        let has_task = tasks.any(|task| {
            let active = self.server.activated.contains(&task.campaign);
            task.endpoint == endpoint && active && !task.state.is_final()
        });
        let requests = &mut self.server.requests;
        requests.marks += 1;
        let mark = Mark(requests.marks);
        let (errand, operation, path, content) = match ask {
            Ask::Read(path) => (Errand::Read, DeviceOperation::Read, path, Bytes::new()),
            Ask::Write => {
                let data = SenmlRecord::new(path::DOWNLINK_DATA, Value::Opaque(mark.bytes()));
                let content = encode_kept(&[data]).unwrap();
                let operation = DeviceOperation::Write;
                (Errand::Write, operation, path::DOWNLINK_DATA, content)
            }
            Ask::Execute => {
                let operation = DeviceOperation::Execute;
                (Errand::Execute, operation, REBOOT, mark.arguments())
            }
            Ask::Disturb(operation, path) if has_task => {
                (Errand::UpdateDisturbed, operation, path, Bytes::new())
            }
            Ask::Disturb(..) => return,
        };
        if matches!(ask, Ask::Write | Ask::Execute) {
            let key = (endpoint.clone(), content.clone());
            requests.mark_of.insert(key, mark);
        }
        requests.count(errand);
        let asked = NewDeviceRequest {
            endpoint: endpoint.clone(),
            operation,
            path: path.to_string(),
            content,
            expires_at: self.now.utc + within,
        };
        let limits = self.server.config.device_requests;
        let is_full = requests.waiting_of(&endpoint) >= limits.waiting_per_device_max
            || requests.waiting().count() >= limits.waiting_max;
        let (now, crash) = (self.now, self.crash());
        let answer = self.input(crash, |engine| engine.request_of_device(now, asked));
        let is_right = match &answer {
            Some(Err(CommandError::UpdateActive)) => errand == Errand::UpdateDisturbed,
            Some(Err(
                CommandError::DeviceQueueFull { .. } | CommandError::DeviceRequestsFull { .. },
            )) => {
                self.server.requests.count(Errand::QueueFull);
                is_full
            }
            Some(Ok(_)) => errand != Errand::UpdateDisturbed && !is_full,
            Some(Err(_)) => false,
            // The server died: it is not known.
            None => true,
        };
        if !is_right {
            self.breach(
                Check::Requests,
                format!("{ask:?} of {endpoint}: {answer:?}"),
            );
        }
    }

    /// A write or an Execute leaves in one message, however often that is repeated.
    pub(super) fn check_request(&mut self, datagram: &[u8]) {
        let Some((mark, id)) = Mark::of_datagram(datagram) else {
            return;
        };
        let requests = &mut self.server.requests;
        let ids = requests.left.entry(mark).or_default();
        ids.insert(id);
        // A format that a turned bit made of another is refused, and the next one tried.
        if ids.len() > 1 && !requests.damaged.contains(&mark) {
            let told = format!("{mark:?} left as {ids:?}");
            self.breach(Check::Requests, told);
        }
    }

    /// A device did what was asked of it, by its log.
    pub(super) fn check_effect(&mut self, device: usize, event: &DeviceEvent) {
        let now = self.now.instant;
        let requests = &mut self.server.requests;
        if matches!(event, DeviceEvent::Booted { .. }) {
            requests.booted.insert(device, now);
        }
        let Some(mark) = Mark::of_event(event) else {
            return;
        };
        let Some(before) = requests.effects.insert(mark, now) else {
            return;
        };
        // RFC 7252 §4.5 is forgotten with the power: a late copy is news to the device.
        let forgot = requests.booted.get(&device).is_some_and(|at| *at >= before);
        if forgot {
            requests.count(Errand::DoneAgain);
        } else if !requests.damaged.contains(&mark) {
            let told = format!("device {device} did {mark:?} at {before:?} and again");
            self.breach(Check::Requests, told);
        }
    }

    /// What must be true of the requests when all is over.
    pub(super) fn check_requests(&mut self) {
        let requests = self.server.requests.clone();
        for kept in requests.kept.values() {
            let asked = &kept.request.asked;
            let key = (asked.endpoint.clone(), asked.content.clone());
            let Some(mark) = requests.mark_of.get(&key) else {
                continue;
            };
            let mut devices = self.devices.iter();
            let device = devices.find(|it| fleet::endpoint(&it.config) == asked.endpoint);
            let main = device.map(|device| device.main);
            let misheard = requests.damaged.contains(mark)
                || main.is_some_and(|main| self.chaos.misheard_since(main, kept.since));
            let (left, done) = (
                requests.left.contains_key(mark),
                requests.effects.contains_key(mark),
            );
            let is_true = match kept.request.state {
                DeviceRequestState::Done => done || misheard,
                DeviceRequestState::Failed => !done || misheard,
                DeviceRequestState::Expired | DeviceRequestState::Cancelled => !left,
                DeviceRequestState::Unknown => true,
                DeviceRequestState::Queued | DeviceRequestState::Sent => false,
            };
            if !is_true {
                let told = format!("left: {left}, done: {done}, {:?}", kept.request);
                self.breach(Check::Requests, told);
            }
        }
        self.check_ended();
    }

    /// So many that have ended are shown, and no more.
    fn check_ended(&mut self) {
        let limits = self.server.config.device_requests;
        let stored = ready(self.server.store.restore()).unwrap().device_requests;
        let mut of_device: BTreeMap<&EndpointName, usize> = BTreeMap::new();
        for request in &stored {
            *of_device.entry(&request.asked.endpoint).or_default() += 1;
        }
        let most = of_device.into_values().max().unwrap_or_default();
        if most > limits.ended_per_device_max || stored.len() > limits.ended_max {
            let told = format!("{} are kept, {most} of one device", stored.len());
            self.breach(Check::Bounds, told);
        }
    }

    /// How often what came of it.
    pub(crate) fn errands(&self) -> BTreeMap<Errand, u64> {
        let mut errands = self.server.requests.errands.clone();
        for kept in self.server.requests.kept.values() {
            if let Some(errand) = Errand::of(kept.request.state) {
                *errands.entry(errand).or_default() += 1;
            }
        }
        errands
    }
}
