//! Send (LwM2M 1.1 §6.4.6): what a device says of itself without being asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Now;
use crate::coap::{Code, ContentFormat, Request, Response};
use crate::fota::{Contact, Said};
use crate::lwm2m::{SenmlRecord, UnknownPeer, decode_pack, path};
use crate::model::{
    CellId, CoverageTier, DeviceReport, EndpointName, FirmwareVersion, Peer, ProductSettings,
    Record, Rsrp, SignalReading, Sinr, TierBorders,
};

use super::Engine;
use super::tasks::TaskEntry;

impl Engine {
    /// `POST /dp`. One that is understood counts as contact (decisions, 1).
    ///
    /// Its path names no registration, so over NoSec the sender's address alone says which device it
    /// is. Where several are registered from one address, behind a NAT or under two names, any choice
    /// among them might write one device's values to another's report: it is refused as a stranger's
    /// is. To 4.04 a client registers anew.
    pub(super) fn handle_send(&mut self, now: Now, peer: &Peer, request: &Request) -> Response {
        let (slot, endpoint) = match self.registry.by_peer(peer) {
            Ok(registration) => (registration.slot, registration.endpoint.clone()),
            Err(UnknownPeer::Unregistered) => {
                self.counters.sends_unknown += 1;
                return Response::new(Code::NOT_FOUND);
            }
            Err(UnknownPeer::Shared) => {
                self.counters.sends_ambiguous += 1;
                return Response::new(Code::NOT_FOUND);
            }
        };
        let records = match read(self, request) {
            Ok(records) => records,
            Err(code) => {
                self.counters.sends_malformed += 1;
                return Response::new(code);
            }
        };
        let uplinks = || {
            let is_uplink = |it: &&SenmlRecord| it.path == path::UPLINK_DATA;
            records.iter().filter(is_uplink)
        };
        if uplinks().any(|record| self.is_too_long(&record.value)) {
            self.counters.uplinks_too_long += 1;
            return Response::new(Code::REQUEST_ENTITY_TOO_LARGE);
        }
        for record in uplinks() {
            self.keep_uplink(&endpoint, record.at(now.utc), &record.value);
        }
        self.counters.sends += 1;
        self.note_said(now, &endpoint, &records);
        self.take_values(now, &endpoint, records);
        self.heard(now, slot, Contact::Uplink);
        Response::new(Code::CHANGED)
    }

    /// What a device with a task need not be asked for.
    fn note_said(&mut self, now: Now, endpoint: &EndpointName, records: &[SenmlRecord]) {
        let Some(id) = self.task_of.get(endpoint).copied() else {
            return;
        };
        let mut said = Said::default();
        let of_resource = |it: &&SenmlRecord| it.resource_instance.is_none();
        for record in records.iter().filter(of_resource) {
            if let Some(value) = record.value.as_integer() {
                let age = now.utc.saturating_since(record.at(now.utc));
                said.note(now.instant, record.path, value, age);
            }
        }
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => session.handle_said(now, &said),
            // It begins by the contact that this is, or soon.
            Some(TaskEntry::Idle(_)) if !said.is_empty() => {
                self.said.insert(id, said);
            }
            Some(TaskEntry::Idle(_)) | None => {}
        }
    }

    /// What a device said of itself otherwise than to its session, which must not write its older copy
    /// over it.
    pub(super) fn set_report(&mut self, endpoint: &EndpointName, report: DeviceReport) {
        let task = self.task_of.get(endpoint);
        if let Some(TaskEntry::Running(session)) = task.and_then(|id| self.tasks.get_mut(id)) {
            session.handle_report(report.clone());
        }
        self.reports.insert(endpoint.clone(), report.clone());
        self.record(Record::Report {
            endpoint: endpoint.clone(),
            report,
        });
    }

    /// Of several values of a resource the newest stays. What is older than the report is history, and
    /// changes nothing of it; a clock that is ahead does not make a value newer than now.
    fn take_values(&mut self, now: Now, endpoint: &EndpointName, mut records: Vec<SenmlRecord>) {
        let mut report = self.reports.get(endpoint).cloned().unwrap_or_default();
        let known_at = report.reported_at;
        let mut said_at = None;
        let settings = Arc::clone(self.settings_of(endpoint));
        let cell_borders = Arc::clone(&self.config.cell_borders);
        records.sort_by_key(|record| record.at(now.utc));
        for record in records {
            let at = record.at(now.utc).min(now.utc);
            if known_at.is_none_or(|known_at| at >= known_at)
                && take_value(&settings, &cell_borders, &mut report, &record)
            {
                said_at = Some(at);
            }
        }
        if said_at.is_some() {
            report.reported_at = said_at;
            self.set_report(endpoint, report);
        }
    }
}

/// Returns whether it is of the report.
fn take_value(
    settings: &ProductSettings,
    cell_borders: &BTreeMap<CellId, TierBorders>,
    report: &mut DeviceReport,
    record: &SenmlRecord,
) -> bool {
    if record.resource_instance.is_some() {
        return false;
    }
    let number = record.value.as_integer();
    match record.path {
        path::DEVICE_FIRMWARE_VERSION => {
            let version = record.value.as_text();
            let version = version.and_then(|text| FirmwareVersion::parse(&text).ok());
            let is_version = version.is_some();
            report.firmware_version = version.or_else(|| report.firmware_version.take());
            return is_version;
        }
        path::CELL_ID => {
            report.cell_id = number.and_then(CellId::from_number);
            return true;
        }
        path::RADIO_SIGNAL_STRENGTH => {
            let unit = settings.radio_unit;
            let rsrp = number.and_then(|value| Rsrp::normalise(value, unit));
            report.rsrp_dbm = rsrp.map(|rsrp| rsrp.dbm);
        }
        path::SIGNAL_SNR => {
            report.sinr_db = number.and_then(Sinr::normalise).map(|sinr| sinr.db);
        }
        _ => return false,
    }
    let reading = SignalReading {
        rsrp: report.rsrp_dbm.map(|dbm| Rsrp { dbm }),
        sinr: report.sinr_db.map(|db| Sinr { db }),
    };
    let own = report.cell_id.and_then(|cell| cell_borders.get(&cell));
    let borders = own.unwrap_or(&settings.tier_borders);
    report.tier = Some(CoverageTier::of(reading, borders));
    true
}

/// The values of a Send: SenML, whose names are whole paths.
fn read(engine: &Engine, request: &Request) -> Result<Vec<SenmlRecord>, Code> {
    match request.content_format() {
        Some(format @ (ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR)) => {
            decode_pack(None, format, &request.payload, &engine.config.pack)
                .map_err(|_| Code::BAD_REQUEST)
        }
        Some(_) => Err(Code::UNSUPPORTED_CONTENT_FORMAT),
        None => Err(Code::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::clock::Utc;
    use crate::coap::{Message, MessageId, MessageType, Token};
    use crate::engine::{EngineConfig, Onboarding, Output};

    struct Bench {
        engine: Engine,
        now: Now,
        message_id: u16,
        records: Vec<Record>,
        heard: Vec<String>,
    }

    impl Bench {
        fn new() -> Self {
            let config = EngineConfig {
                onboarding: Onboarding::Allow,
                ..EngineConfig::default()
            };
            let start = Now {
                utc: Utc::from_unix_ms(1_795_000_000_000),
                ..Now::default()
            };
            Self {
                engine: Engine::new(config, [1; 32]),
                now: start,
                message_id: 0,
                records: Vec::new(),
                heard: Vec::new(),
            }
        }

        /// With one device, `a`, registered from port 1.
        fn with_device() -> Self {
            let mut bench = Self::new();
            bench.register("a", 1);
            bench
        }

        fn register(&mut self, endpoint: &str, port: u16) {
            let register = Request::new(Code::POST, "/rd")
                .with_query("lwm2m=1.1")
                .with_query(&format!("ep={endpoint}"));
            assert_eq!(self.request(port, register), Code::CREATED);
        }

        fn send(&mut self, port: u16, format: ContentFormat, payload: &[u8]) -> Code {
            let request = Request::new(Code::POST, "/dp").with_payload(format, payload.to_vec());
            self.request(port, request)
        }

        fn send_json(&mut self, port: u16, json: &str) -> Code {
            self.send(port, ContentFormat::SENML_JSON, json.as_bytes())
        }

        fn request(&mut self, port: u16, request: Request) -> Code {
            self.message_id += 1;
            let id = MessageId(self.message_id);
            self.datagram(port, request, id)
        }

        fn datagram(&mut self, port: u16, request: Request, id: MessageId) -> Code {
            let datagram = Message {
                kind: MessageType::Confirmable,
                code: request.code,
                id,
                token: Token::EMPTY,
                options: request.options,
                payload: request.payload,
            };
            let peer = Peer::Address(SocketAddr::from(([10, 0, 0, 1], port)));
            self.records.clear();
            self.heard.clear();
            let datagram = datagram.encode().to_vec();
            self.engine.handle_datagram(self.now, &peer, &datagram);
            let mut answer = None;
            loop {
                match self.engine.poll_output() {
                    Output::Transmit(transmit) => {
                        let message = Message::decode(&transmit.datagram.to_vec(), 32).unwrap();
                        if message.kind == MessageType::Acknowledgement && message.id == id {
                            answer = Some(message.code);
                        }
                    }
                    Output::Record(record) => self.records.push(record),
                    Output::Heard { endpoint, .. } => self.heard.push(endpoint.to_string()),
                    Output::Flapping { .. } | Output::Progress(_) | Output::Download(_) => {}
                    Output::Timeout(_) => return answer.unwrap(),
                }
            }
        }

        /// What was last committed of the device's report, by the last datagram.
        fn report(&self) -> Option<DeviceReport> {
            let mut reports = self.records.iter().filter_map(|record| {
                let Record::Report { report, .. } = record else {
                    return None;
                };
                Some(report.clone())
            });
            reports.next_back()
        }
    }

    const ALL: &str = r#"[{"n":"/3/0/3","vs":"1.0.1"},{"bn":"/4/0/","n":"8","v":4711},
        {"n":"2","v":-97},{"n":"11","v":15.0}]"#;

    #[test]
    fn what_a_registered_device_sends_is_its_report_and_a_contact() {
        let mut bench = Bench::with_device();
        assert_eq!(bench.send_json(1, ALL), Code::CHANGED);
        assert_eq!(bench.heard, ["a"]);
        let report = DeviceReport {
            firmware_version: FirmwareVersion::parse("1.0.1").ok(),
            cell_id: Some(CellId(4711)),
            rsrp_dbm: Some(-97),
            sinr_db: Some(15),
            tier: Some(CoverageTier::Tier0),
            reported_at: Some(bench.now.utc),
            ..DeviceReport::default()
        };
        assert_eq!(bench.report(), Some(report));
        assert_eq!(bench.engine.counters().sends, 1);
    }

    #[test]
    fn a_send_in_cbor_is_as_good() {
        let mut bench = Bench::with_device();
        let cbor = hex::decode("81a2006631302f302f31").unwrap();
        assert_eq!(
            bench.send(1, ContentFormat::SENML_CBOR, &cbor),
            Code::BAD_REQUEST
        );
        let cbor = hex::decode("81a200662f332f302f330363312e32").unwrap();
        assert_eq!(
            bench.send(1, ContentFormat::SENML_CBOR, &cbor),
            Code::CHANGED
        );
        let version = bench.report().unwrap().firmware_version.unwrap();
        assert_eq!(version.as_str(), "1.2");
    }

    #[test]
    fn values_that_the_report_does_not_have_are_contact_alone() {
        let mut bench = Bench::with_device();
        let reading = r#"[{"n":"/3303/0/5700","v":21.5},{"n":"/4/0/8/0","v":1}]"#;
        for payload in [reading, "[]"] {
            assert_eq!(bench.send_json(1, payload), Code::CHANGED);
            assert_eq!(bench.heard, ["a"]);
            assert!(bench.records.is_empty(), "{:?}", bench.records);
        }
    }

    #[test]
    fn of_several_values_the_newest_stays_and_history_changes_nothing() {
        let mut bench = Bench::with_device();
        let several = r#"[{"n":"/4/0/8","t":-1,"v":3},{"n":"/4/0/8","t":-60,"v":1},
            {"n":"/4/0/8","t":-30,"v":2}]"#;
        assert_eq!(bench.send_json(1, several), Code::CHANGED);
        let report = bench.report().unwrap();
        assert_eq!(report.cell_id, Some(CellId(3)));
        assert_eq!(
            report.reported_at,
            Some(Utc::from_unix_ms(1_794_999_999_000))
        );
        bench.now = bench.now + Duration::from_secs(10);
        // Older than what is known by a second, then by years; then from a clock that is ahead.
        for history in [
            r#"[{"n":"/4/0/8","t":-12,"v":9}]"#,
            r#"[{"n":"/4/0/8","bt":1276020076,"v":9}]"#,
        ] {
            assert_eq!(bench.send_json(1, history), Code::CHANGED);
            assert_eq!(bench.report(), None);
        }
        let ahead = r#"[{"n":"/4/0/8","bt":1895000000,"v":5}]"#;
        assert_eq!(bench.send_json(1, ahead), Code::CHANGED);
        let report = bench.report().unwrap();
        assert_eq!(report.cell_id, Some(CellId(5)));
        assert_eq!(report.reported_at, Some(bench.now.utc));
    }

    #[test]
    fn values_that_mean_nothing_are_unknown_and_no_version_takes_none_away() {
        let mut bench = Bench::with_device();
        bench.send_json(1, ALL);
        let nothing =
            r#"[{"n":"/3/0/3","vs":""},{"n":"/4/0/8","v":268435456},{"n":"/4/0/2","v":99}]"#;
        assert_eq!(bench.send_json(1, nothing), Code::CHANGED);
        let report = bench.report().unwrap();
        assert_eq!((report.cell_id, report.rsrp_dbm), (None, None));
        assert_eq!(report.tier, Some(CoverageTier::Unknown));
        assert_eq!(report.firmware_version.unwrap().as_str(), "1.0.1");
    }

    #[test]
    fn a_stranger_is_not_found_and_changes_nothing() {
        let mut bench = Bench::with_device();
        assert_eq!(bench.send_json(2, ALL), Code::NOT_FOUND);
        assert!(bench.records.is_empty() && bench.heard.is_empty());
        assert_eq!(bench.engine.counters().sends_unknown, 1);
        assert_eq!(bench.engine.counters().sends, 0);
    }

    #[test]
    fn an_address_that_several_devices_have_is_nobodys_until_one_has_left_it() {
        let mut bench = Bench::with_device();
        bench.register("b", 1);
        assert_eq!(bench.send_json(1, ALL), Code::NOT_FOUND);
        assert!(bench.records.is_empty() && bench.heard.is_empty());
        assert_eq!(bench.engine.counters().sends_ambiguous, 1);
        bench.register("b", 2);
        assert_eq!(bench.send_json(1, ALL), Code::CHANGED);
        assert_eq!(bench.heard, ["a"]);
        assert_eq!(bench.send_json(2, ALL), Code::CHANGED);
        assert_eq!(bench.heard, ["b"]);
    }

    #[test]
    fn what_is_malformed_is_refused_and_no_contact() {
        let mut bench = Bench::with_device();
        for payload in ["", "{}", r#"[{"n":"/4/0/8","v":1},{"n":"/4/0/2"}]"#] {
            assert_eq!(bench.send_json(1, payload), Code::BAD_REQUEST, "{payload}");
            assert!(bench.records.is_empty() && bench.heard.is_empty());
        }
        let unnamed = Request::new(Code::POST, "/dp");
        assert_eq!(bench.request(1, unnamed), Code::BAD_REQUEST);
        let text = bench.send(1, ContentFormat::TEXT, b"4711");
        assert_eq!(text, Code::UNSUPPORTED_CONTENT_FORMAT);
        assert_eq!(bench.engine.counters().sends_malformed, 5);
        bench.engine.config.pack.records_max = 1;
        assert_eq!(bench.send_json(1, ALL), Code::BAD_REQUEST);
        let read = Request::new(Code::GET, "/dp");
        assert_eq!(bench.request(1, read), Code::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn a_devices_own_data_is_kept_with_its_time_or_refused_for_its_length() {
        let mut bench = Bench::with_device();
        let json = r#"[{"n":"/19/0/0","vd":"AQID"},{"n":"/19/0/0","t":-60,"vd":"BA"}]"#;
        assert_eq!(bench.send_json(1, json), Code::CHANGED);
        let kept: Vec<_> = bench
            .records
            .iter()
            .filter_map(|record| {
                let Record::Uplink { uplink, kept: 16 } = record else {
                    return None;
                };
                let age = bench.now.utc.saturating_since(uplink.at);
                Some((uplink.payload.to_vec(), age.as_secs()))
            })
            .collect();
        assert_eq!(kept, [(vec![1, 2, 3], 0), (vec![4], 60)]);
        bench.engine.config.uplinks.payload_bytes_max = 2;
        assert_eq!(bench.send_json(1, json), Code::REQUEST_ENTITY_TOO_LARGE);
        assert!(bench.records.is_empty() && bench.heard.is_empty());
        let counters = bench.engine.counters();
        assert_eq!((counters.uplinks, counters.uplinks_too_long), (2, 1));
    }

    #[test]
    fn a_duplicate_is_answered_and_not_taken_again() {
        let mut bench = Bench::with_device();
        let request = Request::new(Code::POST, "/dp")
            .with_payload(ContentFormat::SENML_JSON, ALL.as_bytes().to_vec());
        for sends in [1, 1] {
            let code = bench.datagram(1, request.clone(), MessageId(4000));
            assert_eq!(code, Code::CHANGED);
            assert_eq!(bench.engine.counters().sends, sends);
        }
        assert!(bench.records.is_empty() && bench.heard.is_empty());
    }
}
