//! The plot: how ours stands beside Apache Kafka in every case, on one scale.

use std::fmt::Write as _;

use crate::case::Case;
use crate::kind::Kind;
use crate::outcome::Figure;
use crate::results::Results;
use crate::statistics::{Spread, digits_of_ratio};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 400.0;
const RIGHT: f64 = 40.0;
const ROW: f64 = 22.0;
const TITLE: f64 = 40.0;
/// The scale is logarithmic and ends at these ratios.
const LEAST: f64 = 0.001;
const MOST: f64 = 20.0;
const TICKS: [f64; 13] = [
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0,
];

/// A ratio with its name.
struct Row {
    label: String,
    kind: Kind,
    ratio: Spread,
}

struct Panel {
    title: &'static str,
    rows: Vec<Row>,
}

pub(crate) fn plot(results: &Results) -> String {
    let panels = [
        Panel {
            title: "Rate: to the right of the line Ottla does more",
            rows: rows(results, &[Figure::RecordsPerSecond]),
        },
        Panel {
            title: "Time, processor and memory: to the left of the line Ottla needs less",
            rows: rows(
                results,
                &[
                    Figure::P99,
                    Figure::CpuPerRecord,
                    Figure::PeakMemory,
                    Figure::FirstAcknowledged,
                    Figure::IdleMemory,
                    Figure::RestartAfterStop,
                    Figure::RestartAfterKill,
                    Figure::Failover,
                ],
            ),
        },
    ];
    drawn(&panels)
}

/// Every case that both brokers were measured in.
fn rows(results: &Results, figures: &[Figure]) -> Vec<Row> {
    let mut rows = Vec::new();
    for figure in figures {
        for (case, measured) in &results.cases {
            for kind in measured.brokers.keys() {
                let ours = matches!(kind, Kind::Ottla(_)) && shows(*case, *figure);
                let ratio = results.ratio(&(*case, kind.clone()), &(*case, Kind::KAFKA), *figure);
                rows.extend(ratio.filter(|_| ours).map(|ratio| Row {
                    label: format!("{case}: {}", figure.describe().title),
                    kind: kind.clone(),
                    ratio,
                }));
            }
        }
    }
    rows
}

/// Latency under a load without a limit is that of the client's queue, a fixed
/// rate is no result, and memory is asked for under one load.
fn shows(case: Case, figure: Figure) -> bool {
    let paced = matches!(case, Case::EndToEnd | Case::FanOut1 | Case::FanOut8);
    let one_by_one = matches!(
        case,
        Case::Unpipelined | Case::UnpipelinedBare | Case::ClusterAck
    );
    match figure {
        Figure::RecordsPerSecond => !paced,
        Figure::P99 => paced || one_by_one,
        Figure::PeakMemory => case == Case::Produce1kAll,
        Figure::CpuPerRecord
        | Figure::FirstAcknowledged
        | Figure::IdleMemory
        | Figure::RestartAfterStop
        | Figure::RestartAfterKill
        | Figure::MegabytesPerSecond
        | Figure::TimesLive
        | Figure::Failover => true,
        Figure::MebibytesPerSecond
        | Figure::P50
        | Figure::P999
        | Figure::BrokerCpu
        | Figure::ClientCpu
        | Figure::BusiestThread
        | Figure::Deleted
        | Figure::Filled
        | Figure::PartitionsCreated
        | Figure::PartitionsDeleted
        | Figure::TopicsCreated
        | Figure::TopicsDeleted
        | Figure::Descriptors
        | Figure::UndisturbedP99
        | Figure::RaisedP99
        | Figure::Settled => false,
    }
}

fn drawn(panels: &[Panel]) -> String {
    let shown = panels.iter().filter(|panel| !panel.rows.is_empty());
    let shown: Vec<&Panel> = shown.collect();
    let rows: usize = shown.iter().map(|panel| panel.rows.len()).sum();
    let height = 50.0 + ROW * rows as f64 + 2.0 * TITLE * shown.len() as f64;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
    text(
        &mut svg,
        16.0,
        24.0,
        "start",
        "Ottla ÷ Apache Kafka, by rounds: median, least and most",
    );
    legend(&mut svg, 24.0);
    let mut top = 40.0;
    for panel in shown {
        top = drawn_panel(&mut svg, panel, top);
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, y: f64) {
    for (kind, x) in [(Kind::OTTLA, 560.0), (Kind::OTTLA_PAGE_CACHE, 700.0)] {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{}\"/>",
            y - 4.0,
            colour(&kind)
        );
        let name = match kind == Kind::OTTLA {
            true => "Ottla, fsync",
            false => "Ottla, page cache",
        };
        text(svg, x + 10.0, y, "start", name);
    }
}

/// Returns where the next one begins.
fn drawn_panel(svg: &mut String, panel: &Panel, top: f64) -> f64 {
    text(svg, 16.0, top + 26.0, "start", panel.title);
    let first = top + TITLE;
    let bottom = first + ROW * panel.rows.len() as f64;
    for tick in TICKS {
        let x = place(tick);
        let colour = if tick == 1.0 { "#444" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{first}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>"
        );
        text(svg, x, bottom + 15.0, "middle", &tick.to_string());
    }
    for (index, row) in panel.rows.iter().enumerate() {
        drawn_row(svg, row, first + ROW * (index as f64 + 0.5));
    }
    bottom + TITLE
}

fn drawn_row(svg: &mut String, row: &Row, y: f64) {
    let colour = colour(&row.kind);
    let [least, median, most] = [row.ratio.least, row.ratio.median, row.ratio.most].map(place);
    text(svg, LEFT - 60.0, y + 4.0, "end", &row.label);
    let digits = digits_of_ratio(row.ratio.median);
    let figure = format!("{:.digits$}", row.ratio.median);
    text(svg, LEFT - 12.0, y + 4.0, "end", &figure);
    let _ = writeln!(
        svg,
        "<line x1=\"{least:.1}\" y1=\"{y}\" x2=\"{most:.1}\" y2=\"{y}\" stroke=\"{colour}\" \
         stroke-width=\"2\"/>"
    );
    let _ = writeln!(
        svg,
        "<circle cx=\"{median:.1}\" cy=\"{y}\" r=\"5\" fill=\"{colour}\"/>"
    );
}

fn place(ratio: f64) -> f64 {
    let along = (ratio.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + along * (WIDTH - LEFT - RIGHT)
}

fn colour(kind: &Kind) -> &'static str {
    match *kind == Kind::OTTLA {
        true => "#1f4e9c",
        false => "#e08214",
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::two_brokers;

    #[test]
    fn the_scale_is_logarithmic_and_has_ends() {
        let middle = place((LEAST * MOST).sqrt());
        assert!((middle - (place(LEAST) + place(MOST)) / 2.0).abs() < 0.01);
        assert_eq!(place(MOST * 10.0), WIDTH - RIGHT);
        assert_eq!(place(0.0), LEFT);
    }

    #[test]
    fn a_case_that_both_were_measured_in_is_a_row() {
        let rows = rows(&two_brokers(), &[Figure::RecordsPerSecond, Figure::P99]);
        let labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
        assert_eq!(labels, ["produce-1k-all: records/s"]);
        let svg = plot(&two_brokers());
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 1);
    }
}
