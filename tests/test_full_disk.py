"""A disk without room: what was acknowledged stays, the broker says so and lives or ends cleanly."""

import contextlib
import pathlib
import subprocess
import tempfile
import time

import pytest

from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaStorageError

DISK_MEBIBYTES = 160
# The broker keeps some 64 MiB for its index.
TIGHT_MEBIBYTES, BALLAST_MEBIBYTES = 112, 30

pytestmark = pytest.mark.one_node('about the disk of one process')


@pytest.fixture
def small_disk(request):
    mebibytes = getattr(request, 'param', DISK_MEBIBYTES)
    place = pathlib.Path(tempfile.mkdtemp(prefix='ottla-small-disk-'))
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={mebibytes}m', 'tmpfs', place],
                             capture_output=True, text=True)
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f'no file system can be mounted here: {mounted.stderr.strip()}')
    yield place
    subprocess.run(['umount', '-l', place], check=True)
    place.rmdir()


@pytest.mark.ours
def test_a_full_disk_loses_nothing_that_was_acknowledged(make_broker, clients, small_disk):
    broker = make_broker({'log.dirs': str(small_disk / 'data'), 'ottla.commit.file.bytes': str(16 << 20)})
    broker.start()
    producer = clients.producer(broker, acks='all', enable_idempotence=False, retries=0, request_timeout_ms=5000,
                                delivery_timeout_ms=6000, max_block_ms=5000, linger_ms=5)
    acknowledged, refused = [], []
    deadline = time.monotonic() + 60
    number = 0
    while not refused and time.monotonic() < deadline:
        for _ in range(50):
            with contextlib.suppress(KafkaError):
                future = producer.send('t', b'%08d' % number + bytes(20_000), partition=0)
                future.add_callback(lambda _, number=number: acknowledged.append(number))
                future.add_errback(lambda _, number=number: refused.append(number))
            number += 1
        producer.flush(timeout=30)
    assert refused, 'the disk never became full'
    assert len(acknowledged) > 100
    log = broker.output()
    assert 'No space left' in log or 'full' in log, 'the log says nothing of a full disk'
    # The broker either still serves what it has, or ended by itself; after a
    # restart with room again nothing is missing.
    if broker.is_running():
        broker.stop(within=10)
    subprocess.run(['mount', '-o', f'remount,size={DISK_MEBIBYTES * 3}m', small_disk], check=True)
    broker.start()
    consumer = clients.consumer(broker)
    place = TopicPartition('t', 0)
    consumer.assign([place])
    end = consumer.end_offsets([place])[place]
    stored = set()
    while consumer.position(place) < end:
        for records in consumer.poll(timeout_ms=1000).values():
            stored |= {int(record.value[:8]) for record in records}
    assert set(acknowledged) <= stored
    again = clients.producer(broker, acks='all').send('t', b'room again', partition=0)
    assert again.get(timeout=10).offset == end


@pytest.mark.ours
@pytest.mark.parametrize('small_disk', [TIGHT_MEBIBYTES], indirect=True, ids=[''])
def test_a_full_disk_heals_when_there_is_room(make_broker, make_checker, clients, tell, small_disk):
    """Under load, twice, and without a restart."""
    ballast = [small_disk / f'ballast-{number}' for number in range(2)]
    for file in ballast:
        file.write_bytes(bytes(BALLAST_MEBIBYTES // 2 << 20))
    broker = make_broker({'log.dirs': str(small_disk / 'data'), 'ottla.commit.file.bytes': str(4 << 20)}).start()
    clients.producer(broker).send('probe', b'from before', partition=0).get(timeout=10)
    checker = make_checker(broker, 5, '--rate', 1500, '--members', 0)
    for file in ballast:
        fill(broker, clients, checker)
        # Reads go on, also of what cannot be written.
        consumer = clients.consumer(broker)
        consumer.assign([TopicPartition('probe', 0)])
        consumer.seek_to_beginning()
        found = consumer.poll(timeout_ms=10_000, max_records=1)
        assert [record.value for records in found.values() for record in records] == [b'from before']
        file.unlink()
        checker.wait_for_acknowledgements(500)
    verdict = checker.verdict()
    tell(f'full disk: full {len(ballast)} times, {verdict.counts["acked"]} records acknowledged, '
         f'{verdict.counts["anomalies"]} anomalies')
    assert not verdict.anomalies, verdict.text


@pytest.mark.ours
def test_an_index_without_room_heals_when_there_is_some(make_broker, clients, small_disk):
    """Something else takes also what the commit log leaves for the index."""
    data = small_disk / 'data'
    broker = make_broker({'log.dirs': str(data), 'ottla.commit.file.bytes': str(4 << 20)}).start()
    place = TopicPartition('t', 0)
    producer = clients.producer(broker, acks='all', enable_idempotence=False, retries=0)
    for sent in [producer.send('t', bytes(20_000), partition=0) for _ in range(800)]:
        sent.get(timeout=30)
    # A file that is there already needs no space, and its beginning flushes the index.
    first = clients.admin(broker).delete_records({place: -1})[place]['low_watermark']
    deadline = time.monotonic() + 30
    while not list((data / 'commit').glob('*.spare')):
        assert time.monotonic() < deadline, 'no dead file is kept'
        time.sleep(0.01)
    acknowledged, is_refused = {}, False
    with (small_disk / 'ballast').open('wb', buffering=0) as ballast:
        while not (is_refused and 'no room for the index' in broker.output()):
            assert time.monotonic() < deadline, f'{len(acknowledged)} acknowledged, {broker.output()[-2000:]}'
            take_all_space(ballast)
            value = b'%08d' % len(acknowledged) + bytes(20_000)
            try:
                acknowledged[producer.send('t', value, partition=0).get(timeout=10).offset] = value
            except KafkaStorageError:
                is_refused = True
    assert acknowledged
    assert found(broker, clients, place, first) == acknowledged
    (small_disk / 'ballast').unlink()
    deadline = time.monotonic() + 60
    while is_refused:
        assert time.monotonic() < deadline, broker.output()[-2000:]
        with contextlib.suppress(KafkaStorageError):
            acknowledged[producer.send('t', b'room again', partition=0).get(timeout=10).offset] = b'room again'
            is_refused = False
    assert found(broker, clients, place, first) == acknowledged
    broker.restart_after_kill()
    assert found(broker, clients, place, first) == acknowledged


def take_all_space(file):
    with contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def found(broker, clients, place, first):
    """What a new consumer finds from an offset on, by offset."""
    consumer = clients.consumer(broker)
    consumer.assign([place])
    end = consumer.end_offsets([place])[place]
    consumer.seek(place, first)
    values = {}
    deadline = time.monotonic() + 30
    while consumer.position(place) < end:
        assert time.monotonic() < deadline, f'reads stop at {consumer.position(place)} of {end}'
        for records in consumer.poll(timeout_ms=1000).values():
            values |= {record.offset: record.value for record in records}
    return values


def fill(broker, clients, checker):
    """Waits until a producer that does not try again is told why it cannot write."""
    producer = clients.producer(broker, retries=0, enable_idempotence=False, acks='all')
    deadline = time.monotonic() + 60
    while True:
        checker.wait_for_acknowledgements(0)
        assert time.monotonic() < deadline, 'the disk never became full'
        try:
            producer.send('probe', bytes(20_000), partition=0).get(timeout=10)
        except KafkaStorageError:
            return
