//! Tables of results, for the terminal and for documents alike: Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::Error;
use crate::measure::Measure;
use crate::peer::REFERENCE;
use crate::results::{Results, Series};
use crate::workload::{WORKLOADS, Workload};

/// All tables of a run.
#[must_use]
pub fn tables(results: &Results) -> String {
    WORKLOADS.iter().filter_map(|workload| table(results, workload)).collect::<Vec<_>>().join("\n")
}

/// Where, when and with what was measured.
#[must_use]
pub fn origin(results: &Results) -> String {
    let machine = &results.machine;
    let versions: Vec<_> =
        machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "Made by `{}` on {}, {}, {}; {}.\n",
        results.command,
        machine.date,
        machine.processor,
        machine.kernel,
        versions.join(", ")
    )
}

/// The measure that the ratios of a workload and the bars of its plot are of.
#[must_use]
pub fn chief(series: &[&Series]) -> Option<Measure> {
    [Measure::CpuMicros, Measure::Instructions, Measure::IdleBytes, Measure::StartUpMillis]
        .into_iter()
        .find(|measure| series.iter().any(|series| series.median(*measure).is_some()))
}

fn table(results: &Results, workload: &Workload) -> Option<String> {
    let mut series: Vec<&Series> = results.of(workload.name).collect();
    let measures: BTreeSet<Measure> =
        series.iter().flat_map(|series| &series.samples).flat_map(|sample| sample.keys().copied()).collect();
    let chief = chief(&series)?;
    let reference = results.reference(workload.name);
    let ratio = |series: &Series| reference.and_then(|reference| series.ratio(reference, chief));
    let rank = |series: &Series| {
        ratio(series).map(|[_, median, _]| median).or(series.median(chief)).unwrap_or(f64::INFINITY)
    };
    series.sort_by(|one, other| rank(one).total_cmp(&rank(other)));

    let mut text = format!("### {}: {}\n\n| server |", workload.name, workload.about);
    for measure in &measures {
        let _ = write!(text, " {} |", measure.title());
    }
    let _ = write!(text, " {} to {REFERENCE} |\n|---|", chief.title());
    let _ = writeln!(text, "{}", "---:|".repeat(measures.len() + 1));
    for series in series {
        let _ = write!(text, "| {} |", series.peer);
        for measure in &measures {
            let _ = write!(text, " {} |", number(series.median(*measure), measure.digits()));
        }
        let _ = writeln!(text, " {} |", spread(ratio(series)));
        if let Some(failure) = &series.failure {
            let _ = writeln!(text, "| | {} |", failure.replace(['\n', '|'], " "));
        }
    }
    Some(text)
}

/// The median, and how far the rounds lie apart.
fn spread(ratio: Option<[f64; 3]>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some([least, median, greatest]) if least == greatest => format!("{median:.2}"),
        Some([least, median, greatest]) => format!("{median:.2} ({least:.2} to {greatest:.2})"),
    }
}

/// With commas between the thousands.
fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// What has changed from an earlier run to this one: the ratios to the reference of each run, since absolute numbers of
/// different runs tell little.
///
/// # Errors
/// When the runs have nothing in common.
pub fn comparison(before: &Results, now: &Results) -> Result<String, Error> {
    let mut rows = String::new();
    for series in now.series.iter().filter(|series| series.peer != REFERENCE) {
        let workload = &series.workload;
        let earlier = before.of(workload).find(|earlier| earlier.peer == series.peer);
        let (Some(earlier), Some(measure)) = (earlier, chief(&[series])) else { continue };
        let (Some(reference), Some(earlier_reference)) =
            (now.reference(workload), before.reference(workload))
        else {
            continue;
        };
        let ratios = (earlier.ratio(earlier_reference, measure), series.ratio(reference, measure));
        let (Some(old), Some(new)) = ratios else { continue };
        let _ = writeln!(
            rows,
            "| {workload} | {} | {} | {} | {} | {:.3} |",
            series.peer,
            measure.title(),
            spread(Some(old)),
            spread(Some(new)),
            new[1] / old[1]
        );
    }
    if rows.is_empty() {
        return Err(
            format!("the two runs have no server in common that was measured beside {REFERENCE}").into()
        );
    }
    let mut text = format!("Before: `{}` of {}.", before.command, before.machine.date);
    if before.machine.processor != now.machine.processor || before.machine.kernel != now.machine.kernel {
        text.push_str(" It was another machine.");
    }
    let _ = write!(
        text,
        "\n\n| workload | server | measure, to {REFERENCE} | before | now | now to before |\n|---|---|---|---:|---:|---:|\n{rows}"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(number(Some(1_234_567.0), 0), "1,234,567");
        assert_eq!(number(Some(1234.567), 2), "1,234.57");
        assert_eq!(number(Some(-123.0), 0), "-123");
        assert_eq!(number(None, 0), "–");
    }
}
