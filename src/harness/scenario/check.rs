//! From a text to a scenario that can be run, or to its first fault. Sans-IO.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::document::{Cell, Document, FaultTable, Mix as MixTable, Run, Target};
use super::error::{Fault, Field};
use super::persona::{Persona, Sleep, Traits};
use super::quantity::{CellNumber, Probability, Time};
use super::signal::SignalMix;
use super::stage::Ramp;
use super::uplink::UplinkPattern;
use super::{CellPlan, Mix, Scenario, ScenarioError, TargetPlan, check_campaign, check_events};
use crate::clock::Utc;
use crate::model::{CellId, DeviceModel, Manufacturer};
use crate::profile::QuirkSet;
use crate::sim::{Chance, Faults, OperationMode, SignalDrift};

/// The longest file, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// The most of each.
const CELLS_MAX: usize = 100_000;
const MIXES_MAX: usize = 1000;
pub(super) const EVENTS_MAX: usize = 1000;

/// Midnight, 2026-11-22 in UTC: days of the wall's clock and of the run's begin together.
const START_UNIX_MS: i64 = 1_795_305_600_000;

const DURATION: Duration = Duration::from_secs(24 * 3600);

/// How often what a radio reports takes a step (assumption).
const DRIFT_STEP: Duration = Duration::from_secs(600);

pub(super) fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    if text.len() > TEXT_BYTES_MAX {
        let fault = Field::default().fault("the file is longer than 1 MiB");
        return Err(fault.at(text, 0));
    }
    let document = document(text)?;
    check(document, text).map_err(|fault| fault.located(text))
}

fn document(text: &str) -> Result<Document, ScenarioError> {
    let broken = |field: Field, error: &toml::de::Error| {
        let message = error.message().replace('\n', " ");
        let fault = field.fault(message);
        match error.span() {
            Some(span) if !span.is_empty() => fault.at(text, span.start),
            Some(_) | None => fault.located(text),
        }
    };
    let parser =
        toml::Deserializer::parse(text).map_err(|error| broken(Field::default(), &error))?;
    serde_path_to_error::deserialize(parser)
        .map_err(|error| broken(error.path().into(), error.inner()))
}

fn check(document: Document, text: &str) -> Result<Scenario, Fault> {
    let start = start(&document.run)?;
    let cells = cells(&document.cell)?;
    let mixes = mixes(document.mix, start)?;
    let count = document.devices.count;
    if !(1..=Scenario::DEVICES_MAX).contains(&count) {
        let told = format!("must be 1 to {}", Scenario::DEVICES_MAX);
        return Err(Field::of("devices").key("count").fault(told));
    }
    let run = document.run;
    let Time(duration) = run.duration.unwrap_or(Time(DURATION));
    if duration.is_zero() {
        let field = Field::of("run").key("duration");
        return Err(field.fault("must be longer than nothing, such as \"7d\""));
    }
    let speed = run.speed.unwrap_or(1);
    if !(1..=1000).contains(&speed) {
        return Err(Field::of("run").key("speed").fault("must be 1 to 1000"));
    }
    let mix_names: Vec<&str> = mixes.iter().map(|mix| mix.name.as_str()).collect();
    Ok(Scenario {
        name: run.name.unwrap_or_else(|| "scenario".to_owned()),
        seed: run.seed.unwrap_or(1),
        duration,
        until: run.until,
        start,
        speed,
        target: target(document.target)?,
        server: check_campaign::server(&document.server)?,
        campaign: document
            .campaign
            .map(check_campaign::campaign)
            .transpose()?,
        ramp: Ramp::check(&document.devices, &document.stage)?,
        events: check_events::events(&document.event, &cells, &mix_names, duration)?,
        thresholds: check_events::thresholds(document.thresholds)?,
        device_count: count,
        cells,
        mixes,
        text: text.to_owned(),
    })
}

fn start(run: &Run) -> Result<Utc, Fault> {
    let Some(start) = &run.start else {
        return Ok(Utc::from_unix_ms(START_UNIX_MS));
    };
    let parsed = start.parse::<jiff::Timestamp>();
    parsed
        .map(|at| Utc::from_unix_ms(at.as_millisecond()))
        .map_err(|_| {
            let told = "must be a time such as \"2026-11-22T00:00:00Z\"";
            Field::of("run").key("start").fault(told)
        })
}

fn target(target: Option<Target>) -> Result<TargetPlan, Fault> {
    let Some(Target { url, provision }) = target else {
        return Ok(TargetPlan::default());
    };
    let field = Field::of("target");
    if let Some(url) = &url
        && !url.starts_with("coap://")
        && !url.starts_with("coaps://")
    {
        let told = "must be the server's address, such as \"coap://127.0.0.1:5683\"";
        return Err(field.key("url").fault(told));
    }
    if let Some(provision) = &provision
        && !provision.starts_with("rest:http")
    {
        let told = "must be the server's REST address, such as \"rest:http://127.0.0.1:8080\"";
        return Err(field.key("provision").fault(told));
    }
    Ok(TargetPlan { url, provision })
}

fn cells(tables: &[Cell]) -> Result<Vec<CellPlan>, Fault> {
    let mut cells: Vec<CellPlan> = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        let field = Field::of("cell").index(number);
        let share = NonZeroU8::new(table.fota_share_percent).filter(|share| share.get() <= 100);
        let fota_share_percent =
            share.ok_or_else(|| field.key("fota_share_percent").fault("must be 1 to 100"))?;
        let radio = table.radio.as_ref().map(SignalMix::parse).transpose();
        let radio = radio.map_err(|fault| field.key("radio").fault(fault))?;
        let CellNumber(first) = table.id;
        let beyond = u64::from(first) + u64::from(table.count) > u64::from(CellId::MAX) + 1;
        if table.count == 0 || beyond || cells.len() + table.count as usize > CELLS_MAX {
            let told =
                format!("must be 1 or more, and all cells together no more than {CELLS_MAX}");
            return Err(field.key("count").fault(told));
        }
        for id in first..first + table.count {
            cells.push(CellPlan {
                id: CellId(id),
                fota_share_percent,
                operation_mode: table.operation_mode,
                radio,
            });
        }
    }
    let mut ids: Vec<CellId> = cells.iter().map(|cell| cell.id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        let told = format!("cell {} is there twice: give each its own id", pair[0]);
        return Err(Field::of("cell").fault(told));
    }
    if cells.is_empty() {
        cells.push(CellPlan {
            id: CellId(1),
            fota_share_percent: NonZeroU8::MIN.saturating_add(69),
            operation_mode: OperationMode::default(),
            radio: None,
        });
    }
    Ok(cells)
}

fn mixes(tables: Vec<MixTable>, start: Utc) -> Result<Vec<Mix>, Fault> {
    if tables.len() > MIXES_MAX {
        let told = format!("at most {MIXES_MAX} mixes");
        return Err(Field::of("mix").fault(told));
    }
    let mut mixes: Vec<Mix> = Vec::new();
    for (number, table) in tables.into_iter().enumerate() {
        let field = Field::of("mix").index(number);
        let mix = mix(table, number, start, &field)?;
        if mixes.iter().any(|other| other.name == mix.name) {
            let told = format!(
                "there is another mix \"{}\": give each its own name",
                mix.name
            );
            return Err(field.key("name").fault(told));
        }
        mixes.push(mix);
    }
    if mixes.is_empty() {
        let uplink = super::document::Uplink::default();
        mixes.push(Mix {
            name: "plain".to_owned(),
            weight: 1,
            radio: SignalMix::TYPICAL,
            drift: None,
            uplink: UplinkPattern::check(&uplink, start, &Field::of("mix"))?,
            impairment: None,
            faults: Faults::default(),
            traits: traits(None, Traits::default(), &Field::of("mix"))?,
        });
    }
    if mixes.iter().all(|mix| mix.weight == 0) {
        let told = "no mix has a weight: give at least one weight = 1";
        return Err(Field::of("mix").fault(told));
    }
    Ok(mixes)
}

fn mix(table: MixTable, number: usize, start: Utc, field: &Field) -> Result<Mix, Fault> {
    let radio = table.radio.as_ref().map(SignalMix::parse).transpose();
    let radio = radio.map_err(|fault| field.key("radio").fault(fault))?;
    if table.drift_db > 20 {
        return Err(field.key("drift_db").fault("must be 0 to 20"));
    }
    let persona = table.persona.as_deref();
    let default_name = || persona.map_or_else(|| format!("mix-{number}"), str::to_owned);
    Ok(Mix {
        name: table.name.clone().unwrap_or_else(default_name),
        weight: table.weight,
        radio: radio.unwrap_or(SignalMix::TYPICAL),
        drift: (table.drift_db > 0).then(|| SignalDrift {
            deviation_deci_db: u16::from(table.drift_db) * 10,
            step: DRIFT_STEP,
        }),
        uplink: UplinkPattern::check(&table.uplink, start, &field.key("uplink"))?,
        impairment: table
            .impairment
            .check(&field.key("impairment"))?
            .map(Arc::new),
        faults: faults(table.faults, &field.key("faults"))?,
        traits: traits(persona, table.traits, field)?,
    })
}

fn faults(table: FaultTable, field: &Field) -> Result<Faults, Fault> {
    let default = Faults::default();
    let chances: Vec<_> = table
        .chances
        .into_iter()
        .map(|(fault, Probability(chance))| (fault, chance))
        .collect();
    let all: u64 = chances.iter().map(|(_, chance)| u64::from(chance.0)).sum();
    if all > u64::from(Chance::ALWAYS.0) {
        let told = "an attempt has at most one fault: together they must be no more than 1";
        return Err(field.fault(told));
    }
    Ok(Faults {
        chances,
        power_off: table.power_off.map_or(default.power_off, |Time(off)| off),
        loses_package: table.loses_package,
    })
}

fn traits(persona: Option<&str>, said: Traits, mix: &Field) -> Result<Traits, Fault> {
    let name = persona.unwrap_or("plain");
    let Some(persona) = Persona::find(name) else {
        let known = Persona::names().join(", ");
        let told = format!("there is no persona \"{name}\"; write one of {known}");
        return Err(mix.key("persona").fault(told));
    };
    let field = mix.key("traits");
    let traits = said.over(&persona.traits);
    let szx = traits.szx.into_iter();
    let smaller = traits.smaller_blocks.map(|it| it.szx);
    if szx.chain(smaller).any(|szx| szx > 6) {
        let told = "must be 0 to 6: a block has 2^(szx + 4) bytes";
        return Err(field.key("szx").fault(told));
    }
    if traits.edrx_cycle.is_some() && traits.sleep != Some(Sleep::Edrx) {
        let told = "goes only with sleep = \"edrx\"";
        return Err(field.key("edrx_cycle").fault(told));
    }
    if traits
        .edrx_cycle
        .is_some_and(|Time(cycle)| cycle < Duration::from_secs(1))
    {
        return Err(field.key("edrx_cycle").fault("must be 1 second or more"));
    }
    if traits
        .lifetime
        .is_some_and(|Time(lifetime)| lifetime < Duration::from_secs(60))
    {
        return Err(field.key("lifetime").fault("must be 1 minute or more"));
    }
    if let Some(quirks) = &traits.server_quirks
        && QuirkSet::find(quirks).is_none()
    {
        let sets = QuirkSet::all().iter().map(|set| set.name.as_str());
        let known = sets.collect::<Vec<_>>().join(", ");
        let told = format!("there is no quirk set \"{quirks}\"; write one of {known}");
        return Err(field.key("server_quirks").fault(told));
    }
    let zero = |time: Option<Time>| time.is_some_and(|Time(time)| time.is_zero());
    if zero(traits.data_every) {
        let told = "must be longer than nothing, such as \"30s\"";
        return Err(field.key("data_every").fault(told));
    }
    if let (Some(Time(early)), lifetime) =
        (traits.update_before_expiry, traits.lifetime_or_default())
        && early >= lifetime
    {
        let told = "must be shorter than the lifetime";
        return Err(field.key("update_before_expiry").fault(told));
    }
    if traits.battery_percent.is_some_and(|percent| percent > 100) {
        return Err(field.key("battery_percent").fault("must be 0 to 100"));
    }
    let manufacturer = traits.manufacturer.as_deref().map(Manufacturer::parse);
    if let Some(Err(fault)) = manufacturer {
        return Err(field.key("manufacturer").fault(fault.to_string()));
    }
    if let Some(Err(fault)) = traits.model.as_deref().map(DeviceModel::parse) {
        return Err(field.key("model").fault(fault.to_string()));
    }
    Ok(traits)
}
