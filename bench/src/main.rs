//! Measures a broker with librdkafka's client: the same command for ours and
//! for any other.

mod broker;
mod case;
mod consume;
mod frames;
mod latency;
mod options;
mod produce;
mod report;
mod unpipelined;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::broker::Broker;
use crate::case::Case;
use crate::options::Options;
use crate::report::Report;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let broker = Broker::given_or_spawned(options)?;
    report::introduce(options, &broker);
    for case in Case::ALL.into_iter().filter(|case| options.wants(*case)) {
        let mut report = Report::new(case);
        for _ in 0..options.runs {
            report.add(case.run(options, &broker)?);
        }
        report.print();
    }
    Ok(())
}
