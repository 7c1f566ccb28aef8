//! A device's own pace: one in weak coverage fetches a block a minute for hours, and is as alive as one
//! that fetches two a second. So it is measured by itself.

use std::time::Duration;

use crate::clock::Instant;
use crate::model::ProductSettings;

/// Of so many of the last times between blocks the middle one is the pace: a block that was lost and asked
/// for again, or a pause, is not what is usual.
const TIMES: usize = 9;

/// Before so many are known there is none.
const TIMES_MIN: usize = 3;

/// The times between the blocks of a download that were new.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    times_ms: [u32; TIMES],
    known: usize,
    next: usize,
}

impl Pace {
    /// A block came that had not come before.
    pub(super) fn block(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let time = now.saturating_since(last).as_millis();
            self.times_ms[self.next] = u32::try_from(time).unwrap_or(u32::MAX);
            self.next = (self.next + 1) % TIMES;
            self.known = (self.known + 1).min(TIMES);
        }
    }

    /// What comes next comes after a pause that says nothing of the pace: the device has booted.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    /// The usual time from one block to the next.
    pub(super) fn usual(&self) -> Option<Duration> {
        if self.known < TIMES_MIN {
            return None;
        }
        let mut times = self.times_ms;
        let known = &mut times[..self.known];
        known.sort_unstable();
        Some(Duration::from_millis(known[known.len() / 2].into()))
    }

    /// How long no block may come before the download has stalled.
    pub(super) fn stalled_after(&self, settings: &ProductSettings) -> Duration {
        let most = settings.download_stall_timeout;
        self.usual().map_or(most, |usual| {
            usual
                .saturating_mul(settings.download_stall_multiple)
                .max(settings.download_stall_floor)
                .min(most)
        })
    }

    /// How long no block may come before the device is asked what it does.
    pub(super) fn silent_after(&self, settings: &ProductSettings) -> Duration {
        let unknown = settings.silence_before_result_read;
        self.usual().map_or(unknown, |usual| {
            let half = usual.saturating_mul(settings.download_stall_multiple) / 2;
            half.max(unknown / 3).min(self.stalled_after(settings) / 2)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paced(times_ms: &[u64]) -> Pace {
        let mut pace = Pace::default();
        let mut now = Instant::ORIGIN;
        pace.block(now);
        for time in times_ms {
            now = now + Duration::from_millis(*time);
            pace.block(now);
        }
        pace
    }

    fn after(pace: &Pace) -> (u64, u64) {
        let settings = ProductSettings::default();
        let silent = pace.silent_after(&settings).as_secs();
        (silent, pace.stalled_after(&settings).as_secs())
    }

    #[test]
    fn each_device_is_measured_by_itself() {
        assert_eq!(after(&paced(&[])), (60, 3600), "nothing is known of it");
        assert_eq!(after(&paced(&[500; 2])), (60, 3600), "nor is that enough");
        assert_eq!(after(&paced(&[500; 20])), (20, 600), "good coverage");
        assert_eq!(after(&paced(&[49_000; 20])), (245, 600), "weak coverage");
        assert_eq!(after(&paced(&[120_000; 20])), (600, 1200), "a slow one");
        assert_eq!(after(&paced(&[3_000_000; 3])), (1800, 3600), "never later");
    }

    #[test]
    fn a_pause_a_lost_block_and_a_reboot_are_not_what_is_usual() {
        let mut pace = paced(&[500, 500, 15_000, 500, 500, 600_000, 500]);
        assert_eq!(pace.usual(), Some(Duration::from_millis(500)));
        pace.interrupt();
        let later = Instant::from_origin(Duration::from_secs(100_000));
        for block in 0..9 {
            pace.block(later + Duration::from_secs(block * 2));
        }
        assert_eq!(pace.usual(), Some(Duration::from_secs(2)));
    }

    proptest! {
        #[test]
        fn no_pace_ends_a_download_before_the_floor_or_after_the_longest_time(
            times_ms in prop::collection::vec(any::<u32>(), 0..30),
            multiple in 2_u32..=1000, floor_s in 0_u64..100_000, most_s in 1_u64..100_000,
            silence_s in 0_u64..100_000,
        ) {
            let settings = ProductSettings {
                download_stall_timeout: Duration::from_secs(most_s),
                download_stall_multiple: multiple,
                download_stall_floor: Duration::from_secs(floor_s),
                silence_before_result_read: Duration::from_secs(silence_s),
                ..ProductSettings::default()
            };
            let times_ms: Vec<u64> = times_ms.into_iter().map(u64::from).collect();
            let pace = paced(&times_ms);
            let stalled = pace.stalled_after(&settings);
            prop_assert!(stalled <= settings.download_stall_timeout);
            prop_assert!(stalled >= settings.download_stall_floor.min(settings.download_stall_timeout));
            if let Some(usual) = pace.usual() {
                prop_assert!(stalled >= (usual * multiple).min(settings.download_stall_timeout));
                // It is asked before it is given up.
                prop_assert!(pace.silent_after(&settings) * 2 <= stalled);
            }
        }
    }
}
