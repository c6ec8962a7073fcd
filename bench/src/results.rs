//! Everything that was measured, and the file that keeps it between commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

use crate::case::Case;
use crate::kind::Kind;
use crate::machine::Machine;
use crate::outcome::{Figure, Figures};
use crate::statistics::Spread;

/// What a broker did in a case.
pub(crate) type Subject = (Case, Kind);

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Results {
    pub(crate) cases: BTreeMap<Case, CaseResults>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct CaseResults {
    pub(crate) command: String,
    pub(crate) brokers: BTreeMap<Kind, Measured>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Measured {
    pub(crate) version: String,
    /// One a round; what could not be measured has the reason instead.
    pub(crate) runs: Vec<Result<Figures, String>>,
}

impl Results {
    pub(crate) fn announce(&mut self, case: Case, command: String) {
        self.cases.entry(case).or_default().command = command;
    }

    pub(crate) fn set_version(&mut self, kind: &Kind, version: &str) {
        for case in self.cases.values_mut() {
            if let Some(measured) = case.brokers.get_mut(kind) {
                version.clone_into(&mut measured.version);
            }
        }
    }

    pub(crate) fn add(&mut self, case: Case, kind: &Kind, run: Result<Figures, String>) {
        let case = self.cases.entry(case).or_default();
        let measured = case.brokers.entry(kind.clone()).or_default();
        measured.runs.push(run);
    }

    /// Takes over every case that a newer measurement has.
    pub(crate) fn replace(&mut self, newer: Self) {
        self.cases.extend(newer.cases);
    }

    /// A figure by round.
    fn column(&self, (case, kind): &Subject, figure: Figure) -> Vec<Option<f64>> {
        let case = self.cases.get(case);
        let runs = case.and_then(|case| case.brokers.get(kind));
        let runs = runs.map_or(&[][..], |measured| &measured.runs);
        let value = |run: &Result<Figures, String>| run.as_ref().ok()?.get(&figure).copied();
        runs.iter().map(value).collect()
    }

    pub(crate) fn spread(&self, subject: &Subject, figure: Figure) -> Option<Spread> {
        Spread::of(self.column(subject, figure).into_iter().flatten())
    }

    pub(crate) fn ratio(&self, over: &Subject, under: &Subject, figure: Figure) -> Option<Spread> {
        Spread::of_ratios(&self.column(over, figure), &self.column(under, figure))
    }

    /// Why a run of a broker could not be measured.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Case, &Kind, &str)> {
        self.cases.iter().flat_map(|(case, results)| {
            results.brokers.iter().flat_map(move |(kind, measured)| {
                let reasons = measured.runs.iter().filter_map(|run| run.as_ref().err());
                reasons.map(move |reason| (*case, kind, reason.as_str()))
            })
        })
    }

    /// One line a run, fields separated by tabs.
    pub(crate) fn to_text(&self, machine: &Machine) -> String {
        let mut text = String::new();
        for (name, value) in &machine.facts {
            line(&mut text, &["machine", name, value]);
        }
        for (case, results) in &self.cases {
            let case = case.to_string();
            line(&mut text, &["case", &case, &results.command]);
            for (kind, measured) in &results.brokers {
                let kind = kind.to_string();
                line(&mut text, &["broker", &case, &kind, &measured.version]);
                for run in &measured.runs {
                    match run {
                        Ok(figures) => line(&mut text, &["run", &case, &kind, &written(figures)]),
                        Err(reason) => line(&mut text, &["refused", &case, &kind, reason]),
                    }
                }
            }
        }
        text
    }

    pub(crate) fn from_text(text: &str) -> Result<(Machine, Self)> {
        let mut machine = Machine { facts: Vec::new() };
        let mut results = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let read = results.read_line(&mut machine, &fields);
            read.with_context(|| format!("reading '{line}'"))?;
        }
        Ok((machine, results))
    }

    fn read_line(&mut self, machine: &mut Machine, fields: &[&str]) -> Result<()> {
        let case = |name: &str| name.parse::<Case>().map_err(anyhow::Error::msg);
        let kind = |name: &str| name.parse::<Kind>().map_err(anyhow::Error::msg);
        match fields {
            ["machine", name, value] => {
                let fact = ((*name).to_owned(), (*value).to_owned());
                machine.facts.push(fact);
            }
            ["case", name, command] => self.announce(case(name)?, (*command).to_owned()),
            ["broker", name, broker, version] => {
                let case = self.cases.entry(case(name)?).or_default();
                let measured = case.brokers.entry(kind(broker)?).or_default();
                (*version).clone_into(&mut measured.version);
            }
            ["run", name, broker, figures] => {
                self.add(case(name)?, &kind(broker)?, Ok(read_figures(figures)?));
            }
            ["refused", name, broker, reason] => {
                self.add(case(name)?, &kind(broker)?, Err((*reason).to_owned()));
            }
            _ => bail!("no such line"),
        }
        Ok(())
    }
}

fn line(text: &mut String, fields: &[&str]) {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| field.replace(['\t', '\n'], " "))
        .collect();
    writeln!(text, "{}", fields.join("\t")).expect("a string takes everything");
}

fn written(figures: &Figures) -> String {
    let figures: Vec<String> = figures
        .iter()
        .map(|(figure, value)| format!("{}={value:.6}", figure.describe().key))
        .collect();
    figures.join(" ")
}

fn read_figures(text: &str) -> Result<Figures> {
    text.split_whitespace()
        .map(|word| {
            let (key, value) = word.split_once('=').context("no value")?;
            let figure = Figure::of_key(key).with_context(|| format!("no figure '{key}'"))?;
            Ok((figure, value.parse()?))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two brokers in three rounds, the second of which one of them refused.
    pub(crate) fn two_brokers() -> Results {
        let mut results = Results::default();
        let case = Case::Produce1kAll;
        results.announce(case, "make bench".to_owned());
        for (kind, rates) in [
            (Kind::OTTLA, [Some(300.0), Some(100.0), Some(500.0)]),
            (Kind::KAFKA, [Some(200.0), None, Some(250.0)]),
        ] {
            for rate in rates {
                let run = rate.map(|rate| Figures::from([(Figure::RecordsPerSecond, rate)]));
                let run = run.ok_or_else(|| "it\tdid\nnot".to_owned());
                results.add(case, &kind, run);
            }
            results.set_version(&kind, "1.2");
        }
        results
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let results = two_brokers();
        let [ottla, kafka] = [Kind::OTTLA, Kind::KAFKA].map(|kind| (Case::Produce1kAll, kind));
        let ratio = results.ratio(&ottla, &kafka, Figure::RecordsPerSecond);
        assert_eq!(format!("{:.2}", ratio.unwrap()), "1.75 (1.50 to 2.00)");
        assert_eq!(results.ratio(&ottla, &kafka, Figure::P99), None);
        let spread = results.spread(&ottla, Figure::RecordsPerSecond);
        assert_eq!(format!("{:.0}", spread.unwrap()), "300 (100 to 500)");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let machine = Machine {
            facts: vec![("cores".to_owned(), "2".to_owned())],
        };
        let results = two_brokers();
        let (machine_read, read) = Results::from_text(&results.to_text(&machine)).unwrap();
        assert_eq!(machine_read, machine);
        assert_eq!(read.to_text(&machine), results.to_text(&machine));
        let reasons: Vec<_> = read.refusals().map(|(_, _, reason)| reason).collect();
        assert_eq!(reasons, ["it did not"]);
    }

    #[test]
    fn a_line_that_is_none_of_ours_is_refused() {
        for text in [
            "case",
            "case\tno-such-case\tmake bench",
            "run\tconsume\tkafka\tno-such-figure=1",
            "run\tconsume\tkafka\tp50-ms=fast",
        ] {
            assert!(Results::from_text(text).is_err(), "'{text}' is read");
        }
    }

    #[test]
    fn a_newer_measurement_takes_the_place_of_whole_cases() {
        let mut results = two_brokers();
        results.announce(Case::Consume, "old".to_owned());
        let mut newer = Results::default();
        newer.announce(Case::Produce1kAll, "new".to_owned());
        results.replace(newer);
        assert_eq!(results.cases[&Case::Consume].command, "old");
        assert_eq!(results.cases[&Case::Produce1kAll].command, "new");
        assert!(results.cases[&Case::Produce1kAll].brokers.is_empty());
    }
}
