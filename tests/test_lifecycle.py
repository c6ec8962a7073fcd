"""Starting, stopping and refusing to start."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import wire
from blackbox import ottla_binary
from kafka.errors import KafkaError

ours = pytest.mark.ours
pytestmark = pytest.mark.one_node('about the life of one process')


def ended(broker, within=10):
    """Launches a broker that must not come up; returns its status and its output."""
    status = broker.launch().wait(timeout=within)
    return status, broker.output()


@ours
def test_the_start_line_names_the_node(broker):
    deadline = time.monotonic() + 5
    while '[KafkaRaftServer nodeId=1] Kafka Server started' not in broker.output():
        assert time.monotonic() < deadline, broker.output()
        time.sleep(0.01)


@ours
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=['SIGTERM', 'ctrl-c'])
def test_it_stops_within_two_seconds_while_clients_are_connected(broker, clients, number):
    producer = clients.producer(broker)
    producer.send('t', b'v').get(timeout=10)
    consumer = clients.consumer(broker, 't', group_id='g', fetch_max_wait_ms=20_000)
    waiting = threading.Thread(target=lambda: consumer.poll(timeout_ms=4000))
    waiting.start()
    time.sleep(1)
    # One more that said nothing, and one in the middle of a frame.
    silent, stalled = broker.connect(), broker.connect()
    stalled.sendall(b'\0\0\0\x40\0')
    assert broker.stop(number) < 2
    assert broker.process.returncode == 0
    waiting.join()
    silent.close(), stalled.close()


@ours
def test_it_stops_although_a_client_reads_no_answers(broker):
    with broker.connect(timeout=1) as connection:
        request = wire.frame(wire.header(18, 0, False))
        with contextlib.suppress(TimeoutError):
            for _ in range(50_000):
                connection.sendall(request)
        assert broker.stop() < 2
    assert broker.process.returncode == 0


@ours
def test_it_stops_while_a_producer_sends(broker, clients):
    producer = clients.producer(broker, acks='all', linger_ms=5)
    stop = threading.Event()
    def send():
        while not stop.is_set():
            try:
                producer.send('t', b'x' * 500)
            except KafkaError:
                return
    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(1)
    took = broker.stop()
    stop.set()
    sender.join()
    assert took < 2 and broker.process.returncode == 0


def test_a_restart_keeps_everything(broker, clients):
    admin = clients.admin(broker)
    admin.create_topics({'kept': {'num_partitions': 3, 'configs': {'retention.ms': '1000000'}}}, wait_for_metadata=True)
    before = admin.describe_topics(['kept'])[0]['topic_id'], admin.describe_cluster()['cluster_id']
    producer = clients.producer(broker)
    for number in range(30):
        producer.send('kept', b'%d' % number, partition=number % 3)
    producer.flush()
    broker.stop()
    broker.start()
    admin = clients.admin(broker)
    assert before == (admin.describe_topics(['kept'])[0]['topic_id'], admin.describe_cluster()['cluster_id'])
    consumer = clients.consumer(broker, 'kept', consumer_timeout_ms=3000)
    assert sorted(int(record.value) for record in consumer) == list(range(30))


@ours
def test_memory_keeps_nothing(make_broker, clients):
    broker = make_broker(arguments=['--memory'])
    broker.start()
    producer = clients.producer(broker)
    producer.send('t', b'v').get(timeout=10)
    # One that is still open would come back and have its topic created again.
    producer.close()
    broker.stop()
    assert not broker.data.exists()
    broker.start()
    assert 't' not in clients.admin(broker).list_topics()


@ours
def test_a_directory_of_another_node_is_refused(broker):
    broker.stop()
    broker.write_settings({'node.id': '7'})
    status, output = ended(broker)
    assert status != 0
    assert '1' in output and '7' in output and 'node' in output


@ours
def test_a_directory_of_another_cluster_is_refused(make_broker):
    broker = make_broker()
    def form(identity):
        return subprocess.run([ottla_binary(), 'format', '--standalone', '-t', identity, '-c', broker.file],
                              capture_output=True, text=True, timeout=10)
    assert form('AAAAAAAAAAAAAAAAAAAAAQ').returncode == 0
    assert form('BBBBBBBBBBBBBBBBBBBBBQ').returncode != 0
    broker.start()


@ours
def test_a_directory_of_an_unknown_version_is_refused(broker):
    broker.stop()
    meta = broker.data / 'meta.properties'
    meta.write_text(''.join('version=99\n' if line.startswith('version=') else line
                            for line in meta.read_text().splitlines(keepends=True)))
    status, output = ended(broker)
    assert status != 0 and '99' in output


@ours
def test_a_directory_in_use_is_refused(broker, make_broker):
    second = make_broker({'log.dirs': str(broker.data)})
    status, output = ended(second)
    assert status != 0 and str(broker.data) in output
    assert broker.is_running()


@ours
def test_foreign_files_in_the_directory_are_left_alone(make_broker, clients):
    # Every freshly made file system has a directory of this name.
    broker = make_broker()
    (broker.data / 'lost+found').mkdir(parents=True)
    letter = broker.data / 'letter.txt'
    letter.write_text('not a broker')
    broker.start()
    clients.producer(broker).send('t', b'v').get(timeout=10)
    broker.stop()
    assert letter.read_text() == 'not a broker' and (broker.data / 'lost+found').is_dir()


@ours
def test_a_directory_without_permission_is_refused(make_broker):
    if os.geteuid() == 0:
        # Root may write everywhere, so the broker runs as somebody else.
        place = pathlib.Path(tempfile.mkdtemp())
        place.chmod(0o755)
        binary = shutil.copy(ottla_binary(), place / 'ottla')
        forbidden = place / 'forbidden'
        forbidden.mkdir(mode=0o755)
        command, user = [binary, '--data', forbidden / 'data', '--set', 'listeners=PLAINTEXT://127.0.0.1:0'], 'nobody'
    else:
        place = pathlib.Path(tempfile.mkdtemp())
        place.chmod(0o555)
        command, user = [ottla_binary(), '--data', place / 'data'], None
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, user=user, cwd='/')
        assert result.returncode != 0
        assert 'ermission' in result.stdout + result.stderr and str(place) in result.stdout + result.stderr
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


@ours
def test_a_port_in_use_is_refused(broker, make_broker):
    second = make_broker()
    second.port = broker.port
    second.write_settings({})
    status, output = ended(second)
    assert status != 0 and str(broker.port) in output


@ours
@pytest.mark.parametrize('line, words', [
    ('num.partitions=many', ['num.partitions', 'many']),
    ('num.partitions=0', ['num.partitions', '0']),
    ('listeners=NOWHERE', ['listeners']),
])
def test_a_bad_setting_is_refused_by_name(make_broker, line, words):
    key, value = line.split('=')
    status, output = ended(make_broker({key: value}))
    assert status != 0
    assert all(word in output for word in words), output


@ours
def test_an_unknown_setting_only_warns_and_names_the_nearest(make_broker):
    broker = make_broker({'num.partition': '3'}).start()
    assert 'num.partition' in broker.output() and 'num.partitions' in broker.output()


@ours
@pytest.mark.parametrize('arguments', [['--version'], ['--help'], ['serve', '--help'], ['random-uuid']])
def test_commands_that_only_print(arguments):
    result = subprocess.run([ottla_binary(), *arguments], capture_output=True, text=True, timeout=10)
    assert result.returncode == 0 and result.stdout.strip() and not result.stderr


@ours
def test_check_finds_a_sound_directory_sound_and_a_damaged_one_damaged(broker, clients):
    producer = clients.producer(broker)
    for _ in range(200):
        producer.send('t', os.urandom(500))
    producer.flush()
    broker.stop()
    def check():
        return subprocess.run([ottla_binary(), 'check', broker.data], capture_output=True, text=True, timeout=30)
    assert check().returncode == 0, check()
    dump = subprocess.run([ottla_binary(), 'dump', broker.data], capture_output=True, text=True, timeout=30)
    assert dump.returncode == 0 and 't-0' in dump.stdout.replace('t 0', 't-0')
    largest = max((path for path in broker.data.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open('r+b') as file:
        # Most of the file is room for what is still to come.
        written = len(file.read(1 << 20).rstrip(b'\0'))
        file.seek(written // 3)
        file.write(b'damage' * 10)
    damaged = check()
    assert damaged.returncode != 0 and largest.name in damaged.stdout + damaged.stderr
