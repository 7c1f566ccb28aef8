//! How a run stands: a table that is drawn anew each second on a terminal, else a line every ten.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use crate::cli::output::Output;
use crate::harness::{DeviceState, Live};

/// How often a line is said where there is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// Cells that the table shows.
const CELLS: usize = 10;

/// Above them. A Chinese character takes two columns.
const CELL_HEAD: &str = "        cell    tier  active   limit    most\n";
const CELL_HEAD_ZH: &str = "        小区    等级    活动    限额    最高\n";

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Where it is shown. What it has done to a terminal is undone when it is dropped.
pub(in crate::cli) struct LiveView<'a> {
    output: &'a Output,
    is_terminal: bool,
    /// Lines of the table that stands there.
    drawn: usize,
    before: Live,
}

impl<'a> LiveView<'a> {
    pub(in crate::cli) fn new(output: &'a Output) -> Self {
        Self {
            output,
            is_terminal: std::io::stderr().is_terminal(),
            drawn: 0,
            before: Live::default(),
        }
    }

    /// Shows how it stands, where it is time to.
    pub(in crate::cli) fn show(&mut self, live: &Live) {
        if self.is_terminal {
            let table = table(live, &self.before, self.output);
            let up = match self.drawn {
                0 => HIDE_CURSOR.to_owned(),
                lines => format!("\x1b[{lines}A\x1b[J"),
            };
            self.drawn = table.lines().count();
            // There is nobody to tell where stderr cannot be written.
            let _ = write!(std::io::stderr().lock(), "{up}{table}");
        } else if live.elapsed < self.before.elapsed + PLAIN_LINE_EVERY {
            return;
        } else {
            self.output.message(&line(live, &self.before, self.output));
        }
        self.before = live.clone();
    }
}

impl Drop for LiveView<'_> {
    fn drop(&mut self) {
        if self.is_terminal && self.drawn > 0 {
            let _ = write!(std::io::stderr().lock(), "{SHOW_CURSOR}");
        }
    }
}

fn line(live: &Live, before: &Live, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let rates = live.rates_since(before);
    let mut text = format!("{:6.0} s", live.elapsed.as_secs_f64());
    // Writing to a String cannot fail.
    for state in DeviceState::ALL {
        let count = live.in_state(*state);
        if count > 0 {
            let _ = write!(text, "  {state} {count}");
        }
    }
    let _ = write!(
        text,
        "  {} {:.0}/s  p95 {} ms  {} {:.2}%",
        label("blocks", "块"),
        rates.blocks,
        p95_ms(live),
        label("retransmitted", "重传"),
        rates.retransmitted_share * 100.0
    );
    text
}

fn table(live: &Live, before: &Live, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let rates = live.rates_since(before);
    let mut text = format!("{:>12}     CE0     CE1     CE2\n", "");
    for state in DeviceState::ALL {
        let [ce0, ce1, ce2] = live.states.get(state).copied().unwrap_or_default();
        let word = state.word();
        let _ = writeln!(text, "{word:>12} {ce0:>7} {ce1:>7} {ce2:>7}");
    }
    // No line may be longer than a narrow terminal: what wraps is not drawn over.
    let _ = writeln!(
        text,
        "{:.0} s  {} {:.0}/s ({:.0} KB/s)  p95 {} ms",
        live.elapsed.as_secs_f64(),
        label("blocks", "块"),
        rates.blocks,
        rates.block_bytes / 1000.0,
        p95_ms(live),
    );
    let _ = writeln!(
        text,
        "{} {:.2}%  {} {}",
        label("retransmitted", "重传"),
        rates.retransmitted_share * 100.0,
        label("failed attempts", "失败次数"),
        live.failed_attempts,
    );
    if !live.cells.is_empty() {
        text.push_str(label(CELL_HEAD, CELL_HEAD_ZH));
    }
    for cell in live.cells.iter().take(CELLS) {
        let (id, tier) = (cell.cell.to_string(), cell.tier.word());
        let (active, limit, peak) = (cell.active, cell.limit, cell.peak);
        let _ = writeln!(text, "{id:>12} {tier:>7} {active:>7} {limit:>7} {peak:>7}");
    }
    text
}

fn p95_ms(live: &Live) -> u128 {
    live.round_trip_p95.unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::harness::LiveCell;
    use crate::model::{CellId, CoverageTier, Language};

    #[test]
    fn a_line_says_states_and_what_happened_since_the_last_one() {
        let before = Live {
            elapsed: Duration::from_secs(10),
            blocks: 100,
            sent: 100,
            ..Live::default()
        };
        let live = Live {
            elapsed: Duration::from_secs(20),
            states: BTreeMap::from([(DeviceState::Registered, [5, 2, 1])]),
            blocks: 600,
            sent: 190,
            retransmitted: 10,
            round_trip_p95: Some(Duration::from_millis(42)),
            cells: vec![LiveCell {
                cell: CellId(7),
                tier: CoverageTier::Tier0,
                active: 49,
                peak: 50,
                limit: 50,
            }],
            ..Live::default()
        };
        let output = Output::new(Language::En, false);
        assert_eq!(
            line(&live, &before, &output),
            "    20 s  registered 8  blocks 50/s  p95 42 ms  retransmitted 10.00%"
        );
        let table = table(&live, &before, &output);
        assert!(
            table.contains("  registered       5       2       1\n"),
            "{table}"
        );
        assert!(table.contains("blocks 50/s"), "{table}");
        assert!(
            table.ends_with(
                "        cell    tier  active   limit    most\n           7       0      49      50      50\n"
            ),
            "{table}"
        );
        assert!(table.lines().all(|line| line.len() < 80), "{table}");
    }
}
