import contextlib
import random
import shutil

import pytest

import disk
from blackbox import KAFKA_FOLDER, Broker
from checker import Checker
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from nodes import Cluster

TOLD = pytest.StashKey[list]()
PANIC_WORDS = ('panicked at', 'stack overflow', 'memory allocation of')


def pytest_collection_modifyitems(config, items):
    for item in items:
        if config.getoption('nodes') > 1 and (alone := item.get_closest_marker('one_node')):
            item.add_marker(pytest.mark.skip(reason=alone.args[0]))
        if KAFKA_FOLDER and item.get_closest_marker('ours'):
            item.add_marker(pytest.mark.skip(reason='about our own binary'))


def pytest_configure(config):
    config.addinivalue_line('markers', 'ours: asks for something that only our binary does')
    config.addinivalue_line('markers', 'one_node(why): has nothing to ask a cluster, or starts one itself')
    config.addinivalue_line('markers', 'faults(few, most): tells stories of at most so many faults, so few by default')
    config.stash[TOLD] = []


def pytest_addoption(parser):
    parser.addoption('--nodes', type=int, choices=[1, 3], default=1, help='clusters of so many in the place of each broker')
    parser.addoption('--count', type=int, help='how many faults: power losses, kills')
    parser.addoption('--seed', type=int, help='of the first story, which chooses its settings and moments')


def pytest_generate_tests(metafunc):
    """A case about faults is told once for each story: its seed and how many
    faults there are in it."""
    if marker := metafunc.definition.get_closest_marker('faults'):
        few, most = marker.args
        full, rest = divmod(metafunc.config.getoption('count') or few, most)
        first = metafunc.config.getoption('seed')
        first = random.randrange(1_000_000) if first is None else first
        stories = enumerate([most] * full + [rest] * (rest > 0), first)
        metafunc.parametrize(('seed', 'faults'), [pytest.param(*story, id=f'seed-{story[0]}') for story in stories])


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash[TOLD]:
        terminalreporter.write_line(line)


@pytest.fixture
def tell(request):
    """Says a line at the end of all tests, whether they pass or not."""
    return request.config.stash[TOLD].append


@pytest.fixture
def make_broker(request, make_node):
    """Makes brokers that are gone after the case, and with --nodes clusters of them."""
    nodes = request.config.getoption('nodes')
    if nodes == 1 or request.node.get_closest_marker('one_node'):
        return make_node
    return lambda settings=None: Cluster(make_node, nodes, settings)


@pytest.fixture
def make_node(tmp_path):
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


@pytest.fixture
def make_disk():
    """Makes disks that can lose their power, if this machine lets us."""
    if reason := disk.why_unavailable():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        def make(mebibytes):
            made = disk.Disk(mebibytes)
            stack.callback(made.discard)
            return made

        yield make


@pytest.fixture
def make_checker(tmp_path):
    """Starts checkers, which end with the case."""
    with contextlib.ExitStack() as stack:
        def make(broker, seed, *arguments):
            made = Checker(broker.address, tmp_path / f'history-{seed}.tsv', seed, *arguments)
            stack.callback(made.discard)
            return made

        yield make
