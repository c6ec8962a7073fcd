"""kafka-reassign-partitions and kafka-leader-election: where replicas are, and which of them leads."""

import json

import pytest

from conftest import create, described, fill
from tools import eventually

pytestmark = pytest.mark.three_nodes
THROTTLES = {'leader.replication.throttled.rate', 'follower.replication.throttled.rate'}


@pytest.fixture
def moving(tools, name):
    """A topic with records whose partitions are on brokers 1 and 2, and 2 and 3."""
    create(tools, name, '--replica-assignment', '1:2,2:3', '--config', 'min.insync.replicas=1')
    fill(tools, name)
    return name


@pytest.fixture
def reassign(tools, file):
    def reassign(action, plan, *options, status=0):
        return tools('kafka-reassign-partitions', action, '--reassignment-json-file', file(plan), *options, status=status)
    return reassign


def plan(topic, *replicas):
    """Replicas for each partition from the first."""
    partitions = [{'topic': topic, 'partition': number, 'replicas': list(own)} for number, own in enumerate(replicas)]
    return {'version': 1, 'partitions': partitions}


def replicas(tools, topic) -> list[str]:
    return [line.split('Replicas: ')[1].split()[0] for line in described(tools, topic)[1:]]


def settings(tools, *entity) -> dict[str, str]:
    lines = tools('kafka-configs', '--describe', *entity).lines
    return dict(line.split(' sensitive')[0].strip().split('=', 1) for line in lines[1:])


def throttles(tools) -> dict[str, str]:
    own = settings(tools, '--entity-type', 'brokers', '--entity-name', '1')
    return {name: own[name] for name in own.keys() & THROTTLES}


def plans_in(printed) -> list:
    return [json.loads(line) for line in printed.lines if line.startswith('{')]


def test_generate(tools, moving, file):
    topics = file({'version': 1, 'topics': [{'topic': moving}]})
    printed = tools('kafka-reassign-partitions', '--generate', '--topics-to-move-json-file', topics, '--broker-list', '1,2,3')
    assert printed.lines[0] == 'Current partition replica assignment'
    assert 'Proposed partition reassignment configuration' in printed.lines
    current, proposed = plans_in(printed)
    assert [partition['replicas'] for partition in current['partitions']] == [[1, 2], [2, 3]]
    assert all(len(set(partition['replicas'])) == 2 for partition in proposed['partitions'])
    assert all(partition['log_dirs'] == ['any', 'any'] for partition in proposed['partitions'])


def test_generate_of_nothing(tools, nobody, file):
    topics = file({'version': 1, 'topics': [{'topic': nobody}]})
    printed = tools('kafka-reassign-partitions', '--generate', '--topics-to-move-json-file', topics,
                    '--broker-list', '1,2,3', status=1)
    assert 'UnknownTopicOrPartitionException' in printed.everything


def test_execute_and_verify(tools, moving, reassign):
    target = plan(moving, [3, 1], [1, 2])
    started = reassign('--execute', target)
    assert started.lines[0] == 'Current partition replica assignment'
    assert started.lines[-1] == f'Successfully started partition reassignments for {moving}-0,{moving}-1'
    # What it printed leads back.
    before, = plans_in(started)
    assert [partition['replicas'] for partition in before['partitions']] == [[1, 2], [2, 3]]
    eventually(lambda: reassign('--verify', target).lines[1:3],
               [f'Reassignment of partition {moving}-{number} is completed.' for number in range(2)])
    eventually(lambda: replicas(tools, moving), ['3,1', '1,2'])
    reassign('--execute', plan(moving, [1, 2], [2, 3]))
    eventually(lambda: replicas(tools, moving), ['1,2', '2,3'])


def test_throttle(tools, moving, reassign):
    target = plan(moving, [3, 1], [1, 2])
    started = reassign('--execute', target, '--throttle', '1000000')
    assert 'The inter-broker throttle limit was set to 1000000 B/s' in started.lines
    eventually(lambda: throttles(tools), dict.fromkeys(THROTTLES, '1000000'))
    entity = ['--entity-type', 'topics', '--entity-name', moving]
    throttled = settings(tools, *entity)
    assert throttled['leader.replication.throttled.replicas'] == '0:1,0:2,1:2,1:3'
    assert throttled['follower.replication.throttled.replicas'] == '0:3,1:1'
    kept = reassign('--verify', target, '--preserve-throttles')
    assert 'Clearing' not in kept.output
    eventually(lambda: 'Clearing broker-level throttles on brokers 1,2,3' in reassign('--verify', target).lines, True)
    eventually(lambda: (throttles(tools), settings(tools, *entity).keys()), ({}, {'min.insync.replicas'}))


def test_a_throttle_has_no_default(tools, moving, reassign):
    reassign('--execute', plan(moving, [3, 1]), '--throttle', '1000000')
    described = ['kafka-configs', '--describe', '--entity-type', 'brokers', '--entity-name', '1']
    rate = 'leader.replication.throttled.rate=1000000'
    line = f'  {rate} sensitive=false synonyms={{DYNAMIC_BROKER_CONFIG:{rate}}}'
    eventually(lambda: line in tools(*described).lines, True)
    eventually(lambda: 'Clearing' in reassign('--verify', plan(moving, [3, 1])).output, True)


@pytest.fixture
def slow(tools, name, reassign):
    """A topic on brokers 1 and 2 of which a megabyte is on its slow way to broker 3, and the plan."""
    create(tools, name, '--replica-assignment', '1:2', '--config', 'min.insync.replicas=1')
    tools('kafka-producer-perf-test', '--topic', name, '--num-records', '100', '--record-size', '10000', '--throughput', '-1')
    target = plan(name, [1, 3])
    reassign('--execute', target, '--throttle', '1000')
    yield name, target
    reassign('--cancel', target)
    eventually(lambda: throttles(tools), {})


def test_progress(tools, slow, reassign):
    topic, target = slow
    assert reassign('--verify', target).lines[:2] == ['Status of partition reassignment:',
                                                      f'Reassignment of partition {topic}-0 is still in progress.']
    listed = tools('kafka-reassign-partitions', '--list').lines
    assert listed[0] == 'Current partition reassignments:'
    assert f'{topic}-0: replicas: 1,3,2. adding: 3. removing: 2.' in listed
    assert replicas(tools, topic) == ['1,3,2']


def test_a_second_plan_needs_a_word(tools, slow, reassign):
    topic, target = slow
    refused = reassign('--execute', target, '--throttle', '2000', status=1)
    assert 'Cannot execute because there is an existing partition assignment' in refused.everything
    started = reassign('--execute', target, '--throttle', '2000', '--additional')
    assert 'The inter-broker throttle limit was set to 2000 B/s' in started.lines
    eventually(lambda: throttles(tools), dict.fromkeys(THROTTLES, '2000'))


def test_cancel(tools, slow, reassign):
    topic, target = slow
    cancelled = reassign('--cancel', target)
    assert cancelled.lines[0] == f'Successfully cancelled partition reassignment for: {topic}-0'
    eventually(lambda: replicas(tools, topic), ['1,2'])
    assert reassign('--cancel', target).lines[0] == 'None of the specified partition reassignments are active.'


@pytest.mark.parametrize('wrong, said', [
    ([[3, 9]], 'Unknown broker id 9'),
    ([[3, 3]], 'Partition replica lists may not contain duplicate entries'),
    ([[]], 'Partition replica list cannot be empty'),
    ([[1, 2], [2, 3], [1, 2]], 'UnknownTopicOrPartitionException'),
], ids=['unknown-broker', 'twice-one-broker', 'no-broker', 'no-such-partition'])
def test_plans_that_cannot_be(tools, moving, reassign, wrong, said):
    assert said in reassign('--execute', plan(moving, *wrong), status=1).everything
    assert replicas(tools, moving) == ['1,2', '2,3']


def test_plans_for_nothing(nobody, reassign):
    assert 'UnknownTopicOrPartitionException' in reassign('--execute', plan(nobody, [1, 2]), status=1).everything


def test_more_and_fewer_replicas(tools, moving, reassign):
    refused = reassign('--execute', plan(moving, [1, 2, 3]), '--disallow-replication-factor-change', status=1)
    assert f'{moving}-0: The replication factor is changed from 2 to 3' in refused.everything
    for wanted, shown in [([1, 2, 3], '1,2,3'), ([2], '2')]:
        reassign('--execute', plan(moving, wanted))
        eventually(lambda shown=shown: replicas(tools, moving)[0], shown)


def elect(tools, *options, kind='preferred', status=0):
    return tools('kafka-leader-election', '--election-type', kind, *options, status=status)


def leaders(tools, topic) -> list[str]:
    return [line.split('Leader: ')[1].split()[0] for line in described(tools, topic)[1:]]


@pytest.fixture
def unpreferred(tools, name, reassign):
    """A topic of two partitions that are led by 2, though 1 comes first."""
    create(tools, name, '--replica-assignment', '2:1,2:1')
    reassign('--execute', plan(name, [1, 2], [1, 2]))
    eventually(lambda: replicas(tools, name), ['1,2', '1,2'])
    assert leaders(tools, name) == ['2', '2']
    return name


def test_elect_in_one_partition(tools, unpreferred):
    done = elect(tools, '--topic', unpreferred, '--partition', '1')
    assert done.lines == [f'Successfully completed leader election (PREFERRED) for partitions {unpreferred}-1']
    eventually(lambda: leaders(tools, unpreferred), ['2', '1'])
    again = elect(tools, '--topic', unpreferred, '--partition', '1')
    assert again.lines == [f'Valid replica already elected for partitions {unpreferred}-1']


def test_elect_in_all_partitions(tools, unpreferred):
    assert f'{unpreferred}-0' in elect(tools, '--all-topic-partitions').output
    eventually(lambda: leaders(tools, unpreferred), ['1', '1'])
    assert unpreferred not in elect(tools, '--all-topic-partitions').output


def test_elect_by_a_file(tools, unpreferred, nobody, file):
    asked = {'partitions': [{'topic': unpreferred, 'partition': 0}, {'topic': nobody, 'partition': 0}]}
    printed = elect(tools, '--path-to-json-file', file(asked), status=1)
    assert f'Successfully completed leader election (PREFERRED) for partitions {unpreferred}-0' in printed.lines
    assert f'Error completing leader election (PREFERRED) for partition: {nobody}-0' in printed.output
    assert 'UnknownTopicOrPartitionException' in printed.output and '1 replica(s) could not be elected' in printed.errors
    eventually(lambda: leaders(tools, unpreferred), ['1', '2'])


def test_elect_uncleanly_what_is_led(tools, topic):
    done = elect(tools, '--topic', topic, '--partition', '0', kind='unclean')
    assert done.lines == [f'Valid replica already elected for partitions {topic}-0']
    assert topic not in elect(tools, '--all-topic-partitions', kind='unclean').output
