//! What devices did, as bytes: some ten for each block that a device takes.

use std::time::Duration;

use bytes::Bytes;

use super::octets::{Octets, bytes, index, number, optional, signed};
use crate::clock::Instant;
use crate::coap::Code;
use crate::model::Sha256Digest;
use crate::sim::log::{DeviceEvent, LogLine};
use crate::sim::{CoapKind, CoapSample, FleetEvent};

/// The first kind of a line: those before are of CoAP.
const LINES_FROM: u8 = 16;

/// Writes events one after another.
#[derive(Debug, Default)]
pub(super) struct EventWriter {
    bytes: Vec<u8>,
    before_ns: u64,
}

impl EventWriter {
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written since this was last asked.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.before_ns = 0;
        std::mem::take(&mut self.bytes)
    }

    /// An event of the device that has this number in the scenario.
    pub(super) fn push(&mut self, device: usize, event: &FleetEvent) {
        let to = &mut self.bytes;
        let at = match event {
            FleetEvent::Log(line) => line.at,
            FleetEvent::Coap(sample) => sample.at,
        };
        let at_ns = nanoseconds(at);
        // What one loop tells late may be earlier than what another has told.
        signed(to, at_ns.wrapping_sub(self.before_ns).cast_signed());
        self.before_ns = at_ns;
        index(to, device);
        match event {
            FleetEvent::Log(line) => write_line(to, &line.event),
            FleetEvent::Coap(sample) => write_coap(to, sample.kind),
        }
    }
}

/// The events that an [`EventWriter`] wrote; `None` where they are none.
pub(super) fn read_events(written: &[u8]) -> Option<Vec<FleetEvent>> {
    let mut octets = Octets::new(written);
    let mut events = Vec::new();
    let mut at_ns = 0_u64;
    while !octets.is_empty() {
        at_ns = at_ns.wrapping_add(octets.signed()?.cast_unsigned());
        let at = Instant::from_origin(Duration::from_nanos(at_ns));
        let device = octets.index()?;
        let kind = octets.byte()?;
        events.push(if kind < LINES_FROM {
            let kind = read_coap(kind, &mut octets)?;
            FleetEvent::Coap(CoapSample { at, device, kind })
        } else {
            let event = read_line(kind - LINES_FROM, &mut octets)?;
            FleetEvent::Log(LogLine { at, device, event })
        });
    }
    Some(events)
}

pub(super) fn nanoseconds(at: Instant) -> u64 {
    u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX)
}

fn write_coap(to: &mut Vec<u8>, kind: CoapKind) {
    match kind {
        CoapKind::Sent => to.push(0),
        CoapKind::Retransmitted => to.push(1),
        CoapKind::RoundTrip(took) => {
            to.push(2);
            number(to, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
        CoapKind::GaveUp => to.push(3),
        CoapKind::Block { size_bytes } => {
            to.push(4);
            number(to, size_bytes.into());
        }
    }
}

fn read_coap(kind: u8, octets: &mut Octets<'_>) -> Option<CoapKind> {
    Some(match kind {
        0 => CoapKind::Sent,
        1 => CoapKind::Retransmitted,
        2 => CoapKind::RoundTrip(Duration::from_nanos(octets.number()?)),
        3 => CoapKind::GaveUp,
        4 => CoapKind::Block {
            size_bytes: u32::try_from(octets.number()?).ok()?,
        },
        _ => return None,
    })
}

fn write_line(to: &mut Vec<u8>, event: &DeviceEvent) {
    let mut kind = |kind: u8| to.push(LINES_FROM + kind);
    match event {
        DeviceEvent::Booted { version } => {
            kind(0);
            bytes(to, version.as_bytes());
        }
        DeviceEvent::Registered => kind(1),
        DeviceEvent::RegistrationRefused { code } => {
            kind(2);
            to.push(code.0);
        }
        DeviceEvent::RegistrationUnanswered => kind(3),
        DeviceEvent::UriAccepted => kind(4),
        DeviceEvent::DownloadResumed { kept_bytes } => {
            kind(5);
            index(to, *kept_bytes);
        }
        DeviceEvent::Downloaded { sha256 } => {
            kind(6);
            to.extend_from_slice(&sha256.0);
        }
        DeviceEvent::DownloadFailed { result } => {
            kind(7);
            to.push(*result);
        }
        DeviceEvent::ExecuteAccepted => kind(8),
        DeviceEvent::Flashed { version } => {
            kind(9);
            bytes(to, version.as_bytes());
        }
        DeviceEvent::UpdateEnded { result } => {
            kind(10);
            to.push(*result);
        }
        DeviceEvent::ObservationsForgotten => kind(11),
        DeviceEvent::DownlinkTaken { data } => {
            kind(12);
            bytes(to, data);
        }
        DeviceEvent::RebootTaken { arguments } => {
            kind(13);
            bytes(to, arguments);
        }
        DeviceEvent::PowerCut => kind(14),
        DeviceEvent::SwitchedOff => kind(15),
        DeviceEvent::Bricked => kind(16),
        DeviceEvent::BootFailed { version } => {
            kind(17);
            bytes(to, version.as_bytes());
        }
        DeviceEvent::RolledBack { version } => {
            kind(18);
            bytes(to, version.as_bytes());
        }
        DeviceEvent::OldVersionKept => kind(19),
        DeviceEvent::InstallResumed => kind(20),
        DeviceEvent::DownloadRestarted => kind(21),
        DeviceEvent::PortChanged => kind(22),
        DeviceEvent::SignalTold { rsrp, sinr } => {
            kind(23);
            optional(to, *rsrp);
            optional(to, *sinr);
        }
    }
}

fn read_line(kind: u8, octets: &mut Octets<'_>) -> Option<DeviceEvent> {
    Some(match kind {
        0 => DeviceEvent::Booted {
            version: octets.text()?,
        },
        1 => DeviceEvent::Registered,
        2 => DeviceEvent::RegistrationRefused {
            code: Code(octets.byte()?),
        },
        3 => DeviceEvent::RegistrationUnanswered,
        4 => DeviceEvent::UriAccepted,
        5 => DeviceEvent::DownloadResumed {
            kept_bytes: octets.index()?,
        },
        6 => DeviceEvent::Downloaded {
            sha256: Sha256Digest(octets.array()?),
        },
        7 => DeviceEvent::DownloadFailed {
            result: octets.byte()?,
        },
        8 => DeviceEvent::ExecuteAccepted,
        9 => DeviceEvent::Flashed {
            version: octets.text()?,
        },
        10 => DeviceEvent::UpdateEnded {
            result: octets.byte()?,
        },
        11 => DeviceEvent::ObservationsForgotten,
        12 => DeviceEvent::DownlinkTaken {
            data: Bytes::copy_from_slice(octets.bytes()?),
        },
        13 => DeviceEvent::RebootTaken {
            arguments: Bytes::copy_from_slice(octets.bytes()?),
        },
        14 => DeviceEvent::PowerCut,
        15 => DeviceEvent::SwitchedOff,
        16 => DeviceEvent::Bricked,
        17 => DeviceEvent::BootFailed {
            version: octets.text()?,
        },
        18 => DeviceEvent::RolledBack {
            version: octets.text()?,
        },
        19 => DeviceEvent::OldVersionKept,
        20 => DeviceEvent::InstallResumed,
        21 => DeviceEvent::DownloadRestarted,
        22 => DeviceEvent::PortChanged,
        23 => DeviceEvent::SignalTold {
            rsrp: octets.optional()?,
            sinr: octets.optional()?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// One of each kind, what it holds made from these.
    fn events(text: &str, value: i64, byte: u8) -> Vec<FleetEvent> {
        let version = || text.to_owned();
        let data = || Bytes::copy_from_slice(text.as_bytes());
        let lines = [
            DeviceEvent::Booted { version: version() },
            DeviceEvent::Registered,
            DeviceEvent::RegistrationRefused { code: Code(byte) },
            DeviceEvent::RegistrationUnanswered,
            DeviceEvent::UriAccepted,
            DeviceEvent::DownloadResumed {
                kept_bytes: value.unsigned_abs() as usize,
            },
            DeviceEvent::Downloaded {
                sha256: Sha256Digest([byte; 32]),
            },
            DeviceEvent::DownloadFailed { result: byte },
            DeviceEvent::ExecuteAccepted,
            DeviceEvent::Flashed { version: version() },
            DeviceEvent::UpdateEnded { result: byte },
            DeviceEvent::ObservationsForgotten,
            DeviceEvent::DownlinkTaken { data: data() },
            DeviceEvent::RebootTaken { arguments: data() },
            DeviceEvent::PowerCut,
            DeviceEvent::SwitchedOff,
            DeviceEvent::Bricked,
            DeviceEvent::BootFailed { version: version() },
            DeviceEvent::RolledBack { version: version() },
            DeviceEvent::OldVersionKept,
            DeviceEvent::InstallResumed,
            DeviceEvent::DownloadRestarted,
            DeviceEvent::PortChanged,
            DeviceEvent::SignalTold {
                rsrp: Some(value),
                sinr: (byte > 99).then_some(value / 2),
            },
        ];
        let samples = [
            CoapKind::Sent,
            CoapKind::Retransmitted,
            CoapKind::RoundTrip(Duration::from_nanos(value.unsigned_abs())),
            CoapKind::GaveUp,
            CoapKind::Block {
                size_bytes: byte.into(),
            },
        ];
        // Neither times nor devices are in order.
        let at = |place: u64| Instant::from_origin(Duration::from_nanos(place % 7 * 1_000_003));
        let device = |place: u64| (place % 5 * 10_000) as usize;
        let lines = (0..).zip(lines).map(|(place, event)| {
            let (at, device) = (at(place), device(place));
            FleetEvent::Log(LogLine { at, device, event })
        });
        let samples = (0..).zip(samples).map(|(place, kind)| {
            let (at, device) = (at(place), device(place));
            FleetEvent::Coap(CoapSample { at, device, kind })
        });
        lines.chain(samples).collect()
    }

    fn device(event: &FleetEvent) -> usize {
        match event {
            FleetEvent::Log(line) => line.device,
            FleetEvent::Coap(sample) => sample.device,
        }
    }

    fn written(events: &[FleetEvent]) -> Vec<u8> {
        let mut writer = EventWriter::default();
        for event in events {
            writer.push(device(event), event);
        }
        writer.take()
    }

    #[test]
    fn a_writer_that_was_emptied_begins_anew() {
        let events = events("1.2", 5, 5);
        let mut writer = EventWriter::default();
        for _ in 0..2 {
            for event in &events {
                writer.push(device(event), event);
            }
            assert_eq!(read_events(&writer.take()).as_ref(), Some(&events));
        }
    }

    #[test]
    fn a_block_and_its_round_trip_take_little() {
        let (device, at) = (40_000, Instant::from_origin(Duration::from_secs(3600)));
        let kinds = [
            CoapKind::Sent,
            CoapKind::RoundTrip(Duration::from_millis(40)),
            CoapKind::Block { size_bytes: 512 },
        ];
        let sample = |kind| FleetEvent::Coap(CoapSample { at, device, kind });
        let all: Vec<_> = (0..1000).flat_map(|_| kinds.map(sample)).collect();
        assert!(written(&all).len() < 24 * 1000);
    }

    proptest! {
        #[test]
        fn every_event_comes_back(text in ".{0,9}", value: i64, byte: u8) {
            // A size is a size on this machine.
            let events = events(&text, value / 2, byte);
            prop_assert_eq!(read_events(&written(&events)), Some(events));
        }

        #[test]
        fn what_is_not_events_is_refused_and_nothing_worse(bytes in vec(any::<u8>(), 0..200)) {
            let read = read_events(&bytes);
            // Each event takes three bytes at the least.
            prop_assert!(read.is_none_or(|events| events.len() <= bytes.len() / 3));
        }

        #[test]
        fn events_that_are_cut_within_one_are_refused(cut in 1..30_usize) {
            let all = written(&events("1.2", -5, 200));
            let cut = all.len() - cut;
            let whole = read_events(&all).unwrap();
            match read_events(&all[..cut]) {
                None => {}
                Some(events) => prop_assert_eq!(&events[..], &whole[..events.len()]),
            }
        }
    }
}
