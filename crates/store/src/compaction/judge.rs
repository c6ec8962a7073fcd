//! What becomes of one batch: `Cleaner.cleanInto` and `MemoryRecords.filterTo`.

use ottla_base::Offset;
use ottla_protocol::records::{BatchError, Record, RecordBatch};

use super::latest::Full;
use super::{LastOfProducers, Latest};
use crate::Compaction;

/// One pass over a log.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) rules: Compaction,
    pub(crate) latest: Latest,
    pub(crate) producers: LastOfProducers,
    /// Where what can be compacted ends. The batch that ends there stays, if only as
    /// an empty one: a reader must get beyond it.
    pub(crate) end: Offset,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stays,
    Becomes(RecordBatch),
    Goes,
}

/// Takes note of a batch's keys. When there is no memory for them all, the pass ends
/// in front of this batch.
pub(crate) fn learn(
    latest: &mut Latest,
    batch: &RecordBatch,
) -> Result<Result<(), Full>, BatchError> {
    if !is_plain(batch) {
        latest.advance(batch.header().next_offset());
        return Ok(Ok(()));
    }
    for record in batch.records()? {
        let record = record?;
        if let Some(key) = &record.key
            && latest.put(key, record.offset).is_err()
        {
            return Ok(Err(Full));
        }
    }
    latest.advance(batch.header().next_offset());
    Ok(Ok(()))
}

pub(crate) fn judge(pass: &Pass, batch: &RecordBatch) -> Result<Verdict, BatchError> {
    if !is_plain(batch) {
        return Ok(Verdict::Stays);
    }
    let header = batch.header();
    let horizon = header.delete_horizon();
    let keeps_markers = horizon.is_none_or(|horizon| pass.rules.now < horizon);
    let mut kept: Vec<Record> = Vec::new();
    let mut is_whole = true;
    for record in batch.records()? {
        let record = record?;
        if pass.retains(&record, keeps_markers) {
            kept.push(record);
        } else {
            is_whole = false;
        }
    }
    if kept.is_empty() {
        return Ok(pass.without_records(batch));
    }
    let has_marker = kept.iter().any(|record| record.value.is_none());
    let new_horizon = (has_marker && horizon.is_none())
        .then(|| pass.rules.now.plus_ms(pass.rules.delete_retention_ms));
    if is_whole && new_horizon.is_none() {
        return Ok(Verdict::Stays);
    }
    Ok(Verdict::Becomes(batch.retaining(&kept, new_horizon)?))
}

impl Pass {
    fn retains(&self, record: &Record, keeps_markers: bool) -> bool {
        if record.offset >= self.latest.end() {
            return true;
        }
        let Some(key) = &record.key else {
            return false;
        };
        let is_marker = record.value.is_none();
        !self.latest.supersedes(key, record.offset) && (!is_marker || keeps_markers)
    }

    fn without_records(&self, batch: &RecordBatch) -> Verdict {
        let header = batch.header();
        let is_needed =
            self.producers.needs(header, &self.rules) || header.next_offset() == self.end;
        match is_needed {
            true if header.record_count == 0 => Verdict::Stays,
            true => Verdict::Becomes(batch.emptied()),
            false => Verdict::Goes,
        }
    }
}

/// Whether a batch's records count by their keys alone. Control records and those of
/// transactions stay as they are and supersede nothing: which of them were aborted is
/// not known here.
fn is_plain(batch: &RecordBatch) -> bool {
    let attributes = batch.header().attributes;
    !attributes.is_control() && !attributes.is_transactional()
}

#[cfg(test)]
mod tests {
    use ottla_base::{LeaderEpoch, Millis, ProducerEpoch, ProducerId, Sequence};
    use ottla_protocol::records::BatchBuilder;

    use super::*;

    const DAY: i64 = 86_400_000;

    fn rules(now: i64) -> Compaction {
        Compaction {
            now: Millis(now),
            until: Offset(i64::MAX),
            segment_bytes: 1,
            segment_ms: 1,
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            min_dirty_ratio: 0.0,
            delete_retention_ms: 1_000,
            producer_expiration_ms: DAY,
        }
    }

    /// Records as `key=value`, `key` for a marker of deletion, `=value` without a key.
    fn add(builder: &mut BatchBuilder, records: &str) {
        for record in records.split_whitespace() {
            let (key, value) = match record.split_once('=') {
                Some((key, value)) => (key, Some(value.as_bytes())),
                None => (record, None),
            };
            let key = (!key.is_empty()).then_some(key.as_bytes());
            builder.push(Millis(10), key, value);
        }
    }

    /// Batches of the log one behind the other; `p` in front makes one a producer's.
    fn log(batches: &[&str]) -> Vec<RecordBatch> {
        let mut base = Offset::ZERO;
        let made = batches.iter().map(|records| {
            let (builder, records) = match records.strip_prefix("p: ") {
                Some(records) => {
                    let producer = (ProducerId(5), ProducerEpoch(0), Sequence(0));
                    let builder = BatchBuilder::new().producer(producer.0, producer.1, producer.2);
                    (builder, records)
                }
                None => (BatchBuilder::new(), *records),
            };
            let mut builder = builder;
            add(&mut builder, records);
            let batch = builder.build().unwrap().at(base, LeaderEpoch(0));
            base = batch.header().next_offset();
            batch
        });
        made.collect()
    }

    fn pass(batches: &[RecordBatch], rules: Compaction) -> Pass {
        let mut latest = Latest::new(1 << 20, Offset::ZERO);
        let mut producers = LastOfProducers::default();
        for batch in batches {
            learn(&mut latest, batch).unwrap().unwrap();
            producers.add(batch.header());
        }
        let end = latest.end();
        Pass {
            rules,
            latest,
            producers,
            end,
        }
    }

    /// The log after a pass over all of it.
    fn compacted(batches: &[RecordBatch], rules: Compaction) -> Vec<RecordBatch> {
        let pass = pass(batches, rules);
        let left = batches
            .iter()
            .filter_map(|batch| match judge(&pass, batch).unwrap() {
                Verdict::Stays => Some(batch.clone()),
                Verdict::Becomes(batch) => Some(batch),
                Verdict::Goes => None,
            });
        left.collect()
    }

    /// Each batch as `first..end` and its records with their offsets.
    fn shown(batches: &[RecordBatch]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = batches.iter().map(|batch| {
            let header = batch.header();
            let mut shown = format!("{}..{}", header.base_offset, header.next_offset());
            for record in batch.records().unwrap().map(Result::unwrap) {
                let key = record.key.as_deref().map_or_else(String::new, text);
                let value = record.value.as_deref().map(text);
                let value = value.map_or_else(String::new, |value| format!("={value}"));
                shown.push_str(&format!(" {}:{key}{value}", record.offset));
            }
            shown
        });
        shown.collect()
    }

    fn check(batches: &[&str], expected: &[&str]) {
        let left = compacted(&log(batches), rules(50_000));
        assert_eq!(shown(&left), expected, "{batches:?}");
    }

    #[test]
    fn the_last_record_of_each_key_stays_under_its_offset() {
        check(
            &["a=1 b=1", "a=2", "c=1 a=3", "d=1"],
            &["0..2 1:b=1", "3..5 3:c=1 4:a=3", "5..6 5:d=1"],
        );
        check(&["a=1 a=2 a=3", "b=1"], &["0..3 2:a=3", "3..4 3:b=1"]);
        // As they were written, nothing is superseded.
        check(&["a=1 b=1", "c=1"], &["0..2 0:a=1 1:b=1", "2..3 2:c=1"]);
    }

    #[test]
    fn records_without_a_key_go() {
        check(&["=1 a=1 =2", "=3", "b=1"], &["0..3 1:a=1", "4..5 4:b=1"]);
    }

    #[test]
    fn the_last_batch_and_a_producers_last_one_stay_empty_at_least() {
        check(&["a=1", "a=2 =1", "=2"], &["1..3 1:a=2", "3..4"]);
        check(
            &["p: a=1", "p: b=1", "a=2 b=2"],
            &["1..2", "2..4 2:a=2 3:b=2"],
        );
        let batches = log(&["p: a=1", "a=2"]);
        let long_after = compacted(&batches, rules(10 + DAY));
        assert_eq!(shown(&long_after), ["1..2 1:a=2"]);
        let empty = compacted(&batches, rules(50_000));
        assert_eq!(
            shown(&compacted(&empty, rules(50_000))),
            ["0..1", "1..2 1:a=2"]
        );
    }

    #[test]
    fn a_marker_of_deletion_stays_until_its_time_has_come() {
        let batches = log(&["a=1 b=1", "a", "c=1"]);
        let once = compacted(&batches, rules(50_000));
        assert_eq!(shown(&once), ["0..2 1:b=1", "2..3 2:a", "3..4 3:c=1"]);
        let horizons: Vec<_> = once
            .iter()
            .map(|batch| batch.header().delete_horizon())
            .collect();
        assert_eq!(horizons, [None, Some(Millis(51_000)), None]);
        assert_eq!(
            once[1]
                .records()
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .timestamp,
            10
        );
        let early = compacted(&once, rules(50_999));
        assert_eq!(shown(&early), shown(&once));
        let late = compacted(&once, rules(51_000));
        assert_eq!(shown(&late), ["0..2 1:b=1", "3..4 3:c=1"]);
    }

    #[test]
    fn what_lies_behind_the_known_keys_stays() {
        let batches = log(&["a=1 b=1", "a=2 =2"]);
        let mut pass = pass(&batches[..1], rules(50_000));
        pass.end = Offset(4);
        assert_eq!(judge(&pass, &batches[0]), Ok(Verdict::Stays));
        assert_eq!(judge(&pass, &batches[1]), Ok(Verdict::Stays));
    }

    #[test]
    fn control_records_and_those_of_transactions_stay_and_supersede_nothing() {
        let mut batches = log(&["a=1"]);
        let builders = [
            BatchBuilder::new().transactional(),
            BatchBuilder::new().control(),
        ];
        for (base, mut builder) in (1..).zip(builders) {
            add(&mut builder, "a=2");
            batches.push(builder.build().unwrap().at(Offset(base), LeaderEpoch(0)));
        }
        assert_eq!(compacted(&batches, rules(50_000)), batches);
    }

    #[test]
    fn a_pass_that_runs_out_of_memory_ends_in_front_of_a_batch() {
        let keys: Vec<String> = (0..9).map(|key| format!("{key}=1")).collect();
        let batches = log(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let mut latest = Latest::new(0, Offset::ZERO);
        let learned = batches
            .iter()
            .take_while(|batch| learn(&mut latest, batch).unwrap().is_ok())
            .count();
        assert_eq!(latest.end(), Offset(i64::try_from(learned).unwrap()));
        assert!((1..9).contains(&learned), "{learned}");
    }
}
