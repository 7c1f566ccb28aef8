//! `[[event]]` and `[thresholds]`. Sans-IO.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::EVENTS_MAX;
use super::document::{CellsChosen, Event, EventKind, OneOrMore};
use super::error::{Fault, Field};
use super::event::CellsOf;
use super::quantity::{CellNumber, Time};
use super::{CellPlan, Happening, TimedEvent};
use crate::harness::{Threshold, ThresholdSpec};
use crate::model::CellId;

/// How long the power is gone that an event cuts, unless it says so.
const POWER_OFF: Duration = Duration::from_secs(60);

pub(super) fn events(
    tables: &[Event],
    cells: &[CellPlan],
    mixes: &[&str],
    duration: Duration,
) -> Result<Vec<TimedEvent>, Fault> {
    if tables.len() > EVENTS_MAX {
        return Err(Field::of("event").fault(format!("at most {EVENTS_MAX} events")));
    }
    let events = tables.iter().enumerate().map(|(number, table)| {
        let field = Field::of("event").index(number);
        let Time(at) = table.at;
        if at > duration {
            return Err(field.key("at").fault("comes after the run's duration"));
        }
        check_fields(table, &field)?;
        let percent = table.percent.unwrap_or(100);
        if !(1..=100).contains(&percent) {
            return Err(field.key("percent").fault("must be 1 to 100"));
        }
        let whom = (
            percent,
            cells_of(table.cells.as_ref(), cells, &field)?,
            mixes_of(table.mix.as_ref(), mixes, &field)?,
        );
        Ok(TimedEvent::new(
            number as u64,
            at,
            what(table, &field)?,
            whom,
        ))
    });
    let mut events = events.collect::<Result<Vec<_>, _>>()?;
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// That an event has no field which it does not know what to do with.
fn check_fields(table: &Event, field: &Field) -> Result<(), Fault> {
    let given = [
        ("percent", table.percent.is_some()),
        ("mix", table.mix.is_some()),
        ("cells", table.cells.is_some()),
        ("phase", table.phase.is_some()),
        ("for", table.lasts.is_some()),
        ("spread", table.spread.is_some()),
        ("loses_package", table.loses_package.is_some()),
        ("by", table.by.is_some()),
    ];
    let takes: &[&str] = match table.what {
        EventKind::PowerCut => &[
            "percent",
            "mix",
            "cells",
            "phase",
            "for",
            "spread",
            "loses_package",
        ],
        EventKind::CellOutage => &["cells", "for"],
        EventKind::NatFlush => &["percent", "mix", "cells"],
        EventKind::ServerRestart => &["for"],
        EventKind::TimeJump => &["by"],
    };
    match given
        .iter()
        .find(|(key, is_given)| *is_given && !takes.contains(key))
    {
        Some((key, _)) => {
            let told = format!(
                "does not go with this event, which takes {}",
                takes.join(", ")
            );
            Err(field.key(key).fault(told))
        }
        None => Ok(()),
    }
}

fn what(table: &Event, field: &Field) -> Result<Happening, Fault> {
    let lasts = table.lasts.map(|Time(lasts)| lasts);
    Ok(match table.what {
        EventKind::PowerCut => Happening::PowerCut {
            off: lasts.unwrap_or(POWER_OFF),
            spread: table.spread.map(|Time(spread)| spread).unwrap_or_default(),
            loses_package: table.loses_package.unwrap_or(false),
            phase: table.phase,
        },
        EventKind::CellOutage => Happening::CellOutage {
            lasts: lasts.ok_or_else(|| {
                field
                    .key("for")
                    .fault("is needed: how long the outage lasts, such as \"2h\"")
            })?,
        },
        EventKind::NatFlush => Happening::NatFlush,
        EventKind::ServerRestart => Happening::ServerRestart {
            down: lasts.unwrap_or_default(),
        },
        EventKind::TimeJump => {
            let by = table.by.ok_or_else(|| {
                field
                    .key("by")
                    .fault("is needed: by how much, such as \"2h\" or \"-10m\"")
            })?;
            let ms = i64::try_from(by.time.as_millis()).unwrap_or(i64::MAX);
            Happening::TimeJump {
                by_ms: if by.back { -ms } else { ms },
            }
        }
    })
}

fn cells_of(
    chosen: Option<&CellsChosen>,
    cells: &[CellPlan],
    field: &Field,
) -> Result<CellsOf, Fault> {
    let field = field.key("cells");
    match chosen {
        None => Ok(CellsOf::All),
        Some(CellsChosen::Part(text)) => {
            let percent = text
                .trim()
                .strip_suffix('%')
                .and_then(|it| it.trim().parse().ok());
            match percent {
                Some(percent @ 1..=100) => Ok(CellsOf::Percent(percent)),
                Some(_) | None => {
                    Err(field.fault("must be a part such as \"10%\", or a list of ids"))
                }
            }
        }
        Some(CellsChosen::Ids(ids)) => {
            let numbers = ids.iter().enumerate().map(|(place, CellNumber(id))| {
                let number = cells.iter().position(|cell| cell.id == CellId(*id));
                number.ok_or_else(|| {
                    field
                        .index(place)
                        .fault(format!("the scenario has no cell {id}"))
                })
            });
            let mut these = numbers.collect::<Result<Vec<_>, _>>()?;
            these.sort_unstable();
            Ok(CellsOf::These(these))
        }
    }
}

fn mixes_of(
    named: Option<&OneOrMore<String>>,
    mixes: &[&str],
    field: &Field,
) -> Result<Vec<u16>, Fault> {
    let named: &[String] = match named {
        None => &[],
        Some(OneOrMore::One(name)) => std::slice::from_ref(name),
        Some(OneOrMore::More(names)) => names,
    };
    let numbers = named.iter().map(|name| {
        let number = mixes.iter().position(|mix| mix == name);
        let number = number.and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| {
            let told = format!(
                "there is no mix \"{name}\"; write one of {}",
                mixes.join(", ")
            );
            field.key("mix").fault(told)
        })
    });
    numbers.collect()
}

pub(super) fn thresholds(
    tables: BTreeMap<String, OneOrMore<ThresholdSpec>>,
) -> Result<Vec<Threshold>, Fault> {
    let mut thresholds = Vec::new();
    for (metric, specs) in tables {
        let field = Field::of("thresholds").key(&metric);
        for spec in specs.into_vec() {
            let threshold = spec.threshold(&metric);
            thresholds.push(threshold.map_err(|it| field.fault(it.to_string()))?);
        }
    }
    Ok(thresholds)
}
