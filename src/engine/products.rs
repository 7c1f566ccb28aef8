//! Products: how the devices of each want to be treated.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::clock::Now;
use crate::model::{
    CampaignId, Delivery, Device, DeviceModel, DeviceReport, DeviceType, DownloadProtocol,
    EndpointName, Manufacturer, Package, Product, ProductSettings, ProfileId,
};
use crate::profile::product_settings;

use super::campaigns::RunningCampaign;
use super::tasks::TaskEntry;
use super::{CommandError, Engine, EngineConfig};

/// What the operator says a device is, as a number among [`Products::kinds`]. 0: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceKind(u32);

type ProductName = (Manufacturer, DeviceModel);

/// What devices were entered as. What was left out, each may report: strangers add none of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entered {
    manufacturer: Option<Manufacturer>,
    model: Option<DeviceModel>,
    device_type: Option<DeviceType>,
}

impl Entered {
    fn of(device: &Device) -> Self {
        Self {
            manufacturer: device.manufacturer.clone(),
            model: device.model.clone(),
            device_type: device.device_type.clone(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.manufacturer.is_none() && self.model.is_none() && self.device_type.is_none()
    }

    /// The names, where a device's `report` adds what was left out.
    fn name(&self, report: Option<&DeviceReport>) -> Option<ProductName> {
        let manufacturer = self.manufacturer.as_ref();
        let manufacturer = manufacturer.or_else(|| report?.manufacturer.as_ref())?;
        let model = self.model.as_ref().or_else(|| report?.model.as_ref())?;
        Some((manufacturer.clone(), model.clone()))
    }
}

/// The settings of every product, and of which product devices are.
#[derive(Debug)]
pub(super) struct Products {
    defaults: Arc<ProductSettings>,
    products_max: usize,
    kinds_max: usize,
    products: BTreeMap<ProductName, BTreeMap<DeviceType, (ProfileId, Arc<ProductSettings>)>>,
    /// What devices were entered as; behind each the settings that come of it, whatever they report.
    kinds: Vec<(Entered, Option<Arc<ProductSettings>>)>,
    kind_of: HashMap<Entered, DeviceKind>,
}

impl Products {
    pub(super) fn new(config: &EngineConfig) -> Self {
        Self {
            defaults: Arc::new(config.product.clone()),
            products_max: config.products_max,
            kinds_max: config.device_kinds_max,
            products: BTreeMap::new(),
            kinds: Vec::new(),
            kind_of: HashMap::new(),
        }
    }

    /// How many products have a profile.
    pub(super) fn len(&self) -> usize {
        self.products.values().map(BTreeMap::len).sum()
    }

    /// How many kinds devices were entered as.
    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    fn set(&mut self, product: Product) -> Result<(), CommandError> {
        let settings = Arc::new(product_settings(&self.defaults, &product));
        let is_new = |known: Option<&BTreeMap<_, _>>| {
            known.is_none_or(|types| !types.contains_key(&product.device_type))
        };
        let name = (product.manufacturer, product.model);
        if is_new(self.products.get(&name)) && self.len() >= self.products_max {
            let limit = self.products_max;
            return Err(CommandError::ProductsFull { limit });
        }
        let types = self.products.entry(name).or_default();
        types.insert(product.device_type, (product.profile, settings));
        self.refresh();
        Ok(())
    }

    fn remove(&mut self, profile: ProfileId) {
        for types in self.products.values_mut() {
            types.retain(|_, (of, _)| *of != profile);
        }
        self.products.retain(|_, types| !types.is_empty());
        self.refresh();
    }

    /// The settings of a kind change with the profiles.
    fn refresh(&mut self) {
        let mut kinds = std::mem::take(&mut self.kinds);
        for (entered, settings) in &mut kinds {
            *settings = self.of_entered(entered);
        }
        self.kinds = kinds;
    }

    /// The settings of a product; where the device type is not known, of the only one that fits.
    fn find(&self, name: &ProductName, device_type: Option<&DeviceType>) -> &Arc<ProductSettings> {
        let Some(types) = self.products.get(name) else {
            return &self.defaults;
        };
        let found = match device_type {
            Some(device_type) => types.get(device_type),
            None if types.len() == 1 => types.values().next(),
            None => None,
        };
        found.map_or(&self.defaults, |(_, settings)| settings)
    }

    /// What all devices come to that were entered so; `None` where a part is theirs to report.
    fn of_entered(&self, entered: &Entered) -> Option<Arc<ProductSettings>> {
        let name = entered.name(None)?;
        Some(Arc::clone(self.find(&name, entered.device_type.as_ref())))
    }

    /// What a device was entered as. Beyond the most kinds, one is as if nothing was said of it.
    pub(super) fn kind(&mut self, device: &Device) -> DeviceKind {
        let entered = Entered::of(device);
        if entered.is_empty() {
            return DeviceKind::default();
        }
        if let Some(kind) = self.kind_of.get(&entered) {
            return *kind;
        }
        if self.kinds.len() >= self.kinds_max {
            tracing::error!(endpoint = %device.endpoint, "no room for another product's devices");
            return DeviceKind::default();
        }
        self.kinds
            .push((entered.clone(), self.of_entered(&entered)));
        let kind = DeviceKind(u32::try_from(self.kinds.len()).unwrap_or(0));
        self.kind_of.insert(entered, kind);
        kind
    }

    /// The settings of a device by what was entered of it, and by what it reports where that was left out.
    /// Each is asked for only where it matters: of a large fleet it is far away in the memory.
    fn of<'a>(
        &'a self,
        kind: impl FnOnce() -> DeviceKind,
        report: impl FnOnce() -> Option<&'a DeviceReport>,
    ) -> &'a Arc<ProductSettings> {
        if self.products.is_empty() {
            return &self.defaults;
        }
        let number = usize::try_from(kind().0).ok();
        let entered = number.and_then(|number| self.kinds.get(number.checked_sub(1)?));
        if let Some((_, Some(settings))) = entered {
            return settings;
        }
        let nothing = Entered {
            manufacturer: None,
            model: None,
            device_type: None,
        };
        let entered = entered.map_or(&nothing, |(entered, _)| entered);
        match entered.name(report()) {
            Some(name) => self.find(&name, entered.device_type.as_ref()),
            None => &self.defaults,
        }
    }

    /// The settings of the devices that a package is for.
    pub(super) fn of_package(&self, package: &Package) -> &Arc<ProductSettings> {
        if self.products.is_empty() {
            return &self.defaults;
        }
        let name = (package.manufacturer.clone(), package.model.clone());
        self.find(&name, Some(&package.device_type))
    }
}

impl Engine {
    /// How a device is to be treated now: a running update keeps the settings that it began with.
    pub(super) fn settings_of(&self, endpoint: &EndpointName) -> &Arc<ProductSettings> {
        let task = self.task_of.get(endpoint);
        match task.and_then(|id| self.tasks.get(id)) {
            Some(TaskEntry::Running(session)) => return session.settings(),
            Some(TaskEntry::Idle(task)) => {
                if let Some(running) = self.campaigns.get(&task.campaign) {
                    return self.products.of_package(&running.package);
                }
            }
            None => {}
        }
        let kind = || self.known.get(endpoint).copied().unwrap_or_default();
        self.products.of(kind, || self.reports.get(endpoint))
    }

    /// Learns how a product's devices want to be treated, which its profile in the store says.
    pub(super) fn set_product(&mut self, now: Now, product: Product) -> Result<(), CommandError> {
        if !product.is_lwm2m() {
            return Ok(());
        }
        let before = self.contact_timeouts();
        self.products.set(product)?;
        for (id, timeout) in before {
            self.contact_timeout_changed(now, id, timeout);
        }
        Ok(())
    }

    /// A profile was taken away: its devices are treated as by default.
    pub(super) fn remove_product(&mut self, profile: ProfileId) {
        self.products.remove(profile);
    }

    /// What stands before the capability in the URI that devices of these settings are told.
    pub(super) fn download_base(&self, settings: &ProductSettings) -> Option<&String> {
        match settings.download {
            DownloadProtocol::Coap => self.config.download_base.as_ref(),
            DownloadProtocol::Http => self.config.http_download_base.as_ref(),
        }
    }

    /// Active campaigns whose devices have nothing to fetch from: they are held.
    pub fn campaigns_without_base(&self) -> Vec<CampaignId> {
        let without = self.campaigns.iter().filter(|(_, it)| self.is_held(it));
        without.map(|(id, _)| *id).collect()
    }

    /// Whether no update of a campaign can begin, for want of a place to fetch from.
    pub(super) fn is_held(&self, running: &RunningCampaign) -> bool {
        let settings = self.products.of_package(&running.package);
        self.check_base(settings).is_err()
    }

    /// Devices of these settings can be told where to fetch from, or are told nothing.
    pub(super) fn check_base(&self, settings: &ProductSettings) -> Result<(), CommandError> {
        // What is pushed is fetched from nowhere.
        if settings.delivery == Delivery::Push || self.download_base(settings).is_some() {
            return Ok(());
        }
        Err(match settings.download {
            DownloadProtocol::Coap => CommandError::NoPublicHost,
            DownloadProtocol::Http => CommandError::NoDeviceHttp,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::clock::{Now, Utc};
    use crate::coap::{Code, Message, MessageId, MessageType, Request, Token};
    use crate::engine::{Command, EndedTasks, Output};
    use crate::model::{
        Campaign, CampaignId, CampaignState, CampaignTargets, Component, FirmwareVersion,
        PackageFile, PackageId, PackageKind, Peer, Provenance, ReleaseNotes, RetryPolicy, Setting,
        SettingChanges, SettingValue, Sha256Digest, TaskId, UpdateTask,
    };

    const MODELS: [&str; 2] = ["NB-1", "NB-2"];

    fn endpoint(index: usize) -> EndpointName {
        EndpointName::parse(["a", "b"][index]).unwrap()
    }

    fn device(index: usize, device_type: &str) -> Device {
        Device {
            endpoint: endpoint(index),
            manufacturer: Manufacturer::parse("Acme").ok(),
            model: DeviceModel::parse(MODELS[index]).ok(),
            device_type: DeviceType::parse(device_type).ok(),
            tags: Vec::new(),
            created_at: Utc::default(),
        }
    }

    fn package(index: usize) -> Package {
        let device = device(index, "WaterMeter");
        Package {
            id: PackageId(1),
            manufacturer: device.manufacturer.unwrap(),
            model: device.model.unwrap(),
            device_type: device.device_type.unwrap(),
            protocol: "LWM2M".to_owned(),
            target_version: FirmwareVersion::parse("2").unwrap(),
            source_versions: Vec::new(),
            kind: PackageKind::Full,
            component: Component::Module,
            file: PackageFile {
                name: "a.bin".to_owned(),
                sha256: Sha256Digest([0; 32]),
                size_bytes: 1,
            },
            more_files: Vec::new(),
            archive_sha256: Sha256Digest([1; 32]),
            provenance: Provenance::Signed {
                key_id: "00".repeat(32),
            },
            sequence: None,
            not_after: None,
            release_notes: ReleaseNotes::default(),
            uploaded_at: Utc::default(),
        }
    }

    /// A value that no default has.
    fn other(setting: Setting) -> SettingValue {
        match ProductSettings::default().value(setting) {
            SettingValue::Word(word) => {
                let mut words = setting.words().iter();
                SettingValue::Word(words.find(|it| **it != word).unwrap())
            }
            SettingValue::Flag(flag) => SettingValue::Flag(!flag),
            SettingValue::Number(number) => SettingValue::Number(number + 1),
            SettingValue::Time(time) => SettingValue::Time(time + Duration::from_secs(7)),
            SettingValue::Borders([first, ..]) => {
                SettingValue::Borders([first - 1, first - 2, first - 3])
            }
        }
    }

    fn product(profile: u64, model: &str, device_type: &str, setting: Setting) -> Product {
        let mut changes = SettingChanges::default();
        changes.set(setting, other(setting)).unwrap();
        Product {
            profile: ProfileId(profile),
            device_type: DeviceType::parse(device_type).unwrap(),
            manufacturer: Manufacturer::parse("Acme").unwrap(),
            model: DeviceModel::parse(model).unwrap(),
            protocol: "CoAP".to_owned(),
            quirks: None,
            changes,
        }
    }

    fn command(engine: &mut Engine, command: Command) {
        engine.handle_command(Now::default(), command).unwrap();
    }

    /// Two devices that listen, of one product each.
    fn engine(config: EngineConfig) -> Engine {
        let mut engine = Engine::new(config, [1; 32]);
        let devices = [0, 1].map(|index| device(index, "WaterMeter"));
        command(&mut engine, Command::AddDevices(devices.into()));
        for index in [0, 1] {
            let request = Request::new(Code::POST, "/rd")
                .with_query("lwm2m=1.0")
                .with_query(&format!("ep={}", endpoint(index)))
                .with_query("lt=600");
            let datagram = Message {
                kind: MessageType::Confirmable,
                code: request.code,
                id: MessageId(1),
                token: Token::EMPTY,
                options: request.options,
                payload: Bytes::from_static(b"</5/0>"),
            };
            let octet = u8::try_from(index).unwrap() + 1;
            let peer = Peer::Address(SocketAddr::from(([10, 0, 0, octet], 40_000)));
            engine.handle_datagram(Now::default(), &peer, &datagram.encode().to_vec());
        }
        engine
    }

    fn config() -> EngineConfig {
        EngineConfig {
            download_base: Some("coap://192.0.2.1/fw/".to_owned()),
            http_download_base: Some("http://192.0.2.1/fw/".to_owned()),
            ..EngineConfig::default()
        }
    }

    /// A campaign for each device, whose updates begin at once.
    fn begin(engine: &mut Engine) {
        run(engine);
        engine.handle_timeout(Now::default());
        for index in [0, 1] {
            assert!(engine.running_task(&endpoint(index)).is_some());
        }
    }

    /// A campaign for each device.
    fn run(engine: &mut Engine) {
        for index in [0, 1] {
            let number = index as u64 + 1;
            let id = CampaignId(number);
            let campaign = Campaign {
                id,
                name: String::new(),
                package: PackageId(1),
                targets: CampaignTargets::default(),
                retry: RetryPolicy::default(),
                state: CampaignState::Draft,
                downgrade: None,
                admission: None,
                policy: Default::default(),
                rollout: Default::default(),
                created_by: String::new(),
                created_at: Utc::default(),
                activated_at: None,
                ended_at: None,
                consented_at: None,
                archived_at: None,
            };
            let task = UpdateTask::new(TaskId(number), id, endpoint(index), Utc::default());
            let run = Command::RunCampaign {
                campaign,
                package: package(index),
                image: Bytes::from_static(b"x"),
                tasks: vec![task],
                ended: EndedTasks::default(),
                installed: Default::default(),
            };
            command(engine, run);
        }
    }

    fn value(engine: &Engine, index: usize, setting: Setting) -> SettingValue {
        engine.settings_of(&endpoint(index)).value(setting)
    }

    #[test]
    fn each_setting_reaches_the_updates_of_its_product_and_no_others() {
        let default = |setting| ProductSettings::default().value(setting);
        for &setting in Setting::ALL {
            let mut engine = engine(config());
            let product = product(1, MODELS[1], "WaterMeter", setting);
            command(&mut engine, Command::SetProduct(product));
            // Without an update of theirs too.
            assert_eq!(value(&engine, 0, setting), default(setting), "{setting}");
            assert_eq!(value(&engine, 1, setting), other(setting), "{setting}");
            begin(&mut engine);
            assert_eq!(value(&engine, 0, setting), default(setting), "{setting}");
            assert_eq!(value(&engine, 1, setting), other(setting), "{setting}");
        }
    }

    #[test]
    fn what_has_begun_keeps_its_settings_and_what_begins_has_the_new_ones() {
        let setting = Setting::TrustResultOnly;
        let mut engine = engine(config());
        begin(&mut engine);
        for model in MODELS {
            let product = product(1, model, "WaterMeter", setting);
            command(&mut engine, Command::SetProduct(product));
        }
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(false));
        command(
            &mut engine,
            Command::StopCampaign {
                id: CampaignId(1),
                mode: crate::model::StopMode::Hard,
            },
        );
        while engine.running_task(&endpoint(0)).is_some() {
            let Output::Timeout(Some(at)) = engine.poll_output() else {
                continue;
            };
            let now = Now {
                instant: at,
                ..Now::default()
            };
            engine.handle_timeout(now);
        }
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(true));
    }

    #[test]
    fn a_profile_that_is_taken_away_or_of_another_protocol_changes_nothing() {
        let setting = Setting::ObserveResult;
        let mut engine = engine(config());
        let mut mqtt = product(2, MODELS[0], "WaterMeter", setting);
        mqtt.protocol = "MQTT".to_owned();
        command(&mut engine, Command::SetProduct(mqtt));
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(false));
        let known = product(1, MODELS[1], "WaterMeter", setting);
        command(&mut engine, Command::SetProduct(known));
        assert_eq!(value(&engine, 1, setting), SettingValue::Flag(true));
        command(&mut engine, Command::RemoveProduct(ProfileId(1)));
        assert_eq!(value(&engine, 1, setting), SettingValue::Flag(false));
        assert_eq!(engine.held().products, 0);
    }

    #[test]
    fn an_onboarded_device_is_of_the_only_product_that_fits() {
        let setting = Setting::ObserveResult;
        let mut engine = engine(config());
        let nobody = Device {
            manufacturer: None,
            model: None,
            device_type: None,
            ..device(0, "WaterMeter")
        };
        command(&mut engine, Command::AddDevices(vec![nobody]));
        let report = DeviceReport {
            manufacturer: Manufacturer::parse("Acme").ok(),
            model: DeviceModel::parse(MODELS[0]).ok(),
            ..DeviceReport::default()
        };
        engine.set_report(&endpoint(0), report);
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(false));
        for (number, device_type, expected) in [(1, "WaterMeter", true), (2, "GasMeter", false)] {
            let product = product(number, MODELS[0], device_type, setting);
            command(&mut engine, Command::SetProduct(product));
            assert_eq!(value(&engine, 0, setting), SettingValue::Flag(expected));
        }
        // The operator says which.
        let mut device = device(0, "GasMeter");
        (device.manufacturer, device.model) = (None, None);
        command(&mut engine, Command::AddDevices(vec![device]));
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(true));
    }

    #[test]
    fn what_a_device_reports_counts_whenever_it_does_beside_what_was_entered() {
        let setting = Setting::ObserveResult;
        let report = DeviceReport {
            manufacturer: Manufacturer::parse("Acme").ok(),
            model: DeviceModel::parse(MODELS[0]).ok(),
            ..DeviceReport::default()
        };
        for (device_type, expected) in [("WaterMeter", false), ("GasMeter", true)] {
            for reports_first in [true, false] {
                let mut engine = Engine::new(config(), [1; 32]);
                let mut entered = device(0, device_type);
                (entered.manufacturer, entered.model) = (None, None);
                if reports_first {
                    engine.set_report(&endpoint(0), report.clone());
                }
                command(&mut engine, Command::AddDevices(vec![entered]));
                // The only one, and of another type than one of the two is of.
                let gas = product(1, MODELS[0], "GasMeter", setting);
                command(&mut engine, Command::SetProduct(gas));
                engine.set_report(&endpoint(0), report.clone());
                let expected = SettingValue::Flag(expected);
                assert_eq!(value(&engine, 0, setting), expected, "{device_type}");
            }
        }
    }

    #[test]
    fn a_contact_timeout_that_changes_counts_from_the_activation() {
        let mut engine = Engine::new(config(), [1; 32]);
        let devices = [0, 1].map(|index| device(index, "WaterMeter"));
        command(&mut engine, Command::AddDevices(devices.into()));
        run(&mut engine);
        let mut product = product(1, MODELS[1], "WaterMeter", Setting::TrustResultOnly);
        let minutes = |count: u64| Duration::from_secs(count * 60);
        // Longer than it was to be, then shorter.
        for (passed, timeout) in [(1, 2_000), (2, 10)] {
            let timeout = SettingValue::Time(minutes(timeout));
            let changes = &mut product.changes;
            changes.set(Setting::ContactTimeout, timeout).unwrap();
            let set = Command::SetProduct(product.clone());
            let now = Now::default() + minutes(passed);
            engine.handle_command(now, set).unwrap();
        }
        for (passed, left) in [(9, 2), (10, 1), (1_439, 1), (1_440, 0)] {
            engine.handle_timeout(Now::default() + minutes(passed));
            assert_eq!(engine.tasks.len(), left, "after {passed} minutes");
        }
    }

    #[test]
    fn products_and_kinds_of_devices_are_bounded() {
        let mut engine = engine(EngineConfig {
            products_max: 1,
            device_kinds_max: 2,
            ..config()
        });
        let setting = Setting::ObserveResult;
        assert_eq!(engine.held().device_kinds, 2);
        let third = device(0, "GasMeter");
        command(&mut engine, Command::AddDevices(vec![third]));
        assert_eq!(engine.held().device_kinds, 2);
        let first = product(1, MODELS[0], "GasMeter", setting);
        command(&mut engine, Command::SetProduct(first.clone()));
        let second = product(2, MODELS[1], "WaterMeter", setting);
        let full = engine.handle_command(Now::default(), Command::SetProduct(second));
        assert_eq!(full, Err(CommandError::ProductsFull { limit: 1 }));
        // One that is known changes.
        command(&mut engine, Command::SetProduct(first));
        assert_eq!(engine.held().products, 1);
        // One for whom there was no kind is as if nothing was said of it.
        assert_eq!(value(&engine, 0, setting), SettingValue::Flag(false));
    }
}
