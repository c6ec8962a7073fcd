"""What was acknowledged is there after the process was killed."""

import collections
import random
import threading
import time

import pytest

from kafka import TopicPartition
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, KafkaError, NotCoordinatorError

KILLS = 3


def eventually(condition, within, what):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f'{what} did not happen within {within} s'
        time.sleep(0.05)


def settled(ask):
    """The answer of whoever coordinates a group, once it knows that it does: kafka-python's
    admin raises what other clients ask again for, on Kafka too."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return ask()
        except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError):
            assert time.monotonic() < deadline
        time.sleep(0.05)


class Load:
    """Sends numbered records on a thread and notes which were acknowledged."""

    def __init__(self, producer, topic, partitions):
        self.producer, self.topic, self.partitions = producer, topic, partitions
        self.acknowledged, self.failed, self.sent = set(), set(), 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def _run(self):
        while not self.stopping.is_set():
            number = self.sent
            try:
                future = self.producer.send(self.topic, b'%d' % number, partition=number % self.partitions)
            except KafkaError:
                time.sleep(0.05)
                continue
            self.sent += 1
            future.add_callback(lambda _, number=number: self.acknowledged.add(number))
            future.add_errback(lambda _, number=number: self.failed.add(number))
            if number % 50 == 0:
                time.sleep(0.005)

    def settle(self, within=60):
        self.stop()
        eventually(lambda: len(self.acknowledged) + len(self.failed) == self.sent, within, 'an answer to every record')


def read_all(clients, broker, topic, partitions):
    """The numbers in each partition, in the order of the log."""
    consumer = clients.consumer(broker)
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(assigned)
    numbers, offsets = collections.defaultdict(list), collections.defaultdict(list)
    deadline = time.monotonic() + 60
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        assert time.monotonic() < deadline, 'reading everything took too long'
        for tp, records in consumer.poll(timeout_ms=500).items():
            numbers[tp.partition] += [int(record.value) for record in records]
            offsets[tp.partition] += [record.offset for record in records]
    for positions in offsets.values():
        assert positions == list(range(len(positions))), 'the offsets have a gap'
    return numbers


@pytest.mark.parametrize('kind', ['idempotent', 'plain', 'page-cache'])
@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_over_kill_9(make_broker, clients, kind):
    # The page cache outlives the process: every policy keeps what was acknowledged.
    policy = 'page-cache' if kind == 'page-cache' else 'fsync'
    broker = make_broker({'ottla.flush.policy': policy}).start()
    partitions = 3
    clients.admin(broker).create_topics({'load': {'num_partitions': partitions}}, wait_for_metadata=True)
    settings = {'enable_idempotence': True, 'delivery_timeout_ms': 60_000}
    if kind == 'plain':
        # Sent at most once and in order: what fails may or may not be there.
        settings = {'enable_idempotence': False, 'retries': 0, 'max_in_flight_requests_per_connection': 1,
                    'request_timeout_ms': 10_000, 'delivery_timeout_ms': 20_000}
    producer = clients.producer(broker, acks='all', linger_ms=2, max_block_ms=20_000, reconnect_backoff_max_ms=200,
                                **settings)
    with Load(producer, 'load', partitions) as load:
        for _ in range(KILLS):
            goal = len(load.acknowledged) + 500
            eventually(lambda: len(load.acknowledged) >= goal, 60, '500 more acknowledgements')
            time.sleep(random.uniform(0, 0.3))
            broker.restart_after_kill()
        goal = len(load.acknowledged) + 500
        eventually(lambda: len(load.acknowledged) >= goal, 60, '500 more acknowledgements')
        load.settle()
    numbers = read_all(clients, broker, 'load', partitions)
    stored = [number for one in numbers.values() for number in one]
    missing = load.acknowledged - set(stored)
    assert not missing, f'{len(missing)} acknowledged records are missing, the first is {min(missing)}'
    assert len(stored) == len(set(stored)), 'a record is there twice'
    for number, one in numbers.items():
        assert all(value % partitions == number for value in one)
        assert one == sorted(one), f'partition {number} is out of order'
    if kind != 'plain':
        assert not load.failed


def test_a_group_goes_on_where_it_committed(broker, clients):
    clients.admin(broker).create_topics({'log': {'num_partitions': 2}}, wait_for_metadata=True)
    producer = clients.producer(broker)
    for number in range(100):
        producer.send('log', b'%d' % number, partition=number % 2)
    producer.flush()
    consumer = clients.consumer(broker, 'log', group_id='readers', enable_auto_commit=False, max_poll_records=30)
    seen = []
    while len(seen) < 60:
        for records in consumer.poll(timeout_ms=500).values():
            seen += [int(record.value) for record in records]
        consumer.commit()
    broker.restart_after_kill()
    consumer.close(autocommit=False, timeout_ms=1000)
    admin = clients.admin(broker)
    committed = settled(lambda: admin.list_group_offsets('readers')['readers'])
    assert sum(entry.offset for entry in committed.values()) == len(seen)
    again = clients.consumer(broker, 'log', group_id='readers', enable_auto_commit=False)
    deadline = time.monotonic() + 30
    while len(seen) < 100:
        assert time.monotonic() < deadline
        for records in again.poll(timeout_ms=500).values():
            seen += [int(record.value) for record in records]
    assert sorted(seen) == list(range(100))


def test_members_survive_a_restart_of_the_broker(broker, clients):
    clients.admin(broker).create_topics({'log': {'num_partitions': 2}}, wait_for_metadata=True)
    consumer = clients.consumer(broker, 'log', group_id='readers', reconnect_backoff_max_ms=200)
    eventually(lambda: consumer.poll(timeout_ms=100) == {} and len(consumer.assignment()) == 2, 15, 'the assignment')
    before = consumer.group_metadata()
    broker.stop()
    broker.start()
    producer = clients.producer(broker)
    producer.send('log', b'after', partition=1).get(timeout=10)
    received = []
    def poll():
        for records in consumer.poll(timeout_ms=200).values():
            received.extend(records)
        return received
    eventually(poll, 15, 'a record after the restart')
    assert consumer.group_metadata().member_id == before.member_id


def test_deleted_topics_stay_deleted(broker, clients):
    producer = clients.producer(broker)
    producer.send('gone', b'x').get(timeout=10)
    # One that is still there asks for its topic when it connects again, which creates it.
    producer.close(timeout=10)
    clients.admin(broker).delete_topics(['gone'])
    broker.restart_after_kill()
    assert 'gone' not in clients.admin(broker).list_topics()


# Kafka writes this position down once a minute only.
@pytest.mark.ours
def test_deleted_records_stay_deleted(broker, clients):
    place = TopicPartition('cut', 0)
    producer = clients.producer(broker)
    for number in range(20):
        producer.send('cut', b'%d' % number, partition=0)
    producer.flush()
    clients.admin(broker).delete_records({place: 12})
    broker.restart_after_kill()
    consumer = clients.consumer(broker)
    assert consumer.beginning_offsets([place]) == {place: 12}
    consumer.assign([place])
    consumer.seek_to_beginning()
    assert next(consumer).offset == 12


def test_many_kills_in_a_row(broker, clients):
    """A directory that was never closed properly opens every time."""
    for number in range(8):
        producer = clients.producer(broker)
        assert producer.send('t', b'%d' % number, partition=0).get(timeout=20).offset == number
        producer.close()
        broker.restart_after_kill()
    assert read_all(clients, broker, 't', 1)[0] == list(range(8))
