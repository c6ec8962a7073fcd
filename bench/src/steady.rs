//! Producing at a fixed rate until told to stop, each record timed from the moment it
//! was due to its acknowledgement; and producing records with keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::broker::Broker;
use crate::load::Load;
use crate::produce::{self, Acks, Deliveries};

const FLUSH_WITHIN: Duration = Duration::from_secs(60);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// What is written, and where.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    pub(crate) topic: &'a str,
    pub(crate) value_bytes: u32,
    /// Each record has one of so many keys, by chance; none where there are none.
    pub(crate) keys: u64,
    pub(crate) linger_ms: &'a str,
}

/// Writes so many records as fast as the broker takes them.
pub(crate) fn write(load: &Load, broker: &Broker, what: &Records<'_>, records: u64) -> Result<()> {
    let producer = Keyed::new(load, broker, what)?;
    for number in 0..records {
        producer.send(number, producer.now())?;
    }
    producer.finish(records)?;
    Ok(())
}

/// A record is due at its time whether or not the one before has come through. A
/// thread of the producer's own takes acknowledgements the moment they arrive. The
/// first record opens connections and is not counted.
pub(crate) fn keep_the_rate(
    load: &Load,
    broker: &Broker,
    what: &Records<'_>,
    is_over: &AtomicBool,
) -> Result<Histogram<u64>> {
    let producer = Keyed::new(load, broker, what)?;
    producer.send(0, producer.now())?;
    producer.producer.context().wait_for(1)?;
    producer.producer.context().forget();
    let interval = Duration::from_secs(1) / load.rate;
    let begun = Instant::now();
    let offset = producer.now();
    let mut due = Duration::ZERO;
    let mut records = 0;
    while !is_over.load(Ordering::Relaxed) {
        due += interval;
        if let Some(wait) = due.checked_sub(begun.elapsed()) {
            thread::sleep(wait);
        }
        records += 1;
        producer.send(records, offset + usize::try_from(due.as_micros())?)?;
    }
    producer.finish(records)
}

struct Keyed<'a> {
    producer: ThreadedProducer<Deliveries>,
    what: &'a Records<'a>,
    payload: Vec<u8>,
}

impl<'a> Keyed<'a> {
    fn new(load: &Load, broker: &Broker, what: &'a Records<'a>) -> Result<Self> {
        let config = produce::producer_config(load, broker, Acks::AllIdempotent, what.linger_ms);
        Ok(Self {
            producer: config.create_with_context(Deliveries::new())?,
            what,
            payload: produce::payload(what.value_bytes),
        })
    }

    fn now(&self) -> usize {
        self.producer.context().now()
    }

    fn send(&self, number: u64, due: usize) -> Result<()> {
        let key = scattered(number).checked_rem(self.what.keys);
        let key = key.map(u64::to_be_bytes);
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(self.what.topic, due);
        let mut record = record.payload(&self.payload);
        if let Some(key) = &key {
            record = record.key(key);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    thread::sleep(TRY_AGAIN_AFTER);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    fn finish(self, records: u64) -> Result<Histogram<u64>> {
        self.producer.flush(FLUSH_WITHIN)?;
        produce::settled(self.producer.context(), records)
    }
}

/// The number's place in an order that looks like chance: the mixing steps of
/// SplitMix64.
const fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_used_alike_but_in_no_order() {
        let keys: Vec<u64> = (0..100_000).map(|number| scattered(number) % 100).collect();
        let mut uses = [0; 100];
        for key in &keys {
            uses[usize::try_from(*key).unwrap()] += 1;
        }
        assert!(
            uses.iter().all(|uses| (800..1200).contains(uses)),
            "{uses:?}"
        );
        let in_turn = keys
            .windows(2)
            .filter(|pair| pair[1] == (pair[0] + 1) % 100);
        let in_turn = in_turn.count();
        assert!(
            (800..1200).contains(&in_turn),
            "{in_turn} follow each other"
        );
    }
}
