"""Every public method of kafka-python's KafkaProducer, and what its settings ask of a broker."""

import time

import pytest

from conftest import BOOTSTRAP, drain, eventually, name, partition
from kafka import KafkaProducer
from kafka.errors import (BrokerResponseError, InvalidTopicError, KafkaTimeoutError,
                          MessageSizeTooLargeError)
from kafka.partitioner import Partitioner
from kafka.structs import OffsetAndMetadata

CODECS = [None, 'gzip', 'snappy', 'lz4', 'zstd']


def values(records):
    return [record.value for record in records]


def test_bootstrap_connected(make_producer, topic):
    # True only as long as the connection to the bootstrap server is needed.
    producer = make_producer()
    producer.partitions_for(topic)
    assert not producer.bootstrap_connected()


def test_partitions_for(make_producer, make_topic):
    assert make_producer().partitions_for(make_topic(4)) == {0, 1, 2, 3}


def test_partitions_for_creates_an_unknown_topic(make_producer, admin):
    topic = name('made-by-producer')
    assert make_producer().partitions_for(topic)
    assert topic in admin.list_topics()
    admin.delete_topics([topic])


def test_send_answers_with_the_record_s_place(make_producer, topic):
    producer = make_producer()
    for offset in range(3):
        stamp = 1_650_000_000_000 + offset
        sent = producer.send(topic, b'value', key=b'key', timestamp_ms=stamp).get(timeout=10)
        assert (sent.topic, sent.partition, sent.offset, sent.timestamp) == (topic, 0, offset, stamp)
        assert sent.topic_partition == partition(topic)
        assert (sent.serialized_key_size, sent.serialized_value_size) == (3, 5)


@pytest.mark.parametrize('codec', CODECS, ids=str)
@pytest.mark.parametrize('idempotent', [True, False], ids=['idempotent', 'plain'])
def test_every_codec(make_producer, make_consumer, topic, codec, idempotent):
    producer = make_producer(compression_type=codec, enable_idempotence=idempotent, linger_ms=20, batch_size=1 << 16)
    wanted = [b'record %d ' % number * 20 for number in range(500)]
    for value in wanted:
        producer.send(topic, value, headers=[('codec', str(codec).encode())])
    producer.flush(timeout=30)
    records = drain(make_consumer(topic), 500)
    assert values(records) == wanted
    assert [record.offset for record in records] == list(range(500))


@pytest.mark.parametrize('codec', ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed'])
def test_a_topic_s_codec_recompresses(make_producer, make_consumer, make_topic, codec):
    topic = make_topic(compression_type=codec)
    for sent in CODECS:
        producer = make_producer(compression_type=sent, linger_ms=20)
        for number in range(20):
            producer.send(topic, b'%d' % number, key=str(sent).encode())
        producer.flush(timeout=30)
    records = drain(make_consumer(topic), 100)
    assert values(records) == [b'%d' % number for _ in CODECS for number in range(20)]


@pytest.mark.parametrize('acks', [0, 1, 'all'])
def test_acks(make_producer, make_consumer, topic, acks):
    producer = make_producer(acks=acks, enable_idempotence=False)
    sent = [producer.send(topic, b'%d' % number) for number in range(100)]
    producer.flush(timeout=30)
    offsets = [future.get(timeout=10).offset for future in sent]
    assert acks == 0 or offsets == list(range(100))
    assert values(drain(make_consumer(topic), 100)) == [b'%d' % number for number in range(100)]


def test_many_requests_in_flight_keep_the_order(make_producer, make_consumer, make_topic):
    topic = make_topic(3)
    producer = make_producer(batch_size=200, max_in_flight_requests_per_connection=5)
    for number in range(3000):
        producer.send(topic, b'%d' % number, partition=number % 3)
    producer.flush(timeout=60)
    records = drain(make_consumer(topic), 3000, within=60)
    for one in range(3):
        assert values(r for r in records if r.partition == one) == [b'%d' % n for n in range(one, 3000, 3)]


def test_headers(make_producer, make_consumer, topic):
    headers = [('text', 'ä€'.encode()), ('empty', b''), ('text', b'again'), ('bytes', bytes(range(256)))]
    make_producer().send(topic, b'v', headers=headers).get(timeout=10)
    assert list(drain(make_consumer(topic), 1)[0].headers) == headers


def test_null_and_empty_keys_and_values(make_producer, make_consumer, topic):
    producer = make_producer()
    pairs = [(None, b'v'), (b'', b''), (b'k', None), (b'', b'v'), (b'k', b'')]
    for key, value in pairs:
        producer.send(topic, value, key=key)
    producer.flush()
    assert [(record.key, record.value) for record in drain(make_consumer(topic), 5)] == pairs


def test_serializers(make_producer, make_consumer, topic):
    producer = make_producer(key_serializer=str.encode, value_serializer=lambda value: b'<%d>' % value)
    producer.send(topic, 7, key='seven').get(timeout=10)
    record, = drain(make_consumer(topic), 1)
    assert (record.key, record.value) == (b'seven', b'<7>')


def test_the_default_partitioner_is_kafka_s(make_producer, make_topic):
    # Murmur2 of the key, as in every client; these are Kafka's own answers.
    topic = make_topic(10)
    producer = make_producer()
    placed = {key: producer.send(topic, b'', key=key).get(timeout=10).partition
              for key in (b'21', b'foobar', b'a-little-bit-long-string')}
    murmur = {b'21': -973932308, b'foobar': -790332482, b'a-little-bit-long-string': -985981536}
    assert placed == {key: (value & 0x7FFFFFFF) % 10 for key, value in murmur.items()}


def test_a_partitioner_of_one_s_own(make_producer, make_topic):
    class Last(Partitioner):
        def partition(self, topic, key, serialized_key, value, serialized_value, cluster):
            return max(cluster.partitions_for_topic(topic))

    topic = make_topic(5)
    producer = make_producer(partitioner=Last())
    assert producer.send(topic, b'v', key=b'k').get(timeout=10).partition == 4


def test_flush_waits_for_everything(make_producer, topic):
    producer = make_producer(linger_ms=10_000)
    sent = [producer.send(topic, b'%d' % number) for number in range(50)]
    assert not any(future.is_done for future in sent)
    producer.flush(timeout=30)
    assert all(future.succeeded() for future in sent)


def test_close_sends_what_is_waiting(make_consumer, topic):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=10_000)
    sent = producer.send(topic, b'last words')
    producer.close(timeout=10)
    assert sent.succeeded()
    assert values(drain(make_consumer(topic), 1)) == [b'last words']


def test_metrics(make_producer, topic):
    producer = make_producer()
    producer.send(topic, b'v').get(timeout=10)
    assert producer.metrics()['producer-metrics']['record-send-rate'] > 0
    assert producer.metrics(raw=True)


def test_create_time_is_the_client_s(make_producer, make_consumer, topic):
    make_producer().send(topic, b'v', timestamp_ms=12345).get(timeout=10)
    record, = drain(make_consumer(topic), 1)
    assert (record.timestamp, record.timestamp_type) == (12345, 0)


def test_log_append_time_is_the_broker_s(make_producer, make_consumer, make_topic):
    topic = make_topic(message_timestamp_type='LogAppendTime')
    before = time.time() * 1000
    sent = make_producer().send(topic, b'v', timestamp_ms=12345).get(timeout=10)
    record, = drain(make_consumer(topic), 1)
    assert record.timestamp_type == 1
    assert sent.timestamp == record.timestamp
    assert before - 1000 < record.timestamp < time.time() * 1000 + 1000


def test_a_timestamp_out_of_bounds_is_refused(make_producer, make_topic):
    topic = make_topic(message_timestamp_after_max_ms=1000)
    with pytest.raises(BrokerResponseError):
        make_producer().send(topic, b'v', timestamp_ms=int(time.time() * 1000) + 3_600_000).get(timeout=10)


def test_a_record_too_large_for_the_topic_is_refused(make_producer, make_consumer, make_topic):
    topic = make_topic(max_message_bytes=2000)
    # An idempotent producer of this client sends nothing after a refusal.
    producer = make_producer(enable_idempotence=False)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, b'x' * 5000).get(timeout=10)
    producer.send(topic, b'x' * 1000).get(timeout=10)
    drain(make_consumer(topic), 1)


def test_a_batch_of_nearly_a_mebibyte_goes_through(make_producer, make_consumer, topic):
    value = bytes(1_000_000)
    make_producer().send(topic, value).get(timeout=30)
    assert values(drain(make_consumer(topic), 1)) == [value]


def test_a_record_without_a_key_is_refused_by_a_compacted_topic(make_producer, make_topic):
    topic = make_topic(cleanup_policy='compact')
    producer = make_producer(enable_idempotence=False)
    with pytest.raises(BrokerResponseError):
        producer.send(topic, b'v').get(timeout=10)
    producer.send(topic, b'v', key=b'k').get(timeout=10)


@pytest.mark.parametrize('wrong', ['bad/name', 'has space', '.', '..', 'x' * 250])
def test_an_invalid_topic_name_is_refused(make_producer, wrong):
    with pytest.raises((InvalidTopicError, ValueError, KafkaTimeoutError)):
        make_producer(max_block_ms=3000).send(wrong, b'v').get(timeout=10)


def test_an_unknown_partition_is_refused(make_producer, topic):
    with pytest.raises((AssertionError, ValueError, KafkaTimeoutError)):
        make_producer(max_block_ms=2000).send(topic, b'v', partition=99).get(timeout=5)


def test_idempotent_producers_share_a_topic(make_producer, make_consumer, topic):
    producers = [make_producer(batch_size=500) for _ in range(3)]
    for number in range(300):
        for index, producer in enumerate(producers):
            producer.send(topic, b'%d:%d' % (index, number))
    for producer in producers:
        producer.flush(timeout=30)
    received = values(drain(make_consumer(topic), 900))
    for index in range(3):
        mine = [value for value in received if value.startswith(b'%d:' % index)]
        assert mine == [b'%d:%d' % (index, number) for number in range(300)]


def test_an_idle_producer_goes_on(make_producer, topic):
    producer = make_producer(connections_max_idle_ms=500)
    assert producer.send(topic, b'1').get(timeout=10).offset == 0
    time.sleep(1.5)
    assert producer.send(topic, b'2').get(timeout=10).offset == 1


def test_a_transaction_commits_and_aborts(make_producer, make_consumer, topic):
    producer = make_producer(transactional_id=name('transaction'))
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b'kept')
    producer.commit_transaction()
    producer.begin_transaction()
    producer.send(topic, b'dropped')
    producer.flush()
    producer.abort_transaction()
    assert values(drain(make_consumer(topic, isolation_level='read_committed'), 1)) == [b'kept']
    assert values(drain(make_consumer(topic), 2)) == [b'kept', b'dropped']


def test_a_transaction_carries_offsets(make_producer, make_consumer, topic, fill, group):
    fill(topic, 3)
    consumer = make_consumer(topic, group_id=group, enable_auto_commit=False)
    drain(consumer, 3)
    producer = make_producer(transactional_id=name('transaction'))
    producer.init_transactions()
    producer.begin_transaction()
    producer.send_offsets_to_transaction({partition(topic): OffsetAndMetadata(3, '', -1)}, consumer.group_metadata())
    producer.commit_transaction()
    # Kafka answers before the coordinator of the group has heard of it.
    eventually(lambda: consumer.committed(partition(topic)) == 3)


def test_older_protocol_versions(make_producer, make_consumer, topic):
    versions = [(2, 1), (2, 6), (3, 0), (3, 9)]
    for version in versions:
        make_producer(api_version=version).send(topic, str(version).encode()).get(timeout=10)
    assert values(drain(make_consumer(topic), 4)) == [str(version).encode() for version in versions]
