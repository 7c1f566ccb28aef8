//! Judges a run by the devices' own logs: limits at every instant, flashes, images.

use std::collections::BTreeMap;

use super::device::Radio;
use super::log::{DeviceEvent, LogLine};
use crate::model::{CellId, CoverageTier, Sha256Digest, SlotClaim, TierBorders, TierLimits};

/// Update Result 1.
const SUCCESS: u8 = 1;

/// How many of the moments at which a limit was passed are told: who is over it once is so often.
const LIMITS_PASSED_MAX: usize = 1000;

/// What a device counts as that has the whole image and no Execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtRest {
    /// As active, to its result: for runs in which every attempt goes on to its end (decisions, 5).
    Active,
    /// As at rest until it takes an Execute: for runs in which attempts are stopped or lost there, and
    /// the device may keep its image for ever.
    Resting,
    /// As done, through its install too: for runs in which slots are held until the download is over.
    Done,
}

/// What a run is held against.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of every cell.
    pub tiers: TierLimits,
    /// The image that devices must end up with.
    pub image: Sha256Digest,
    /// What a device counts as between download and Execute.
    pub at_rest: AtRest,
    /// The class of each device, by its index: what its own radio says.
    pub classes: Vec<SlotClaim>,
}

/// The highest number of devices active at once in one cell and tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPeak {
    /// The cell.
    pub cell: CellId,
    /// The tier.
    pub tier: CoverageTier,
    /// Highest number active at once.
    pub peak: u32,
    /// The limit.
    pub limit: u32,
}

/// What the logs say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// One row for each cell and tier with devices in it, in order.
    pub peaks: Vec<ClassPeak>,
    /// How many devices flashed.
    pub flashed: u64,
    /// Flashes beyond the first of a device for the same version: each may brick one.
    pub second_flashes: u64,
    /// Executes that a device took while it was at an update, or when it had installed that image: one
    /// after an update that failed or lost its power is another try.
    pub repeated_executes: u64,
    /// Images whose hash is not the package's.
    pub wrong_images: u64,
    /// Moments at which a limit was passed, in plain words; the first thousand.
    pub limits_passed: Vec<String>,
}

impl Verdict {
    /// Whether nothing forbidden happened.
    pub fn holds(&self) -> bool {
        self.second_flashes == 0
            && self.repeated_executes == 0
            && self.wrong_images == 0
            && self.limits_passed.is_empty()
    }
}

#[derive(Debug, Default)]
struct DeviceState {
    /// The class in which it is active.
    active: Option<SlotClaim>,
    /// It took an Execute, and has not come to the end of it.
    installs: bool,
    /// Executes of the image that it has, of which none has failed.
    executes_of_image: u32,
    flashes: BTreeMap<String, u32>,
}

/// Reads log lines in order.
#[derive(Debug)]
pub struct Judge {
    limits: Limits,
    devices: Vec<DeviceState>,
    active: BTreeMap<SlotClaim, u32>,
    peaks: BTreeMap<SlotClaim, u32>,
    verdict: Verdict,
}

impl Judge {
    /// A judge of devices with these classes.
    pub fn new(limits: Limits) -> Self {
        let devices = limits
            .classes
            .iter()
            .map(|_| DeviceState::default())
            .collect();
        let peaks = limits.classes.iter().map(|class| (*class, 0)).collect();
        Self {
            limits,
            devices,
            active: BTreeMap::new(),
            peaks,
            verdict: Verdict::default(),
        }
    }

    /// From its next update on a device counts in this class: what its radio said was lost or damaged on
    /// the way to whoever admits it.
    pub fn set_class(&mut self, device: usize, class: SlotClaim) {
        if let Some(of_device) = self.limits.classes.get_mut(device) {
            *of_device = class;
        }
    }

    /// From its next update on a device counts in the tier that its radio says, by the default borders.
    fn signal_told(&mut self, device: usize, rsrp: Option<i64>, sinr: Option<i64>) {
        if let Some(class) = self.limits.classes.get_mut(device) {
            class.tier = Radio {
                cell_id: None,
                rsrp,
                sinr,
            }
            .tier(&TierBorders::default());
        }
    }

    /// Takes the next line.
    pub fn read(&mut self, line: &LogLine) {
        let Some(device) = self.devices.get_mut(line.device) else {
            return;
        };
        match &line.event {
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::OldVersionKept
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::ObservationsForgotten => {}
            DeviceEvent::UriAccepted => self.begin(line),
            DeviceEvent::Downloaded { sha256 } => {
                device.executes_of_image = 0;
                self.verdict.wrong_images += u64::from(*sha256 != self.limits.image);
                match self.limits.at_rest {
                    AtRest::Active => {}
                    AtRest::Resting | AtRest::Done => self.end(line),
                }
            }
            DeviceEvent::ExecuteAccepted => {
                device.executes_of_image += 1;
                self.verdict.repeated_executes += u64::from(device.executes_of_image > 1);
                device.installs = true;
                match self.limits.at_rest {
                    AtRest::Active | AtRest::Resting => self.begin(line),
                    AtRest::Done => {}
                }
            }
            DeviceEvent::Flashed { version } => {
                let flashes = device.flashes.entry(version.clone()).or_default();
                *flashes += 1;
                self.verdict.flashed += u64::from(*flashes == 1);
                self.verdict.second_flashes += u64::from(*flashes > 1);
            }
            DeviceEvent::UpdateEnded { result } => {
                device.installs = false;
                if *result != SUCCESS {
                    device.executes_of_image = 0;
                }
                self.end(line);
            }
            DeviceEvent::PowerCut | DeviceEvent::SwitchedOff => {
                if std::mem::take(&mut device.installs) {
                    device.executes_of_image = 0;
                }
                self.end(line);
            }
            DeviceEvent::DownloadFailed { .. } | DeviceEvent::Bricked => self.end(line),
            DeviceEvent::RolledBack { version } => {
                device.flashes.remove(version);
            }
            DeviceEvent::InstallResumed => {
                device.installs = true;
                match self.limits.at_rest {
                    AtRest::Active | AtRest::Resting => self.begin(line),
                    AtRest::Done => {}
                }
            }
            DeviceEvent::SignalTold { rsrp, sinr } => self.signal_told(line.device, *rsrp, *sinr),
        }
    }

    /// How many devices of this class are active now.
    pub fn active(&self, class: SlotClaim) -> u32 {
        self.active.get(&class).copied().unwrap_or_default()
    }

    /// The class in which this device is active now.
    pub fn active_class(&self, device: usize) -> Option<SlotClaim> {
        self.devices.get(device)?.active
    }

    /// What has been counted so far, without the peaks: nothing is copied.
    pub const fn counts(&self) -> &Verdict {
        &self.verdict
    }

    /// What all lines so far say.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict.clone();
        verdict.peaks = self
            .peaks
            .iter()
            .map(|(class, peak)| ClassPeak {
                cell: class.cell,
                tier: class.tier,
                peak: *peak,
                limit: self.limits.tiers.of(class.tier),
            })
            .collect();
        verdict
    }

    /// A device is active from its acceptance of the URI, or of Execute where it was at rest.
    fn begin(&mut self, line: &LogLine) {
        let (Some(device), Some(class)) = (
            self.devices.get_mut(line.device),
            self.limits.classes.get(line.device),
        ) else {
            return;
        };
        if device.active.is_some() {
            return;
        }
        device.active = Some(*class);
        let active = self.active.entry(*class).or_default();
        *active += 1;
        let peak = self.peaks.entry(*class).or_default();
        *peak = (*peak).max(*active);
        let limit = self.limits.tiers.of(class.tier);
        if *active > limit && self.verdict.limits_passed.len() < LIMITS_PASSED_MAX {
            self.verdict.limits_passed.push(format!(
                "at {:?}: {active} active in cell {} tier {}, {limit} allowed (device {})",
                line.at.since_origin(),
                class.cell,
                class.tier,
                line.device
            ));
        }
    }

    /// It has what it wanted, or has given up.
    fn end(&mut self, line: &LogLine) {
        if let Some(device) = self.devices.get_mut(line.device)
            && let Some(class) = device.active.take()
            && let Some(active) = self.active.get_mut(&class)
        {
            *active -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Instant;

    const IMAGE: Sha256Digest = Sha256Digest([7; 32]);

    fn judge(devices: usize) -> Judge {
        judge_of(devices, AtRest::Active)
    }

    fn judge_of(devices: usize, at_rest: AtRest) -> Judge {
        let class = SlotClaim {
            cell: CellId(1),
            tier: CoverageTier::Tier2,
        };
        Judge::new(Limits {
            tiers: TierLimits::default(),
            image: IMAGE,
            at_rest,
            classes: vec![class; devices],
        })
    }

    fn line(second: u64, device: usize, event: DeviceEvent) -> LogLine {
        LogLine {
            at: Instant::from_origin(Duration::from_secs(second)),
            device,
            event,
        }
    }

    #[test]
    fn two_active_in_a_class_for_one_are_found() {
        let mut judge = judge(2);
        judge.read(&line(1, 0, DeviceEvent::UriAccepted));
        assert!(judge.verdict().holds());
        judge.read(&line(2, 1, DeviceEvent::UriAccepted));
        assert!(!judge.verdict().holds());
        assert_eq!(judge.verdict().peaks[0].peak, 2);
    }

    #[test]
    fn one_after_the_other_is_within_the_limit() {
        let mut judge = judge(2);
        for device in [0, 1] {
            judge.read(&line(1, device, DeviceEvent::UriAccepted));
            judge.read(&line(2, device, DeviceEvent::UpdateEnded { result: 1 }));
        }
        assert!(judge.verdict().holds());
        assert_eq!(judge.verdict().peaks[0].peak, 1);
    }

    #[test]
    fn a_device_with_an_image_and_no_execute_is_at_rest_until_it_takes_one() {
        let mut judge = judge_of(2, AtRest::Resting);
        let sha256 = IMAGE;
        judge.read(&line(1, 0, DeviceEvent::UriAccepted));
        judge.read(&line(2, 0, DeviceEvent::Downloaded { sha256 }));
        judge.read(&line(3, 1, DeviceEvent::UriAccepted));
        assert!(judge.verdict().holds());
        judge.read(&line(4, 0, DeviceEvent::ExecuteAccepted));
        assert_eq!(judge.verdict().limits_passed.len(), 1);
    }

    #[test]
    fn where_slots_are_of_downloads_a_device_with_an_image_is_done_and_may_install_beside_others() {
        let mut judge = judge_of(3, AtRest::Done);
        for device in [0, 1] {
            judge.read(&line(1, device, DeviceEvent::UriAccepted));
            judge.read(&line(2, device, DeviceEvent::Downloaded { sha256: IMAGE }));
            judge.read(&line(3, device, DeviceEvent::ExecuteAccepted));
        }
        judge.read(&line(4, 2, DeviceEvent::UriAccepted));
        assert!(judge.verdict().holds());
        assert_eq!(judge.verdict().peaks[0].peak, 1);
        judge.read(&line(5, 0, DeviceEvent::PowerCut));
        judge.read(&line(6, 0, DeviceEvent::UriAccepted));
        assert_eq!(judge.verdict().limits_passed.len(), 1);
        judge.read(&line(7, 0, DeviceEvent::PowerCut));
        judge.read(&line(8, 0, DeviceEvent::ExecuteAccepted));
        assert_eq!(judge.verdict().repeated_executes, 0);
        judge.read(&line(9, 0, DeviceEvent::ExecuteAccepted));
        assert_eq!(judge.verdict().repeated_executes, 1);
    }

    #[test]
    fn where_every_attempt_goes_on_a_device_with_an_image_is_active_to_its_result() {
        let mut judge = judge(2);
        judge.read(&line(1, 0, DeviceEvent::UriAccepted));
        judge.read(&line(2, 0, DeviceEvent::Downloaded { sha256: IMAGE }));
        judge.read(&line(3, 1, DeviceEvent::UriAccepted));
        assert_eq!(judge.verdict().limits_passed.len(), 1);
    }

    #[test]
    fn an_execute_after_an_install_that_failed_or_lost_its_power_is_no_repetition() {
        for end in [
            DeviceEvent::UpdateEnded { result: 8 },
            DeviceEvent::PowerCut,
        ] {
            let mut judge = judge(1);
            judge.read(&line(1, 0, DeviceEvent::ExecuteAccepted));
            judge.read(&line(2, 0, end));
            judge.read(&line(3, 0, DeviceEvent::ExecuteAccepted));
            assert!(judge.verdict().holds());
            judge.read(&line(4, 0, DeviceEvent::ExecuteAccepted));
            assert_eq!(judge.verdict().repeated_executes, 1);
        }
    }

    #[test]
    fn a_second_flash_a_second_execute_and_a_wrong_image_are_found() {
        let mut judge = judge(1);
        judge.read(&line(
            1,
            0,
            DeviceEvent::Downloaded {
                sha256: Sha256Digest([0; 32]),
            },
        ));
        for second in [2, 3] {
            judge.read(&line(second, 0, DeviceEvent::ExecuteAccepted));
            judge.read(&line(
                second,
                0,
                DeviceEvent::Flashed {
                    version: "2".to_owned(),
                },
            ));
        }
        let verdict = judge.verdict();
        assert_eq!(
            (
                verdict.wrong_images,
                verdict.repeated_executes,
                verdict.second_flashes
            ),
            (1, 1, 1)
        );
    }
}
