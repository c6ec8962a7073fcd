"""The tools that make load, and those that check what became of it."""

import json
import re

import pytest

from conftest import NODES, create
from tools import eventually

RECORDS = 2000


@pytest.fixture
def loaded(tools, name):
    """A topic that the producer of load has filled."""
    create(tools, name)
    printed = tools('kafka-producer-perf-test', '--topic', name, '--num-records', RECORDS, '--record-size', '100',
                    '--throughput', '-1', '--command-property', 'acks=all')
    assert re.match(rf'{RECORDS} records sent, [\d.]+ records/sec \([\d.]+ MB/sec\), [\d.]+ ms avg latency', printed.lines[-1])
    return name


def test_producer_performance(tools, loaded):
    counts = [int(line.rpartition(':')[2]) for line in tools('kafka-get-offsets', '--topic', loaded).lines]
    assert sum(counts) == RECORDS


def test_consumer_performance(tools, loaded):
    printed = tools('kafka-consumer-perf-test', '--topic', loaded, '--num-records', RECORDS, '--timeout', '20000')
    names = [name.strip() for name in printed.lines[0].split(',')]
    values = [value.strip() for value in printed.lines[1].split(',')]
    assert dict(zip(names, values, strict=True))['data.consumed.in.nMsg'] == str(RECORDS)


@pytest.mark.parametrize('acks', ['1', 'all'])
def test_end_to_end_latency(tools, topic, acks):
    printed = tools('kafka-e2e-latency', '--topic', topic, '--num-records', '20', '--producer-acks', acks, '--record-size', '20',
                    '--record-key-size', '5', '--num-headers', '2', '--record-header-key-size', '3', '--record-header-size', '4')
    assert re.fullmatch(r'Avg latency: [\d.]+ ms', printed.lines[-2])
    assert re.fullmatch(r'Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+', printed.lines[-1])


def events(process) -> list[dict]:
    return [json.loads(line) for line in process.output.splitlines() if line.startswith('{')]


def test_verifiable_clients(tools, name):
    create(tools, name, partitions=1)
    with tools.process('kafka-verifiable-producer', '--topic', name, '--max-messages', '20', '--acks', '-1') as producer:
        assert producer.wait() == 0
        sent = events(producer)
    assert [event['offset'] for event in sent if event['name'] == 'producer_send_success'] == list(range(20))
    assert (sent[-1]['name'], sent[-1]['acked']) == ('tool_data', 20)
    options = ['--topic', name, '--group-id', name, '--max-messages', '20', '--reset-policy', 'earliest']
    with tools.process('kafka-verifiable-consumer', *options) as consumer:
        assert consumer.wait() == 0
        read = events(consumer)
    assert sum(event['count'] for event in read if event['name'] == 'records_consumed') == 20
    committed = [event for event in read if event['name'] == 'offsets_committed']
    assert committed[-1]['offsets'] == [{'topic': name, 'partition': 0, 'offset': 20}] and committed[-1]['success']
    assert {event['name'] for event in read[-2:]} <= {'partitions_revoked', 'shutdown_requested', 'shutdown_complete'}


def test_replicas_are_the_same(tools, loaded):
    with tools.process('kafka-replica-verification', '--topics-include', loaded, '--report-interval-ms', '200') as verifier:
        verifier.wait_until_printed('max lag is 0 for partition')
        assert re.search(r'max lag is 0 for partition \S+ at offset \d+ among 2 partitions', verifier.output)


def test_describe_producers(tools, loaded):
    printed = tools('kafka-transactions', 'describe-producers', '--topic', loaded, '--partition', '0')
    assert printed.lines[0].split() == ['ProducerId', 'ProducerEpoch', 'LatestCoordinatorEpoch', 'LastSequence',
                                        'LastTimestamp', 'CurrentTransactionStartOffset']
    row, = printed.table()
    assert (row[1], row[2], row[5]) == ('0', '-1', 'None')


def test_describe_producers_on_each_replica(tools, loaded):
    def rows(broker):
        return tools('kafka-transactions', 'describe-producers', '--topic', loaded, '--partition', '0',
                     '--broker-id', broker).table()
    on_leader = tools('kafka-transactions', 'describe-producers', '--topic', loaded, '--partition', '0').table()
    for broker in range(1, NODES + 1):
        eventually(lambda broker=broker: rows(broker), on_leader)


def test_hanging_transactions(tools, loaded):
    for options in [['--topic', loaded], ['--broker-id', '1'], ['--broker-id', '1', '--topic', loaded, '--partition', '0']]:
        printed = tools('kafka-transactions', 'find-hanging', *options)
        assert len(printed.lines) == 1 and printed.lines[0].split()[:3] == ['Topic', 'Partition', 'ProducerId']


def test_load_in_transactions(tools, topic):
    printed = tools('kafka-producer-perf-test', '--topic', topic, '--num-records', '50', '--record-size', '100',
                    '--throughput', '-1', '--transaction-duration-ms', '100', '--transactional-id', topic)
    assert printed.lines[-1].startswith('50 records sent')

    def states():
        return [row[3] for row in tools('kafka-transactions', 'list').table() if row[0] == topic]

    eventually(states, ['CompleteCommit'])
    assert 'CompleteCommit' in tools('kafka-transactions', 'describe', '--transactional-id', topic).output


def test_a_transaction_that_nobody_knows(tools, nobody):
    printed = tools('kafka-transactions', 'describe', '--transactional-id', nobody, status=1)
    assert 'because the ID could not be found' in printed.errors


def test_abort_nothing(tools, topic):
    printed = tools('kafka-transactions', 'abort', '--topic', topic, '--partition', '0', '--start-offset', '0', status=1)
    assert f'Could not find any open transactions starting at offset 0 on partition {topic}-0' in printed.errors
