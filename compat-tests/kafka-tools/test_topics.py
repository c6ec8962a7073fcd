"""kafka-topics: what it makes, shows, changes and deletes, and what it says where it cannot."""

import pytest

from conftest import NODES, create, describe, described
from tools import eventually

FAILED = 'Error while executing topic command : '


def test_create_with_counts(tools, name):
    create(tools, name, '--partitions', '3', '--replication-factor', NODES)
    first, *partitions = described(tools, name)
    assert first == f'Topic: {name} PartitionCount: 3 ReplicationFactor: {NODES} Configs:'
    assert [line.split(' Leader')[0] for line in partitions] == [f'Topic: {name} Partition: {n}' for n in range(3)]


@pytest.mark.three_nodes
def test_create_with_an_assignment(tools, name):
    create(tools, name, '--replica-assignment', '1:2,2:3,3:1')
    assert described(tools, name) == [
        f'Topic: {name} PartitionCount: 3 ReplicationFactor: 2 Configs:',
        f'Topic: {name} Partition: 0 Leader: 1 Replicas: 1,2 Isr: 1,2',
        f'Topic: {name} Partition: 1 Leader: 2 Replicas: 2,3 Isr: 2,3',
        f'Topic: {name} Partition: 2 Leader: 3 Replicas: 3,1 Isr: 1,3',
    ]


@pytest.mark.three_nodes
def test_replicas_are_spread(tools, name):
    create(tools, name, '--partitions', '6', '--replication-factor', '3')
    leaders = [line.split('Leader: ')[1].split()[0] for line in described(tools, name)[1:]]
    assert sorted(leaders) == ['1', '1', '2', '2', '3', '3']


def test_create_with_configs(tools, name):
    create(tools, name, '--config', 'retention.ms=1000000', '--config', 'cleanup.policy=compact')
    assert described(tools, name)[0].endswith('Configs: cleanup.policy=compact,retention.ms=1000000')


def test_create_with_the_brokers_defaults(tools, name):
    assert tools('kafka-topics', '--create', '--topic', name).output == f'Created topic {name}.\n'
    assert described(tools, name)[0].startswith(f'Topic: {name} PartitionCount: 4 ReplicationFactor: {NODES}')


def test_create_one_that_exists(tools, topic):
    printed = tools('kafka-topics', '--create', '--topic', topic, status=1)
    assert printed.lines[0] == f"{FAILED}Topic '{topic}' already exists."
    assert 'TopicExistsException' in printed.errors
    assert tools('kafka-topics', '--create', '--topic', topic, '--if-not-exists').output == ''


def test_names_that_collide(tools, name):
    warning = 'topics with a period (\'.\') or underscore (\'_\') could collide'
    assert warning in tools('kafka-topics', '--create', '--topic', f'{name}.a_b').output
    printed = tools('kafka-topics', '--create', '--topic', f'{name}_a.b', status=1)
    assert f'{FAILED}' in printed.output and 'InvalidTopicException' in printed.errors


@pytest.mark.parametrize('options, error', [
    ('--partitions 0', 'IllegalArgumentException'),
    ('--replication-factor 4', 'InvalidReplicationFactorException'),
    ('--replica-assignment 9', 'InvalidReplicaAssignmentException'),
    ('--replica-assignment 1:9', 'InvalidReplicaAssignmentException'),
    ('--replica-assignment 1:1', 'AdminCommandFailedException'),
    ('--replica-assignment 1,1:2', 'AdminOperationException'),
    ('--config nonsense=1', 'InvalidConfigurationException'),
    ('--config retention.ms=abc', 'ConfigException'),
    ('--config min.insync.replicas=0', 'ConfigException'),
    ('--config cleanup.policy=shred', 'ConfigException'),
])
def test_create_what_cannot_be(tools, name, options, error):
    printed = tools('kafka-topics', '--create', '--topic', name, *options.split(), status=1)
    assert FAILED in printed.output and error in printed.errors
    assert describe(tools, '--topic', name) == []


@pytest.mark.parametrize('name', ['', '.', '..', 'a b', 'ä', 'x' * 250], ids=['empty', 'dot', 'dots', 'space', 'letter', 'long'])
def test_create_with_a_name_that_none_can_have(tools, name):
    printed = tools('kafka-topics', '--create', '--topic', name, '--partitions', '1', status=1)
    assert FAILED in printed.output and 'InvalidTopicException' in printed.errors


def test_usage(tools):
    assert 'Missing required argument "[topic]"' in tools('kafka-topics', '--create', status=1).errors
    assert 'nonsense is not a recognized option' in tools('kafka-topics', '--nonsense', status=1).errors


def test_list(tools, topic, group):
    def listed(*options):
        return tools('kafka-topics', '--list', *options).lines

    ours = [topic, '__consumer_offsets']
    eventually(lambda: [there for there in ours if there in listed()], ours)
    eventually(lambda: [there for there in ours if there in listed('--exclude-internal')], [topic])
    eventually(lambda: listed('--topic', topic[:-1] + '.'), [topic])
    assert listed() == sorted(listed())
    assert listed('--topic', 'nothing-.*') == []


def test_describe_by_pattern_and_id(tools, name):
    for suffix in 'ab':
        create(tools, f'{name}-{suffix}', partitions=1)
    both = [f'{name}-a'] * 2 + [f'{name}-b'] * 2
    eventually(lambda: sorted(line.split()[1] for line in describe(tools, '--topic', f'{name}-.')), both)
    id = tools('kafka-topics', '--describe', '--topic', f'{name}-a').output.split('TopicId: ')[1].split()[0]
    # Who asks by id is not told who is eligible.
    by_name = [described(tools, f'{name}-a')[0], described(tools, f'{name}-a')[1] + ' Elr: N/A LastKnownElr: N/A']
    eventually(lambda: describe(tools, '--topic-id', id), by_name)
    excluded = describe(tools, '--exclude-internal')
    assert any(f'{name}-a' in line for line in excluded) and not any('__consumer_offsets' in line for line in excluded)


def test_describe_one_that_is_not_there(tools, name):
    printed = tools('kafka-topics', '--describe', '--topic', name, status=1)
    assert printed.lines[0] == f"{FAILED}Topic '{name}' does not exist as expected"
    assert tools('kafka-topics', '--describe', '--topic', name, '--if-exists').output == ''
    unknown = tools('kafka-topics', '--describe', '--topic-id', 'AAAAAAAAAAAAAAAAAAAABQ', status=1)
    assert "TopicId 'AAAAAAAAAAAAAAAAAAAABQ' does not exist as expected" in unknown.output


def test_describe_what_is_healthy(tools, topic):
    for option in ['--under-replicated-partitions', '--unavailable-partitions', '--under-min-isr-partitions']:
        eventually(lambda option=option: describe(tools, option, topic=topic), [])


def test_describe_at_min_isr(tools, name):
    full = f'min.insync.replicas={NODES}'
    create(tools, name, '--partitions', '1', '--replication-factor', NODES, '--config', full)
    eventually(lambda: describe(tools, '--at-min-isr-partitions', topic=name), described(tools, name)[1:])


def test_describe_overrides(tools, name):
    create(tools, name, '--partitions', '2', '--config', 'retention.ms=5000')
    overridden = f'Topic: {name} PartitionCount: 2 ReplicationFactor: {NODES} Configs: retention.ms=5000'
    eventually(lambda: describe(tools, '--topics-with-overrides', topic=name), [overridden])


def test_more_partitions(tools, topic):
    assert tools('kafka-topics', '--alter', '--topic', topic, '--partitions', '4').output == ''
    eventually(lambda: len(described(tools, topic)), 1 + 4)
    for fewer in ['4', '2']:
        printed = tools('kafka-topics', '--alter', '--topic', topic, '--partitions', fewer, status=1)
        assert FAILED in printed.output and 'InvalidPartitionsException' in printed.errors


@pytest.mark.three_nodes
def test_more_partitions_with_an_assignment(tools, name):
    create(tools, name, '--replica-assignment', '1:2')

    def alter(assignment, status=0):
        return tools('kafka-topics', '--alter', '--topic', name, '--partitions', '2', '--replica-assignment',
                     assignment, status=status)

    for wrong in ['1:2,9:1', '1:2,1:2:3', '1:2,3:3', '1:2']:
        printed = alter(wrong, status=1)
        assert 'InvalidReplicaAssignmentException' in printed.errors or FAILED in printed.output
    assert described(tools, name)[0].startswith(f'Topic: {name} PartitionCount: 1')
    alter('1:2,3:2')
    added = f'Topic: {name} Partition: 1 Leader: 3 Replicas: 3,2 Isr: 2,3'
    eventually(lambda: described(tools, name)[2:], [added])


def test_more_partitions_of_nothing(tools, name):
    printed = tools('kafka-topics', '--alter', '--topic', name, '--partitions', '4', status=1)
    assert printed.lines[0] == f"{FAILED}Topic '{name}' does not exist as expected"
    assert tools('kafka-topics', '--alter', '--topic', name, '--partitions', '4', '--if-exists').output == ''


def test_delete(tools, name):
    for suffix in 'ab':
        create(tools, f'{name}-{suffix}')
    assert tools('kafka-topics', '--delete', '--topic', f'{name}-.').output == ''
    eventually(lambda: tools('kafka-topics', '--list', '--topic', f'{name}-.').lines, [])
    printed = tools('kafka-topics', '--delete', '--topic', f'{name}-a', status=1)
    assert printed.lines[0] == f"{FAILED}Topic '{name}-a' does not exist as expected"
    assert tools('kafka-topics', '--delete', '--topic', f'{name}-a', '--if-exists').output == ''
