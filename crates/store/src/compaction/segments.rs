//! Where Kafka would have begun new segment files: compaction goes by whole segments
//! and never touches the last one, and clients that know Kafka count on that.

use std::collections::VecDeque;

use ottla_base::Offset;
use ottla_protocol::records::BatchHeader;

use crate::Compaction;

/// The segments of a log from where it is not compacted yet. Owned by the job.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    /// The last one is active.
    segments: VecDeque<Segment>,
    next: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    base: Offset,
    bytes: u64,
    /// Of the first batch.
    first_timestamp: i64,
    max_timestamp: i64,
}

/// What of a log is to be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first batch whose keys were not looked at yet.
    pub(crate) dirty: Offset,
    pub(crate) end: Offset,
}

impl Segments {
    pub(crate) const fn from(clean: Offset) -> Self {
        Self {
            segments: VecDeque::new(),
            next: clean,
        }
    }

    /// The first offset that was not added yet.
    pub(crate) const fn next(&self) -> Offset {
        self.next
    }

    /// Where the first of them begins.
    pub(crate) fn first(&self) -> Offset {
        self.segments.front().map_or(self.next, |first| first.base)
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Adds the next batch of the log, by the rules of `LogSegment.shouldRoll`.
    pub(crate) fn add(&mut self, header: &BatchHeader, rules: &Compaction) {
        let rolls = self
            .segments
            .back()
            .is_none_or(|active| active.is_full(header, rules));
        if rolls {
            self.segments.push_back(Segment {
                base: header.base_offset,
                bytes: 0,
                first_timestamp: header.max_timestamp,
                max_timestamp: -1,
            });
        }
        if let Some(active) = self.segments.back_mut() {
            active.bytes += header.size.0;
            active.max_timestamp = active.max_timestamp.max(header.max_timestamp);
        }
        self.next = header.next_offset();
    }

    /// Everything below was compacted.
    pub(crate) fn forget_below(&mut self, clean: Offset) {
        while self
            .segments
            .front()
            .is_some_and(|first| first.base < clean)
        {
            self.segments.pop_front();
        }
    }

    /// What is to be compacted by now, of a log with so many bytes that were already:
    /// the rules of `LogCleanerManager.cleanableOffsets` and `grabFilthiestCompactedLog`.
    pub(crate) fn due(&self, clean_bytes: u64, rules: &Compaction) -> Option<(Extent, f64)> {
        let sealed = self.segments.len().checked_sub(1)?;
        let is_young = |segment: &Segment| {
            rules.min_lag_ms > 0 && segment.max_timestamp > rules.now.0 - rules.min_lag_ms
        };
        let ends = self.segments.iter().skip(1).map(|next| next.base);
        let mut old = self.segments.iter().take(sealed).zip(ends).peekable();
        let dirty = old.peek()?.0.base;
        let mut due = None;
        let (mut bytes, mut earliest) = (0, i64::MAX);
        for (segment, end) in old {
            if end > rules.until || is_young(segment) {
                break;
            }
            bytes += segment.bytes;
            if segment.first_timestamp > 0 {
                earliest = earliest.min(segment.first_timestamp);
            }
            due = Some(Extent { dirty, end });
        }
        let due = due?;
        let is_late = earliest < rules.now.0.saturating_sub(rules.max_lag_ms);
        #[expect(clippy::cast_precision_loss, reason = "a ratio is no account")]
        let ratio = bytes as f64 / (clean_bytes + bytes).max(1) as f64;
        (is_late || ratio > rules.min_dirty_ratio).then_some((due, ratio))
    }
}

impl Segment {
    fn is_full(&self, next: &BatchHeader, rules: &Compaction) -> bool {
        // As `LogConfig.maxSegmentMs` has it, so that what must be compacted is.
        let age_max = rules.segment_ms.min(rules.max_lag_ms);
        let age = next.max_timestamp.saturating_sub(self.first_timestamp);
        let is_old = self.first_timestamp >= 0 && age > age_max;
        let is_long = next.last_offset().0 - self.base.0 > i64::from(i32::MAX);
        self.bytes + next.size.0 > rules.segment_bytes || is_old || is_long
    }
}

#[cfg(test)]
mod tests {
    use ottla_base::Millis;

    use super::*;
    use crate::testing::batch;

    const RULES: Compaction = Compaction {
        now: Millis(100_000),
        until: Offset(i64::MAX),
        segment_bytes: 1_000,
        segment_ms: 10_000,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        min_dirty_ratio: 0.5,
        delete_retention_ms: 0,
        producer_expiration_ms: 0,
    };

    /// Batches of ten records and 100 bytes, at these times.
    fn log(times: impl IntoIterator<Item = i64>, rules: &Compaction) -> Segments {
        let mut segments = Segments::from(Offset(0));
        for (index, time) in (0..).zip(times) {
            segments.add(batch(Offset(index * 10), 10, time, 39).header(), rules);
        }
        segments
    }

    fn due(segments: &Segments, clean: u64, rules: &Compaction) -> Option<(i64, i64)> {
        let due = segments.due(clean, rules);
        due.map(|(extent, _)| (extent.dirty.0, extent.end.0))
    }

    #[test]
    fn the_last_segment_is_left_alone() {
        let full = |count| log((0..count).map(|_| 1), &RULES);
        assert_eq!(due(&full(10), 0, &RULES), None);
        assert_eq!(due(&full(11), 0, &RULES), Some((0, 100)));
        assert_eq!(due(&full(35), 0, &RULES), Some((0, 300)));
    }

    #[test]
    fn a_segment_ends_when_the_next_batch_is_much_younger() {
        let times = [1_000, 11_000, 11_001, 21_002];
        assert_eq!(due(&log(times, &RULES), 0, &RULES), Some((0, 30)));
        let in_haste = Compaction {
            max_lag_ms: 5_000,
            ..RULES
        };
        assert_eq!(
            due(&log([1_000, 6_001], &in_haste), 0, &in_haste),
            Some((0, 10))
        );
    }

    #[test]
    fn so_much_must_be_dirty() {
        let segments = log((0..21).map(|_| 1), &RULES);
        assert_eq!(due(&segments, 1_999, &RULES), Some((0, 200)));
        assert_eq!(due(&segments, 2_000, &RULES), None);
        let late = Compaction {
            max_lag_ms: 99_998,
            ..RULES
        };
        assert_eq!(due(&segments, 2_000, &late), Some((0, 200)));
    }

    #[test]
    fn young_records_and_those_that_are_not_settled_wait() {
        let times = (0..35).map(|index| if index == 15 { 95_000 } else { 85_100 });
        let segments = log(times, &RULES);
        let patient = Compaction {
            min_lag_ms: 6_000,
            ..RULES
        };
        assert_eq!(due(&segments, 0, &RULES), Some((0, 300)));
        assert_eq!(due(&segments, 0, &patient), Some((0, 100)));
        let unsettled = Compaction {
            until: Offset(299),
            ..RULES
        };
        assert_eq!(due(&segments, 0, &unsettled), Some((0, 200)));
    }

    #[test]
    fn what_was_compacted_counts_no_longer() {
        let mut segments = log((0..35).map(|_| 1), &RULES);
        segments.forget_below(Offset(200));
        assert_eq!(due(&segments, 0, &RULES), Some((200, 300)));
        assert_eq!(
            (segments.first(), segments.next()),
            (Offset(200), Offset(350))
        );
    }
}
