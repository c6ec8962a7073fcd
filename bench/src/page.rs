//! Results as Markdown: the tables of the page and of the terminal.

use std::fmt::Write as _;

use crate::case::Case;
use crate::goals::goals;
use crate::kind::Kind;
use crate::machine::Machine;
use crate::outcome::Figure;
use crate::results::{CaseResults, Results};

/// From here on a client's thread has no time left to send more.
const CLIENT_IS_THE_LIMIT_PERCENT: f64 = 90.0;

const INTRODUCTION: &str = "\
# Benchmarks

Written by `make bench ARGS=\"--write docs\"`; `benchmarks.tsv` has every run, and `bench/README.md` says what each case
and figure is. Brokers take turns, each started in an empty directory for its turn, warmed up with the same load for the
same time, and stopped. A figure is the median over the rounds (least to most); a ratio is the median of the ratios round
by round.
";

/// The whole page.
pub(crate) fn page(results: &Results, machine: &Machine) -> String {
    let mut page = String::from(INTRODUCTION);
    let facts = machine.facts.iter();
    let facts = facts.map(|(name, value)| vec![name.clone(), value.clone()]);
    let _ = writeln!(page, "\n{}", table(&["machine", ""], facts.collect()));
    let _ = writeln!(page, "\n![Ratios to Apache Kafka](benchmarks.svg)\n");
    let _ = writeln!(page, "## Goals\n\n{}", goal_table(results));
    for (case, measured) in &results.cases {
        let _ = writeln!(page, "\n{}", section(results, *case, measured));
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

pub(crate) fn goal_table(results: &Results) -> String {
    let rows = goals().into_iter().map(|goal| {
        vec![
            goal.comparison(),
            goal.figure.describe().title.to_owned(),
            goal.bound(),
            goal.written(results),
            goal.verdict(results).word().to_owned(),
        ]
    });
    table(&["case", "figure", "goal", "measured", ""], rows.collect())
}

/// One case: what is done, by which command, and a row for each figure.
pub(crate) fn section(results: &Results, case: Case, measured: &CaseResults) -> String {
    let mut section = format!(
        "## {case}\n\n{}.\n\n```\n{}\n```\n",
        case.description(),
        measured.command
    );
    let (shown, refused): (Vec<_>, Vec<_>) = measured
        .brokers
        .iter()
        .partition(|(_, measured)| measured.runs.iter().any(Result::is_ok));
    let kinds: Vec<&Kind> = shown.iter().map(|(kind, _)| *kind).collect();
    if !kinds.is_empty() {
        let _ = writeln!(section, "\n{}", figure_table(results, case, &kinds));
    }
    let mut notes = Vec::new();
    for (kind, measured) in shown {
        let version = &measured.version;
        let promise = kind.promise();
        notes.push(format!(
            "- {kind}: {version}; a record is acknowledged when it is {promise}."
        ));
        notes.extend(client_limit(results, case, kind));
        let failed = measured.runs.iter().filter_map(|run| run.as_ref().err());
        notes.extend(failed.map(|reason| format!("- {kind}: a run failed: {reason}")));
    }
    for (kind, measured) in refused {
        let reason = measured.runs.iter().find_map(|run| run.as_ref().err());
        notes.extend(reason.map(|reason| format!("- {kind}: not measured: {reason}")));
    }
    let _ = write!(section, "\n{}", notes.join("\n"));
    section
}

fn figure_table(results: &Results, case: Case, kinds: &[&Kind]) -> String {
    let pairs = pairs(kinds);
    let mut header = vec![String::new()];
    header.extend(kinds.iter().map(ToString::to_string));
    header.extend(
        pairs
            .iter()
            .map(|(over, under)| format!("{over} ÷ {under}")),
    );
    let mut rows = Vec::new();
    for figure in Figure::ALL {
        let described = figure.describe();
        let digits = described.digits;
        let spreads = kinds
            .iter()
            .map(|kind| results.spread(&(case, (*kind).clone()), figure));
        let spreads: Vec<_> = spreads.collect();
        if spreads.iter().all(Option::is_none) {
            continue;
        }
        let ratios = pairs.iter().map(|(over, under)| {
            results.ratio(&(case, (*over).clone()), &(case, (*under).clone()), figure)
        });
        let ratios = ratios.map(|ratio| ratio.map(|ratio| ratio.as_ratio()));
        let spreads = spreads
            .into_iter()
            .map(|spread| spread.map(|spread| format!("{spread:.digits$}")));
        let mut row = vec![described.title.to_owned()];
        row.extend(spreads.chain(ratios).map(Option::unwrap_or_default));
        rows.push(row);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(&header, rows)
}

/// Each of ours over Apache Kafka; without it every broker over the last.
fn pairs<'a>(kinds: &[&'a Kind]) -> Vec<(&'a Kind, &'a Kind)> {
    let kafka = kinds.iter().find(|kind| ***kind == Kind::KAFKA);
    let ours = kinds.iter().copied();
    match (kafka, kinds.last()) {
        (Some(kafka), _) => ours
            .filter(|kind| matches!(kind, Kind::Ottla(_)))
            .map(|kind| (kind, *kafka))
            .collect(),
        (None, Some(last)) => ours
            .filter(|kind| kind != last)
            .map(|kind| (kind, *last))
            .collect(),
        (None, None) => Vec::new(),
    }
}

/// Says when a faster broker would not have shown.
fn client_limit(results: &Results, case: Case, kind: &Kind) -> Option<String> {
    let busiest = results.spread(&(case, kind.clone()), Figure::BusiestThread)?;
    let says = busiest.median >= CLIENT_IS_THE_LIMIT_PERCENT;
    says.then(|| {
        format!(
            "- {kind}: the client is the limit: its busiest thread has {:.0} % of a core.",
            busiest.median
        )
    })
}

/// A table whose columns line up in the text too.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows
                .iter()
                .chain([&header])
                .filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        })
        .collect();
    let written = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut lines = vec![written(&header), format!("| {} |", rule.join(" | "))];
    lines.extend(rows.iter().map(written));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::two_brokers;

    #[test]
    fn a_section_has_figures_ratios_promises_and_failures() {
        let results = two_brokers();
        let case = Case::Produce1kAll;
        let expected = "\
## produce-1k-all

Pipelined produce of 1 KiB records, acks=all, idempotent.

```
make bench
```

|           | ottla            | kafka            | ottla ÷ kafka       |
| --------- | ---------------- | ---------------- | ------------------- |
| records/s | 300 (100 to 500) | 225 (200 to 250) | 1.75 (1.50 to 2.00) |

- ottla: 1.2; a record is acknowledged when it is flushed to disk.
- kafka: 1.2; a record is acknowledged when it is in the page cache.
- kafka: a run failed: it\tdid\nnot";
        assert_eq!(section(&results, case, &results.cases[&case]), expected);
    }

    #[test]
    fn a_client_without_time_left_is_named_as_the_limit() {
        let mut results = Results::default();
        for (kind, busy) in [(Kind::OTTLA, 95.0), (Kind::KAFKA, 60.0)] {
            let figures = [(Figure::BusiestThread, busy)].into();
            results.add(Case::Consume, &kind, Ok(figures));
        }
        let limit = client_limit(&results, Case::Consume, &Kind::OTTLA);
        let expected = "- ottla: the client is the limit: its busiest thread has 95 % of a core.";
        assert_eq!(limit.as_deref(), Some(expected));
        assert_eq!(client_limit(&results, Case::Consume, &Kind::KAFKA), None);
    }

    #[test]
    fn ratios_are_over_kafka_where_it_is_there() {
        let written = |kinds: &[&Kind]| -> Vec<String> {
            let pairs = pairs(kinds).into_iter();
            pairs
                .map(|(over, under)| format!("{over}/{under}"))
                .collect()
        };
        let cache = Kind::OTTLA_PAGE_CACHE;
        let all = [&Kind::OTTLA, &cache, &Kind::KAFKA, &Kind::Tansu];
        assert_eq!(written(&all), ["ottla/kafka", "ottla:page-cache/kafka"]);
        assert_eq!(written(&all[..2]), ["ottla/ottla:page-cache"]);
        assert_eq!(written(&all[..1]), [""; 0]);
    }
}
