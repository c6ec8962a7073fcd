"""The broker under test is named by BOOTSTRAP_SERVERS; every case makes its
own topics and groups, so cases do not see one another."""

import contextlib
import itertools
import os
import threading
import time
import uuid

import pytest

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

BOOTSTRAP = os.environ.get('BOOTSTRAP_SERVERS', 'localhost:9092')
# Of every topic that a case makes without minding.
REPLICAS = int(os.environ.get('REPLICAS', '1'))
PATIENCE = 15


def eventually(condition, within=PATIENCE, what='the condition'):
    """Waits until the condition returns something true, and returns that."""
    deadline = time.monotonic() + within
    while True:
        if result := condition():
            return result
        assert time.monotonic() < deadline, f'{what} did not come true within {within} s'
        time.sleep(0.05)


def soon(condition, what='the change'):
    """At once on one node; of several, the one that answers may not have heard of it yet."""
    return eventually(condition, PATIENCE if REPLICAS > 1 else 0, what)


def name(kind: str) -> str:
    return f'{kind}-{uuid.uuid4().hex[:12]}'


@pytest.fixture(scope='session')
def bootstrap():
    return BOOTSTRAP


@pytest.fixture(scope='session')
def admin():
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=BOOTSTRAP)) as client:
        yield client


@pytest.fixture
def group():
    return name('group')


@pytest.fixture
def make_topic(admin):
    """Makes a topic that has leaders, and removes it afterwards."""
    made = []

    def make(partitions=1, **configs):
        topic = name('topic')
        settings = {key.replace('_', '.'): str(value) for key, value in configs.items()}
        admin.create_topics({topic: {'num_partitions': partitions, 'replication_factor': REPLICAS, 'configs': settings}},
                            wait_for_metadata=True)
        made.append(topic)
        return topic

    yield make
    for topic in made:
        admin.delete_topics([topic], raise_errors=False)


@pytest.fixture
def topic(make_topic):
    return make_topic()


@pytest.fixture
def make_consumer():
    made = []

    def make(*topics, **settings):
        defaults = {'bootstrap_servers': BOOTSTRAP, 'auto_offset_reset': 'earliest', 'session_timeout_ms': 6000,
                    'heartbeat_interval_ms': 500}
        consumer = KafkaConsumer(*topics, **defaults | settings)
        made.append(consumer)
        know_partitions(consumer, topics)
        return consumer

    yield make
    for consumer in made:
        consumer.close(autocommit=False, timeout_ms=1000)


def know_partitions(consumer, topics):
    """Fetches the metadata of the topics before the consumer joins its group:
    one that leads a rebalance while it still lacks them assigns nothing, and
    when they arrive during that rebalance it never notices."""
    for topic in topics:
        consumer.partitions_for_topic(topic)


@pytest.fixture
def make_producer():
    with contextlib.ExitStack() as stack:
        def make(**settings):
            return stack.enter_context(contextlib.closing(KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)))
        yield make


@pytest.fixture
def fill(make_producer):
    """Sends numbered records to one partition; returns the values."""
    producer = None

    def fill(topic, count, partition=0, first=0, timestamps=None):
        nonlocal producer
        producer = producer or make_producer()
        values = [b'%d' % number for number in range(first, first + count)]
        stamps = timestamps or itertools.repeat(None)
        sent = [producer.send(topic, value, partition=partition, timestamp_ms=stamp)
                for value, stamp in zip(values, stamps)]
        producer.flush(timeout=30)
        for future in sent:
            future.get(timeout=0)
        return values

    return fill


def drain(consumer, count, within=PATIENCE):
    """Polls until this many records came, and no more for a moment."""
    records = []

    def enough():
        for batch in consumer.poll(timeout_ms=100).values():
            records.extend(batch)
        return len(records) >= count

    eventually(enough, within, f'reading {count} records')
    for batch in consumer.poll(timeout_ms=200).values():
        records.extend(batch)
    assert len(records) == count
    return records


def assigned(consumer, count=1, poll_ms=100):
    """Polls until the group gave this consumer so many partitions."""
    def given():
        consumer.poll(timeout_ms=poll_ms)
        return len(consumer.assignment()) == count
    eventually(given, what=f'being given {count} partitions')
    return consumer.assignment()


@contextlib.contextmanager
def polling(*consumers):
    """Keeps the consumers polling, each on a thread of its own."""
    stop = threading.Event()
    collected = [[] for _ in consumers]

    def run(consumer, records):
        while not stop.is_set():
            for batch in consumer.poll(timeout_ms=100).values():
                records.extend(batch)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(consumers, collected)]
    for thread in threads:
        thread.start()
    try:
        yield collected
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def partition(topic, number=0):
    return TopicPartition(topic, number)
