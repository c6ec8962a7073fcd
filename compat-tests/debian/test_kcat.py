"""Debian's kcat 1.7.1 (librdkafka 2.0.2): producer, consumer, group member, metadata and offset queries."""

import json

import pytest

from conftest import BOOTSTRAP


@pytest.fixture
def kcat(run):
    def kcat(*arguments, text=None, check=True):
        return run('kcat', '-b', BOOTSTRAP, *arguments, text=text, check=check)
    return kcat


def produce(kcat, topic, lines, *options):
    kcat('-P', '-t', topic, *options, text=''.join(f'{line}\n' for line in lines))


def consume(kcat, topic, *options):
    return kcat('-C', '-q', '-e', '-t', topic, *options).stdout.splitlines()


def test_produce_and_consume(kcat, topic):
    lines = [f'line {number}' for number in range(1000)]
    produce(kcat, topic, lines, '-p', '0')
    assert consume(kcat, topic, '-p', '0', '-o', 'beginning') == lines


@pytest.mark.parametrize('codec', ['none', 'gzip', 'snappy', 'lz4', 'zstd'])
def test_codecs(kcat, topic, codec):
    lines = [f'{codec} {number} ' * 10 for number in range(500)]
    produce(kcat, topic, lines, '-p', '0', '-z', codec)
    assert consume(kcat, topic, '-p', '0') == lines


@pytest.mark.parametrize('settings', [['acks=0'], ['acks=1'], ['acks=all'], ['enable.idempotence=true']], ids=lambda s: s[0])
def test_acks(kcat, topic, settings):
    lines = [str(number) for number in range(200)]
    produce(kcat, topic, ['first'], '-p', '0')
    produce(kcat, topic, lines, '-p', '0', *(word for setting in settings for word in ('-X', setting)))
    assert consume(kcat, topic, '-p', '0') == ['first', *lines]


def test_keys_headers_timestamps_and_offsets(kcat, topic):
    kcat('-P', '-t', topic, '-p', '0', '-K', ':', '-H', 'a=1', '-H', 'b=zwei', text='key:value\n')
    produced = json.loads(kcat('-C', '-q', '-e', '-J', '-t', topic, '-p', '0').stdout)
    assert (produced['key'], produced['payload'], produced['offset']) == ('key', 'value', 0)
    assert produced['headers'] == ['a', '1', 'b', 'zwei']
    assert produced['tstype'] == 'create' and produced['ts'] > 1_500_000_000_000


def test_null_values(kcat, topic):
    kcat('-P', '-t', topic, '-p', '0', '-K', ':', '-Z', text='key:\n')
    assert kcat('-C', '-q', '-e', '-t', topic, '-f', '%k=%S\n').stdout == 'key=-1\n'


@pytest.mark.parametrize('start, expected', [('beginning', 10), ('4', 6), ('-3', 3), ('end', 0)])
def test_start_offsets(kcat, topic, start, expected):
    produce(kcat, topic, range(10), '-p', '0')
    assert len(consume(kcat, topic, '-p', '0', '-o', start)) == expected


def test_start_at_a_timestamp(kcat, topic):
    produce(kcat, topic, range(5), '-p', '0')
    assert len(consume(kcat, topic, '-p', '0', '-o', 's@1500000000000')) == 5
    assert consume(kcat, topic, '-p', '0', '-o', 's@4000000000000') == []


def test_a_file_as_one_message(kcat, topic, tmp_path):
    path = tmp_path / 'big'
    path.write_bytes(b'x' * 900_000)
    kcat('-P', '-t', topic, '-p', '0', path)
    assert kcat('-C', '-q', '-e', '-t', topic, '-f', '%S').stdout == '900000'


def test_metadata(kcat, topic):
    produce(kcat, topic, ['x'])
    listed = json.loads(kcat('-L', '-J').stdout)
    assert listed['controllerid'] in [broker['id'] for broker in listed['brokers']]
    assert topic in [entry['topic'] for entry in listed['topics']]
    one, = json.loads(kcat('-L', '-J', '-t', topic).stdout)['topics']
    assert all(partition['leader'] == partition['replicas'][0]['id'] for partition in one['partitions'])


def test_offset_query(kcat, topic):
    produce(kcat, topic, range(7), '-p', '0')
    for asked, answered in [('-1', '7'), ('-2', '0'), ('1500000000000', '0')]:
        assert kcat('-Q', '-t', f'{topic}:0:{asked}').stdout.strip().endswith(f'offset {answered}')


def test_group(kcat, topic):
    produce(kcat, topic, range(100))
    def read(*options):
        # Ends at the end of all partitions; -G takes the topics last.
        return kcat('-q', '-e', '-X', 'auto.offset.reset=earliest', *options, '-G', f'{topic}-group', topic).stdout
    assert sorted(map(int, read().split())) == list(range(100))
    produce(kcat, topic, range(100, 110))
    assert sorted(map(int, read().split())) == list(range(100, 110))


@pytest.mark.parametrize('strategy', ['range', 'roundrobin', 'cooperative-sticky'])
def test_assignors(kcat, topic, strategy):
    produce(kcat, topic, range(20))
    output = kcat('-q', '-e', '-X', 'auto.offset.reset=earliest', '-X', f'partition.assignment.strategy={strategy}',
                  '-G', f'{topic}-group', topic).stdout
    assert sorted(map(int, output.split())) == list(range(20))


def test_an_unknown_topic_is_not_made_by_asking(kcat, topic):
    assert 'Unknown topic or partition' in kcat('-L', '-t', topic, '-X', 'allow.auto.create.topics=false').stdout
