"""The tools about the cluster itself: its quorum, its brokers, and what they speak."""

import json
import re
import time

import pytest

from conftest import NODES
from tools import eventually


def quorum(tools, *options):
    return tools('kafka-metadata-quorum', 'describe', *options)


def status(tools) -> dict[str, str]:
    fields = (line.split(':', 1) for line in quorum(tools, '--status').lines)
    return {name: value.strip() for name, value in fields}


def test_quorum_status(tools):
    found = status(tools)
    assert list(found) == ['ClusterId', 'LeaderId', 'LeaderEpoch', 'HighWatermark', 'MaxFollowerLag',
                           'MaxFollowerLagTimeMs', 'CurrentVoters', 'CurrentObservers']
    assert int(found['LeaderId']) in range(1, NODES + 1)
    assert int(found['LeaderEpoch']) > 0 and int(found['HighWatermark']) > 0
    voters = json.loads(found['CurrentVoters'])
    assert [voter['id'] for voter in voters] == list(range(1, NODES + 1))
    assert found['CurrentObservers'] == '[]'


@pytest.mark.three_nodes
def test_quorum_endpoints(tools):
    for voter in json.loads(status(tools)['CurrentVoters']):
        endpoint, = voter['endpoints']
        assert re.fullmatch(r'CONTROLLER://127\.0\.0\.1:\d+', endpoint)


@pytest.mark.three_nodes
def test_followers_of_the_quorum_keep_up(tools):
    """Some may lag for a moment while topics are made."""
    eventually(lambda: status(tools)['MaxFollowerLag'], '0')
    eventually(lambda: 0 <= int(status(tools)['MaxFollowerLagTimeMs']) < 5000, True)


def test_quorum_replication(tools):
    described = quorum(tools, '--replication')
    assert described.lines[0].split() == ['NodeId', 'DirectoryId', 'LogEndOffset', 'Lag', 'LastFetchTimestamp',
                                          'LastCaughtUpTimestamp', 'Status']
    rows = described.table()
    assert sorted(int(row[0]) for row in rows) == list(range(1, NODES + 1))
    assert sorted(row[6] for row in rows) == ['Follower'] * (NODES - 1) + ['Leader']
    assert all(int(row[2]) > 0 and int(row[3]) >= 0 for row in rows)


def test_when_voters_fetched(tools):
    now = time.time() * 1000
    eventually(lambda: all(abs(int(at) - now) < 30_000 for row in quorum(tools, '--replication').table()
                           for at in row[4:6]), True)
    human = quorum(tools, '--replication', '--human-readable')
    assert all(re.search(r'\d+ ms ago\s+\d+ ms ago', line) for line in human.lines[1:])


def test_cluster_id(tools):
    printed = tools('kafka-cluster', 'cluster-id').output
    assert re.fullmatch(r'Cluster ID: [\w-]{22}\n', printed)
    assert printed.split()[-1] == status(tools)['ClusterId']


def test_endpoints(tools):
    for options in [[], ['--include-fenced-brokers']]:
        listed = tools('kafka-cluster', 'list-endpoints', *options)
        assert listed.lines[0].split() == ['ID', 'HOST', 'PORT', 'RACK', 'STATE', 'ENDPOINT_TYPE']
        rows = sorted(listed.table())
        assert [row[0] for row in rows] == [str(number) for number in range(1, NODES + 1)]
        assert all((row[1], *row[4:]) == ('127.0.0.1', 'unfenced', 'broker') for row in rows)
        assert {f'{row[1]}:{row[2]}' for row in rows} == set(tools.address.split(','))


def test_unregister_nobody(tools):
    assert 'BrokerIdNotRegisteredException' in tools('kafka-cluster', 'unregister', '--id', '77', status=1).errors


def test_api_versions(tools):
    printed = tools('kafka-broker-api-versions').output
    assert sorted(re.findall(r'^127\.0\.0\.1:\d+ \(id: (\d) rack: \w+ isFenced: false\) -> \($', printed, re.M)) == [
        str(number) for number in range(1, NODES + 1)]
    for api in ['Produce(0): 0 to 13 [usable: 13]', 'Fetch(1): 4 to 18 [usable: 18]', 'Metadata(3): 0 to 13 [usable: 13]',
                'ApiVersions(18): 0 to 4 [usable: 4]', 'CreateTopics(19): 2 to 7 [usable: 7]']:
        assert printed.count(f'\t{api}') == NODES


def test_features(tools):
    lines = tools('kafka-features', 'describe').lines
    version, = [line.split() for line in lines if line.startswith('Feature: metadata.version')]
    assert version[:9] == ['Feature:', 'metadata.version', 'SupportedMinVersion:', '3.3-IV3',
                           'SupportedMaxVersion:', '4.3-IV0', 'FinalizedVersionLevel:', '4.3-IV0', 'Epoch:']


@pytest.mark.parametrize('feature', ['eligible.leader.replicas.version', 'group.version', 'kraft.version', 'share.version',
                                     'streams.version', 'transaction.version'])
def test_each_feature(tools, feature):
    assert f'Feature: {feature} ' in tools('kafka-features', 'describe').output.replace('\t', ' ')


def test_upgrade_of_features(tools):
    upgraded = tools('kafka-features', 'upgrade', '--feature', 'metadata.version=30', '--dry-run')
    assert upgraded.lines == ['metadata.version can be upgraded to 30.']


def test_features_that_nobody_has(tools):
    for arguments in [['upgrade', '--feature', 'nonsense=1'], ['downgrade', '--feature', 'metadata.version=1']]:
        printed = tools('kafka-features', *arguments, status=1)
        assert printed.lines[0].startswith(f'Could not {arguments[0]}')
        assert '1 out of 1 operation(s) failed.' in printed.everything


def test_what_versions_mean(tools):
    assert 'metadata.version=30 (4.3)' in tools('kafka-features', 'version-mapping', '--release-version', '4.3').output
