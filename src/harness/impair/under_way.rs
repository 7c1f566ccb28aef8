//! Datagrams that are to arrive later: it is told the time, and waits for nothing.

use std::collections::BTreeMap;

use crate::clock::Instant;

/// Datagrams in the order of their arrival, and among the same times in that of their sending. As many
/// as fit into a number of bytes.
#[derive(Debug)]
pub(super) struct UnderWay<T> {
    by_time: BTreeMap<(Instant, u64), (T, Vec<u8>)>,
    begun: u64,
    bytes: usize,
    bytes_max: usize,
}

impl<T> UnderWay<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            by_time: BTreeMap::new(),
            begun: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Puts one in that arrives at `at`; `false` where there is no room for it.
    pub(super) fn push(&mut self, at: Instant, to: T, payload: Vec<u8>) -> bool {
        let bytes = self.bytes + cost_bytes(&payload);
        if bytes > self.bytes_max {
            return false;
        }
        self.bytes = bytes;
        self.begun += 1;
        self.by_time.insert((at, self.begun), (to, payload));
        true
    }

    /// When the next one arrives.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next one that has arrived by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(T, Vec<u8>)> {
        self.next_at().filter(|at| *at <= now)?;
        let (_, (to, payload)) = self.by_time.pop_first()?;
        self.bytes -= cost_bytes(&payload);
        Some((to, payload))
    }
}

/// An empty datagram has its cost too.
const fn cost_bytes(payload: &[u8]) -> usize {
    payload.len() + 64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn datagrams_arrive_in_the_order_of_their_times() {
        let mut under_way = UnderWay::new(1_000);
        for (ms, number) in [(30, 0), (10, 1), (30, 2), (20, 3)] {
            assert!(under_way.push(at(ms), number, Vec::new()));
        }
        assert_eq!(under_way.pop(at(9)), None);
        let order: Vec<_> = (0..4).map_while(|_| under_way.pop(at(30))).collect();
        assert_eq!(
            order.iter().map(|it| it.0).collect::<Vec<_>>(),
            [1, 3, 0, 2]
        );
        assert_eq!(under_way.next_at(), None);
    }

    #[test]
    fn what_finds_no_room_is_refused_until_another_has_arrived() {
        let mut under_way = UnderWay::new(200);
        assert!(under_way.push(at(1), 0, vec![0; 100]));
        assert!(!under_way.push(at(0), 1, vec![0; 100]));
        assert!(under_way.pop(at(1)).is_some());
        assert!(under_way.push(at(1), 1, vec![0; 100]));
    }
}
