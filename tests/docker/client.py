"""What a client sees of a cluster: kafka-python, from outside the containers."""

import contextlib
import time
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

READY_SECONDS = 60
TIMEOUT_MS = 20_000


def wait_until(holds, within=READY_SECONDS, why=lambda: 'it does not come about') -> None:
    """Asks again and again, also while nobody can answer."""
    deadline = time.monotonic() + within
    while True:
        said = None
        try:
            if holds():
                return
        except (KafkaError, OSError, ValueError) as failed:
            said = failed
        assert time.monotonic() < deadline, f'{why()} within {within} s ({said!r})'
        time.sleep(0.1)


class Client:
    def __init__(self, *ports: int):
        self.bootstrap = [f'localhost:{port}' for port in ports]

    @contextlib.contextmanager
    def admin(self):
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=TIMEOUT_MS)
        try:
            yield admin
        finally:
            admin.close()

    def brokers(self) -> set:
        with self.admin() as admin:
            return {broker['broker_id'] for broker in admin.describe_cluster()['brokers']}

    def wait_for_brokers(self, *ids: int) -> None:
        wait_until(lambda: self.brokers() == set(ids), why=lambda: f'{self.bootstrap} do not know the brokers {ids}')

    def create(self, topic: str, partitions: int, replicas: int, **settings) -> None:
        with self.admin() as admin:
            admin.create_topics([NewTopic(topic, partitions, replicas, topic_configs=settings)])

    def partitions(self, topic: str) -> list[dict]:
        with self.admin() as admin:
            return admin.describe_topics([topic])[0]['partitions']

    def wait_until_in_sync(self, topic: str, count: int) -> None:
        def all_in_sync():
            partitions = self.partitions(topic)
            return partitions and all(len(partition['isr_nodes']) == count for partition in partitions)

        wait_until(all_in_sync, why=lambda: f'not {count} in sync: {self.partitions(topic)}')

    def produce(self, topic: str, count: int, begin=0) -> None:
        """Idempotent records, all of them acknowledged by all."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks='all', enable_idempotence=True,
                                 max_block_ms=TIMEOUT_MS)
        try:
            sent = [producer.send(topic, b'%d' % number) for number in range(begin, begin + count)]
            for record in sent:
                record.get(timeout=TIMEOUT_MS / 1000)
        finally:
            producer.close(timeout=5)

    def values(self, topic: str, count: int) -> list[int]:
        """What lies in the topic, sorted; at least so many records."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset='earliest', enable_auto_commit=False)
        values = []
        try:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            deadline = time.monotonic() + READY_SECONDS
            while len(values) < count and time.monotonic() < deadline:
                for records in consumer.poll(500).values():
                    values += [int(record.value) for record in records]
        finally:
            consumer.close()
        return sorted(values)

    def check_a_group(self, topic: str, count: int) -> None:
        """A new group reads the topic from its beginning and commits."""
        consumer = KafkaConsumer(topic, bootstrap_servers=self.bootstrap, group_id=f'group-{uuid.uuid4()}',
                                 auto_offset_reset='earliest', enable_auto_commit=False)
        read = 0
        try:
            deadline = time.monotonic() + READY_SECONDS
            while read < count and time.monotonic() < deadline:
                read += sum(map(len, consumer.poll(500).values()))
            consumer.commit()
        finally:
            consumer.close()
        assert read == count, f'a group read {read} of {count} records'

    def check_use(self, topic='used', count=100, replicas=1) -> None:
        """Topics are made, written, read and grouped."""
        self.create(topic, 3, replicas)
        self.produce(topic, count)
        assert self.values(topic, count) == list(range(count))
        self.check_a_group(topic, count)
