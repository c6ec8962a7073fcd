"""A broker or a cluster for a suite: ours or Apache Kafka, with the same settings."""

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
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

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
# What is otherwise on several nodes: a copy of everything on three of them.
REPLICATED_SETTINGS = {
    'default.replication.factor': '3',
    'min.insync.replicas': '2',
    'offsets.topic.replication.factor': '3',
    'transaction.state.log.replication.factor': '3',
    'transaction.state.log.min.isr': '2',
}
START_SECONDS = 10
FORM_SECONDS = 20
STOP_SECONDS = 10
KAFKA_START_SECONDS = 240
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


def usual_settings(nodes: int) -> dict[str, str]:
    return COMMON_SETTINGS | (REPLICATED_SETTINGS if nodes > 1 else {})


def node_settings(ports: list[int], first: int = 1) -> list[dict[str, str]]:
    """What tells nodes from one another: each is a broker that listens on one of
    the ports, and where there are several a controller too."""
    addresses = [f'PLAINTEXT://127.0.0.1:{port}' for port in ports]
    each = [{'node.id': str(number), 'process.roles': 'broker,controller', 'listeners': address,
             'advertised.listeners': address} for number, address in enumerate(addresses, first)]
    if len(ports) == 1:
        return each
    controllers = [free_port() for _ in ports]
    voters = ','.join(f'{number}@127.0.0.1:{port}' for number, port in enumerate(controllers, first))
    return [settings | {
        'listeners': f'{settings["listeners"]},CONTROLLER://127.0.0.1:{controller}',
        'controller.listener.names': 'CONTROLLER',
        'controller.quorum.voters': voters,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'broker.rack': f'rack{settings["node.id"]}',
    } for settings, controller in zip(each, controllers, strict=True)]


@contextlib.contextmanager
def ottla(binary: pathlib.Path, log: pathlib.Path, settings: dict[str, str], port: int | None = None, nodes: int = 1):
    """Starts our broker, or a cluster of it, in a directory of its own; yields
    the addresses."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-compat-'))
    ports = [port or free_port()] + [free_port() for _ in range(nodes - 1)]
    addresses = [f'127.0.0.1:{port}' for port in ports]
    settings = usual_settings(nodes) | settings
    processes = []
    try:
        with log.open('w') as output:
            for own in node_settings(ports, int(settings.pop('node.id', 1))):
                properties = settings | own | {'log.dirs': str(directory / own['node.id'])}
                file = directory / f'server-{own["node.id"]}.properties'
                file.write_text(''.join(f'{key}={value}\n' for key, value in properties.items()))
                processes.append(subprocess.Popen([binary, 'serve', '--config', file],
                                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output))
        for address, process in zip(addresses, processes, strict=True):
            wait_until_listening(address, process, log)
        for address in addresses if nodes > 1 else []:
            wait_until_formed(address, nodes, log)
        yield ','.join(addresses)
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f'the broker died with {process.returncode}; its log is {log}')
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            stop(process, STOP_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def kafka(log: pathlib.Path, settings: dict[str, str], port: int | None = None, nodes: int = 1):
    """Starts Apache Kafka, as `peers/` does, with the settings that ours would
    be given; yields its addresses."""
    port = port or free_port()
    settings = usual_settings(nodes) | settings
    first = settings.pop('node.id', '1')
    options = [f'--set={key}={value}' for key, value in settings.items()]
    with log.open('w') as output:
        process = subprocess.Popen([places.PEERS / 'run', 'kafka', f'--port={port}', f'--nodes={nodes}',
                                    f'--first-id={first}', *options],
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


def wait_until_formed(address: str, nodes: int, log: pathlib.Path) -> None:
    """Until the node at this address says that so many brokers serve."""
    deadline = time.monotonic() + FORM_SECONDS
    while members(address) < nodes:
        if time.monotonic() > deadline:
            raise RuntimeError(f'{address} is in no cluster of {nodes}; the log of all is {log}')
        time.sleep(0.05)


def members(address: str) -> int:
    with contextlib.suppress(KafkaError), contextlib.closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        return len(admin.describe_cluster()['brokers'])
    return 0


def wait_until_ready(process, log: pathlib.Path) -> str:
    """The addresses in the line `ready ADDRESS,... pid=...` that a peer prints."""
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
