//! The limits of cells: no record has them, so they are kept here beside the engine, and what changes of
//! them is told to the audit log.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Command, EngineConfig};
use crate::model::{AuditAction, AuditStamp, CellId, NewAuditEntry, Record, TierLimits};

/// How many devices of one cell and tier update at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CellLimits {
    limits: TierLimits,
    overrides: BTreeMap<CellId, TierLimits>,
}

impl CellLimits {
    /// Those that an engine was made with.
    pub(super) fn of_config(config: &EngineConfig) -> Self {
        Self {
            limits: config.tier_limits,
            overrides: config.cell_limits.clone(),
        }
    }

    /// Those that a command sets, if it sets any.
    pub(super) fn of_command(command: &Command) -> Option<Self> {
        let Command::SetCellLimits { limits, overrides } = command else {
            return None;
        };
        Some(Self {
            limits: *limits,
            overrides: overrides.clone(),
        })
    }

    /// Those of each cell without limits of its own.
    pub(super) fn limits(&self) -> TierLimits {
        self.limits
    }

    /// What sets them.
    pub(super) fn command(self) -> Command {
        let Self { limits, overrides } = self;
        Command::SetCellLimits { limits, overrides }
    }

    /// What the audit log is told where these count in the place of `before`: of the cells without limits
    /// of their own, and of each cell that has other limits of its own, or none any more.
    pub(super) fn changes(&self, before: &Self, stamp: &AuditStamp) -> Vec<Record> {
        let entry = |object: String, details: [Option<&TierLimits>; 2]| {
            let [before, after] = details.map(text);
            Record::Audit(NewAuditEntry {
                stamp: stamp.clone(),
                action: AuditAction::CellLimitsChanged,
                object,
                details: vec![("before", before), ("after", after)],
            })
        };
        let mut entries = Vec::new();
        if before.limits != self.limits {
            let limits = [Some(&before.limits), Some(&self.limits)];
            entries.push(entry(String::new(), limits));
        }
        let cells: BTreeSet<&CellId> = before
            .overrides
            .keys()
            .chain(self.overrides.keys())
            .collect();
        for cell in cells {
            let limits = [before.overrides.get(cell), self.overrides.get(cell)];
            if limits[0] != limits[1] {
                entries.push(entry(cell.to_string(), limits));
            }
        }
        entries
    }
}

fn text(limits: Option<&TierLimits>) -> String {
    let Some(limits) = limits else {
        return "none".to_owned();
    };
    let TierLimits {
        tier0,
        tier1,
        tier2,
        unknown,
    } = limits;
    format!("tier0={tier0} tier1={tier1} tier2={tier2} unknown={unknown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Utc;
    use crate::model::AuditActor;

    #[test]
    fn only_what_differs_is_told_with_what_counted_before() {
        let tier0 = |tier0| TierLimits {
            tier0,
            ..TierLimits::default()
        };
        let of = |limits, overrides: &[(u32, TierLimits)]| CellLimits {
            limits,
            overrides: (overrides.iter())
                .map(|(cell, limits)| (CellId(*cell), *limits))
                .collect(),
        };
        let before = of(tier0(50), &[(1, tier0(1)), (2, tier0(2)), (3, tier0(3))]);
        let after = of(tier0(50), &[(1, tier0(1)), (3, tier0(30)), (4, tier0(4))]);
        let stamp = AuditStamp {
            at: Utc::from_unix_ms(7),
            actor: AuditActor::server(),
        };
        assert_eq!(after.changes(&after, &stamp), Vec::new());
        let told = after.changes(&before, &stamp).into_iter().map(|record| {
            let Record::Audit(entry) = record else {
                panic!("an entry");
            };
            assert_eq!(
                (&entry.stamp, entry.action.word()),
                (&stamp, "cell_limits_changed")
            );
            let mut details = entry.details.into_iter().map(|(_, text)| text);
            (
                entry.object,
                details.next().unwrap(),
                details.next().unwrap(),
            )
        });
        let with = |tier0| format!("tier0={tier0} tier1=10 tier2=1 unknown=10");
        let none = || "none".to_owned();
        let expected = [
            ("2".to_owned(), with(2), none()),
            ("3".to_owned(), with(3), with(30)),
            ("4".to_owned(), none(), with(4)),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let all = of(tier0(60), &[]).changes(&of(tier0(50), &[]), &stamp);
        let [Record::Audit(entry)] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(entry.object, "");
        assert_eq!(entry.details, [("before", with(50)), ("after", with(60))]);
    }
}
