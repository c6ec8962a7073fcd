"""A broker for a suite: ours or Apache Kafka, with the same settings."""

import contextlib
import dataclasses
import functools
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from compat import places
from compat.suites import Unavailable

# Client suites assume settings that they never state; these satisfy most of
# them. A suite that wants others overrides them.
COMMON_SETTINGS = {
    'auto.create.topics.enable': 'true',
    'num.partitions': '4',
    'default.replication.factor': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
}
START_SECONDS = 10
STOP_SECONDS = 10
KAFKA_START_SECONDS = 150
KAFKA_STOP_SECONDS = 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def is_listening(address: str) -> bool:
    host, port = address.rsplit(':', 1)
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


@contextlib.contextmanager
def ottla(binary: pathlib.Path, log: pathlib.Path, settings: dict[str, str], port: int | None = None):
    """Starts our broker in a directory of its own; yields its address."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-compat-'))
    port = port or free_port()
    properties = {
        'node.id': '1',
        'process.roles': 'broker,controller',
        'listeners': f'PLAINTEXT://127.0.0.1:{port}',
        'advertised.listeners': f'PLAINTEXT://127.0.0.1:{port}',
        'log.dirs': str(directory / 'data'),
    } | COMMON_SETTINGS | settings
    file = directory / 'server.properties'
    file.write_text(''.join(f'{key}={value}\n' for key, value in properties.items()))
    with log.open('w') as output:
        process = subprocess.Popen([binary, 'serve', '--config', file],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    address = f'127.0.0.1:{port}'
    try:
        wait_until_listening(address, process, log)
        yield address
        if process.poll() is not None:
            raise RuntimeError(f'the broker died with {process.returncode}; its log is {log}')
    finally:
        stop(process, STOP_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def kafka(log: pathlib.Path, settings: dict[str, str], port: int | None = None):
    """Starts Apache Kafka, as `peers/` does, with the settings that ours would
    be given; yields its address."""
    port = port or free_port()
    settings = COMMON_SETTINGS | settings
    if number := settings.get('node.id'):
        controller = free_port()
        settings |= {'controller.quorum.voters': f'{number}@127.0.0.1:{controller}',
                     'listeners': f'PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}'}
    options = [f'--set={key}={value}' for key, value in settings.items()]
    with log.open('w') as output:
        process = subprocess.Popen([places.PEERS / 'run', 'kafka', f'--port={port}', *options],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True)
    try:
        yield wait_until_ready(process, log)
        if process.poll() is not None:
            raise RuntimeError(f'Apache Kafka ended with {process.returncode}; its log is {log}')
    finally:
        stop(process, KAFKA_STOP_SECONDS)


@dataclasses.dataclass(frozen=True)
class KafkaFolder:
    version: str
    place: pathlib.Path


@functools.cache
def kafka_folder() -> KafkaFolder:
    """Apache Kafka's jars and scripts, brought into the cache by `peers/`."""
    done = subprocess.run([places.PEERS / 'install', 'kafka'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip().removeprefix('skipped: '))
    _, version, place = done.stdout.split()
    return KafkaFolder(version, pathlib.Path(place))


def wait_until_listening(address: str, process, log: pathlib.Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_listening(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f'the broker did not start; its log is {log}')
        time.sleep(0.02)


def wait_until_ready(process, log: pathlib.Path) -> str:
    """The address in the line `ready ADDRESS pid=...` that a peer prints."""
    ready, _, _ = select.select([process.stdout], [], [], KAFKA_START_SECONDS)
    line = process.stdout.readline() if ready else ''
    if line.startswith('ready '):
        return line.split()[1]
    message = log.read_text().strip()
    if message.startswith('skipped: '):
        raise Unavailable(message.removeprefix('skipped: '))
    raise RuntimeError(f'Apache Kafka did not start: {message[-300:]}')


def stop(process, seconds: float) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
