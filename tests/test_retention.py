"""Retention as every client sees it, on any broker: what is too old or too much goes,
the rest stays, and offsets go on where they were."""

import time

from kafka import TopicPartition
from test_durability import eventually

MEBIBYTE = 1024 * 1024
# Kafka takes whole segments, and looks for the first time after half a minute only.
SETTINGS = {'log.retention.check.interval.ms': '200', 'log.initial.task.delay.ms': '100',
            'log.segment.bytes': str(MEBIBYTE)}
RECORD = 10 * 1024
WITHIN = 30
LONG_AGO = 1_600_000_000_000


def create(clients, broker, topic, **configs):
    configs = {key.replace('_', '.'): str(value) for key, value in configs.items()}
    clients.admin(broker).create_topics({topic: {'num_partitions': 1, 'configs': configs}}, wait_for_metadata=True)
    return TopicPartition(topic, 0)


def write(producer, place, count, timestamp=None):
    """Writes numbered records; returns the offset of the last."""
    sent = [producer.send(place.topic, b'%d' % number + bytes(RECORD), partition=0, timestamp_ms=timestamp)
            for number in range(count)]
    return sent[-1].get(timeout=30).offset


def start(consumer, place):
    return consumer.beginning_offsets([place])[place]


def test_what_is_too_old_goes_and_offsets_go_on(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    place = create(clients, broker, 't')
    producer, consumer = clients.producer(broker), clients.consumer(broker)
    assert write(producer, place, 250, timestamp=LONG_AGO) == 249
    eventually(lambda: start(consumer, place) == 250, WITHIN, 'everything going')
    assert consumer.end_offsets([place]) == {place: 250}
    assert write(producer, place, 1) == 250
    consumer.assign([place])
    consumer.seek(place, 0)
    assert next(consumer).offset == 250


def test_what_is_neither_too_old_nor_too_much_stays(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    kept = create(clients, broker, 'kept', retention_ms=3_600_000, retention_bytes=100 * MEBIBYTE)
    marker = create(clients, broker, 'marker')
    producer, consumer = clients.producer(broker), clients.consumer(broker)
    write(producer, kept, 250)
    # Twice, so that the other was looked at in between.
    for _ in range(2):
        end = write(producer, marker, 1, timestamp=LONG_AGO) + 1
        eventually(lambda end=end: start(consumer, marker) == end, WITHIN, 'retention')
    assert start(consumer, kept) == 0


def test_no_more_goes_than_is_too_much(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    place = create(clients, broker, 't', retention_bytes=2 * MEBIBYTE)
    producer, consumer = clients.producer(broker), clients.consumer(broker)
    end = write(producer, place, 700) + 1
    eventually(lambda: start(consumer, place) >= end - 400, WITHIN, 'the oldest going')
    assert end - start(consumer, place) >= 2 * MEBIBYTE // (RECORD + 100)


def test_an_idle_log_grows_old(make_broker, clients):
    broker = make_broker(SETTINGS).start()
    place = create(clients, broker, 't', retention_ms=1000)
    producer, consumer = clients.producer(broker), clients.consumer(broker)
    begun = time.time()
    end = write(producer, place, 3) + 1
    eventually(lambda: start(consumer, place) == end, WITHIN, 'everything going')
    assert time.time() - begun > 0.9, 'records went before their time'
