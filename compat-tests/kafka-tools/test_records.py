"""The console clients, and the tools that tell and change what a topic holds."""

import json
import re

import pytest

from conftest import NODES, create, fill

FORMAT = [word for name in ('key', 'headers', 'offset', 'partition')
          for word in ('--formatter-property', f'print.{name}=true')]


def consume(tools, topic, *options, partition=0):
    return tools('kafka-console-consumer', '--topic', topic, '--partition', partition, '--offset', 'earliest',
                 '--timeout-ms', '3000', *options)


def test_produce_and_consume(tools, topic):
    tools('kafka-console-producer', '--topic', topic, '--reader-property', 'parse.key=true',
          '--reader-property', 'parse.headers=true', text='h1:v1,h2:v2\tk\tv\n')
    read = consume(tools, topic, '--max-messages', '1', *FORMAT)
    assert read.lines == ['Partition:0\tOffset:0\th1:v1,h2:v2\tk\tv']
    assert 'Processed a total of 1 messages' in read.errors


@pytest.mark.parametrize('codec', ['none', 'gzip', 'snappy', 'lz4', 'zstd'])
def test_codecs(tools, name, codec):
    create(tools, name, partitions=1)
    tools('kafka-console-producer', '--topic', name, '--compression-codec', codec, text='one\ntwo\n')
    assert consume(tools, name, '--max-messages', '2').lines == ['one', 'two']


@pytest.mark.parametrize('acks', ['0', '1', 'all'])
def test_acks(tools, name, acks):
    create(tools, name, partitions=1)
    tools('kafka-console-producer', '--topic', name, '--request-required-acks', acks, '--sync', text='one\ntwo\n')
    assert consume(tools, name, '--max-messages', '2').lines == ['one', 'two']


def test_a_topic_is_made_by_producing(tools, name):
    tools('kafka-console-producer', '--topic', name, text='one\n')
    read = tools('kafka-console-consumer', '--topic', name, '--from-beginning', '--max-messages', '1', '--timeout-ms', '30000')
    assert read.lines == ['one']


def test_consume_from_an_offset(tools, records):
    from_two = ['--topic', records, '--partition', '0', '--offset', '2', '--max-messages', '2']
    assert tools('kafka-console-consumer', *from_two).lines == ['v2', 'v3']
    assert tools('kafka-console-consumer', *from_two, '--isolation-level', 'read_committed').lines == ['v2', 'v3']


def test_consume_several_topics(tools, records, name):
    other = create(tools, f'{name}-other')
    fill(tools, other)
    read = tools('kafka-console-consumer', '--include', f'{name}.*', '--from-beginning', '--max-messages', '10',
                 '--timeout-ms', '30000')
    assert sorted(read.lines) == sorted([f'v{number}' for number in range(5)] * 2)


def test_consume_in_a_group(tools, group, records):
    options = ['--topic', records, '--group', group, '--timeout-ms', '3000']
    fill(tools, records, count=2)
    assert tools('kafka-console-consumer', *options, '--max-messages', '2').lines == ['v0', 'v1']


def test_consume_until_interrupted(tools, records):
    with tools.process('kafka-console-consumer', '--topic', records, '--from-beginning') as consumer:
        consumer.wait_until_printed('v4')
        assert consumer.interrupt() == 130
        assert 'Processed a total of 5 messages' in consumer.output


def test_committed_offsets_are_records(tools, group, records):
    printed = tools('kafka-console-consumer', '--topic', '__consumer_offsets', '--from-beginning', '--timeout-ms', '2000',
                    '--formatter', 'org.apache.kafka.tools.consumer.OffsetsMessageFormatter')
    decoder = json.JSONDecoder()
    found, text = [], printed.output.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    of_group = [value['value']['data'] for value in found if value['key']['data'].get('group') == group]
    assert {value['offset'] for value in of_group} == {0, 5} and all(value['metadata'] == '' for value in of_group)


@pytest.mark.parametrize('time, offset', [
    ('earliest', '0'), ('-2', '0'), ('latest', '5'), ('-1', '5'), ('earliest-local', '0'), ('-4', '0'),
    ('0', '0'),
])
def test_offsets_at(tools, records, time, offset):
    assert tools('kafka-get-offsets', '--topic-partitions', f'{records}:0', '--time', time).lines == [f'{records}:0:{offset}']


@pytest.mark.parametrize('time', ['latest-tiered', '-5', 'earliest-pending-upload', '-6', '99999999999999'])
def test_offsets_at_which_there_is_nothing(tools, records, time):
    assert tools('kafka-get-offsets', '--topic-partitions', f'{records}:0', '--time', time).lines == []


@pytest.mark.parametrize('time', ['max-timestamp', '-3'])
def test_offset_of_the_latest_timestamp(tools, records, time):
    line, = tools('kafka-get-offsets', '--topic-partitions', f'{records}:0', '--time', time).lines
    assert re.fullmatch(rf'{records}:0:[0-4]', line)


def test_offsets_of(tools, records, nobody):
    def offsets(*options):
        return tools('kafka-get-offsets', *options).lines
    assert offsets('--topic', records) == [f'{records}:0:5', f'{records}:1:0']
    assert offsets('--topic', records, '--partitions', '1') == [f'{records}:1:0']
    assert offsets('--topic-partitions', f'{records}:0-1') == [f'{records}:0:5']
    everything = offsets()
    assert f'{records}:0:5' in everything and any(line.startswith('__consumer_offsets:') for line in everything)
    assert not any(line.startswith('__') for line in offsets('--exclude-internal-topics'))
    for nothing in [['--topic', nobody], ['--topic', records, '--partitions', '9']]:
        missing = tools('kafka-get-offsets', *nothing, status=1)
        assert 'Could not match any topic-partitions with the specified filters' in missing.everything
    assert 'Malformed time argument' in tools('kafka-get-offsets', '--topic', records, '--time', 'x', status=1).errors


def delete(tools, file, topic, partition, offset):
    asked = {'version': 1, 'partitions': [{'topic': topic, 'partition': partition, 'offset': offset}]}
    return tools('kafka-delete-records', '--offset-json-file', file(asked), status=None)


def test_delete_records(tools, records, file):
    assert delete(tools, file, records, 0, 2).lines == [
        'Executing records delete operation', 'Records delete operation completed:', f'partition: {records}-0\tlow_watermark: 2']
    assert tools('kafka-get-offsets', '--topic', records, '--time', 'earliest').lines == [f'{records}:0:2', f'{records}:1:0']
    assert consume(tools, records, '--max-messages', '3').lines == ['v2', 'v3', 'v4']
    assert delete(tools, file, records, 0, -1).lines[-1] == f'partition: {records}-0\tlow_watermark: 5'


def test_delete_records_that_cannot_be(tools, records, file, name):
    for offset in [1000, -5]:
        refused = delete(tools, file, records, 0, offset)
        assert f'partition: {records}-0\terror: org.apache.kafka.common.errors.OffsetOutOfRangeException' in refused.output
    compacted = create(tools, f'{name}-compacted', '--partitions', '1', '--config', 'cleanup.policy=compact')
    fill(tools, compacted)
    refused = delete(tools, file, compacted, 0, 1)
    assert f'partition: {compacted}-0\terror: org.apache.kafka.common.errors.PolicyViolationException' in refused.output


def test_log_dirs(tools, records):
    described = tools('kafka-log-dirs', '--describe', '--topic-list', records)
    assert described.lines[0] == 'Querying brokers for log directories information'
    brokers = json.loads(described.lines[-1])['brokers']
    assert sorted(broker['broker'] for broker in brokers) == list(range(1, NODES + 1))
    for broker in brokers:
        directory, = broker['logDirs']
        assert directory['error'] is None
        partitions = {partition.pop('partition'): partition for partition in directory['partitions']}
        assert partitions.keys() == {f'{records}-0', f'{records}-1'}
        assert all((partition['offsetLag'], partition['isFuture']) == (0, False) for partition in partitions.values())
        assert partitions[f'{records}-1']['size'] == 0 < partitions[f'{records}-0']['size']


def test_log_dirs_of(tools, records, nobody):
    def describe(*options):
        return json.loads(tools('kafka-log-dirs', '--describe', *options).lines[-1])
    one, = describe('--broker-list', '1', '--topic-list', records)['brokers']
    assert one['broker'] == 1
    assert describe('--broker-list', '1', '--topic-list', nobody)['brokers'][0]['logDirs'][0]['partitions'] == []
    unknown = tools('kafka-log-dirs', '--describe', '--broker-list', '9', status=1)
    assert 'The given brokers do not exist from --broker-list: 9' in unknown.errors
