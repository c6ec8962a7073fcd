//! What the project has set itself to reach beside Apache Kafka.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::Case;
use crate::kind::Kind;
use crate::outcome::Figure;
use crate::results::{Results, Subject};
use crate::statistics::{Spread, grouped};

/// A figure of a subject beside another's, or beside a number.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) subject: Subject,
    pub(crate) figure: Figure,
    pub(crate) rival: Rival,
    pub(crate) bound: Bound,
}

#[derive(Debug)]
pub(crate) enum Rival {
    Measured(Subject),
    /// The figure itself is compared, in its own unit.
    Fixed,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// One of the two sides could not be measured.
    Unknown,
}

pub(crate) fn goals() -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    use Case::{
        Cluster1kAll, ClusterAck, EndToEnd, FanOut1, FanOut8, Produce1kAll, Produce100Acks1,
        Produce100Bare, Start, Unpipelined, UnpipelinedBare,
    };
    use Figure::{
        BrokerCpu, CpuPerRecord, FirstAcknowledged, IdleMemory, P50, P99, PeakMemory,
        RecordsPerSecond,
    };
    let beside_kafka = |kind: &Kind, case, figure, bound| Goal {
        subject: (case, kind.clone()),
        figure,
        rival: Rival::Measured((case, Kind::KAFKA)),
        bound,
    };
    let ottla = |case, figure, bound| beside_kafka(&Kind::OTTLA, case, figure, bound);
    let page_cache =
        |case, figure, bound| beside_kafka(&Kind::OTTLA_PAGE_CACHE, case, figure, bound);
    let alone = |kind: &Kind, case, figure, bound| Goal {
        subject: (case, kind.clone()),
        figure,
        rival: Rival::Fixed,
        bound,
    };
    let bare = |figure, bound| alone(&Kind::OTTLA_PAGE_CACHE, UnpipelinedBare, figure, bound);
    let cluster = |case, figure, bound| alone(&Kind::OTTLA, case, figure, bound);
    vec![
        ottla(Produce1kAll, RecordsPerSecond, AtLeast(1.2)),
        ottla(Produce1kAll, CpuPerRecord, AtMost(0.6)),
        page_cache(Produce1kAll, RecordsPerSecond, AtLeast(1.5)),
        ottla(Produce100Acks1, RecordsPerSecond, AtLeast(1.5)),
        ottla(Produce100Acks1, CpuPerRecord, AtMost(0.5)),
        page_cache(Produce100Acks1, RecordsPerSecond, AtLeast(1.5)),
        page_cache(Produce100Acks1, CpuPerRecord, AtMost(0.5)),
        ottla(Produce100Bare, RecordsPerSecond, AtLeast(1.5)),
        ottla(Produce100Bare, CpuPerRecord, AtMost(0.5)),
        page_cache(Produce100Bare, RecordsPerSecond, AtLeast(1.5)),
        page_cache(Produce100Bare, CpuPerRecord, AtMost(0.5)),
        page_cache(Unpipelined, RecordsPerSecond, AtLeast(1.5)),
        page_cache(Unpipelined, P99, AtMost(0.5)),
        page_cache(UnpipelinedBare, RecordsPerSecond, AtLeast(1.5)),
        page_cache(UnpipelinedBare, P99, AtMost(0.5)),
        // What another broker written in Rust does on such a machine.
        bare(RecordsPerSecond, AtLeast(17_000.0)),
        bare(P99, AtMost(0.16)),
        ottla(EndToEnd, P99, AtMost(0.5)),
        page_cache(EndToEnd, P99, AtMost(0.5)),
        ottla(Start, FirstAcknowledged, AtMost(1.0 / 50.0)),
        ottla(Start, IdleMemory, AtMost(1.0 / 20.0)),
        ottla(Produce1kAll, PeakMemory, AtMost(1.0 / 8.0)),
        Goal {
            subject: (FanOut8, Kind::OTTLA),
            figure: BrokerCpu,
            rival: Rival::Measured((FanOut1, Kind::OTTLA)),
            bound: AtMost(2.5),
        },
        cluster(Cluster1kAll, RecordsPerSecond, AtLeast(60_000.0)),
        ottla(Cluster1kAll, CpuPerRecord, AtMost(1.0)),
        cluster(ClusterAck, P50, AtMost(1.5)),
    ]
}

/// The cases that goals are about, each with the brokers that it is about.
pub(crate) fn needed() -> Vec<(Case, Vec<Kind>)> {
    let mut needed: BTreeMap<Case, BTreeSet<Kind>> = BTreeMap::new();
    for goal in goals() {
        let rival = match goal.rival {
            Rival::Measured(rival) => Some(rival),
            Rival::Fixed => None,
        };
        for (case, kind) in [goal.subject].into_iter().chain(rival) {
            needed.entry(case).or_default().insert(kind);
        }
    }
    let kinds = |(case, kinds): (Case, BTreeSet<Kind>)| (case, kinds.into_iter().collect());
    needed.into_iter().map(kinds).collect()
}

impl Goal {
    pub(crate) fn measured(&self, results: &Results) -> Option<Spread> {
        match &self.rival {
            Rival::Measured(rival) => results.ratio(&self.subject, rival, self.figure),
            Rival::Fixed => results.spread(&self.subject, self.figure),
        }
    }

    /// The median decides.
    pub(crate) fn verdict(&self, results: &Results) -> Verdict {
        match (self.measured(results), self.bound) {
            (None, _) => Verdict::Unknown,
            (Some(measured), Bound::AtLeast(least)) if measured.median >= least => Verdict::Met,
            (Some(measured), Bound::AtMost(most)) if measured.median <= most => Verdict::Met,
            (Some(_), Bound::AtLeast(_) | Bound::AtMost(_)) => Verdict::Missed,
        }
    }

    /// What is compared with what, in words.
    pub(crate) fn comparison(&self) -> String {
        let (case, kind) = &self.subject;
        let subject = format!("`{case}`, {kind}");
        match &self.rival {
            Rival::Measured((rival_case, rival)) if rival_case == case => {
                format!("{subject} ÷ {rival}")
            }
            Rival::Measured((rival_case, _)) => format!("{subject} ÷ `{rival_case}`"),
            Rival::Fixed => subject,
        }
    }

    /// The bound, with as many digits as its size needs.
    pub(crate) fn bound(&self) -> String {
        let (sign, value) = match self.bound {
            Bound::AtLeast(least) => ("≥", least),
            Bound::AtMost(most) => ("≤", most),
        };
        let times = match self.rival {
            Rival::Measured(_) => " ×",
            Rival::Fixed => "",
        };
        format!("{sign} {}{times}", grouped(value, digits(value)))
    }

    pub(crate) fn written(&self, results: &Results) -> String {
        let (Bound::AtLeast(bound) | Bound::AtMost(bound)) = self.bound;
        match (self.measured(results), &self.rival) {
            (None, _) => "not measured".to_owned(),
            (Some(ratio), Rival::Measured(_)) => ratio.as_ratio(),
            (Some(figure), Rival::Fixed) => format!("{figure:.0$}", digits(bound)),
        }
    }
}

fn digits(value: f64) -> usize {
    match value {
        _ if value >= 1000.0 => 0,
        _ if value >= 1.0 => 1,
        _ if value >= 0.2 => 2,
        _ => 3,
    }
}

impl Verdict {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::two_brokers;

    fn rate_beside_kafka(bound: Bound) -> Goal {
        Goal {
            subject: (Case::Produce1kAll, Kind::OTTLA),
            figure: Figure::RecordsPerSecond,
            rival: Rival::Measured((Case::Produce1kAll, Kind::KAFKA)),
            bound,
        }
    }

    #[test]
    fn the_median_ratio_decides() {
        // Rounds of 1.5 and 2.0.
        let results = two_brokers();
        for (bound, verdict) in [
            (Bound::AtLeast(1.75), Verdict::Met),
            (Bound::AtLeast(1.76), Verdict::Missed),
            (Bound::AtMost(1.75), Verdict::Met),
            (Bound::AtMost(1.74), Verdict::Missed),
        ] {
            assert_eq!(rate_beside_kafka(bound).verdict(&results), verdict);
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let mut goal = rate_beside_kafka(Bound::AtMost(1.0));
        goal.figure = Figure::P99;
        assert_eq!(goal.verdict(&two_brokers()), Verdict::Unknown);
        assert_eq!(goal.written(&two_brokers()), "not measured");
    }

    #[test]
    fn a_goal_is_written_with_its_bound_and_figure() {
        let goal = rate_beside_kafka(Bound::AtLeast(1.2));
        assert_eq!(goal.comparison(), "`produce-1k-all`, ottla ÷ kafka");
        assert_eq!(goal.bound(), "≥ 1.2 ×");
        assert_eq!(goal.written(&two_brokers()), "1.75 (1.50 to 2.00)");
        assert_eq!(rate_beside_kafka(Bound::AtMost(0.02)).bound(), "≤ 0.020 ×");
    }

    #[test]
    fn every_side_of_every_goal_is_needed() {
        let needed: BTreeMap<_, _> = needed().into_iter().collect();
        for goal in goals() {
            let (case, kind) = &goal.subject;
            assert!(needed[case].contains(kind));
            if let Rival::Measured((case, kind)) = &goal.rival {
                assert!(needed[case].contains(kind));
            }
        }
        assert!(!needed.contains_key(&Case::Consume));
    }
}
