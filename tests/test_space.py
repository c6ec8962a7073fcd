"""What is deleted gives its space back, whoever deletes it."""

import contextlib
import pathlib
import time

import pytest

from kafka import TopicPartition
from test_durability import eventually

MEBIBYTE = 1024 * 1024
# Space is given back by files of this size. A few of them are there without records, for
# what comes next and for what the broker itself keeps.
SETTINGS = {'ottla.commit.file.bytes': str(MEBIBYTE), 'log.retention.check.interval.ms': '200',
            'log.segment.bytes': str(MEBIBYTE)}
WITHIN = 60
OVERHEAD = 9

pytestmark = [pytest.mark.ours, pytest.mark.one_node('about the disk of one process')]


def used(broker):
    total = 0
    for path in pathlib.Path(broker.data).rglob('*'):
        # One may go in between.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def fill(clients, broker, topic, mebibytes, first=0):
    """Writes numbered records of 10 KiB to one partition."""
    producer = clients.producer(broker, linger_ms=5)
    count = 100 * mebibytes
    for number in range(first, first + count):
        producer.send(topic, b'%-10240d' % number, partition=0)
    producer.flush()
    producer.close()
    return first + count


def gives_back(broker, mebibytes):
    eventually(lambda: used(broker) < mebibytes * MEBIBYTE, WITHIN, f'shrinking to {mebibytes} MiB')


def test_deleted_records_give_their_space_back(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    place = TopicPartition('t', 0)
    end = fill(clients, broker, 't', 24)
    assert used(broker) > 22 * MEBIBYTE
    clients.admin(broker).delete_records({place: end - 300})
    gives_back(broker, OVERHEAD + 4)
    clients.admin(broker).delete_records({place: -1})
    gives_back(broker, OVERHEAD + 1)
    assert fill(clients, broker, 't', 1, first=end) == end + 100
    broker.restart_after_kill()
    consumer = clients.consumer(broker)
    assert consumer.beginning_offsets([place]) == {place: end}
    assert consumer.end_offsets([place]) == {place: end + 100}
    assert used(broker) < (OVERHEAD + 2) * MEBIBYTE


def test_a_deleted_topic_gives_its_space_back(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    fill(clients, broker, 't', 24)
    clients.admin(broker).delete_topics(['t'])
    gives_back(broker, OVERHEAD + 1)


def test_retention_keeps_up_while_a_consumer_reads(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    clients.admin(broker).create_topics({'t': {'num_partitions': 1, 'configs': {'retention.bytes': str(2 * MEBIBYTE)}}},
                                        wait_for_metadata=True)
    consumer = clients.consumer(broker)
    consumer.assign([TopicPartition('t', 0)])
    end = 0
    read = []
    for _ in range(6):
        end = fill(clients, broker, 't', 4, first=end)
        # It reads less than what comes, so that some is gone before it gets there.
        for records in consumer.poll(timeout_ms=1000, max_records=200).values():
            read += [(record.offset, int(record.value)) for record in records]
    gives_back(broker, OVERHEAD + 4)
    deadline = time.monotonic() + WITHIN
    while not read or read[-1][0] < end - 1:
        assert time.monotonic() < deadline, f'the last record did not come: {read[-1:]}'
        for records in consumer.poll(timeout_ms=500).values():
            read += [(record.offset, int(record.value)) for record in records]
    offsets = [offset for offset, _ in read]
    assert all(one < next for one, next in zip(offsets, offsets[1:])), 'a record came twice, or out of order'
    assert all(offset == number for offset, number in read)
    deadline = time.monotonic() + WITHIN
    start = 0
    while start <= end - 300:
        assert time.monotonic() < deadline, f'{end - start} records are still there'
        start, = consumer.beginning_offsets([TopicPartition('t', 0)]).values()
    assert start < end
