//! Every device of a run as CSV, one row at a time. Sans-IO.

use std::time::Duration;

use super::files::cell;
use crate::harness::observer::{Cause, DeviceRow, Observer};

const HEADER: &str = "endpoint,mix,cell,ce,state,attempts,register_s,wait_s,download_s,rest_s,install_s,\
                      update_s,blocks,block_bytes,retransmitted,failed_with,server_says\r\n";

/// The lines of the CSV (RFC 4180) of all devices as they are now, the header first: whoever writes them
/// down needs no room for all. `mixes` are the names of the scenario's mixes.
pub fn devices_csv<'a>(
    observer: &'a Observer,
    mixes: &'a [&'a str],
) -> impl Iterator<Item = String> + 'a {
    let rows = observer.devices().map(|row| line(&row, mixes));
    std::iter::once(HEADER.to_owned()).chain(rows)
}

fn line(row: &DeviceRow<'_>, mixes: &[&str]) -> String {
    let seconds = |took: Option<Duration>| {
        took.map_or_else(String::new, |took| format!("{:.3}", took.as_secs_f64()))
    };
    let cause = |cause: Option<Cause>| cause.map_or_else(String::new, |cause| cause.to_string());
    let mix = mixes.get(usize::from(row.mix)).copied().unwrap_or_default();
    let cells = [
        cell(row.endpoint),
        cell(mix),
        row.cell.to_string(),
        row.ce.to_string(),
        row.state.to_string(),
        row.attempts.to_string(),
        seconds(row.register),
        seconds(row.wait),
        seconds(row.download),
        seconds(row.rest),
        seconds(row.install),
        seconds(row.update),
        row.blocks.to_string(),
        row.block_bytes.to_string(),
        row.retransmitted.to_string(),
        cause(row.failed_with),
        cause(row.server_says),
    ];
    format!("{}\r\n", cells.join(","))
}
