"""Apache Kafka's command-line tools against BOOTSTRAP_SERVERS, judged by their exit status and what they print."""

import json
import os
import re
import uuid

import pytest

pytest.register_assert_rewrite('tools')

from tools import Tools, eventually  # noqa: E402

NODES = int(os.environ.get('NODES', '1'))


def pytest_configure(config):
    config.addinivalue_line('markers', 'three_nodes: about replicas on several brokers')


def pytest_collection_modifyitems(items):
    for item in items:
        if NODES < 3 and item.get_closest_marker('three_nodes'):
            item.add_marker(pytest.mark.skip(reason='there is one node'))


@pytest.fixture(scope='session')
def tools():
    tools = Tools(os.environ.get('BOOTSTRAP_SERVERS', 'localhost:9092'))
    yield tools
    tools.stop()


@pytest.fixture
def name():
    """A name that nothing has yet."""
    return f'tools-{uuid.uuid4().hex[:12]}'


@pytest.fixture
def nobody():
    """A name that nothing has, and nothing gets."""
    return f'tools-{uuid.uuid4().hex[:12]}-nobody'


@pytest.fixture
def topic(tools, name):
    """A topic of two partitions on every node."""
    return create(tools, name)


@pytest.fixture
def records(tools, topic):
    """The topic with five records in its first partition, and none in its second."""
    fill(tools, topic)
    return topic


@pytest.fixture
def group(tools, records):
    """A group that has read all of that topic, and says so of both partitions."""
    group = f'{records}-group'
    read = tools('kafka-console-consumer', '--topic', records, '--group', group, '--from-beginning',
                 '--max-messages', '5', '--timeout-ms', '30000')
    assert sorted(read.lines) == ['v0', 'v1', 'v2', 'v3', 'v4']
    tools('kafka-consumer-groups', '--reset-offsets', '--group', group, '--topic', records, '--to-latest', '--execute')
    return group


@pytest.fixture
def file(tmp_path):
    """Writes a value to a file as JSON."""
    def write(value):
        path = tmp_path / f'{uuid.uuid4().hex}.json'
        path.write_text(json.dumps(value))
        return path
    return write


def create(tools, name, *options, partitions=2) -> str:
    options = options or ('--partitions', partitions, '--replication-factor', NODES)
    assert tools('kafka-topics', '--create', '--topic', name, *options).output == f'Created topic {name}.\n'
    described(tools, name)
    return name


def fill(tools, topic, count=5) -> None:
    # A key that goes to the first of two partitions.
    text = ''.join(f'k:v{number}\n' for number in range(count))
    tools('kafka-console-producer', '--topic', topic, '--reader-property', 'parse.key=true',
          '--reader-property', 'key.separator=:', text=text)


def described(tools, topic) -> list[str]:
    """The topic as it is described once every partition of it has a leader."""
    def are_led(lines):
        return len(lines) > 1 and not any('Leader: none' in line for line in lines)

    def read():
        return describe(tools, '--topic', topic)

    eventually(lambda: are_led(read()), True)
    return read()


def describe(tools, *options, topic='') -> list[str]:
    """The lines of a description, of one topic's where there are others'."""
    printed = tools('kafka-topics', '--describe', *options, status=None)
    return [normal(line) for line in printed.output.splitlines() if f'Topic: {topic}' in line]


def normal(line: str) -> str:
    """Without ids, and without what the brokers' settings add; replicas in sync by rising id."""
    line = re.sub(r'\tTopicId: [\w-]{22}', '', line)
    line = re.sub(r'(?<=Configs: )min\.insync\.replicas=[12],?', '', line)
    line = re.sub(r'Isr: ([\d,]*)', lambda found: 'Isr: ' + ','.join(sorted(found[1].split(','))), line)
    return re.sub(r'\s+', ' ', line.replace('\tElr: \tLastKnownElr: ', '')).strip()
