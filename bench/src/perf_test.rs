//! Kafka's own performance tools as drivers, beside librdkafka.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::broker::Broker;
use crate::load::Load;
use crate::outcome::{Figure, Figures, mebibytes};
use crate::process::Meter;
use crate::{produce, topic};

/// A run takes about as long as the others, on the machines that this was
/// written on.
const RECORDS_PER_SECOND: f64 = 100_000.0;

/// What a tool prints of itself.
#[derive(Debug, PartialEq)]
struct Printed {
    records: f64,
    figures: Figures,
}

/// `kafka-producer-perf-test`, whose first half is its own warm-up and not
/// counted in what it prints.
pub(crate) fn producer(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Figures> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let records = (RECORDS_PER_SECOND * load.duration.as_secs_f64()).round();
    let mut command = tool(broker, "kafka-producer-perf-test", &topic);
    command.args(["--num-records", &format!("{:.0}", 2.0 * records)]);
    command.args(["--warmup-records", &format!("{records:.0}")]);
    command.args(["--record-size", &record_bytes.to_string()]);
    command.args(["--throughput", "-1", "--command-property", "acks=all"]);
    let figures = measured(command, broker, 2.0 * records, of_producer)?;
    topic::delete(broker, &topic)?;
    Ok(figures)
}

/// `kafka-consumer-perf-test`; the time until its group has settled is not
/// counted in its rate.
pub(crate) fn consumer(load: &Load, broker: &Broker, record_bytes: u32) -> Result<Figures> {
    let topic = topic::create(broker, load.partitions, &[])?;
    let records = (2.0 * RECORDS_PER_SECOND * load.duration.as_secs_f64()).round();
    let written = format!("{records:.0}").parse()?;
    produce::write(load, broker, &topic, record_bytes, written)?;
    let mut command = tool(broker, "kafka-consumer-perf-test", &topic);
    command.args(["--num-records", &format!("{records:.0}")]);
    let figures = measured(command, broker, records, of_consumer)?;
    topic::delete(broker, &topic)?;
    Ok(figures)
}

fn tool(broker: &Broker, name: &str, topic: &str) -> Command {
    let mut command = Command::new(broker.programs.peers.join("bin").join(name));
    command.args(["--bootstrap-server", &broker.address, "--topic", topic]);
    command
}

/// The processor time is that of the whole life of the tool.
fn measured(
    mut command: Command,
    broker: &Broker,
    records: f64,
    read: impl Fn(&str) -> Option<Printed>,
) -> Result<Figures> {
    let meter = Meter::start(&broker.pids)?;
    let output = command.stdin(Stdio::null()).output()?;
    let usage = meter.stop()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} {}", text.trim(), errors.trim());
    }
    let printed = text.lines().rev().find_map(read);
    let printed = printed.with_context(|| format!("'{}' is no result", text.trim()))?;
    ensure!(printed.records > 0.0, "the tool saw no record");
    let mut figures = printed.figures;
    let client = usage.client_processor.as_secs_f64() / usage.took.as_secs_f64();
    figures.insert(Figure::ClientCpu, client);
    if let Some(used) = usage.broker {
        let processor = used.processor.as_secs_f64();
        figures.extend([
            (Figure::BrokerCpu, processor),
            (Figure::CpuPerRecord, processor * 1e6 / records),
            (Figure::PeakMemory, mebibytes(used.peak_memory_bytes)),
        ]);
    }
    Ok(figures)
}

/// `N records sent, R records/sec (B MB/sec), ..., P ms 50th, ...`
fn of_producer(line: &str) -> Option<Printed> {
    let before = |unit: &str| -> Option<f64> {
        let (text, _) = line.split_once(unit)?;
        let number = text.rsplit([' ', '(']).next()?;
        number.parse().ok()
    };
    let (records, _) = line.split_once(" steady state records sent")?;
    Some(Printed {
        records: records.trim().parse().ok()?,
        figures: Figures::from([
            (Figure::RecordsPerSecond, before(" records/sec")?),
            (Figure::MebibytesPerSecond, before(" MB/sec")?),
            (Figure::P50, before(" ms 50th")?),
            (Figure::P99, before(" ms 99th")?),
            (Figure::P999, before(" ms 99.9th")?),
        ]),
    })
}

/// The line under `start.time, end.time, data.consumed.in.MB, MB.sec,
/// data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms,
/// fetch.MB.sec, fetch.nMsg.sec`
fn of_consumer(line: &str) -> Option<Printed> {
    let fields: Vec<&str> = line.split(", ").collect();
    let number = |index: usize| fields.get(index)?.trim().parse().ok();
    if fields.len() != 10 {
        return None;
    }
    Some(Printed {
        records: number(4)?,
        figures: Figures::from([
            (Figure::RecordsPerSecond, number(9)?),
            (Figure::MebibytesPerSecond, number(8)?),
        ]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_state_of_the_producer_tool_is_read() {
        let line = "300000 steady state records sent, 151285.930408 records/sec (147.74 MB/sec), \
                    185.27 ms avg latency, 342.00 ms max latency, 180 ms 50th, 300 ms 95th, \
                    329 ms 99th, 339 ms 99.9th.";
        let expected = Printed {
            records: 300_000.0,
            figures: Figures::from([
                (Figure::RecordsPerSecond, 151_285.930_408),
                (Figure::MebibytesPerSecond, 147.74),
                (Figure::P50, 180.0),
                (Figure::P99, 329.0),
                (Figure::P999, 339.0),
            ]),
        };
        assert_eq!(of_producer(line), Some(expected));
        let whole = line.replace(" steady state", "");
        assert_eq!(of_producer(&whole), None, "the warm-up is in this line");
    }

    #[test]
    fn the_rate_of_the_consumer_tool_is_without_its_rebalance() {
        let line = "2026-01-01 10:00:00:000, 2026-01-01 10:00:05:000, 488.2812, 97.6562, 500000, \
                    100000.0000, 3000, 2000, 244.1406, 250000.0000";
        let expected = Printed {
            records: 500_000.0,
            figures: Figures::from([
                (Figure::RecordsPerSecond, 250_000.0),
                (Figure::MebibytesPerSecond, 244.1406),
            ]),
        };
        assert_eq!(of_consumer(line), Some(expected));
        assert_eq!(of_consumer("start.time, end.time, MB.sec"), None);
    }
}
