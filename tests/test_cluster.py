"""Three nodes as processes on loopback: they elect, replicate, lose one another and
come back, and stock clients notice as little as they would with Apache Kafka."""

import threading
import time

import pytest

from kafka import KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, NotEnoughReplicasError
from kafka.structs import OffsetAndMetadata
from nodes import Nodes

pytestmark = [pytest.mark.timeout(300), pytest.mark.one_node('starts a cluster itself')]


@pytest.fixture
def nodes(make_node):
    return Nodes(make_node).start()


class Load(threading.Thread):
    """Sends numbers in order with an idempotent producer until it is told to stop."""

    def __init__(self, nodes, topic, **settings):
        super().__init__(daemon=True)
        self.producer = KafkaProducer(bootstrap_servers=nodes.address, enable_idempotence=True, acks='all',
                                      linger_ms=1, delivery_timeout_ms=60_000, request_timeout_ms=5_000,
                                      metadata_max_age_ms=5_000, **settings)
        self.topic = topic
        self.sent = 0
        self.acknowledged = {}
        self.failed = []
        self.last = time.monotonic()
        self.longest_pause = 0.0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            number = self.sent
            future = self.producer.send(self.topic, str(number).encode(), partition=0)
            future.add_callback(self._acknowledge, number)
            future.add_errback(lambda error, number=number: self.failed.append((number, error)))
            self.sent += 1
            self.ending.wait(0.002)

    def _acknowledge(self, number, metadata):
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - self.last)
        self.last = now
        self.acknowledged[number] = metadata.offset

    def wait_for(self, more, within=60):
        goal = len(self.acknowledged) + more
        deadline = time.monotonic() + within
        while len(self.acknowledged) < goal:
            assert time.monotonic() < deadline, f'{more} more acknowledgements do not come: {self.failed[:3]}'
            time.sleep(0.01)

    def stop(self):
        self.ending.set()
        self.join()
        self.producer.flush(60)
        self.producer.close(timeout=5)


def everything(clients, nodes, topic):
    """Numbers of partition 0, as they lie in it."""
    consumer = clients.consumer(nodes, group_id=None)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    numbers = []
    deadline = time.monotonic() + 60
    while consumer.position(partition) < end:
        assert time.monotonic() < deadline, f'{consumer.position(partition)} of {end} records could be read'
        for records in consumer.poll(1000).values():
            numbers += [int(record.value) for record in records]
    return numbers


def assert_kept(clients, nodes, topic, load):
    numbers = everything(clients, nodes, topic)
    assert numbers == sorted(set(numbers)), 'a record is there twice or out of order'
    assert set(load.acknowledged) <= set(numbers), 'an acknowledged record is lost'
    assert not load.failed, load.failed[:3]


def test_any_node_answers_for_all(nodes, clients):
    for number in nodes.running():
        with nodes.admin(number) as admin:
            admin.create_topics([NewTopic(f'from-{number}', 6, 3)])
    for number in nodes.running():
        nodes.wait_until_in_sync(f'from-{number}')
        partitions = nodes.partitions(f'from-{number}').values()
        assert {partition['leader_id'] for partition in partitions} == {1, 2, 3}
        assert all(sorted(partition['replica_nodes']) == [1, 2, 3] for partition in partitions)
    producer = clients.producer(nodes, acks='all')
    sent = [producer.send('from-1', str(at).encode(), partition=at % 6) for at in range(600)]
    assert all(future.get(20).offset >= 0 for future in sent)


@pytest.mark.parametrize('how', ['kill', 'stop'])
def test_another_leads_when_the_leader_ends(nodes, clients, tell, how):
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    load = Load(nodes, 'numbers')
    load.start()
    pauses = []
    for _ in range(3):
        load.wait_for(300)
        leader = nodes.leader('numbers')
        load.longest_pause = 0.0
        if how == 'kill':
            nodes.node(leader).kill()
        else:
            nodes.node(leader).stop(within=20)
        load.wait_for(300)
        pauses.append(load.longest_pause)
        nodes.node(leader).launch()
        nodes.wait_until_in_sync('numbers')
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)
    tell(f'leader {how}: longest pauses {", ".join(f"{pause * 1000:.0f} ms" for pause in pauses)}')


def test_a_group_goes_on_with_another_coordinator(nodes, clients):
    nodes.create('numbers')
    producer = clients.producer(nodes, acks='all')
    for at in range(100):
        producer.send('numbers', str(at).encode(), partition=0)
    producer.flush(20)
    consumer = clients.consumer(nodes, 'numbers', group_id='readers', enable_auto_commit=False)
    read = []
    deadline = time.monotonic() + 60
    while len(read) < 100:
        assert time.monotonic() < deadline, f'{len(read)} of 100 records were read'
        for records in consumer.poll(500).values():
            read += [int(record.value) for record in records]
    partition = TopicPartition('numbers', 0)
    consumer.commit({partition: OffsetAndMetadata(60, 'so far', -1)})
    leaders = {at: each['leader_id'] for at, each in nodes.partitions('__consumer_offsets').items()}
    nodes.wait_until_in_sync('__consumer_offsets')
    for number in nodes.running()[:1]:
        nodes.node(number).kill()
    nodes.wait_until(lambda: all(each['leader_id'] in nodes.running()
                                 for each in nodes.partitions('__consumer_offsets').values()), 20)
    assert 1 in leaders.values()
    for number in nodes.running():
        with nodes.admin(number) as admin:
            nodes.wait_until(lambda admin=admin: admin.list_group_offsets('readers')['readers'][partition].offset == 60, 20)
    for at in range(100, 200):
        producer.send('numbers', str(at).encode(), partition=0)
    producer.flush(30)
    while len(read) < 200:
        assert time.monotonic() < deadline + 60, f'{len(read)} of 200 records were read'
        for records in consumer.poll(500).values():
            read += [int(record.value) for record in records]
    assert read == list(range(200))
    consumer.commit()


def test_everything_is_there_after_all_were_killed_at_once(nodes, clients):
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    load = Load(nodes, 'numbers')
    load.start()
    for _ in range(2):
        load.wait_for(300)
        for number in nodes.running():
            nodes.node(number).process.kill()
        for node in nodes.nodes:
            node.process.wait()
            node.launch()
        nodes.wait_until_formed()
        nodes.wait_until_in_sync('numbers')
    load.wait_for(100)
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)


def test_too_few_in_sync_is_no_success_and_passes(nodes, clients):
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    leader = nodes.leader('numbers')
    follower = next(number for number in nodes.running() if number != leader)
    nodes.node(follower).kill()
    producer = clients.producer(nodes, acks='all', retries=0, request_timeout_ms=5_000)
    nodes.wait_until(lambda: follower not in nodes.in_sync('numbers'), 20)
    assert producer.send('numbers', b'1', partition=0).get(20).offset >= 0
    # Without a majority of controllers nobody can say that a second one has left.
    other = next(number for number in nodes.running() if number not in (leader, follower))
    nodes.node(other).kill()
    with pytest.raises(KafkaError):
        producer.send('numbers', b'2', partition=0).get(20)
    nodes.node(follower).launch()
    nodes.node(other).launch()
    nodes.wait_until_in_sync('numbers')
    assert producer.send('numbers', b'3', partition=0).get(20).offset >= 1


def test_fewer_in_sync_than_asked_for_are_named(nodes, clients):
    nodes.create('strict', **{'min.insync.replicas': '3'})
    nodes.wait_until_in_sync('strict')
    leader = nodes.leader('strict')
    follower = next(number for number in nodes.running() if number != leader)
    nodes.node(follower).kill()
    nodes.wait_until(lambda: follower not in nodes.in_sync('strict'), 20)
    producer = clients.producer(nodes, acks='all', retries=0)
    with pytest.raises(NotEnoughReplicasError):
        producer.send('strict', b'1', partition=0).get(20)


def test_a_rolling_restart_shows_no_client_an_error(nodes, clients, tell):
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    load = Load(nodes, 'numbers')
    load.start()
    for node in nodes.nodes:
        load.wait_for(200)
        node.stop(within=20)
        load.wait_for(50)
        node.launch()
        nodes.wait_until_in_sync('numbers')
    load.wait_for(200)
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)
    tell(f'rolling restart: longest pause {load.longest_pause * 1000:.0f} ms')


def test_a_partition_moves_to_other_nodes_under_load(nodes, clients):
    nodes.create('numbers', replicas=2, **{'min.insync.replicas': '1'})
    nodes.wait_until_in_sync('numbers', 2)
    load = Load(nodes, 'numbers')
    load.start()
    load.wait_for(300)
    for target in ([1, 2], [2, 3], [3, 1], [2], [1, 2, 3]):
        with nodes.admin() as admin:
            admin.alter_partition_reassignments({TopicPartition('numbers', 0): target})
        nodes.wait_until(lambda target=target: nodes.partitions('numbers')[0]['replica_nodes'] == target
                         and nodes.in_sync('numbers') == set(target), 30,
                         lambda: f'{nodes.partitions("numbers")}')
        load.wait_for(100)
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)
