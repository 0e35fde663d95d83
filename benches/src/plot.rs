//! Bars for people who do not read tables.

use std::path::Path;

use plotters::prelude::*;

use crate::Error;
use crate::peer::PEERS;
use crate::report::chief;
use crate::results::{Results, Series};
use crate::workload::WORKLOADS;

const WIDTH: u32 = 760;
const BAR: u32 = 22;
const HEAD: u32 = 34;

/// Draws one SVG file for each workload and returns their names.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(results: &Results, folder: &Path) -> Result<Vec<String>, Error> {
    std::fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for workload in &WORKLOADS {
        let series: Vec<&Series> = results.of(workload.name).collect();
        let Some(measure) = chief(&series) else { continue };
        let mut bars: Vec<(&str, f64)> = series
            .iter()
            .filter_map(|series| Some((series.peer.as_str(), series.median(measure)?)))
            .collect();
        bars.sort_by(|one, other| one.1.total_cmp(&other.1));
        let name = format!("{}.svg", workload.name);
        let title = format!("{}: {}", workload.about, measure.title());
        bar_chart(&folder.join(&name), &title, &bars, measure.digits())?;
        names.push(name);
    }
    Ok(names)
}

fn is_ours(peer: &str) -> bool {
    PEERS[..3].iter().any(|ours| ours.name == peer)
}

fn bar_chart(path: &Path, title: &str, bars: &[(&str, f64)], digits: usize) -> Result<(), Error> {
    let longest = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let height = HEAD + BAR * u32::try_from(bars.len())? + 8;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    root.draw(&Text::new(title.to_owned(), (10, 10), text(15)))?;
    for (row, (peer, value)) in bars.iter().enumerate() {
        let top = i32::try_from(HEAD + BAR * u32::try_from(row)?)?;
        let (left, room) = (200, 460.0);
        let right = left + (value / longest * room) as i32;
        let color = if is_ours(peer) { RGBColor(0x2b, 0x6c, 0xb0) } else { RGBColor(0xa0, 0xae, 0xc0) };
        root.draw(&Rectangle::new([(left, top + 2), (right, top + BAR.cast_signed() - 3)], color.filled()))?;
        root.draw(&Text::new((*peer).to_owned(), (10, top + 4), text(13)))?;
        root.draw(&Text::new(format!("{value:.digits$}"), (right + 6, top + 4), text(13)))?;
    }
    root.present()?;
    Ok(())
}
