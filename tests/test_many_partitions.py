"""Many partitions in one process that may open few files."""

import os
import resource
import time

import pytest

from kafka import TopicPartition
from test_durability import eventually

MEBIBYTE = 1024 * 1024
DESCRIPTORS_MAX = 1024
LARGE = {f'large-{number}': 1485 for number in range(2)}
SMALL = {f'small-{number}': 1 for number in range(30)}
PLACES = [TopicPartition(topic, number) for topic, count in (LARGE | SMALL).items() for number in range(count)]

pytestmark = pytest.mark.one_node('about what one process holds')


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, DESCRIPTORS_MAX))


def open_descriptors(broker):
    return len(os.listdir(f'/proc/{broker.process.pid}/fd'))


def processor_seconds(broker):
    with open(f'/proc/{broker.process.pid}/stat') as stat:
        user, system = stat.read().rsplit(')', 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def create(clients, broker, topics):
    clients.admin(broker).create_topics({name: {'num_partitions': count} for name, count in topics.items()},
                                        wait_for_metadata=True)


def write(clients, broker, value):
    producer = clients.producer(broker, linger_ms=20)
    sent = [producer.send(place.topic, value, partition=place.partition) for place in PLACES]
    producer.flush()
    offsets = {place: future.get(timeout=30).offset for place, future in zip(PLACES, sent)}
    producer.close()
    return offsets


def read(clients, broker, count):
    consumer = clients.consumer(broker, max_poll_records=5000)
    consumer.assign(PLACES)
    consumer.seek_to_beginning()
    found = {place: [] for place in PLACES}

    def poll():
        for place, records in consumer.poll(timeout_ms=500).items():
            found[place] += [record.value for record in records]
        return sum(map(len, found.values())) >= count * len(PLACES)
    eventually(poll, 60, 'reading everything')
    consumer.close()
    return found


# Kafka keeps files open for each partition.
@pytest.mark.ours
@pytest.mark.timeout(300)
def test_three_thousand_partitions(make_broker, clients):
    broker = make_broker(preexec_fn=few_descriptors).start()
    create(clients, broker, {'first': 1})
    few = open_descriptors(broker)
    create(clients, broker, LARGE)
    create(clients, broker, SMALL)
    assert set(write(clients, broker, b'one').values()) == {0}

    broker.restart_after_kill()
    assert set(write(clients, broker, b'two').values()) == {1}
    assert set(map(tuple, read(clients, broker, 2).values())) == {(b'one', b'two')}
    # A connection of a client may still be open.
    assert open_descriptors(broker) < few + 20
    assert broker.memory() < 150 * MEBIBYTE

    before = processor_seconds(broker)
    time.sleep(2)
    assert processor_seconds(broker) - before < 0.2, 'it is busy though nobody asks for anything'
    assert broker.stop() < 2

    broker.start()
    gone = [*LARGE, *SMALL]
    clients.admin(broker).delete_topics(gone)
    left = set(clients.admin(broker).list_topics())
    assert 'first' in left and left.isdisjoint(gone)
    create(clients, broker, LARGE)
    consumer = clients.consumer(broker)
    again = [place for place in PLACES if place.topic in LARGE]
    assert set(consumer.end_offsets(again).values()) == {0}
