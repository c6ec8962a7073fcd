//! A producer that sends at a steady rate whatever becomes of the broker.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};

use super::{Run, payload};
use crate::chance::Chance;
use crate::history::{Offset, Process, Producer, Value, What};

/// How long acknowledgements are waited for between two sends.
const PAUSE: Duration = Duration::from_millis(2);
/// What may wait in librdkafka: when the broker is away, the producer waits too.
const QUEUE_MOST: i32 = 2_000;

/// Sends until the run is over, then waits for what is on its way. A producer
/// that librdkafka gives up is replaced.
pub(super) fn produce(run: &Run, mut chance: Chance) -> Result<()> {
    while !run.is_over() {
        Producing::start(run, &mut chance)?.go_on(&mut chance)?;
    }
    Ok(())
}

struct Producing<'a> {
    run: &'a Run,
    process: Process,
    producer: BaseProducer<Deliveries>,
    sent: u32,
}

impl<'a> Producing<'a> {
    fn start(run: &'a Run, chance: &mut Chance) -> Result<Self> {
        let process = run.recorder.process();
        let mut config = run.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", chance.pick(&["0", "2", "10"]))
            .set("compression.type", chance.pick(&["none", "none", "lz4"]))
            .set("batch.num.messages", chance.pick(&["10", "100", "10000"]))
            .set("queue.buffering.max.messages", QUEUE_MOST.to_string())
            .set("message.timeout.ms", "120000");
        for setting in &run.options.producer_settings {
            let Some((key, value)) = setting.split_once('=') else {
                bail!("--producer takes KEY=VALUE, not {setting}");
            };
            config.set(key, value);
        }
        let kind = if config.get("enable.idempotence") == Some("true") {
            Producer::Idempotent
        } else {
            Producer::Plain
        };
        let deliveries = Deliveries::default();
        let producer = config.create_with_context(deliveries)?;
        run.recorder.event(process, What::Producer(kind));
        Ok(Self {
            run,
            process,
            producer,
            sent: 0,
        })
    }

    fn go_on(mut self, chance: &mut Chance) -> Result<()> {
        let mut begun = Instant::now();
        let mut sent_since = 0;
        while !self.run.is_over() && !self.is_given_up() {
            let due = f64::from(self.run.options.rate) * begun.elapsed().as_secs_f64();
            if f64::from(sent_since) < due && self.send(chance)? {
                sent_since += 1;
            } else {
                self.collect(PAUSE);
            }
            // What could not be sent in time is not made up for.
            if begun.elapsed() > Duration::from_secs(1) {
                begun = Instant::now();
                sent_since = 0;
            }
        }
        self.settle()
    }

    /// False if librdkafka does not take it now.
    fn send(&mut self, chance: &mut Chance) -> Result<bool> {
        if self.producer.in_flight_count() >= QUEUE_MOST {
            return Ok(false);
        }
        let logs = self.run.topics.logs();
        let log = chance.pick(&logs);
        let (topic, partition) = self.run.topics.place(log);
        let value = Value((u64::from(self.process.0) << 32) | u64::from(self.sent));
        let bytes = payload::of(value, filling(chance)?);
        let opaque = usize::try_from(value.0)?;
        let record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, opaque)
            .partition(partition)
            .payload(&bytes);
        // Before it is sent: its acknowledgement must not come first.
        self.run
            .recorder
            .event(self.process, What::Send { log, value });
        self.sent += 1;
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((error, _)) => {
                self.run
                    .recorder
                    .event(self.process, What::Failed { value });
                // A broker that forgot a topic is no mistake of ours.
                let is_refused = matches!(
                    error.rdkafka_error_code(),
                    Some(
                        RDKafkaErrorCode::QueueFull
                            | RDKafkaErrorCode::Fatal
                            | RDKafkaErrorCode::UnknownPartition
                            | RDKafkaErrorCode::UnknownTopic
                    )
                );
                if is_refused {
                    Ok(false)
                } else {
                    Err(error.into())
                }
            }
        }
    }

    fn is_given_up(&self) -> bool {
        let fatal = self.producer.client().fatal_error();
        if let Some((code, reason)) = &fatal {
            let text = format!("fatal: {code}: {reason}");
            self.run.recorder.note(self.process, &text);
        }
        fatal.is_some()
    }

    /// Records what became of records meanwhile.
    fn collect(&self, within: Duration) {
        self.producer.poll(within);
        for delivered in self.producer.context().take() {
            let what = delivered.event(self.run);
            self.run.recorder.event(self.process, what);
        }
    }

    fn settle(self) -> Result<()> {
        let deadline = Instant::now() + self.run.patience();
        while self.producer.in_flight_count() > 0
            && Instant::now() < deadline
            && self.producer.client().fatal_error().is_none()
        {
            self.collect(PAUSE);
        }
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        self.collect(Duration::ZERO);
        self.collect(PAUSE);
        Ok(())
    }
}

fn filling(chance: &mut Chance) -> Result<usize> {
    let most = chance.pick(&[20, 200, 200, 1_000, 1_000, 1_000, 4_000, 20_000]);
    Ok(usize::try_from(chance.below(most))?)
}

/// What librdkafka says became of records; emptied by the producer's thread,
/// which is also the one that librdkafka tells.
#[derive(Debug, Default)]
struct Deliveries(std::sync::Mutex<Vec<Delivered>>);

#[derive(Debug)]
struct Delivered {
    value: Value,
    /// The topic, the partition and the offset, unless it failed.
    place: Option<(String, i32, i64)>,
}

impl Deliveries {
    fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
}

impl Delivered {
    fn event(&self, run: &Run) -> What {
        let value = self.value;
        let place = self.place.as_ref();
        let acked = place.and_then(|(topic, partition, offset)| {
            let log = run.topics.log(topic, *partition)?;
            Some((log, (*offset >= 0).then_some(Offset(*offset))))
        });
        match acked {
            Some((log, offset)) => What::Acked { log, offset, value },
            // A broker that answers with an error, or not at all, may have it.
            None => What::Unknown { value },
        }
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, value: usize) {
        let place = result.as_ref().ok().map(|message| {
            let topic = message.topic().to_owned();
            (topic, message.partition(), message.offset())
        });
        let value = Value(u64::try_from(value).expect("it was one when it was sent"));
        let mut delivered = self.0.lock().expect("no holder panics");
        delivered.push(Delivered { value, place });
    }
}
