//! Personas: what is known of real modules and clients, as traits of a device. They are data; see
//! `personas.toml`. Sans-IO.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use super::quantity::{Time, TimeRange};
use crate::coap::ContentFormat;
use crate::sim::{CoapTimers, DeviceConfig, NotifyReliability, Quirks, Radio, SmallerBlocks};

const PERSONAS: &str = include_str!("personas.toml");

static READ: LazyLock<BTreeMap<String, Persona>> = LazyLock::new(|| {
    toml::from_str(PERSONAS).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the personas cannot be read");
        BTreeMap::new()
    })
});

/// One kind of module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// What it is of.
    pub title: String,
    /// Why it is so, with the source.
    pub says: String,
    /// How it behaves.
    pub(super) traits: Traits,
}

impl Persona {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        READ.get(name)
    }

    /// All of them, by name.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static Self)> {
        READ.iter().map(|(name, persona)| (name.as_str(), persona))
    }

    pub(super) fn names() -> Vec<&'static str> {
        READ.keys().map(String::as_str).collect()
    }
}

/// How a device behaves, where it is not as the default or as its persona.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Traits {
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    /// A quirk set of the server, which an operator would choose for such a product.
    pub(super) server_quirks: Option<String>,
    pub(super) coap: Option<CoapTimers>,
    pub(super) szx: Option<u8>,
    pub(super) smaller_blocks: Option<SmallerBlocksTrait>,
    pub(super) block_retries: Option<u8>,
    pub(super) sleep: Option<Sleep>,
    pub(super) awake: Option<Time>,
    pub(super) edrx_cycle: Option<Time>,
    pub(super) lifetime: Option<Time>,
    /// How long before its registration ends it prolongs it, where it has nothing to say before.
    pub(super) update_before_expiry: Option<Time>,
    /// How often the meter sends data of its own while the module downloads.
    pub(super) data_every: Option<Time>,
    pub(super) battery_percent: Option<u8>,
    pub(super) free_kib: Option<u32>,
    pub(super) nat_timeout: Option<Time>,
    pub(super) install: Option<TimeRange>,
    pub(super) reboot: Option<TimeRange>,
    pub(super) notify: Option<Notify>,
    pub(super) reports: Option<Reports>,
    pub(super) quirks: Option<Vec<Quirk>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmallerBlocksTrait {
    pub(super) after_bytes: usize,
    pub(super) szx: u8,
}

/// When its radio is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sleep {
    /// When it was quiet for `awake` (T3324); it hears nothing until it speaks again.
    #[default]
    Psm,
    /// The same, but it listens once in each `edrx_cycle`.
    Edrx,
    /// Never.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notify {
    Confirmable,
    NonConfirmable,
}

/// What of its radio a device reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reports {
    /// Cell, RSRP and SINR.
    #[default]
    All,
    /// Cell and RSRP.
    NoSinr,
    /// The cell alone.
    CellOnly,
    /// It has no Object 4.
    Nothing,
    /// Cell, and an RSRP of 255 with an SINR of -255.
    OutOfRange,
}

impl Reports {
    /// What is left of this.
    pub(super) const fn of(self, radio: Radio) -> Radio {
        match self {
            Self::All => radio,
            Self::NoSinr => Radio {
                sinr: None,
                ..radio
            },
            Self::CellOnly => Radio {
                rsrp: None,
                sinr: None,
                ..radio
            },
            Self::Nothing => Radio {
                cell_id: None,
                rsrp: None,
                sinr: None,
            },
            Self::OutOfRange => Radio {
                rsrp: Some(255),
                sinr: Some(-255),
                ..radio
            },
        }
    }
}

/// A habit; [`Quirks`] says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Quirk {
    WaitsForNotificationAck,
    OwnDownloadSocket,
    FirstRequestWithoutBlock2,
    RebootsBeforeExecuteAnswer,
    RemembersObservation,
    ResultReadsOnce,
    IgnoresUriUnlessIdle,
    AnswersTlv,
    ConstantVersion,
    NewPortAfterReboot,
    Resumes,
    TakesOnlyPush,
    Cancels,
    NeverNotifies,
    RestartsAfterRetransmission,
    SleepsWhileWaiting,
    ResumesInstall,
    ReusesToken,
}

impl Quirk {
    const fn add_to(self, quirks: &mut Quirks) {
        match self {
            Self::WaitsForNotificationAck => quirks.waits_for_notification_ack = true,
            Self::OwnDownloadSocket => quirks.own_download_socket = true,
            Self::FirstRequestWithoutBlock2 => quirks.first_request_without_block2 = true,
            Self::RebootsBeforeExecuteAnswer => quirks.reboots_before_execute_answer = true,
            Self::RemembersObservation => quirks.remembers_observation = true,
            Self::ResultReadsOnce => quirks.result_reads_once = true,
            Self::IgnoresUriUnlessIdle => quirks.ignores_uri_unless_idle = true,
            Self::AnswersTlv => quirks.answers_in = Some(ContentFormat::TLV),
            Self::ConstantVersion => quirks.constant_version = true,
            Self::NewPortAfterReboot => quirks.new_port_after_reboot = true,
            Self::Resumes => quirks.resumes = true,
            Self::TakesOnlyPush => quirks.takes_only_push = true,
            Self::Cancels => quirks.cancels = true,
            Self::NeverNotifies => quirks.never_notifies = true,
            Self::RestartsAfterRetransmission => quirks.restarts_after_retransmission = true,
            Self::SleepsWhileWaiting => quirks.sleeps_while_waiting = true,
            Self::ResumesInstall => quirks.resumes_install = true,
            Self::ReusesToken => quirks.reuses_token = true,
        }
    }
}

impl Traits {
    /// Which of these are said, over those of a persona.
    pub(super) fn over(self, persona: &Self) -> Self {
        let Self {
            manufacturer,
            model,
            server_quirks,
            coap,
            szx,
            smaller_blocks,
            block_retries,
            sleep,
            awake,
            edrx_cycle,
            lifetime,
            update_before_expiry,
            data_every,
            battery_percent,
            free_kib,
            nat_timeout,
            install,
            reboot,
            notify,
            reports,
            quirks,
        } = self;
        Self {
            manufacturer: manufacturer.or_else(|| persona.manufacturer.clone()),
            model: model.or_else(|| persona.model.clone()),
            server_quirks: server_quirks.or_else(|| persona.server_quirks.clone()),
            coap: coap.or(persona.coap),
            szx: szx.or(persona.szx),
            smaller_blocks: smaller_blocks.or(persona.smaller_blocks),
            block_retries: block_retries.or(persona.block_retries),
            sleep: sleep.or(persona.sleep),
            awake: awake.or(persona.awake),
            edrx_cycle: edrx_cycle.or(persona.edrx_cycle),
            lifetime: lifetime.or(persona.lifetime),
            update_before_expiry: update_before_expiry.or(persona.update_before_expiry),
            data_every: data_every.or(persona.data_every),
            battery_percent: battery_percent.or(persona.battery_percent),
            free_kib: free_kib.or(persona.free_kib),
            nat_timeout: nat_timeout.or(persona.nat_timeout),
            install: install.or(persona.install),
            reboot: reboot.or(persona.reboot),
            notify: notify.or(persona.notify),
            reports: reports.or(persona.reports),
            quirks: quirks.or_else(|| persona.quirks.clone()),
        }
    }

    pub(super) fn lifetime_or_default(&self) -> Duration {
        self.lifetime.map_or(LIFETIME, |Time(lifetime)| lifetime)
    }

    /// Gives a device what does not differ from one of its kind to the next.
    pub(super) fn give(&self, config: &mut DeviceConfig) {
        if let Some(manufacturer) = &self.manufacturer {
            config.manufacturer.clone_from(manufacturer);
        }
        if let Some(model) = &self.model {
            config.model.clone_from(model);
        }
        let seconds = |time: Option<Time>, default| time.map_or(default, |Time(time)| time);
        config.timers = Some(self.coap.unwrap_or(CoapTimers::NbiotTuned).into());
        config.szx = self.szx.unwrap_or(5);
        config.smaller_blocks = self.smaller_blocks.map(|it| SmallerBlocks {
            after_bytes: it.after_bytes,
            szx: it.szx,
        });
        config.block_retries = self.block_retries.unwrap_or(0);
        config.awake = seconds(self.awake, AWAKE);
        config.lifetime = self.lifetime_or_default();
        config.update_before_expiry = Some(seconds(
            self.update_before_expiry,
            UPDATE_BEFORE_EXPIRY.min(config.lifetime / 2),
        ));
        config.data_every = self.data_every.map(|Time(time)| time);
        config.condition.battery_percent = self.battery_percent;
        config.condition.free_kib = self.free_kib;
        config.nat_timeout = self.nat_timeout.map(|Time(time)| time);
        config.queue_mode = self.sleep.unwrap_or_default() == Sleep::Psm;
        config.edrx_cycle =
            (self.sleep == Some(Sleep::Edrx)).then(|| seconds(self.edrx_cycle, EDRX_CYCLE));
        config.notify = match self.notify {
            Some(Notify::NonConfirmable) => NotifyReliability::NonConfirmable,
            Some(Notify::Confirmable) | None => NotifyReliability::Confirmable,
        };
        for quirk in self.quirks.iter().flatten() {
            quirk.add_to(&mut config.quirks);
        }
    }
}

/// T3324 of a meter; assumption.
const AWAKE: Duration = Duration::from_secs(20);
/// Three days: one that speaks once a day may miss two.
const LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);
/// What 6 s, the default of a client, was found to be too short for (sdk-nrf, pull request 2498).
const UPDATE_BEFORE_EXPIRY: Duration = Duration::from_secs(30);
/// The shortest of NB-IoT (3GPP TS 24.008 §10.5.5.32).
const EDRX_CYCLE: Duration = Duration::from_millis(20_480);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_persona_is_read_with_a_reason_that_names_its_source() {
        let personas: BTreeMap<String, Persona> = toml::from_str(PERSONAS).unwrap();
        assert!(personas.len() >= 8, "{personas:?}");
        for (name, persona) in &personas {
            assert!(persona.says.contains("Source: "), "{name}");
            assert!(!persona.title.is_empty(), "{name}");
            if let Some(quirks) = &persona.traits.server_quirks {
                assert!(crate::profile::QuirkSet::find(quirks).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn what_a_mix_says_goes_before_what_its_persona_says() {
        let said = Traits {
            szx: Some(2),
            ..Traits::default()
        };
        let persona = Traits {
            szx: Some(6),
            model: Some("M".to_owned()),
            ..Traits::default()
        };
        let both = said.over(&persona);
        assert_eq!((both.szx, both.model.as_deref()), (Some(2), Some("M")));
    }
}
