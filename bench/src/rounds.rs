//! The turns that brokers take: A B A B, each time from an empty directory.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::backing::Backing;
use crate::broker::{self, Broker, Programs};
use crate::case::{Case, NODES_OF_A_CLUSTER};
use crate::kind::Kind;
use crate::load::Load;
use crate::outcome::Figures;
use crate::report;
use crate::results::Results;

/// The topic of the first record.
const FIRST: &str = "bench-first";

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) warm_up: Duration,
    pub(crate) lead_in: Duration,
    pub(crate) load: Load,
    pub(crate) programs: Programs,
    pub(crate) cases: Vec<(Case, Vec<Kind>)>,
}

impl Plan {
    pub(crate) fn run(&self, command: impl Fn(Case) -> String) -> Results {
        let mut results = Results::default();
        for (case, _) in &self.cases {
            results.announce(*case, command(*case));
        }
        let kinds = self.kinds();
        // Whatever must be installed first is installed by asking for versions.
        let versions: Vec<_> = kinds
            .iter()
            .map(|kind| broker::version(kind, &self.programs))
            .collect();
        for round in 1..=self.rounds {
            for (kind, version) in kinds.iter().zip(&versions) {
                report::begin(round, self.rounds, kind);
                let begun = Instant::now();
                match version {
                    Ok(version) => {
                        self.turn(kind, &mut results);
                        results.set_version(kind, version);
                    }
                    Err(error) => {
                        let cases: Vec<Case> = self.cases_of(kind).collect();
                        refuse(kind, &cases, &format!("{error:#}"), &mut results);
                    }
                }
                report::end(begun.elapsed());
            }
        }
        results
    }

    fn kinds(&self) -> BTreeSet<Kind> {
        let kinds = self.cases.iter().flat_map(|(_, kinds)| kinds);
        kinds.cloned().collect()
    }

    fn cases_of(&self, kind: &Kind) -> impl Iterator<Item = Case> {
        let of_kind = move |(_, kinds): &&(Case, Vec<Kind>)| kinds.contains(kind);
        self.cases.iter().filter(of_kind).map(|(case, _)| *case)
    }

    /// Starts a broker, gives it all its cases, and stops it; then the same with a
    /// cluster.
    fn turn(&self, kind: &Kind, results: &mut Results) {
        for nodes in [1, NODES_OF_A_CLUSTER] {
            let cases = self.cases_of(kind).filter(|case| case.nodes() == nodes);
            let cases: Vec<Case> = cases.collect();
            if !cases.is_empty() {
                self.turn_of(kind, nodes, &cases, results);
            }
        }
    }

    fn turn_of(&self, kind: &Kind, nodes: usize, cases: &[Case], results: &mut Results) {
        match self.started(kind, nodes) {
            Ok((mut broker, first)) => {
                let mut warmth = self.warm_up;
                for case in cases.iter().copied() {
                    let run = self.run_warm(case, &mut broker, first, &mut warmth);
                    let run = run.map_err(|error| format!("{error:#}"));
                    report::step(case, &run);
                    results.add(case, kind, run);
                }
            }
            Err(error) => refuse(kind, cases, &format!("{error:#}"), results),
        }
        // What one broker left to be written would slow down the next.
        rustix::fs::sync();
    }

    fn started(&self, kind: &Kind, nodes: usize) -> Result<(Broker, Duration)> {
        let mut broker = Broker::new(kind, nodes, &self.programs)?;
        let first = broker.start(FIRST)?;
        Ok((broker, first))
    }

    /// Lets the broker work on the case for a while before that is measured:
    /// long for the first, shorter when it has worked already.
    fn run_warm(
        &self,
        case: Case,
        broker: &mut Broker,
        first: Duration,
        warmth: &mut Duration,
    ) -> Result<Figures> {
        if case.wants_a_warm_broker() {
            case.run(&self.load.for_so_long(*warmth), broker, first)?;
            *warmth = self.lead_in;
        }
        let backing = case
            .fills_memory()
            .then(|| Backing::for_so_long(self.load.duration));
        let figures = case.run(&self.load, broker, first);
        drop(backing);
        figures
    }
}

fn refuse(kind: &Kind, cases: &[Case], reason: &str, results: &mut Results) {
    for case in cases.iter().copied() {
        let run = Err(reason.to_owned());
        report::step(case, &run);
        results.add(case, kind, run);
    }
}
