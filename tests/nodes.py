"""A cluster of processes on loopback: brokers that are controllers too, each with a
directory and ports of its own."""

import contextlib
import os
import signal
import socket
import time

from blackbox import KAFKA_FOLDER, Broker, free_port
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError

FORM_SECONDS = 120 if KAFKA_FOLDER else 20
# Whoever stops last has nobody left to hand over to, and looks for one.
STOP_SECONDS = 90 if KAFKA_FOLDER else 20
CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'


class Nodes:
    """As many nodes as there are places; each can be killed and started again. With
    `controller` one more controls alone, and is no broker."""

    def __init__(self, make_broker, count=3, settings=None, controller=False):
        ports = [free_port() for _ in range(1 if controller else count)]
        alone = count + 1
        voters = ','.join(f'{number}@127.0.0.1:{port}' for number, port in enumerate(ports, alone if controller else 1))
        common = {
            'controller.listener.names': 'CONTROLLER',
            'controller.quorum.voters': voters,
            'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
            'default.replication.factor': str(min(3, count)),
            'offsets.topic.replication.factor': str(min(3, count)),
            'min.insync.replicas': '2',
        } | (settings or {})
        # Nodes that are given the same controllers agree on an id by themselves, but a sole one does not.
        popen = {'env': os.environ | {'CLUSTER_ID': CLUSTER_ID}} if controller else {}
        self.nodes = []
        for number in range(1, count + 1):
            node = make_broker(name=f'node{number}', **popen)
            address = f'PLAINTEXT://127.0.0.1:{node.port}'
            own = {'node.id': str(number), 'broker.rack': f'rack{number}', 'advertised.listeners': address}
            if controller:
                own |= {'process.roles': 'broker', 'listeners': address}
            else:
                own['listeners'] = f'{address},CONTROLLER://127.0.0.1:{ports[number - 1]}'
            node.write_settings(own | common)
            self.nodes.append(node)
        self.controller = make_broker(name='controller', **popen) if controller else None
        if controller:
            address = f'CONTROLLER://127.0.0.1:{ports[0]}'
            self.controller.write_settings(common | {'node.id': str(alone), 'process.roles': 'controller',
                                                     'listeners': address, 'advertised.listeners': address})

    @property
    def address(self) -> list:
        return [node.address for node in self.nodes]

    def start(self) -> 'Nodes':
        if self.controller:
            self.controller.launch()
        for node in self.nodes:
            node.launch()
        self.wait_until_formed()
        return self

    def node(self, number) -> Broker:
        return self.nodes[number - 1]

    def running(self) -> list:
        return [number for number, node in enumerate(self.nodes, 1) if node.is_running()]

    def wait_until_formed(self, numbers=None) -> None:
        """Until each of these nodes says that all of them are there."""
        numbers = set(numbers or self.running())
        for number in numbers:
            self.wait_until(lambda number=number: self.members(number) >= numbers, FORM_SECONDS,
                            lambda number=number: f'node {number} does not know {numbers}')

    def members(self, number) -> set:
        with self.admin(number) as admin:
            return {broker['broker_id'] for broker in admin.describe_cluster()['brokers']}

    @contextlib.contextmanager
    def admin(self, number=None):
        addresses = [self.node(number).address] if number else [self.node(at).address for at in self.running()]
        admin = KafkaAdminClient(bootstrap_servers=addresses, request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            admin.close()

    def create(self, topic, partitions=1, replicas=3, **settings) -> None:
        with self.admin() as admin:
            admin.create_topics([NewTopic(topic, partitions, replicas, topic_configs=settings)])

    def partitions(self, topic) -> dict:
        """Each partition of a topic as the cluster describes it, by its number."""
        with self.admin() as admin:
            described = admin.describe_topics([topic])[0]
        return {partition['partition_index']: partition for partition in described['partitions']}

    def leader(self, topic, partition=0) -> int:
        return self.partitions(topic)[partition]['leader_id']

    def in_sync(self, topic, partition=0) -> set:
        return set(self.partitions(topic)[partition]['isr_nodes'])

    def wait_until_in_sync(self, topic, count=3, within=FORM_SECONDS) -> None:
        def all_in_sync():
            partitions = self.partitions(topic).values()
            # A node that has not heard of the topic yet describes none.
            return len(partitions) > 0 and all(len(partition['isr_nodes']) == count and partition['leader_id'] > 0 for partition in partitions)

        self.wait_until(all_in_sync, within, lambda: f'not {count} in sync: {self.partitions(topic)}')

    def wait_until(self, holds, within, why=lambda: 'it does not come about') -> None:
        """Asks again and again, also while the cluster cannot answer."""
        begun = time.monotonic()
        while True:
            with contextlib.suppress(KafkaError, OSError):
                if holds():
                    return
            if time.monotonic() - begun > within:
                outputs = '\n'.join(f'--- node {at}\n{node.output()[-3000:]}' for at, node in enumerate(self.nodes, 1))
                raise AssertionError(f'{why()} within {within} s\n{outputs}')
            time.sleep(0.05)


class Cluster(Nodes):
    """Nodes in the place of one broker: what a case does to its broker happens to all
    of them at once."""

    @property
    def address(self) -> str:
        return ','.join(super().address)

    def launch(self) -> None:
        for node in self.nodes:
            node.launch()

    def kill(self) -> None:
        for node in self.nodes:
            node.process.kill()
        for node in self.nodes:
            node.process.wait()

    def restart_after_kill(self) -> 'Cluster':
        self.kill()
        return self.start()

    def stop(self) -> float:
        begun = time.monotonic()
        for node in self.nodes:
            node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.process.wait(timeout=STOP_SECONDS)
        return time.monotonic() - begun

    def is_running(self) -> bool:
        return all(node.is_running() for node in self.nodes)

    def output(self) -> str:
        return '\n'.join(node.output() for node in self.nodes)

    def memory(self) -> int:
        """Resident bytes of the largest."""
        return max(node.memory() for node in self.nodes)

    def connect(self, timeout=10.0) -> socket.socket:
        return self.nodes[0].connect(timeout)

    def connect_to_leader(self, topic) -> socket.socket:
        return self.node(self.leader(topic)).connect()
