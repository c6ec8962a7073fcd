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


def test_partitions_of_a_node_that_is_away(nodes, tools):
    create(tools, 'whole', '--replica-assignment', '1:2:3', '--config', 'min.insync.replicas=2')
    create(tools, 'strict', '--replica-assignment', '2:1:3', '--config', 'min.insync.replicas=3')
    create(tools, 'away', '--replica-assignment', '3', '--config', 'min.insync.replicas=1')
    create(tools, 'here', '--replica-assignment', '1', '--config', 'min.insync.replicas=1')
    stop(nodes, tools, 3)
    whole = 'whole Partition: 0 Leader: 1 Replicas: 1,2,3 Isr: 1,2'
    strict = 'strict Partition: 0 Leader: 2 Replicas: 2,1,3 Isr: 1,2 Elr: 3 LastKnownElr:'
    away = 'away Partition: 0 Leader: none Replicas: 3 Isr: Elr: 3 LastKnownElr: 3'
    here = 'here Partition: 0 Leader: 1 Replicas: 1 Isr: 1'
    eventually(lambda: partitions(tools, '--under-replicated-partitions'), [away, strict, whole])
    assert partitions(tools, '--unavailable-partitions') == [away]
    assert partitions(tools, '--under-min-isr-partitions') == [away, strict]
    assert partitions(tools, '--at-min-isr-partitions') == [here, whole]
    assert partitions(tools) == [away, here, strict, whole]

    nodes.node(3).launch()
    nodes.wait_until_formed({1, 2, 3})
    eventually(lambda: partitions(tools, '--under-replicated-partitions'), [])
    assert 'away Partition: 0 Leader: 3 Replicas: 3 Isr: 3' in partitions(tools)


def test_what_a_node_that_is_away_does_not_stop(nodes, tools):
    create(tools, 'away', '--replica-assignment', '3', '--config', 'min.insync.replicas=1')
    stop(nodes, tools, 3)
    rows = tools('kafka-cluster', 'list-endpoints').table()
    assert sorted((row[0], row[4]) for row in rows) == [('1', 'unfenced'), ('2', 'unfenced')]
    assert tools('kafka-broker-api-versions').output.count('isFenced: false') == 2
    lagging, = [row for row in tools('kafka-metadata-quorum', 'describe', '--replication').table() if row[0] == '3']
    assert int(lagging[3]) > 0 and lagging[6] == 'Follower'
    unknown = tools('kafka-log-dirs', '--describe', '--broker-list', '3', status=1)
    assert 'The given brokers do not exist from --broker-list: 3' in unknown.errors

    for kind, error in [('preferred', 'PreferredLeaderNotAvailable'), ('unclean', 'EligibleLeadersNotAvailable')]:
        refused = tools('kafka-leader-election', '--election-type', kind, '--topic', 'away', '--partition', '0', status=1)
        assert f'{error}Exception' in refused.output and '1 replica(s) could not be elected' in refused.errors

    create(tools, 'later', '--partitions', '1', '--replication-factor', '3')
    assert re.search(r'Leader: [12] .* Isr: 1,2', described(tools, 'later')[1])
    refused = tools('kafka-topics', '--create', '--topic', 'nowhere', '--replica-assignment', '3', status=1)
    assert 'InvalidReplicaAssignmentException' in refused.errors


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
