"""A bit that changed on the disk is noticed, is never served, and stops nothing
but what it belongs to.

`--count N` changes N bits in each kind of file, `--seed S` chooses them.
"""

import contextlib
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import time

import pytest

import wire
from blackbox import Broker, ottla_binary
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.record import MemoryRecords

pytestmark = [pytest.mark.ours, pytest.mark.one_node('about the disk of one process')]

PLACES = [(topic, partition) for topic in ['apples', 'pears', 'plums'] for partition in range(2)]
RECORDS = 1200
FETCH, FETCH_VERSION = 1, 4
# Files of the index that nobody reads, and that a check therefore does not judge.
UNREAD = ['options', 'identity']
KINDS = {
    'sealed-commit-file': 'commit/00000000000000000001.log',
    'active-commit-file': 'commit/*.log',
    'table-of-the-index': 'index/*.sst',
    'manifest': 'index/MANIFEST-*',
    'current': 'index/CURRENT',
    'options': 'index/OPTIONS-*',
    'identity': 'index/IDENTITY',
    'table-of-the-copy': 'index.copy/*.sst',
    'manifest-of-the-copy': 'index.copy/MANIFEST-*',
    'current-of-the-copy': 'index.copy/CURRENT',
    'flush-of-the-copy': 'index.copy/FLUSH',
    'meta.properties': 'meta.properties',
}


def values(topic: str, partition: int) -> list[bytes]:
    """What a partition holds; more than one commit file of it all together."""
    return [f'{topic}-{partition}-{number:04}-'.encode() * 30 for number in range(RECORDS)]


def test_a_damaged_partition_costs_its_neighbours_nothing(make_broker, stored):
    """Also when the broker has learnt of it and starts again."""
    _, directory = stored
    broker = make_broker({'ottla.commit.file.bytes': str(1 << 20)})
    shutil.copytree(directory, broker.data)
    damaged = ('pears', 0)
    # The first record in the file that was written last: a broker that was killed
    # reads it when it starts.
    file = max((broker.data / 'commit').glob('*.log'))
    file.write_bytes(file.read_bytes().replace(b'pears-0-', b'pears+0-', 1))
    for _ in range(2):
        broker.start()
        found = {place: read_all(broker, *place) for place in PLACES}
        assert found == {place: 'damaged' if place == damaged else 'whole' for place in PLACES}
        broker.kill()


@pytest.fixture(scope='module', params=['stopped', 'killed'])
def stored(request, tmp_path_factory):
    """How a broker was ended, and the directory that it left, with records of
    every partition."""
    broker = Broker(tmp_path_factory.mktemp('stored'), {'ottla.commit.file.bytes': str(1 << 20)}).start()
    try:
        fill(broker)
        await_copy(broker.data)
        broker.stop(within=10) if request.param == 'stopped' else broker.kill()
        yield request.param, broker.data
    finally:
        broker.discard()


def await_copy(data: pathlib.Path) -> None:
    """Until the index is copied, and no copy is under way."""
    deadline = time.monotonic() + 10
    while not (data / 'index.copy/FLUSH').exists() or (data / 'index.frozen').exists():
        assert time.monotonic() < deadline, 'the index has no copy'
        time.sleep(0.05)


def fill(broker) -> None:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        topics = {topic: {'num_partitions': 2} for topic, _ in PLACES}
        admin.create_topics(topics, wait_for_metadata=True)
    with contextlib.closing(KafkaProducer(bootstrap_servers=broker.address, linger_ms=2)) as producer:
        for number, row in enumerate(zip(*(values(*place) for place in PLACES), strict=True)):
            for (topic, partition), value in zip(PLACES, row, strict=True):
                producer.send(topic, value, partition=partition)
            if number % 20 == 0:
                producer.flush()
        producer.flush()
    with contextlib.closing(KafkaConsumer(bootstrap_servers=broker.address, group_id='eaters')) as consumer:
        consumer.assign([TopicPartition('apples', 0)])
        consumer.seek(TopicPartition('apples', 0), 17)
        consumer.commit()


def pytest_generate_tests(metafunc):
    if 'kind' in metafunc.fixturenames:
        count, first = metafunc.config.getoption('count') or 2, metafunc.config.getoption('seed')
        first = random.randrange(1_000_000) if first is None else first
        cases = [(kind, seed) for kind in KINDS for seed in range(first, first + count)]
        metafunc.parametrize(('kind', 'seed'), cases, ids=[f'{kind}-{seed}' for kind, seed in cases])


def test_a_changed_bit_is_noticed_and_never_served(make_broker, stored, kind, seed):
    state, directory = stored
    broker = make_broker({'ottla.commit.file.bytes': str(1 << 20)})
    shutil.copytree(directory, broker.data)
    file, at = flip(broker.data, KINDS[kind], random.Random(seed))
    told = f'byte {at} of {file} was changed'
    checked = subprocess.run([ottla_binary(), 'check', broker.data], capture_output=True, text=True, timeout=30)
    judged = checked.stdout + checked.stderr
    is_sound = checked.returncode == 0
    # RocksDB's messages name its file or say what it is.
    assert is_sound or any(name in judged for name in [str(file), file.name, 'the index']), f'{told}: {judged}'
    is_of_index = KINDS[kind].startswith('index')
    # The end of a list, or of the log, may look like a write that was torn.
    may_be_torn = ['manifest', 'manifest-of-the-copy', 'active-commit-file']
    assert not is_sound or kind in [*UNREAD, *may_be_torn], f'{told}: {judged}'
    if not serves(broker):
        assert not is_of_index, f'{told}: {broker.output()}'
        assert not is_sound, f'{told}, and only the broker says so: {broker.output()}'
        assert broker.process.returncode > 0, f'{told}: {broker.process.returncode}'
        assert str(broker.data) in broker.output() or '__cluster_metadata' in broker.output(), told
        return
    found = {place: read_all(broker, *place) for place in PLACES}
    damaged = [place for place in PLACES if found[place] == 'damaged']
    assert not (is_sound and damaged), f'{told}, and a check finds nothing: {damaged}'
    # Of the index there are two copies.
    assert len(damaged) <= (0 if is_of_index else 1), f'{told}: {damaged}'
    if 'cut' in found.values():
        # Nobody knows of the very last write, of several partitions, whether it was ever whole.
        assert (kind, state) == ('active-commit-file', 'killed'), f'{told}: {found}'
        assert 'unfinished write, which was cut off' in broker.output(), f'{told}: {found}'
        return
    sound = next((place for place in PLACES if place not in damaged), None)
    if sound is None:
        return
    with contextlib.closing(KafkaProducer(bootstrap_servers=broker.address)) as producer:
        topic, partition = sound
        assert producer.send(topic, b'goes on', partition=partition).get(timeout=10).offset == RECORDS, told


def flip(directory: pathlib.Path, pattern: str, chance: random.Random) -> tuple[pathlib.Path, int]:
    """Changes one bit of what was written to the last file of this name."""
    file = sorted(directory.glob(pattern))[-1]
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(data.rstrip(b'\0')))
    data[at] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    return file.relative_to(directory), at


def serves(broker) -> bool:
    """Whether it starts, and does not end when it has looked at what it has."""
    try:
        broker.start()
        with broker.connect() as connection:
            is_answered = wire.ask(connection, wire.header(18, 0, False)) is not None
    except (AssertionError, ConnectionError):
        is_answered = False
    if not is_answered:
        broker.process.wait(timeout=10)
    return is_answered


def read_all(broker, topic: str, partition: int) -> str:
    """Reads a partition from its beginning: what is served is what was sent. It
    is whole, or ends early, with an error if it is damaged."""
    expected = values(topic, partition)
    with broker.connect() as connection:
        offset = 0
        while offset < len(expected):
            error, records = fetch(connection, topic, partition, offset)
            if error:
                return 'damaged'
            if not records:
                return 'cut'
            for record_offset, value in records:
                if record_offset >= offset:
                    assert record_offset == offset and value == expected[offset], f'{topic}-{partition}: {offset}'
                    offset += 1
    return 'whole'


def fetch(connection: socket.socket, topic: str, partition: int, offset: int) -> tuple[int, list[tuple[int, bytes]]]:
    """One answer: its error, and the records in it."""
    name = topic.encode()
    bytes_most = 1 << 20
    asked = struct.pack('>iiiibih', -1, 100, 1, bytes_most, 0, 1, len(name)) + name + \
        struct.pack('>iiqi', 1, partition, offset, bytes_most)
    answer = wire.ask(connection, wire.header(FETCH, FETCH_VERSION, False) + asked)
    assert answer is not None, 'no answer to a fetch'
    # The correlation id, the throttle time, one topic with one partition.
    at = 4 + 4 + 4 + 2 + len(name) + 4
    _, error, _, _, aborted = struct.unpack_from('>ihqqi', answer, at)
    at += 4 + 2 + 8 + 8 + 4 + 16 * max(aborted, 0)
    size, = struct.unpack_from('>i', answer, at)
    batches = MemoryRecords(answer[at + 4:at + 4 + max(size, 0)])
    found = []
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc(), 'a batch with a wrong checksum was served'
        found += [(record.offset, bytes(record.value)) for record in batch]
    return error, found
