"""The nodes of a cluster, each a process on a host of its own."""

import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent / 'compat-tests'), str(HERE.parent.parent / 'peers')]

from brokers import install, kafka  # noqa: E402
from compat.places import ottla_binary  # noqa: E402
from network import Network, address  # noqa: E402

CLUSTER_ID = '4L6g3nShT-eMCtK--X86sw'
PORT = 9092
CONTROLLER_PORT = 9093
STOP_SECONDS = 60
# The second is what a JVM makes of the signal.
STOPPED = (0, 143)


class Node:
    def __init__(self, number: int, directory: pathlib.Path, network: Network, command: list, environment: dict):
        self.number = number
        self.log = directory / f'node-{number}.log'
        self.command = network.on(number, command)
        self.environment = environment
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        assert not self.is_running()
        with self.log.open('ab') as output:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env=self.environment, cwd=self.log.parent)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def has_ended_by_itself(self) -> bool:
        return self.process is not None and not self.is_running()

    def kill(self) -> float:
        """How many seconds later the process was gone, and its connections with it: the last of its threads keeps both."""
        began = time.monotonic()
        self.process.kill()
        self.process.wait()
        self.process = None
        return time.monotonic() - began

    def stop(self) -> None:
        self.process.terminate()
        status = self.process.wait(timeout=STOP_SECONDS)
        assert status in STOPPED, f'node {self.number} was asked to stop and ended with {status}'
        self.process = None

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    def __init__(self, broker: str, count: int, directory: pathlib.Path, network: Network):
        self.network = network
        self.bootstrap = ','.join(f'{address(number)}:{PORT}' for number in range(1, count + 1))
        environment = {name: value for name, value in os.environ.items() if not name.startswith('KAFKA_')}
        environment['CLUSTER_ID'] = CLUSTER_ID
        self.nodes = {}
        for number in range(1, count + 1):
            file = directory / f'server-{number}.properties'
            file.write_text(properties(number, count, directory / f'data-{number}'))
            if broker == 'kafka':
                folder = install.kafka().place
                kafka.format_directory(folder, file, CLUSTER_ID, directory / f'format-{number}.log')
                command = kafka.java(folder, ['-Dottla.peers.level=WARN', '-Dottla.peers.target=SYSTEM_OUT',
                                              'kafka.Kafka', file], heap=['-Xmx512M', '-Xms256M'],
                                     options=kafka.COLLECTOR)
            else:
                command = [ottla_binary() if broker == 'ottla' else broker, file]
            self.nodes[number] = Node(number, directory, network, command, environment)

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()

    def others(self, number: int) -> list[int]:
        return [other for other in self.nodes if other != number]

    def restore(self) -> None:
        """The network is whole, and every node runs."""
        self.network.heal()
        self.check()
        for node in self.nodes.values():
            if node.is_running():
                node.thaw()
            else:
                node.start()

    def check(self) -> None:
        """Nodes end only when they are told to."""
        for node in self.nodes.values():
            assert not node.has_ended_by_itself(), \
                f'node {node.number} ended by itself with {node.process.returncode}: {node.log}'

    def discard(self) -> None:
        for node in self.nodes.values():
            if node.is_running():
                node.kill()


def properties(number: int, count: int, data: pathlib.Path) -> str:
    replicas = min(count, 3)
    here = address(number)
    written = {
        'process.roles': 'broker,controller',
        'node.id': number,
        'controller.quorum.voters': ','.join(f'{voter}@{address(voter)}:{CONTROLLER_PORT}'
                                             for voter in range(1, count + 1)),
        'listeners': f'PLAINTEXT://{here}:{PORT},CONTROLLER://{here}:{CONTROLLER_PORT}',
        'advertised.listeners': f'PLAINTEXT://{here}:{PORT}',
        'controller.listener.names': 'CONTROLLER',
        'inter.broker.listener.name': 'PLAINTEXT',
        'log.dirs': data,
        'default.replication.factor': replicas,
        'min.insync.replicas': min(replicas, 2),
        'offsets.topic.replication.factor': replicas,
        'offsets.topic.num.partitions': 5,
        'group.initial.rebalance.delay.ms': 0,
    }
    return ''.join(f'{key}={value}\n' for key, value in written.items())


def wait_until(what: str, true, seconds: float):
    """What `true` gives at last; a failure to ask counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := true():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f'{what} did not happen within {seconds} s')
        time.sleep(0.02)
