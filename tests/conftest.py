import contextlib
import shutil

import pytest

from blackbox import KAFKA_FOLDER, Broker
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

PANIC_WORDS = ('panicked at', 'stack overflow', 'memory allocation of')


def pytest_collection_modifyitems(items):
    for item in items:
        if KAFKA_FOLDER and item.get_closest_marker('ours'):
            item.add_marker(pytest.mark.skip(reason='about our own binary'))


def pytest_configure(config):
    config.addinivalue_line('markers', 'ours: asks for something that only our binary does')


@pytest.fixture
def make_broker(tmp_path):
    """Makes brokers that are gone after the case, and fails it if one of them
    panicked or its log says so."""
    made = []

    def make(settings=None, arguments=(), name='node', **popen):
        directory = tmp_path / f'{name}-{len(made)}'
        directory.mkdir()
        broker = Broker(directory, settings, arguments, **popen)
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.discard()
        for word in PANIC_WORDS:
            assert word not in broker.output(), broker.output()[-4000:]
        shutil.rmtree(broker.data, ignore_errors=True)


@pytest.fixture
def broker(make_broker):
    return make_broker().start()


class Clients:
    """kafka-python's clients of one broker, closed with the case."""

    def __init__(self, stack):
        self.stack = stack

    def admin(self, broker):
        return self.stack.enter_context(contextlib.closing(KafkaAdminClient(bootstrap_servers=broker.address)))

    def producer(self, broker, **settings):
        producer = KafkaProducer(bootstrap_servers=broker.address, **settings)
        self.stack.callback(close_though_unsent, producer)
        return producer

    def consumer(self, broker, *topics, **settings):
        defaults = {'auto_offset_reset': 'earliest', 'session_timeout_ms': 6000, 'heartbeat_interval_ms': 500}
        consumer = KafkaConsumer(*topics, bootstrap_servers=broker.address, **defaults | settings)
        self.stack.callback(consumer.close, autocommit=False, timeout_ms=1000)
        for topic in topics:
            consumer.partitions_for_topic(topic)
        return consumer


def close_though_unsent(producer):
    with contextlib.suppress(KafkaError):
        producer.close(timeout=2)


@pytest.fixture
def clients():
    with contextlib.ExitStack() as stack:
        yield Clients(stack)
