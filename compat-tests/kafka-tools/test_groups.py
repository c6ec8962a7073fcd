"""kafka-consumer-groups and kafka-groups: what groups there are, who is in them, and where they are."""

import pytest

from conftest import create, fill
from tools import eventually

GONE = 'Executing consumer group command failed due to'


@pytest.fixture
def groups(tools):
    def groups(*arguments, status=0):
        return tools('kafka-consumer-groups', *arguments, status=status)
    return groups


@pytest.fixture
def member(tools, groups, records, name):
    """A group with a member that has read everything."""
    group = f'{name}-live'
    options = ['--topic', records, '--group', group, '--from-beginning', '--command-property', 'client.id=reader']
    with tools.process('kafka-console-consumer', *options) as consumer:
        consumer.wait_until_printed('v4')
        described = ['--describe', '--group', group, '--state']
        eventually(lambda: groups(*described).table()[0][4:], ['Stable', '1'])
        yield group


def test_list(groups, group):
    assert group in groups('--list').lines
    states = groups('--list', '--state')
    assert states.lines[0].split() == ['GROUP', 'STATE'] and [group, 'Empty'] in states.table()
    assert [group, 'Empty'] in groups('--list', '--state', 'empty').table()
    assert [group, 'Empty'] not in groups('--list', '--state', 'Stable,Dead').table()
    assert [group, 'Classic'] in groups('--list', '--type').table()
    assert [group, 'Classic', 'Empty'] in groups('--list', '--type', 'classic', '--state').table()
    assert 'Invalid state list' in groups('--list', '--state', 'nonsense', status=1).errors


def test_list_of_all_kinds(tools, group):
    listed = tools('kafka-groups', '--list')
    assert listed.lines[0].split() == ['GROUP', 'TYPE', 'PROTOCOL'] and [group, 'Classic', 'consumer'] in listed.table()
    for option in [['--consumer'], ['--group-type', 'classic'], ['--protocol', 'consumer']]:
        assert [group, 'Classic', 'consumer'] in tools('kafka-groups', '--list', *option).table()
    for option in [['--share'], ['--streams'], ['--group-type', 'consumer'], ['--protocol', 'connect']]:
        assert [group, 'Classic', 'consumer'] not in tools('kafka-groups', '--list', *option).table()
    assert 'must be a valid group type' in tools('kafka-groups', '--list', '--group-type', 'x', status=1).errors


def test_describe_one_without_members(groups, group, records):
    printed = groups('--describe', '--group', group)
    assert f"Consumer group '{group}' has no active members." in printed.errors
    assert printed.lines[0].split() == ['GROUP', 'TOPIC', 'PARTITION', 'CURRENT-OFFSET', 'LOG-END-OFFSET', 'LAG',
                                        'CONSUMER-ID', 'HOST', 'CLIENT-ID']
    assert sorted(printed.table()) == [[group, records, '0', '5', '5', '0', '-', '-', '-'],
                                       [group, records, '1', '0', '0', '0', '-', '-', '-']]
    verbose = groups('--describe', '--group', group, '--offsets', '--verbose')
    assert verbose.lines[0].split()[3] == 'LEADER-EPOCH'
    assert sorted(verbose.table())[0] == [group, records, '0', '-', '5', '5', '0', '-', '-', '-']
    state = groups('--describe', '--group', group, '--state')
    assert state.lines[0].split() == ['GROUP', 'COORDINATOR', '(ID)', 'ASSIGNMENT-STRATEGY', 'STATE', '#MEMBERS']
    assert state.table()[0][3:] == ['-', 'Empty', '0']


def test_describe_one_with_a_member(groups, member, records):
    def rows():
        return sorted(groups('--describe', '--group', member).table())

    # A consumer commits by itself every few seconds.
    read = [[member, records, '0', '5', '5', '0'], [member, records, '1', '0', '0', '0']]
    eventually(lambda: [row[:6] for row in rows()], read)
    id = rows()[0][6]
    assert id.startswith('reader-') and all(row[6:] == [id, '/127.0.0.1', 'reader'] for row in rows())
    members = groups('--describe', '--group', member, '--members')
    assert members.lines[0].split() == ['GROUP', 'CONSUMER-ID', 'HOST', 'CLIENT-ID', '#PARTITIONS']
    assert members.table() == [[member, id, '/127.0.0.1', 'reader', '2']]
    verbose = groups('--describe', '--group', member, '--members', '--verbose')
    assert f'{records}:0,1' in verbose.lines[1]
    state, = groups('--describe', '--group', member, '--state').table()
    assert state[3:] == ['range', 'Stable', '1']
    assert [member, 'Stable'] in groups('--list', '--state', 'stable').table()


def test_what_a_group_with_a_member_refuses(groups, member, records):
    refused = groups('--reset-offsets', '--group', member, '--topic', records, '--to-earliest', '--execute')
    inactive = f"Assignments can only be reset if the group '{member}' is inactive, but the current state is Stable"
    assert inactive in refused.everything
    assert 'GroupNotEmptyException' in groups('--delete', '--group', member).output
    assert 'GroupSubscribedToTopicException' in groups('--delete-offsets', '--group', member, '--topic', records).output


def test_describe_one_that_is_not_there(groups, nobody):
    for option in ['--offsets', '--members', '--state']:
        printed = groups('--describe', '--group', nobody, option)
        error = f'org.apache.kafka.common.errors.GroupIdNotFoundException: Group {nobody} not found.'
        assert f'Error: {GONE} {error}' in printed.output


def test_describe_all(groups, group, records):
    assert [group, records, '0', '5', '5', '0', '-', '-', '-'] in groups('--describe', '--all-groups').table()
    assert any(row[:1] == [group] for row in groups('--describe', '--all-groups', '--state').table())


MOVED = {
    '--to-earliest': '0',
    '--to-latest': '5',
    '--to-current': '5',
    '--to-offset 2': '2',
    '--to-offset 2000': '5',
    '--shift-by -2': '3',
    '--shift-by -100': '0',
    '--shift-by 100': '5',
    '--to-datetime 2020-01-01T00:00:00.000': '0',
    '--to-datetime 2199-01-01T00:00:00.000': '5',
    '--by-duration P1D': '0',
    '--by-duration PT0S': '5',
}


@pytest.mark.parametrize('options', MOVED)
def test_reset_offsets(groups, group, records, options):
    def rows(*how):
        printed = groups('--reset-offsets', '--group', group, '--topic', records, *options.split(), *how)
        return sorted(row[1:] for row in printed.table() if row[0] == group)

    expected = [[records, '0', MOVED[options]], [records, '1', '0']]
    assert rows('--dry-run') == expected
    assert committed(groups, group) == {'0': '5', '1': '0'}
    assert rows('--execute') == expected
    assert committed(groups, group) == {'0': MOVED[options], '1': '0'}


def committed(groups, group) -> dict[str, str]:
    return {row[2]: row[3] for row in groups('--describe', '--group', group).table()}


def test_reset_some_offsets(groups, group, records, tools, name):
    other = create(tools, f'{name}-other')
    fill(tools, other)
    groups('--reset-offsets', '--group', group, '--topic', f'{records}:0', '--topic', other, '--to-offset', '3', '--execute')
    rows = sorted(row[1:4] for row in groups('--describe', '--group', group).table())
    assert rows == sorted([[records, '0', '3'], [records, '1', '0'], [other, '0', '3'], [other, '1', '0']])
    moved = groups('--reset-offsets', '--group', group, '--all-topics', '--to-earliest', '--execute').table()
    assert {row[3] for row in moved} == {'0'} and len(moved) == 4


def test_reset_by_a_file(groups, group, records, tmp_path):
    exported = groups('--reset-offsets', '--group', group, '--all-topics', '--shift-by', '-1', '--export', '--dry-run')
    assert sorted(exported.lines) == [f'{records},0,4', f'{records},1,0']
    file = tmp_path / 'offsets.csv'
    file.write_text(exported.output)
    moved = groups('--reset-offsets', '--group', group, '--from-file', file, '--execute')
    assert sorted(row[2:] for row in moved.table()) == [['0', '4'], ['1', '0']]
    assert committed(groups, group) == {'0': '4', '1': '0'}


def test_reset_makes_a_group(groups, records, nobody):
    groups('--reset-offsets', '--group', nobody, '--topic', records, '--to-latest', '--execute')
    assert committed(groups, nobody) == {'0': '5', '1': '0'}
    assert [nobody, 'Empty'] in groups('--list', '--state').table()


def test_reset_of_what_is_not_there(groups, group, records, nobody):
    for topic, error in [(nobody, 'UnknownTopicOrPartitionException'), (f'{nobody}:0', 'UnknownTopicOrPartitionException'),
                         (f'{records}:9', f'The partitions "{records}-9" do not exist')]:
        printed = groups('--reset-offsets', '--group', group, '--topic', topic, '--to-earliest', '--execute')
        assert GONE in printed.output and error in printed.everything


def test_delete_offsets(groups, group, records, nobody):
    done = groups('--delete-offsets', '--group', group, '--topic', f'{records}:0')
    assert done.lines[0] == f'Request succeeded for deleting offsets from group {group}.'
    assert done.lines[-1].split() == [records, '0', 'Successful']
    assert committed(groups, group) == {'1': '0'}
    unknown = groups('--delete-offsets', '--group', group, '--topic', f'{records}:9')
    assert 'Encountered some partition-level error' in unknown.output and 'UnknownTopicOrPartitionException' in unknown.output
    assert 'UnknownTopicOrPartitionException' in groups('--delete-offsets', '--group', group, '--topic', nobody).output
    assert 'Error: The group id does not exist.' in groups('--delete-offsets', '--group', nobody, '--topic', records).output


def test_delete(groups, group, nobody):
    gone = 'could not be deleted due to: org.apache.kafka.common.errors.GroupIdNotFoundException'
    printed = groups('--delete', '--group', group, '--group', nobody)
    assert f"* Group '{nobody}' {gone}" in printed.output
    assert f"These consumer groups were deleted successfully: '{group}'" in printed.output
    assert f"* Group '{group}' {gone}" in groups('--delete', '--group', group).output
    assert group not in groups('--list').lines
