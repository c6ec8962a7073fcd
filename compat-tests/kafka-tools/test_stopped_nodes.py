"""What the tools tell and do while a node is away: each case on a cluster of its own."""

import re
import shutil
import sys

import pytest

from conftest import create, describe, described, fill
from tools import REPOSITORY, Tools, eventually, wait_until

sys.path.append(str(REPOSITORY / 'tests'))

from blackbox import Broker  # noqa: E402
from nodes import Nodes  # noqa: E402

# Apache Kafka takes half a minute to start three times, and as long to miss one of them.
pytestmark = [pytest.mark.three_nodes, pytest.mark.timeout(240)]
SETTINGS = {'broker.session.timeout.ms': '3000', 'broker.heartbeat.interval.ms': '500'}


@pytest.fixture
def nodes(tmp_path):
    made = []

    def make(name, **popen):
        directory = tmp_path / name
        directory.mkdir()
        made.append(Broker(directory, **popen))
        return made[-1]

    yield Nodes(make, settings=SETTINGS).start()
    for broker in made:
        broker.discard()
        shutil.rmtree(broker.data, ignore_errors=True)


@pytest.fixture
def tools(nodes):
    tools = Tools(','.join(nodes.address))
    yield tools
    tools.stop()


def states(tools) -> dict[str, str]:
    rows = tools('kafka-cluster', 'list-endpoints', '--include-fenced-brokers').table()
    return {row[0]: row[4] for row in rows}


def stop(nodes, tools, number) -> None:
    """Kills a node, and waits until the others count on it no more."""
    nodes.node(number).kill()
    wait_until(lambda: states(tools)[str(number)] == 'fenced', lambda: f'not fenced: {states(tools)}')


def partitions(tools, *options) -> list[str]:
    """The descriptions of the partitions of all topics but internal ones."""
    lines = describe(tools, '--exclude-internal', *options)
    return sorted(line.removeprefix('Topic: ') for line in lines if ' Partition: ' in line)


def test_unregister_a_node_that_is_away(nodes, tools):
    create(tools, 'whole', '--replica-assignment', '3:1:2')
    stop(nodes, tools, 3)
    assert tools('kafka-cluster', 'unregister', '--id', '3').output == 'Broker 3 is no longer registered.\n'
    eventually(lambda: states(tools), {'1': 'unfenced', '2': 'unfenced'})
    assert 'BrokerIdNotRegisteredException' in tools('kafka-cluster', 'unregister', '--id', '3', status=1).errors
    refused = tools('kafka-topics', '--create', '--topic', 'nowhere', '--replica-assignment', '3', status=1)
    assert 'InvalidReplicaAssignmentException' in refused.errors
    # It is one of them again when it is started.
    nodes.node(3).launch()
    nodes.wait_until_formed({1, 2, 3})
    eventually(lambda: states(tools), {'1': 'unfenced', '2': 'unfenced', '3': 'unfenced'})
    eventually(lambda: partitions(tools, '--under-replicated-partitions'), [])


def test_elect_uncleanly(nodes, tools):
    """The replica in sync is lost, and the other one, which has nothing, leads when an operator says so."""
    stop(nodes, tools, 2)
    create(tools, 'lost', '--replica-assignment', '3:2', '--config', 'min.insync.replicas=1')
    fill(tools, 'lost')
    nodes.node(3).kill()
    nodes.node(2).launch()
    nodes.wait_until_formed({1, 2})
    elect = ['kafka-leader-election', '--topic', 'lost', '--partition', '0', '--election-type']
    eventually(lambda: partitions(tools, '--unavailable-partitions')[-1:],
               ['lost Partition: 0 Leader: none Replicas: 3,2 Isr: Elr: 3 LastKnownElr: 3'])
    assert 'PreferredLeaderNotAvailableException' in tools(*elect, 'preferred', status=1).output
    done = tools(*elect, 'unclean')
    assert done.lines == ['Successfully completed leader election (UNCLEAN) for partitions lost-0']
    eventually(lambda: partitions(tools, '--topic', 'lost'), ['lost Partition: 0 Leader: 2 Replicas: 3,2 Isr: 2'])
    assert tools('kafka-get-offsets', '--topic', 'lost').lines == ['lost:0:0']
