use super::*;
use crate::harness::sample;
use crate::model::Language;

#[test]
fn a_slower_run_is_told_from_the_same_run_and_by_how_much() {
    let (first, same, slower) = (
        sample::campaign("A", 600, 1.0),
        sample::campaign("B", 600, 1.0),
        sample::campaign("C", 600, 1.5),
    );
    let comparison = Comparison::new(&first, &[&same, &slower]);
    let rows = comparison.rows.iter();
    let mut rows =
        rows.filter(|row| row.metric == "device.download{ce=1}" && row.aggregate == "p(50)");
    let row = rows.next().unwrap();
    assert_eq!(row.changes[0].percent, Some(0.0));
    assert!(!row.changes[0].is_significant());
    let percent = row.changes[1].percent.unwrap();
    assert!((percent - 50.0).abs() < 1.0, "{percent}");
    assert!(row.changes[1].is_significant());
    assert!(
        comparison
            .rows
            .iter()
            .all(|row| row.values.len() == 3 && row.changes.len() == 2)
    );
}

#[test]
fn conditions_are_met_by_changes_beyond_them_only() {
    let (first, slower) = (
        sample::campaign("A", 300, 1.0),
        sample::campaign("B", 300, 1.2),
    );
    let comparison = Comparison::new(&first, &[&slower]);
    let is_met = |text: &str| {
        let met = FailIf::parse(text).unwrap().judge(&comparison);
        let [met] = &met[..] else {
            panic!("{met:?}");
        };
        (met.is_met, compare_exit_code(std::slice::from_ref(met)))
    };
    for condition in [
        "p(95)_device.download>+10%",
        "p(95)_download>+10%",
        "p95_download{ce=0}>10%",
        "avg_device.download>=19%",
        "med_round_trip>=0%",
        // Of it there is no data.
        "avg_device.awake>+500%",
    ] {
        assert_eq!(is_met(condition), (true, 99), "{condition}");
    }
    for condition in [
        "p(95)_device.download>+25%",
        "p(95)_device.download<-10%",
        "rate_success_rate<-1%",
        "count_device.double_execute>+0%",
    ] {
        assert_eq!(is_met(condition), (false, 0), "{condition}");
    }
}

#[test]
fn what_grew_from_nothing_grew_by_more_than_any_share() {
    let (first, mut other) = (
        sample::campaign("A", 30, 1.0),
        sample::campaign("B", 30, 1.0),
    );
    other
        .metrics
        .count("device.double_execute", Labels::none(), 1);
    let comparison = Comparison::new(&first, &[&other]);
    let condition = FailIf::parse("count_device.double_execute>+1000%").unwrap();
    assert!(condition.judge(&comparison)[0].is_met);
}

#[test]
fn a_condition_that_is_none_is_refused_with_what_would_be_one() {
    for (text, says) in [
        ("p(95)_download", "is no condition"),
        ("p(95)download>+10%", "is no condition"),
        ("p(95)_download>+10", "is no condition"),
        ("p(95)_download>+x%", "is no condition"),
        ("p(95)_upload>+10%", "there is no metric"),
        ("count_download>+10%", "avg, min, max, med, p(N)"),
    ] {
        let fault = FailIf::parse(text).unwrap_err().to_string();
        assert!(fault.contains(says), "{text}: {fault}");
    }
}

#[test]
fn the_page_lays_runs_over_each_other_and_takes_no_name_for_markup() {
    let (first, other) = (
        sample::campaign("<b>A", 90, 1.0),
        sample::campaign("B", 90, 1.5),
    );
    let comparison = Comparison::new(&first, &[&other]);
    let met = FailIf::parse("p(95)_download>+10%")
        .unwrap()
        .judge(&comparison);
    let html = compare_html(&comparison, &met, Language::En);
    assert!(!html.contains("<b>A") && html.contains("&lt;b&gt;A"));
    for numbered in ["1 · &lt;b&gt;A", "2 · B"] {
        // In the keys of five charts, and over the table.
        assert_eq!(html.matches(numbered).count(), 6, "{numbered}");
    }
    assert!(html.contains("1 of 1 conditions to fail are met"));
    for class in ["line run0", "line run1"] {
        // Updated devices, all downloads, and those of three levels.
        assert_eq!(html.matches(class).count(), 5, "{class}");
    }
    assert!(html.len() < 500_000);
}
