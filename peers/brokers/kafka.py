"""Apache Kafka in KRaft mode, by its own main classes: one node or several."""

import base64
import os
import pathlib
import subprocess
import uuid

from . import install
from .node import DidNotStart, Node, answers_api_versions, free_port

START_SECONDS = 120
FORMAT_SECONDS = 60
# Kafka's own start script runs the broker with these.
HEAP = ['-Xmx1G', '-Xms1G']
COLLECTOR = ['-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35',
             '-XX:+ExplicitGCInvokesConcurrent']


def start(directory: pathlib.Path, ports: list[int], first_id: int, settings: dict[str, str]) -> list[Node]:
    """Formats what is not formatted yet, and starts a node for each port."""
    folder = install.kafka().place
    voters = [f'{first_id + index}@127.0.0.1:{free_port()}' for index in range(len(ports))]
    # Voters are written down, so a cluster keeps its controllers' ports when
    # it is started again on the same directory.
    known = directory / 'voters'
    if known.exists():
        voters = known.read_text().split()
    known.write_text(' '.join(voters))
    cluster = directory / 'cluster.id'
    if not cluster.exists():
        cluster.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip('='))
    nodes = []
    try:
        for port, voter in zip(ports, voters, strict=True):
            nodes.append(start_node(folder, directory, port, voter, voters, cluster.read_text(), settings))
        for node, port in zip(nodes, ports, strict=True):
            node.wait_until(lambda node=node: node.logged('Kafka Server started'), START_SECONDS)
            node.wait_until(lambda port=port: answers_api_versions(port), START_SECONDS)
    except BaseException:
        for node in nodes:
            node.process.kill()
        raise
    return nodes


def start_node(folder, directory, port, voter, voters, cluster, settings) -> Node:
    number = voter.partition('@')[0]
    data = directory / f'data-{number}'
    file = directory / f'server-{number}.properties'
    file.write_text(properties(port, voter, voters, data, settings))
    log = directory / f'kafka-{number}.log'
    log.write_bytes(b'')
    if not (data / 'meta.properties').exists():
        format_directory(folder, file, cluster, log)
    command = java(folder, ['-Dottla.peers.level=INFO', '-Dottla.peers.target=SYSTEM_OUT', 'kafka.Kafka', file],
                   heap=HEAP, options=COLLECTOR)
    return Node(command, log, directory, environment())


def properties(port: int, voter: str, voters: list[str], data: pathlib.Path, settings: dict[str, str]) -> str:
    replicas = min(len(voters), 3)
    controller_port = voter.rpartition(':')[2]
    written = {
        'process.roles': 'broker,controller',
        'node.id': voter.partition('@')[0],
        'controller.quorum.voters': ','.join(voters),
        'listeners': f'PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}',
        'advertised.listeners': f'PLAINTEXT://127.0.0.1:{port}',
        'controller.listener.names': 'CONTROLLER',
        'inter.broker.listener.name': 'PLAINTEXT',
        'log.dirs': data,
        'offsets.topic.replication.factor': replicas,
        'transaction.state.log.replication.factor': replicas,
        'transaction.state.log.min.isr': min(replicas, 2),
        'share.coordinator.state.topic.replication.factor': replicas,
        'share.coordinator.state.topic.min.isr': min(replicas, 2),
    } | settings
    return ''.join(f'{key}={value}\n' for key, value in written.items())


def format_directory(folder, file, cluster, log) -> None:
    with log.open('ab') as output:
        done = subprocess.run(java(folder, ['kafka.tools.StorageTool', 'format', f'--cluster-id={cluster}', '-c', file],
                                   heap=['-Xmx256M'], options=['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']),
                              env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                              timeout=FORMAT_SECONDS, check=False)
    if done.returncode:
        raise DidNotStart(f'formatting ended with {done.returncode}; its log is {log}')


def java(folder: pathlib.Path, arguments: list, heap: list[str], options: list[str]) -> list:
    heap = os.environ['KAFKA_HEAP_OPTS'].split() if 'KAFKA_HEAP_OPTS' in os.environ else heap
    return [install.java_program(), *heap, *options,
            f'-Dlog4j2.configurationFile=file:{folder}/log4j2.properties', '-cp', f'{folder}/libs/*', *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith('KAFKA_')}
