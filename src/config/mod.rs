//! What an operator can set: one struct a section, each with its default.
//!
//! Flags override `NARROWCAST__SECTION__KEY`, which overrides the TOML file, which overrides the
//! defaults here.

mod cells;
mod coap;
mod device_http;
mod device_https;
mod device_requests;
mod events;
mod explain;
mod flapping;
mod http;
mod loop_guard;
mod register_rate;
mod template;
mod update;
mod waiting_room;
mod word;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

pub use cells::{CellBorders, CellLimits, CellsConfig, LimitsConfig};
pub use coap::{CoapConfig, OnboardingConfig, PresetConfig};
pub use device_http::DeviceHttpConfig;
pub use device_https::DeviceHttpsConfig;
pub use device_requests::{DeviceRequestsConfig, UplinksConfig};
pub use events::{EventsConfig, WebhooksConfig};
pub use explain::{Setting, explained};
pub use flapping::FlappingSettings;
pub use http::{HttpConfig, MetricsConfig};
pub use loop_guard::LoopGuardSettings;
pub use register_rate::RegisterRateSettings;
pub use template::default_file;
pub use update::UpdateConfig;
pub use waiting_room::WaitingRoomConfig;

use crate::engine::EngineConfig;
use crate::model::{Delivery, DownloadProtocol, ProductSettings};
use crate::net::is_wildcard;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// All settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the store and the package bytes lie.
    pub data_dir: PathBuf,
    /// The device side.
    pub coap: CoapConfig,
    /// Where devices fetch packages by HTTP.
    pub device_http: DeviceHttpConfig,
    /// Where devices fetch packages by HTTPS.
    pub device_https: DeviceHttpsConfig,
    /// The operators' side.
    pub http: HttpConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Time-outs and habits of an update.
    pub update: UpdateConfig,
    /// When a device that is given packages again and again is barred.
    pub loop_guard: LoopGuardSettings,
    /// When several devices under one endpoint name are taken for such.
    pub flapping: FlappingSettings,
    /// How often a device may register.
    pub register_rate: RegisterRateSettings,
    /// What operators ask of devices.
    pub device_requests: DeviceRequestsConfig,
    /// What devices send of their own data.
    pub uplinks: UplinksConfig,
    /// How devices that wait for a slot are kept awake.
    pub waiting_room: WaitingRoomConfig,
    /// The stream of events.
    pub events: EventsConfig,
    /// Receivers of events.
    pub webhooks: WebhooksConfig,
    /// Coverage tiers and their limits.
    pub cells: CellsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./narrowcast-data"),
            coap: CoapConfig::default(),
            device_http: DeviceHttpConfig::default(),
            device_https: DeviceHttpsConfig::default(),
            http: HttpConfig::default(),
            metrics: MetricsConfig::default(),
            update: UpdateConfig::default(),
            loop_guard: LoopGuardSettings::default(),
            flapping: FlappingSettings::default(),
            register_rate: RegisterRateSettings::default(),
            device_requests: DeviceRequestsConfig::default(),
            uplinks: UplinksConfig::default(),
            waiting_room: WaitingRoomConfig::default(),
            events: EventsConfig::default(),
            webhooks: WebhooksConfig::default(),
            cells: CellsConfig::default(),
        }
    }
}

impl Config {
    /// Reads the file (if one is named), then the environment, over the defaults.
    ///
    /// # Errors
    /// Where the file is missing or unreadable, or a key is unknown or has a wrong value: the message
    /// names the key and where it stands.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError(format!("{}: no such file", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed("NARROWCAST__").split("__"))
            .extract()
            .map_err(|error| ConfigError(error.to_string()))?;
        config.check_values()?;
        Ok(config)
    }

    /// What the engine is told.
    pub fn engine(&self) -> EngineConfig {
        let mut engine = EngineConfig {
            product: ProductSettings {
                tier_borders: self.cells.borders(),
                ..self.update.product(self.coap.transmission)
            },
            loop_guard: self.loop_guard.guard(),
            flapping: self.flapping.detector(),
            register_rate: self.register_rate.rate(),
            device_requests: self.device_requests.limits(),
            uplinks: self.uplinks.limits(),
            tier_limits: self.cells.limits.limits(),
            cell_limits: self.cells.overrides(),
            cell_borders: Arc::new(self.cells.border_overrides()),
            admission: self.cells.admission(),
            passed_over_max: self.cells.passed_over_max,
            stretch_max: self.cells.stretch_max,
            overdue_after: self.cells.overdue_after(),
            starts_per_minute_max: NonZeroU32::new(self.cells.starts_per_minute_max),
            waiting_room: self.waiting_room.policy(),
            onboarding: self.coap.onboarding.into(),
            ..EngineConfig::default()
        };
        engine.coap.parameters = self.coap.transmission.preset().into();
        engine.registry.restart_grace = self.coap.restart_grace;
        engine
    }

    /// What types cannot say. [`Config::load`] has checked each value that it read, but not what flags may
    /// still say.
    ///
    /// # Errors
    /// The first key whose value cannot be used, with what could.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_values()?;
        self.device_https
            .check_files()
            .and_then(|()| self.check_download())
            .map_err(ConfigError)
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        self.coap
            .check()
            .and_then(|()| self.device_http.check())
            .and_then(|()| self.device_https.check())
            .and_then(|()| self.http.check())
            .and_then(|()| self.update.check())
            .and_then(|()| self.loop_guard.check())
            .and_then(|()| self.flapping.check())
            .and_then(|()| self.register_rate.check())
            .and_then(|()| self.device_requests.check(self.http.request_timeout))
            .and_then(|()| self.uplinks.check())
            .and_then(|()| self.waiting_room.check())
            .and_then(|()| self.events.check())
            .and_then(|()| self.webhooks.check(self.events.kept_for))
            .and_then(|()| self.cells.check())
            .map_err(ConfigError)
    }

    /// The host that devices fetch from by HTTP, where it is not the listener's own address.
    pub fn device_http_host(&self) -> Option<&str> {
        let own = self.device_http.public_host.as_deref();
        own.or(self.coap.public_host.as_deref())
    }

    /// The same by HTTPS.
    pub fn device_https_host(&self) -> Option<&str> {
        let own = self.device_https.public_host.as_deref();
        own.or_else(|| self.device_http_host())
    }

    /// Devices are told to fetch by HTTP only where they can.
    fn check_download(&self) -> Result<(), String> {
        if self.update.download != DownloadProtocol::Http || self.update.delivery == Delivery::Push
        {
            return Ok(());
        }
        match self.device_http.listen {
            None => Err(
                "update.download is \"http\", and devices have nothing to fetch from: set \
                 device_http.listen (--device-http)"
                    .to_owned(),
            ),
            Some(listen) if is_wildcard(listen) && self.device_http_host().is_none() => {
                Err(format!(
                    "update.download is \"http\", and {listen} is no address that devices can fetch \
                     from: set device_http.public_host or coap.public_host (--public-host)"
                ))
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObservationCancel, RadioUnit, SlotHeld, UpdateCancel};

    fn load(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()))
    }

    #[test]
    fn the_default_file_says_the_defaults() {
        let config = load(&default_file()).unwrap();
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            serde_json::to_value(Config::default()).unwrap()
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = load("[coap]\nlisten_on = \"127.0.0.1:1\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key() {
        let error = load("[update]\nresult_timeout = \"soon\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("result_timeout"), "{error}");
    }

    #[test]
    fn a_word_or_a_unit_is_taken_as_a_file_or_a_variable_writes_it() {
        for text in ["radio_unit = \"36133\"", "radio_unit = 36133"] {
            let config = load(&format!("[update]\n{text}\n")).unwrap();
            assert_eq!(config.update.radio_unit, RadioUnit::Ts36133, "{text}");
        }
    }

    #[test]
    fn a_wrong_word_is_answered_with_its_key_and_the_right_ones() {
        let errors = [
            (
                "observation_cancel = \"never\"",
                ["never", "`after_result`, `after_download`"],
            ),
            (
                "radio_unit = \"DBM\"",
                ["DBM", "`auto`, `dbm`, `deci_dbm`, `csq`, `36133`"],
            ),
            ("radio_unit = 36134", ["36134", "`csq`, `36133`"]),
            ("radio_unit = -1", ["-1", "`csq`, `36133`"]),
            ("radio_unit = true", ["true", "`csq`, `36133`"]),
            (
                "slot_held = \"until_download\"",
                ["until_download", "`until_result`, `until_downloaded`"],
            ),
            ("delivery = \"both\"", ["both", "`pull`, `push`, `auto`"]),
            ("download = \"ftp\"", ["ftp", "`coap`, `http`"]),
            (
                "cancel = \"reset\"",
                ["reset", "`none`, `execute`, `empty_uri`"],
            ),
            ("observe_result = \"yes\"", ["yes", "a boolean"]),
            ("trust_result_only = 1", ["1", "a boolean"]),
        ];
        for (text, says) in errors {
            let error = load(&format!("[update]\n{text}\n"))
                .unwrap_err()
                .to_string();
            let (key, _) = text.split_once(' ').unwrap();
            assert!(error.contains(&format!("update.{key}")), "{error}");
            for part in says {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn what_a_product_wants_reaches_the_engine() {
        let text = "[update]\nobservation_cancel = \"after_download\"\nobserve_result = true\n\
                    radio_unit = \"csq\"\ntrust_result_only = true\nslot_held = \"until_downloaded\"\n\
                    delivery = \"auto\"\ncancel = \"execute\"\ndownload = \"http\"\n\
                    [device_http]\nlisten = \"127.0.0.1:0\"\n";
        let expected = ProductSettings {
            observation_cancel: ObservationCancel::AfterDownload,
            slot_held: SlotHeld::UntilDownloaded,
            delivery: Delivery::Auto,
            download: DownloadProtocol::Http,
            cancel: UpdateCancel::Execute,
            observe_result: true,
            radio_unit: RadioUnit::Csq,
            trust_result_only: true,
            ..ProductSettings::default()
        };
        assert_eq!(load(text).unwrap().engine().product, expected);
        let defaults = load("").unwrap().engine().product;
        assert_eq!(defaults, ProductSettings::default());
    }

    #[test]
    fn devices_are_told_to_fetch_by_http_only_where_they_can() {
        const HTTP: &str = "[update]\ndownload = \"http\"\n";
        let listening = |listen: &str| format!("{HTTP}[device_http]\nlisten = \"{listen}\"\n");
        for (text, says) in [
            (HTTP.to_owned(), "device_http.listen (--device-http)"),
            (listening("0.0.0.0:8090"), "device_http.public_host"),
        ] {
            // A flag may still say it.
            let config = load(&text).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(
                error.contains("update.download") && error.contains(says),
                "{error}"
            );
        }
        let host = "public_host = \"203.0.113.5\"\n";
        for text in [
            listening("192.0.2.1:8090"),
            format!("{}{host}", listening("0.0.0.0:8090")),
            format!("{}[coap]\n{host}", listening("0.0.0.0:8090")),
            format!("{HTTP}delivery = \"push\"\n"),
        ] {
            assert!(load(&text).unwrap().check().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_time_that_ends_every_task_or_none_is_named() {
        for (text, key) in [
            (
                "[update]\ncontact_timeout = \"0s\"\n",
                "update.contact_timeout",
            ),
            ("[update]\nquarantine = \"1000000y\"\n", "update.quarantine"),
            ("[coap]\nrestart_grace = \"2y\"\n", "coap.restart_grace"),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(load("[update]\nversion_settle = \"0s\"\n").is_ok());
    }

    #[test]
    fn the_loop_guards_settings_reach_the_engine_within_their_bounds() {
        let text = "[loop_guard]\ndeliveries_max = 3\nwindow = \"2h\"\n";
        let guard = load(text).unwrap().engine().loop_guard;
        assert_eq!(guard.deliveries_max, 3);
        assert_eq!(guard.window, std::time::Duration::from_secs(7200));
        for (line, key) in [
            ("deliveries_max = 0", "loop_guard.deliveries_max must be 1"),
            ("deliveries_max = 1001", "loop_guard.deliveries_max"),
            ("window = \"0s\"", "loop_guard.window"),
            ("window = \"2y\"", "loop_guard.window"),
        ] {
            let error = load(&format!("[loop_guard]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn how_often_a_device_may_register_reaches_the_engine_within_its_bounds() {
        let text = "[register_rate]\nregisters_max = 5\nwindow = \"3m\"\nendpoints_max = 7\n";
        let rate = load(text).unwrap().engine().register_rate;
        assert_eq!((rate.registers_max, rate.endpoints_max), (5, 7));
        assert_eq!(rate.window, std::time::Duration::from_secs(180));
        for (line, says) in [
            (
                "registers_max = 0",
                "register_rate.registers_max must be at",
            ),
            ("window = \"0s\"", "register_rate.window"),
            ("endpoints_max = 0", "register_rate.endpoints_max must be 1"),
            ("endpoints_max = 2000001", "register_rate.endpoints_max"),
        ] {
            let error = load(&format!("[register_rate]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_taken_for_flapping_reaches_the_engine_within_its_bounds() {
        let text = "[flapping]\ntakeovers_max = 5\nwindow = \"3m\"\nendpoints_max = 7\n";
        let flapping = load(text).unwrap().engine().flapping;
        assert_eq!((flapping.takeovers_max, flapping.endpoints_max), (5, 7));
        assert_eq!(flapping.window, std::time::Duration::from_secs(180));
        for (line, key) in [
            ("takeovers_max = 0", "flapping.takeovers_max must be 1"),
            ("takeovers_max = 1001", "flapping.takeovers_max"),
            ("window = \"0s\"", "flapping.window"),
            ("window = \"2y\"", "flapping.window"),
            ("endpoints_max = 0", "flapping.endpoints_max must be 1"),
            ("endpoints_max = 2000001", "flapping.endpoints_max"),
        ] {
            let error = load(&format!("[flapping]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn how_cells_admit_reaches_the_engine_within_its_bounds() {
        let config = load("[cells]\nadmission = \"strictest\"\nairtime_permille = 700\n").unwrap();
        let admission = config.engine().admission;
        assert_eq!(admission.to_string(), "strictest, airtime 700 permille");
        let error = load("[cells]\nairtime_permille = 1001\n").unwrap_err();
        assert!(error.to_string().contains("0 to 1000"), "{error}");
    }

    #[test]
    fn borders_must_fall_from_tier_to_tier() {
        let error = load("[cells]\nrsrp_borders_dbm = [-105, -100, -125]\n").unwrap_err();
        assert!(error.to_string().contains("rsrp_borders_dbm"), "{error}");
    }
}
