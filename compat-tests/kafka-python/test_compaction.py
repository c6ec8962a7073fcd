"""What a consumer finds in a topic that was compacted. The broker looks for work every 200 ms."""

import time

from conftest import eventually, partition

CODECS = [None, 'gzip', 'snappy', 'lz4', 'zstd']


def read_all(consumer, topic):
    """Every record from offset 0 on; the consumer is at the end then."""
    tp = partition(topic)
    consumer.assign([tp])
    consumer.seek(tp, 0)
    end = consumer.end_offsets([tp])[tp]
    records = []

    def is_at_end():
        for batch in consumer.poll(timeout_ms=100).values():
            records.extend(batch)
        return consumer.position(tp) >= end

    eventually(is_at_end, what='the end of the topic')
    return records


def test_a_compacted_topic_keeps_the_last_record_of_each_key(make_producer, make_consumer, make_topic):
    topic = make_topic(cleanup_policy='compact', segment_ms=100, min_cleanable_dirty_ratio=0.01)
    first = int(time.time() * 1000) - 1_000_000
    written = []
    for batch in range(30):
        producer = make_producer(compression_type=CODECS[batch % 5], linger_ms=20, enable_idempotence=batch % 3 == 0)
        sent = []
        for record in range(6):
            key = b'key-%d' % ((batch * 3 + record) % 17)
            value = None if (batch * record) % 11 == 5 else b'%d-%d' % (batch, record)
            stamp = first + batch * 10_000
            sent.append(producer.send(topic, value, key=key, timestamp_ms=stamp, headers=[('h', b'1')]))
            written.append((len(written), stamp, key, value, [('h', b'1')]))
        producer.flush(timeout=30)
        assert [future.get(timeout=0).offset for future in sent] == [place[0] for place in written[-6:]]
    # The last batch is in the active segment, and the one before ends what can be compacted.
    compacted = {place[2]: place for place in written[:-6]}
    expected = sorted(compacted.values()) + written[-6:]
    consumer = make_consumer()

    def found():
        records = read_all(consumer, topic)
        return [(record.offset, record.timestamp, record.key, record.value, record.headers) for record in records]

    eventually(lambda: found() == expected, within=60, what='a compaction')
    tp = partition(topic)
    assert consumer.beginning_offsets([tp]) == {tp: 0}
    assert consumer.end_offsets([tp]) == {tp: len(written)}
