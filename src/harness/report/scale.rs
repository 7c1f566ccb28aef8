//! Where the marks of an axis are. Sans-IO.

use std::time::Duration;

/// A mark: where it is, 0 to 1, and what it says.
pub(in crate::harness) type Mark = (f64, String);

/// The steps of a time axis, in seconds.
const TIME_STEPS: [f64; 27] = [
    0.001,
    0.01,
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    432_000.0,
    864_000.0,
    2_592_000.0,
    8_640_000.0,
];

/// The most marks of an axis.
const MARKS_MAX: f64 = 6.0;

/// Marks of a time that begins at 0.
pub(in crate::harness) fn time_marks(longest: Duration) -> Vec<Mark> {
    let longest = longest.as_secs_f64();
    if longest <= 0.0 {
        return vec![(0.0, "0".to_owned())];
    }
    let fits = |step: &&f64| longest / **step <= MARKS_MAX;
    let step = TIME_STEPS.iter().find(fits).copied();
    marks(longest, step.unwrap_or(longest / MARKS_MAX), time_text)
}

/// Marks of a number that begins at 0, and the number at the axis' end.
pub(in crate::harness) fn number_marks(highest: f64, text: fn(f64) -> String) -> (Vec<Mark>, f64) {
    let highest = if highest.is_finite() && highest > 0.0 {
        highest
    } else {
        1.0
    };
    let size = 10_f64.powf((highest / 5.0).log10().floor());
    let fits = |step: &f64| highest / step <= 5.0;
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * size);
    let step = step.into_iter().find(fits).unwrap_or(highest);
    let end = (highest / step).ceil() * step;
    (marks(end, step, text), end)
}

/// Marks of a time on a logarithmic axis, in seconds.
pub(in crate::harness) fn log_time_marks(from: f64, to: f64) -> Vec<Mark> {
    const COARSE: [f64; 17] = [
        0.001,
        0.01,
        0.1,
        1.0,
        5.0,
        15.0,
        60.0,
        300.0,
        900.0,
        3600.0,
        10_800.0,
        21_600.0,
        43_200.0,
        86_400.0,
        259_200.0,
        864_000.0,
        2_592_000.0,
    ];
    // Where there are too few of those.
    const FINE: [f64; 20] = [
        0.002,
        0.005,
        0.02,
        0.05,
        0.2,
        0.5,
        2.0,
        10.0,
        30.0,
        120.0,
        180.0,
        600.0,
        1200.0,
        1800.0,
        2700.0,
        7200.0,
        28_800.0,
        172_800.0,
        432_000.0,
        1_728_000.0,
    ];
    const ENOUGH: usize = 4;
    let mut kept: Vec<Mark> = Vec::new();
    let place = |at: f64| (log_place(at, from, to), time_text(at));
    let within = |all: &[f64]| {
        let within = all.iter().filter(|at| (from..=to).contains(*at));
        within.map(|at| place(*at)).collect::<Vec<_>>()
    };
    add_where_free(&mut kept, within(&COARSE), COARSE.len());
    add_where_free(&mut kept, within(&FINE), ENOUGH);
    if kept.is_empty() {
        add_where_free(&mut kept, [from, to].map(place), 2);
    }
    kept.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    kept
}

/// Adds marks that do not run into those that are there, up to so many in all.
fn add_where_free(kept: &mut Vec<Mark>, more: impl IntoIterator<Item = Mark>, most: usize) {
    for mark in more {
        let is_free = kept.iter().all(|(at, _)| (at - mark.0).abs() >= 0.08);
        if is_free && kept.len() < most {
            kept.push(mark);
        }
    }
}

/// Where a value is on a logarithmic axis.
pub(in crate::harness) fn log_place(at: f64, from: f64, to: f64) -> f64 {
    if to <= from {
        return 0.5;
    }
    (at.max(from) / from).ln() / (to / from).ln()
}

/// The end of a number axis that begins at 0, as [`number_marks`] says it: `12.5k`.
pub(in crate::harness) fn count_text(value: f64) -> String {
    match value.abs() {
        ..1000.0 => trimmed(value),
        1000.0..1e6 => format!("{}k", trimmed(value / 1e3)),
        1e6..1e9 => format!("{}M", trimmed(value / 1e6)),
        _ => format!("{}G", trimmed(value / 1e9)),
    }
}

fn marks(end: f64, step: f64, text: impl Fn(f64) -> String) -> Vec<Mark> {
    let count = (end / step + 1e-9).floor() as u32;
    let at = (0..=count).map(|number| f64::from(number) * step);
    at.map(|at| (at / end, text(at))).collect()
}

/// `90 s` is `1.5 m`; in the words of both languages.
fn time_text(seconds: f64) -> String {
    match seconds {
        ..=0.0 => "0".to_owned(),
        ..1.0 => format!("{} ms", trimmed(seconds * 1e3)),
        1.0..60.0 => format!("{} s", trimmed(seconds)),
        60.0..3600.0 => format!("{} m", trimmed(seconds / 60.0)),
        3600.0..86_400.0 => format!("{} h", trimmed(seconds / 3600.0)),
        _ => format!("{} d", trimmed(seconds / 86_400.0)),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(marks: &[Mark]) -> Vec<&str> {
        marks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn times_are_marked_at_whole_units() {
        let day = time_marks(Duration::from_secs(86_400));
        assert_eq!(texts(&day), ["0", "6 h", "12 h", "18 h", "1 d"]);
        let short = time_marks(Duration::from_secs(95));
        assert_eq!(texts(&short), ["0", "30 s", "1 m", "1.5 m"]);
        assert_eq!(texts(&time_marks(Duration::ZERO)), ["0"]);
    }

    #[test]
    fn numbers_are_marked_up_to_a_round_end_that_holds_them() {
        let (marks, end) = number_marks(47.0, count_text);
        assert_eq!(texts(&marks), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(end, 50.0);
        let (marks, end) = number_marks(12_400.0, count_text);
        assert_eq!(texts(&marks), ["0", "5k", "10k", "15k"]);
        assert_eq!(end, 15_000.0);
        for value in [0.0, 1.0, 0.003, 1e12, f64::NAN] {
            let (marks, end) = number_marks(value, count_text);
            assert!((2..=7).contains(&marks.len()), "{value}: {marks:?}");
            assert!(end >= value || value.is_nan());
            assert!(marks.iter().all(|(at, _)| (0.0..=1.0 + 1e-9).contains(at)));
        }
    }

    #[test]
    fn a_logarithmic_axis_has_its_ends_at_its_ends() {
        assert_eq!(log_place(1.0, 1.0, 100.0), 0.0);
        assert_eq!(log_place(10.0, 1.0, 100.0), 0.5);
        assert_eq!(log_place(100.0, 1.0, 100.0), 1.0);
        assert_eq!(
            texts(&log_time_marks(30.0, 7200.0)),
            ["1 m", "5 m", "15 m", "1 h"]
        );
        assert_eq!(
            texts(&log_time_marks(20.0, 250.0)),
            ["30 s", "1 m", "2 m", "3 m"]
        );
        assert_eq!(
            texts(&log_time_marks(1000.0, 3500.0)),
            ["20 m", "30 m", "45 m"]
        );
        assert_eq!(texts(&log_time_marks(10.1, 10.4)), ["10.1 s", "10.4 s"]);
    }
}
