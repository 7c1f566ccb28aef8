//! The requests of all devices: which wait, which have ended and are still shown, and the bounds of both.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;

use crate::clock::Instant;
use crate::model::{DeviceRequest, DeviceRequestId, DeviceRequestState, EndpointName};

/// How many requests there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRequestLimits {
    /// Requests of one device that have not ended. One more is refused.
    pub waiting_per_device_max: usize,
    /// Requests of all devices that have not ended. One more is refused.
    pub waiting_max: usize,
    /// Ended requests of one device that are still shown; the oldest give way. 0 counts as 1.
    pub ended_per_device_max: usize,
    /// Ended requests of all devices; the oldest give way. 0 counts as 1.
    pub ended_max: usize,
}

impl Default for DeviceRequestLimits {
    fn default() -> Self {
        Self {
            waiting_per_device_max: 16,
            waiting_max: 100_000,
            ended_per_device_max: 16,
            ended_max: 100_000,
        }
    }
}

/// The requests by device. Those of a device are in the order in which they leave: of their numbers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    last_id: u64,
    waiting: HashMap<EndpointName, VecDeque<DeviceRequest>>,
    waiting_count: usize,
    expiries: BTreeSet<(Instant, EndpointName, DeviceRequestId)>,
    /// When each that waits expires.
    expires: HashMap<DeviceRequestId, Instant>,
    ended: BTreeSet<(EndpointName, DeviceRequestId)>,
    ended_by_id: BTreeMap<DeviceRequestId, EndpointName>,
}

impl Queue {
    /// A number that none has had.
    pub(super) fn new_id(&mut self) -> DeviceRequestId {
        self.last_id += 1;
        DeviceRequestId(self.last_id)
    }

    /// How many have not ended, of one device.
    pub(super) fn waiting_of(&self, endpoint: &EndpointName) -> usize {
        self.waiting.get(endpoint).map_or(0, VecDeque::len)
    }

    /// How many have not ended, of all devices.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// How many are held in any way.
    pub(super) fn len(&self) -> usize {
        self.waiting_count + self.ended.len()
    }

    /// Takes in one that has not ended, behind the others of its device.
    pub(super) fn push(&mut self, request: DeviceRequest, expires: Instant) {
        let (endpoint, id) = (request.asked.endpoint.clone(), request.id);
        self.last_id = self.last_id.max(id.0);
        self.expiries.insert((expires, endpoint.clone(), id));
        self.expires.insert(id, expires);
        self.waiting.entry(endpoint).or_default().push_back(request);
        self.waiting_count += 1;
    }

    /// Takes in one that has ended. The number of the newest of all is never given up, so that it is
    /// not given out again after a restart.
    pub(super) fn push_ended(&mut self, endpoint: EndpointName, id: DeviceRequestId) {
        self.last_id = self.last_id.max(id.0);
        self.ended.insert((endpoint.clone(), id));
        self.ended_by_id.insert(id, endpoint);
    }

    /// The one whose turn it is.
    pub(super) fn front(&mut self, endpoint: &EndpointName) -> Option<&mut DeviceRequest> {
        self.waiting.get_mut(endpoint)?.front_mut()
    }

    /// One that has not ended.
    pub(super) fn get(
        &mut self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Option<&mut DeviceRequest> {
        let mut of_device = self.waiting.get_mut(endpoint)?.iter_mut();
        of_device.find(|request| request.id == id)
    }

    /// Takes one out that ends now.
    pub(super) fn remove(
        &mut self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Option<DeviceRequest> {
        let of_device = self.waiting.get_mut(endpoint)?;
        let at = of_device.iter().position(|request| request.id == id)?;
        let request = of_device.remove(at)?;
        if of_device.is_empty() {
            self.waiting.remove(endpoint);
        }
        self.waiting_count -= 1;
        if let Some(expires) = self.expires.remove(&id) {
            self.expiries.remove(&(expires, endpoint.clone(), id));
        }
        Some(request)
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, ..)| *at)
    }

    /// One that is due. Whether it is taken out or let go on, it is not returned again.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(EndpointName, DeviceRequestId)> {
        let (at, ..) = self.expiries.first()?;
        if *at > now {
            return None;
        }
        let (_, endpoint, id) = self.expiries.pop_first()?;
        self.expires.remove(&id);
        Some((endpoint, id))
    }

    /// Ended ones that are too many, the oldest first: taken out here, to be forgotten by others too.
    pub(super) fn surplus(
        &mut self,
        endpoint: &EndpointName,
        limits: &DeviceRequestLimits,
    ) -> Vec<(EndpointName, DeviceRequestId)> {
        let mut surplus = Vec::new();
        let first = (endpoint.clone(), DeviceRequestId(0));
        let from = (Bound::Included(first), Bound::Unbounded);
        let of_device: Vec<_> = self
            .ended
            .range(from)
            .take_while(|(of, _)| of == endpoint)
            .map(|(_, id)| *id)
            .collect();
        let too_many = of_device
            .len()
            .saturating_sub(limits.ended_per_device_max.max(1));
        for id in of_device.into_iter().take(too_many) {
            surplus.push((endpoint.clone(), id));
            self.forget(endpoint, id);
        }
        while self.ended.len() > limits.ended_max.max(1)
            && let Some((id, of)) = self.ended_by_id.pop_first()
        {
            self.ended.remove(&(of.clone(), id));
            surplus.push((of, id));
        }
        surplus
    }

    /// Takes out those of a device that have ended.
    pub(super) fn forget_ended(&mut self, endpoint: &EndpointName) {
        let first = (endpoint.clone(), DeviceRequestId(0));
        let from = (Bound::Included(first), Bound::Unbounded);
        let ended = self.ended.range(from);
        let of_device: Vec<_> = ended
            .take_while(|(of, _)| of == endpoint)
            .map(|(_, id)| *id)
            .collect();
        for id in of_device {
            self.forget(endpoint, id);
        }
    }

    /// Whether it has ended and is still shown.
    pub(super) fn has_ended(&self, id: DeviceRequestId) -> bool {
        self.ended_by_id.contains_key(&id)
    }

    /// Devices for which something waits, in order of their names.
    pub(super) fn devices(&self) -> BTreeSet<EndpointName> {
        let mut devices = BTreeSet::new();
        for (_, endpoint, _) in &self.expiries {
            devices.insert(endpoint.clone());
        }
        devices
    }

    fn forget(&mut self, endpoint: &EndpointName, id: DeviceRequestId) {
        self.ended.remove(&(endpoint.clone(), id));
        self.ended_by_id.remove(&id);
    }
}

/// Whether a request waits for its turn.
pub(super) const fn is_queued(request: &DeviceRequest) -> bool {
    matches!(request.state, DeviceRequestState::Queued)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::clock::Utc;
    use crate::model::{DeviceOperation, NewDeviceRequest};

    fn name(text: &str) -> EndpointName {
        EndpointName::parse(text).unwrap()
    }

    fn push(queue: &mut Queue, endpoint: &str, seconds: u64) -> DeviceRequestId {
        let id = queue.new_id();
        let request = DeviceRequest {
            id,
            asked: NewDeviceRequest {
                endpoint: name(endpoint),
                operation: DeviceOperation::Read,
                path: "/3/0/3".to_owned(),
                content: Bytes::new(),
                expires_at: Utc::default(),
            },
            state: DeviceRequestState::Queued,
            answer: None,
            detail: String::new(),
            created_at: Utc::default(),
            ended_at: None,
        };
        queue.push(request, Instant::from_origin(Duration::from_secs(seconds)));
        id
    }

    fn end(queue: &mut Queue, endpoint: &str, id: DeviceRequestId) {
        queue.remove(&name(endpoint), id).unwrap();
        queue.push_ended(name(endpoint), id);
    }

    #[test]
    fn the_oldest_of_a_device_is_at_the_front_until_it_ends() {
        let mut queue = Queue::default();
        let [a1, b1, a2] = ["a", "b", "a"].map(|endpoint| push(&mut queue, endpoint, 9));
        assert_eq!(queue.front(&name("a")).unwrap().id, a1);
        assert_eq!(queue.front(&name("b")).unwrap().id, b1);
        end(&mut queue, "a", a1);
        assert_eq!(queue.front(&name("a")).unwrap().id, a2);
        assert_eq!((queue.waiting(), queue.waiting_of(&name("a"))), (2, 1));
        assert!(queue.remove(&name("a"), a1).is_none());
        assert!(queue.has_ended(a1) && !queue.has_ended(a2));
    }

    #[test]
    fn what_is_due_is_told_once_and_what_has_ended_never() {
        let mut queue = Queue::default();
        let [late, soon, ended] = [9, 3, 1].map(|seconds| push(&mut queue, "a", seconds));
        end(&mut queue, "a", ended);
        let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
        assert_eq!(queue.next_expiry(), Some(at(3)));
        assert_eq!(queue.pop_due(at(2)), None);
        assert_eq!(queue.pop_due(at(5)), Some((name("a"), soon)));
        assert_eq!(queue.pop_due(at(5)), None);
        assert_eq!(queue.pop_due(at(9)), Some((name("a"), late)));
        assert_eq!(queue.next_expiry(), None);
    }

    #[test]
    fn of_ended_ones_the_oldest_give_way_and_the_newest_number_stays() {
        let limits = DeviceRequestLimits {
            ended_per_device_max: 2,
            ended_max: 3,
            ..DeviceRequestLimits::default()
        };
        let mut queue = Queue::default();
        let ids: Vec<_> = (0..3).map(|_| push(&mut queue, "a", 1)).collect();
        // The last to be made is the first to end.
        for id in ids.iter().rev() {
            end(&mut queue, "a", *id);
        }
        assert_eq!(queue.surplus(&name("a"), &limits), [(name("a"), ids[0])]);
        for endpoint in ["b", "c"] {
            let id = push(&mut queue, endpoint, 1);
            end(&mut queue, endpoint, id);
        }
        let surplus = queue.surplus(&name("c"), &limits);
        assert_eq!(surplus, [(name("a"), ids[1])]);
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.surplus(&name("c"), &limits), []);
    }
}
