"""Whatever comes in, the answer is Kafka's or a closed connection, and the broker lives."""

import contextlib
import gzip
import os
import random
import resource
import struct
import time

import pytest

import wire
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

SCHEMAS = wire.request_schemas()
# Answered without a look at its body when the version is unknown.
API_VERSIONS = 18
MEBIBYTE = 1 << 20


def lives(broker, memory_below=None):
    """The process runs, and a new connection is served at once."""
    assert broker.is_running(), broker.output()[-2000:]
    with broker.connect(timeout=5) as connection:
        versions = wire.served_versions(connection)
    if memory_below is not None:
        assert broker.memory() < memory_below, f'{broker.memory() / MEBIBYTE:.0f} MiB are resident'
    return versions


def closes(connection, within=5.0) -> bool:
    connection.settimeout(within)
    try:
        return connection.recv(1) == b''
    except ConnectionError:
        return True
    except TimeoutError:
        return False


# --- frames ----------------------------------------------------------------------

@pytest.mark.parametrize('size', [-1, -(2**31), 2**31 - 1, 200 * MEBIBYTE],
                         ids=['-1', 'least', 'most', '200 MiB'])
def test_a_frame_of_impossible_size_closes_the_connection(broker, size):
    with broker.connect() as connection:
        connection.sendall(struct.pack('>i', size) + b'some bytes')
        assert closes(connection)
    lives(broker)


@pytest.mark.parametrize('payload', [b'', b'\0', b'\0\x12', b'\0\x12\0\0', b'\0\x12\0\0\0\0\0', b'\0\x12\0\0\0\0\0\1'],
                         ids=['empty', 'half a key', 'a key', 'key and version', 'half a correlation id', 'no client id'])
def test_a_frame_too_short_for_a_header_closes_the_connection(broker, payload):
    with broker.connect() as connection:
        connection.sendall(wire.frame(payload))
        assert closes(connection)
    lives(broker)


@pytest.mark.parametrize('length', [-7530, -2, 30000])
def test_a_nonsense_client_id_length_closes_the_connection(broker, length):
    with broker.connect() as connection:
        connection.sendall(wire.frame(struct.pack('>hhih', API_VERSIONS, 0, 1, length)))
        assert closes(connection)
    lives(broker)


@pytest.mark.parametrize('greeting', [b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' + b'x' * 200,
                                      b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\xff' * 64, os.urandom(4096)],
                         ids=['http', 'tls', 'http2', 'ones', 'noise'])
def test_other_protocols_are_hung_up_on(broker, greeting):
    with broker.connect() as connection:
        connection.sendall(greeting)
        connection.settimeout(3)
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.recv(4096)
    lives(broker)


def test_a_frame_declared_large_costs_memory_only_as_it_comes(broker):
    connections = []
    for _ in range(40):
        connection = broker.connect()
        connection.sendall(struct.pack('>i', 90 * MEBIBYTE) + b'\0\0\0\x09')
        connections.append(connection)
    time.sleep(0.5)
    lives(broker, memory_below=None if os.environ.get('KAFKA_FOLDER') else 400 * MEBIBYTE)
    for connection in connections:
        connection.close()
    lives(broker)


def test_a_stall_in_the_middle_of_a_frame_holds_up_nobody(broker):
    stalled = [broker.connect() for _ in range(50)]
    for index, connection in enumerate(stalled):
        connection.sendall(wire.frame(wire.header(API_VERSIONS, 0, False))[:1 + index % 14])
    begun = time.monotonic()
    lives(broker)
    assert time.monotonic() - begun < 1
    whole = wire.frame(wire.header(API_VERSIONS, 0, False))
    # Who goes on is answered.
    stalled[0].sendall(whole[1:])
    assert wire.answer(stalled[0]) is not None
    for connection in stalled:
        connection.close()


def test_a_client_that_reads_no_answers_holds_up_nobody(broker):
    with broker.connect() as connection:
        connection.settimeout(1)
        request = wire.frame(wire.header(API_VERSIONS, 0, False))
        with contextlib.suppress(TimeoutError):
            for _ in range(20_000):
                connection.sendall(request)
        lives(broker, memory_below=None if os.environ.get('KAFKA_FOLDER') else 400 * MEBIBYTE)


def test_requests_in_one_packet_are_answered_in_order(broker):
    with broker.connect() as connection:
        connection.sendall(b''.join(wire.frame(wire.header(API_VERSIONS, 0, False, correlation=number))
                                    for number in range(100)))
        for number in range(100):
            assert struct.unpack_from('>i', wire.answer(connection))[0] == number


# --- requests --------------------------------------------------------------------

@pytest.mark.parametrize('key', [-1, 4, 200, 1000, 32767])
def test_an_unknown_api_closes_the_connection(broker, key):
    with broker.connect() as connection:
        connection.sendall(wire.frame(wire.header(key, 0, False)))
        assert closes(connection)
    lives(broker)


@pytest.mark.parametrize('version', [-1, 5, 9, 99, 32767])
def test_an_unknown_version_of_api_versions_is_answered_with_the_list(broker, version):
    with broker.connect() as connection:
        payload = wire.ask(connection, wire.header(API_VERSIONS, version, flexible=version >= 3))
        correlation, error, count = struct.unpack_from('>ihi', payload)
        assert (correlation, error) == (7, 35) and count > 0
        assert len(payload) in (10 + 6 * count, 14 + 6 * count)
        # The connection goes on with a version that is known.
        assert wire.served_versions(connection)


def test_an_unknown_version_of_another_api_closes_the_connection(broker):
    for key, (least, most) in lives(broker).items():
        if key == API_VERSIONS:
            continue
        for version in (most + 1, 32767, -1):
            with broker.connect() as connection:
                connection.sendall(wire.frame(wire.header(key, version, False)))
                assert closes(connection), f'API {key} version {version}'
    lives(broker)


def bodies(versions):
    """Every served API and version whose fields are known, with a sample body."""
    for key, (least, most) in sorted(versions.items()):
        if schema := SCHEMAS.get(key):
            for version in range(least, most + 1):
                if wire.covers(schema['validVersions'], version):
                    flexible = wire.covers(schema.get('flexibleVersions'), version)
                    # ApiVersions keeps a header without tags on the way back only.
                    yield key, version, flexible, wire.sample(schema, version)


@pytest.mark.timeout(300)
@pytest.mark.parametrize('value', [wire.MOST, 2**31 - 2, 10_000_000, -2], ids=['most', 'most - 1', '10 million', '-2'])
def test_every_length_of_every_request_may_lie(broker, value):
    frames = 0
    versions = lives(broker)
    for key, version, flexible, body in bodies(versions):
        for place, (_, _, width) in enumerate(body.lengths):
            if value < 0 and width == 'c':
                continue
            with broker.connect() as connection:
                payload = wire.header(key, version, flexible) + body.lying(place, value)
                with contextlib.suppress(ConnectionError):
                    connection.sendall(wire.frame(payload))
                    # Half-closed, so that neither an answer nor a hang-up is waited for in vain.
                    connection.shutdown(1)
                connection.settimeout(20)
                wire.answer(connection)
            frames += 1
            assert broker.is_running(), f'API {key} version {version} length {place}\n{broker.output()[-2000:]}'
    assert frames > 100
    lives(broker, memory_below=None if os.environ.get('KAFKA_FOLDER') else 400 * MEBIBYTE)


@pytest.mark.timeout(300)
def test_every_request_may_end_early_or_late(broker):
    for key, version, flexible, body in bodies(lives(broker)):
        whole = wire.header(key, version, flexible) + bytes(body.data)
        cuts = {0, 1, len(body.data) // 2, len(body.data) - 1}
        for payload in [*(whole[:len(whole) - len(body.data) + cut] for cut in cuts), whole + b'\xff' * 9]:
            with broker.connect() as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(wire.frame(payload))
                    connection.shutdown(1)
                connection.settimeout(20)
                wire.answer(connection)
            assert broker.is_running(), f'API {key} version {version}\n{broker.output()[-2000:]}'
    lives(broker)


@pytest.mark.timeout(300)
def test_noise_in_every_request(broker):
    noise = random.Random(20)
    for key, version, flexible, body in bodies(lives(broker)):
        for _ in range(3):
            data = bytearray(body.data)
            for _ in range(1 + len(data) // 8):
                if data:
                    data[noise.randrange(len(data))] = noise.choice((0, 1, 0x7F, 0x80, 0xFF, noise.randrange(256)))
            with broker.connect() as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(wire.frame(wire.header(key, version, flexible) + bytes(data)))
                    connection.shutdown(1)
                connection.settimeout(20)
                wire.answer(connection)
            assert broker.is_running(), f'API {key} version {version}\n{broker.output()[-2000:]}'
    lives(broker)


def test_api_versions_takes_every_served_version(broker):
    for version in range(5):
        with broker.connect() as connection:
            flexible = version >= 3
            tail = b'\x05test\x021\0' if flexible else b''
            payload = wire.ask(connection, wire.header(API_VERSIONS, version, flexible) + tail)
            assert struct.unpack_from('>ih', payload) == (7, 0), f'version {version}'


# --- record batches --------------------------------------------------------------

def batch(count=3) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, MEBIBYTE)
    for number in range(count):
        builder.append(number, 1_700_000_000_000 + number, b'k', b'v%d' % number, [])
    return bytes(builder.build())


def produce(broker, records, topic=b'bad', acks=-1):
    """The error code of Produce v3, or None when the connection was closed."""
    body = (struct.pack('>hhi', -1, acks, 30_000) + struct.pack('>ih', 1, len(topic)) + topic
            + struct.pack('>iii', 1, 0, len(records)) + records)
    with broker.connect_to_leader(topic.decode()) as connection:
        payload = wire.ask(connection, wire.header(0, 3, False) + body)
    if payload is None:
        return None
    return struct.unpack_from('>h', payload, 4 + 4 + 2 + len(topic) + 4 + 4)[0]


def changed(place, replacement):
    def change(records):
        return records[:place] + replacement + records[place + len(replacement):]
    return change


NONE, CORRUPT, UNSUPPORTED_FORMAT, INVALID_RECORD = 0, 2, 43, 87
BAD_BATCHES = {
    'nothing': (lambda records: b'', {CORRUPT, INVALID_RECORD, NONE}),
    'half a header': (lambda records: records[:30], {CORRUPT, INVALID_RECORD}),
    'half a batch': (lambda records: records[:-5], {CORRUPT, INVALID_RECORD}),
    'a wrong CRC': (changed(17, b'\0\0\0\0'), {CORRUPT}),
    'a flipped bit in a value': (lambda records: records[:-2] + bytes([records[-2] ^ 1]) + records[-1:], {CORRUPT}),
    'a batch length of -1': (changed(8, b'\xff\xff\xff\xff'), {CORRUPT, INVALID_RECORD}),
    'a batch length of 2^31-1': (changed(8, b'\x7f\xff\xff\xff'), {CORRUPT, INVALID_RECORD}),
    'a batch length of 0': (changed(8, b'\0\0\0\0'), {CORRUPT, INVALID_RECORD}),
    'magic 3': (changed(16, b'\3'), {CORRUPT, INVALID_RECORD, UNSUPPORTED_FORMAT}),
    'magic -1': (changed(16, b'\xff'), {CORRUPT, INVALID_RECORD, UNSUPPORTED_FORMAT}),
    'two batches': (lambda records: records + records, {INVALID_RECORD}),
}


@pytest.mark.parametrize('name', BAD_BATCHES)
def test_a_bad_batch_is_refused(broker, clients, name):
    clients.admin(broker).create_topics({'bad': {'num_partitions': 1}}, wait_for_metadata=True)
    change, codes = BAD_BATCHES[name]
    assert produce(broker, change(batch())) in codes | {None}
    assert produce(broker, batch()) == NONE
    consumer = clients.consumer(broker, 'bad', consumer_timeout_ms=2000)
    assert [record.value for record in consumer] == [b'v0', b'v1', b'v2']


LIES = {
    'a record count of 2^31-1': (57, b'\x7f\xff\xff\xff'),
    'a record count of -1': (57, b'\xff\xff\xff\xff'),
    'a record count of 2': (57, b'\0\0\0\2'),
    'a last offset delta of 7': (23, b'\0\0\0\7'),
    'a last offset delta of -1': (23, b'\xff\xff\xff\xff'),
    'the control bit': (21, b'\0\x20'),
    'the transactional bit': (21, b'\0\x10'),
    'gzip that is none': (21, b'\0\1'),
    'snappy that is none': (21, b'\0\2'),
    'lz4 that is none': (21, b'\0\3'),
    'zstd that is none': (21, b'\0\4'),
    'codec 7': (21, b'\0\7'),
    'a record length of 2^31-1': (61, b'\xfe\xff\xff\xff\x0f'),
    'a record length of -1': (61, b'\1'),
}


@pytest.mark.parametrize('name', LIES)
def test_a_batch_that_lies_under_a_good_crc_is_refused(broker, clients, name):
    clients.admin(broker).create_topics({'bad': {'num_partitions': 1}}, wait_for_metadata=True)
    records = changed(*LIES[name])(batch())
    records = changed(17, struct.pack('>I', calc_crc32c(records[21:])))(records)
    assert produce(broker, records) != NONE
    assert produce(broker, batch()) == NONE
    consumer = clients.consumer(broker, 'bad', consumer_timeout_ms=2000)
    assert [record.value for record in consumer] == [b'v0', b'v1', b'v2']
    lives(broker)


@pytest.mark.parametrize('magic', [0, 1])
def test_old_message_sets_are_refused(broker, clients, magic):
    clients.admin(broker).create_topics({'bad': {'num_partitions': 1}}, wait_for_metadata=True)
    builder = MemoryRecordsBuilder(magic=magic, compression_type=0, batch_size=1000)
    builder.append(timestamp=1, key=b'k', value=b'v')
    builder.close()
    assert produce(broker, bytes(builder.buffer())) not in (NONE,)
    lives(broker)


def test_a_compressed_batch_that_grows_without_end_is_refused(broker, clients):
    clients.admin(broker).create_topics({'bad': {'num_partitions': 1}}, wait_for_metadata=True)
    bomb = gzip.compress(bytes(300 * MEBIBYTE))
    records = bytearray(batch(1)[:61] + bomb)
    struct.pack_into('>i', records, 8, len(records) - 12)
    struct.pack_into('>h', records, 21, 1)
    struct.pack_into('>I', records, 17, calc_crc32c(bytes(records[21:])))
    assert produce(broker, bytes(records)) != NONE
    lives(broker, memory_below=None if os.environ.get('KAFKA_FOLDER') else 400 * MEBIBYTE)


@pytest.mark.parametrize('acks', [2, -2, 100])
def test_unknown_acks_are_refused(broker, clients, acks):
    clients.admin(broker).create_topics({'bad': {'num_partitions': 1}}, wait_for_metadata=True)
    assert produce(broker, batch(), acks=acks) in (21, None)
    lives(broker)


# --- many connections, full disks ------------------------------------------------

@pytest.mark.timeout(300)
def test_five_thousand_idle_connections(broker, clients):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5200:
        pytest.skip(f'only {hard} descriptors are allowed here')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5200), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(5000):
            stack.enter_context(broker.connect(timeout=30))
        lives(broker)
        assert clients.producer(broker).send('t', b'v').get(timeout=30).offset == 0
        if not os.environ.get('KAFKA_FOLDER'):
            assert broker.memory() < 200 * MEBIBYTE
            broker.stop()
