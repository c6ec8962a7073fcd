"""Three nodes as processes on loopback: they elect, replicate, lose one another and
come back, and stock clients notice as little as they would with Apache Kafka."""

import select
import signal
import struct
import threading
import time

import pytest

import wire
from blackbox import KAFKA_FOLDER
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, NotEnoughReplicasError, NotLeaderForPartitionError
from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.structs import OffsetAndMetadata
from nodes import Nodes

pytestmark = [pytest.mark.timeout(300), pytest.mark.one_node('starts a cluster itself')]

# Less than the time after which a replica that says nothing counts as out of sync.
PAUSE_SECONDS_MAX = 20
# A broker that is silent for so long counts as dead.
SESSION_SECONDS = 9 if KAFKA_FOLDER else 1.5
# Many times as long as a node takes that is alone in its cluster.
ALONE_SECONDS = 1


@pytest.fixture
def nodes(make_node):
    return Nodes(make_node).start()


# All of them, because who asks for one whose leader is in doubt is sent away.
ALL_TOPICS = wire.frame(wire.header(MetadataRequest.API_KEY, 1, False) + struct.pack('>i', -1))


def metadata(connection):
    """What this node says, and no other that a client may ask instead."""
    connection.sendall(ALL_TOPICS)
    return MetadataResponse.decode(wire.answer(connection)[4:], version=1)


def leaders(connection) -> dict:
    """Who leads the partitions of each topic."""
    return {topic.name: [partition.leader_id for partition in topic.partitions] for topic in metadata(connection).topics}


class Load(threading.Thread):
    """Sends numbers in order, to one partition after the other, until it is told to stop; with
    an idempotent producer, unless it is told otherwise."""

    def __init__(self, nodes, topic, partitions=1, **settings):
        super().__init__(daemon=True)
        defaults = {'enable_idempotence': True, 'acks': 'all', 'linger_ms': 1, 'delivery_timeout_ms': 60_000,
                    'request_timeout_ms': 5_000, 'metadata_max_age_ms': 5_000}
        self.producer = KafkaProducer(bootstrap_servers=nodes.address, **defaults | settings)
        self.topic = topic
        self.partitions = partitions
        self.sent = 0
        self.acknowledged = {}
        self.failed = []
        self.last = time.monotonic()
        self.longest_pause = 0.0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            self._send(0)
            self.ending.wait(0.002)

    def fill(self, count, size):
        """Sends so many records of so many bytes before the thread starts."""
        for _ in range(count):
            self._send(size)
        self.producer.flush(60)

    def _send(self, size):
        number = self.sent
        future = self.producer.send(self.topic, str(number).encode().ljust(size), partition=number % self.partitions)
        future.add_callback(self._acknowledge, number)
        future.add_errback(lambda error, number=number: self.failed.append((number, error)))
        self.sent += 1

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


def everything(clients, nodes, topic, partitions):
    """Numbers of each partition, as they lie in it."""
    consumer = clients.consumer(nodes, group_id=None)
    assigned = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(assigned)
    consumer.seek_to_beginning(*assigned)
    ends = consumer.end_offsets(assigned)
    numbers = {partition: [] for partition in assigned}
    deadline = time.monotonic() + 60
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, f'{sum(map(len, numbers.values()))} of {sum(ends.values())} records could be read'
        for partition, records in consumer.poll(1000).items():
            numbers[partition] += [int(record.value) for record in records]
    return list(numbers.values())


def assert_kept(clients, nodes, topic, load):
    numbers = everything(clients, nodes, topic, load.partitions)
    for partition in numbers:
        assert partition == sorted(set(partition)), 'a record is there twice or out of order'
    assert set(load.acknowledged) <= {number for partition in numbers for number in partition}, 'an acknowledged record is lost'
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
    assert max(pauses) < PAUSE_SECONDS_MAX


class Told:
    """A connection of a client that calls itself so, and what it is told of one partition."""

    API_VERSIONS, METADATA = (18, 3), (3, 7)

    def __init__(self, node, software):
        self.connection = node.connect()
        words = b''.join(wire.varint(len(word) + 1) + word for word in (software.encode(), b'2.12.1'))
        assert wire.ask(self.connection, wire.header(*self.API_VERSIONS, True) + words + b'\0')

    def now(self, topic):
        """The leader, its epoch, and which nodes are listed."""
        wanted = struct.pack('>i', 1) + text(topic) + b'\0'
        payload = wire.ask(self.connection, wire.header(*self.METADATA, False) + wanted)
        answer = MetadataResponse.decode(payload[4:], version=self.METADATA[1])
        partition, = answer.topics[0].partitions
        return partition.leader_id, partition.leader_epoch, {broker.node_id for broker in answer.brokers}

    def until_another_leads(self, topic, leader):
        """Everything that is not what was told before, and is not known of that leader."""
        heard = []
        deadline = time.monotonic() + 20
        while not heard or heard[-1][0] in (-1, leader):
            assert time.monotonic() < deadline, heard
            told = self.now(topic)
            if told[0] != leader and told not in heard:
                heard.append(told)
        return heard


@pytest.mark.ours
def test_librdkafka_hears_who_leads_before_it_hears_that_the_last_leader_has_left(nodes):
    """Else it may let go of the partition with the broker, and look for it a second later."""
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    leader = nodes.leader('numbers')
    others = {1, 2, 3} - {leader}
    asked = nodes.node(min(others))
    first, late = Told(asked, 'librdkafka'), Told(asked, 'librdkafka')
    another = Told(asked, 'apache-kafka-java')
    assert first.now('numbers') == (leader, 0, {1, 2, 3})
    nodes.node(leader).kill()
    (next_one, epoch, listed), = first.until_another_leads('numbers', leader)
    assert next_one in others and epoch == 1
    assert listed == {1, 2, 3}, 'the last leader is still listed'
    left = (next_one, 1, others)
    assert first.now('numbers') == left, 'it was told'
    assert another.until_another_leads('numbers', leader) == [left], 'no other client has to'
    assert late.until_another_leads('numbers', leader)[-1][:2] == left[:2]
    assert late.now('numbers') == left, 'whoever heard first that it is still there'
    nodes.node(leader).start()
    again = Told(nodes.node(leader), 'librdkafka')
    assert again.now('numbers')[:2] == left[:2], 'what is replayed has not just happened'


@pytest.mark.ours
def test_a_node_that_starts_serves_nobody_before_it_has_caught_up(nodes):
    """What it has on disk may be of long ago: who comes early waits. Kafka's does not even listen."""
    nodes.create('early')
    nodes.wait_until_in_sync('early')
    node = nodes.node(3)
    node.kill()
    nodes.wait_until_in_sync('early', 2)
    with nodes.admin(1) as admin:
        admin.delete_topics(['early'])
    nodes.create('late', replicas=2)
    others = [nodes.node(number).process for number in nodes.running()]
    for other in others:
        other.send_signal(signal.SIGSTOP)
    try:
        connection = node.start().connect()
        connection.sendall(ALL_TOPICS)
        answered, _, _ = select.select([connection], [], [], ALONE_SECONDS)
        assert not answered, f'nobody told it anything: {metadata(connection)}'
    finally:
        for other in others:
            other.send_signal(signal.SIGCONT)
    told = MetadataResponse.decode(wire.answer(connection)[4:], version=1)
    assert [topic.name for topic in told.topics] == ['late']
    assert 3 in {broker.node_id for broker in told.brokers}, 'it takes part when it serves'


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


class GroupConnection:
    """Bare requests about what a group has committed of one partition, to one node."""

    FIND_COORDINATOR, OFFSET_COMMIT, OFFSET_FETCH = (10, 0), (8, 2), (9, 2)

    def __init__(self, node, group, partition):
        self.connection = node.connect()
        self.group = text(group)
        self.topic = text(partition.topic)
        self.partition = partition.partition

    def coordinator(self):
        """The number of a node, or -1."""
        answer = self._ask(self.FIND_COORDINATOR, self.group)
        _, number = struct.unpack_from('>hi', answer)
        return number

    def commit(self, offset):
        """Returns the error's number."""
        offset = struct.pack('>iqh', self.partition, offset, 0)
        answer = self._ask(self.OFFSET_COMMIT, self.group + struct.pack('>ihqi', -1, 0, -1, 1) + self.topic
                           + struct.pack('>i', 1) + offset)
        return struct.unpack('>h', answer[-2:])[0]

    def send_fetch(self):
        self._send(self.OFFSET_FETCH, self.group + struct.pack('>i', 1) + self.topic
                   + struct.pack('>ii', 1, self.partition))

    def receive_fetch(self):
        """The offset, or the error where there is one, which is never both 0."""
        answer = self._receive()
        error, = struct.unpack('>h', answer[-2:])
        at = 4 + len(self.topic) + 4 + 4
        return ('error', error) if error else ('offset', *struct.unpack_from('>q', answer, at))

    def fetch(self):
        self.send_fetch()
        return self.receive_fetch()

    def _ask(self, api, body):
        self._send(api, body)
        return self._receive()

    def _send(self, api, body):
        self.connection.sendall(wire.frame(wire.header(*api, False) + body))

    def _receive(self):
        answer = wire.answer(self.connection)
        assert answer is not None, 'the connection was closed'
        return answer[4:]


def text(value):
    return struct.pack('>h', len(value)) + value.encode()


def group_coordinated_by(nodes, partition, accept):
    """A group and the number of its coordinator, which is one that is accepted."""
    # There is a topic of the groups from the first question on.
    GroupConnection(nodes.node(1), 'any', partition).coordinator()
    nodes.wait_until_in_sync('__consumer_offsets')
    groups = (f'readers-{at}' for at in range(1000))
    found = ((group, GroupConnection(nodes.node(1), group, partition).coordinator()) for group in groups)
    return next((group, coordinator) for group, coordinator in found if accept(coordinator))


@pytest.mark.ours
@pytest.mark.parametrize('controls', [False, True], ids=['another-controls', 'it-controls'])
def test_a_coordinator_that_stood_still_tells_nothing_old(nodes, controls):
    """Kafka's answers what it knew until it hears that another has taken its place."""
    nodes.create('numbers')
    partition = TopicPartition('numbers', 0)
    with nodes.admin() as admin:
        controller = admin.describe_metadata_quorum()['topics'][0]['partitions'][0]['leader_id']
    group, coordinator = group_coordinated_by(nodes, partition, lambda node: (node == controller) == controls)
    paused = nodes.node(coordinator)
    connection = GroupConnection(paused, group, partition)
    nodes.wait_until(lambda: connection.commit(1) == 0, 20)
    assert connection.fetch() == ('offset', 1)
    other = GroupConnection(nodes.node(1 if coordinator != 1 else 2), group, partition)
    paused.process.send_signal(signal.SIGSTOP)
    try:
        nodes.wait_until(lambda: other.coordinator() not in (-1, coordinator), 20)
        successor = GroupConnection(nodes.node(other.coordinator()), group, partition)
        nodes.wait_until(lambda: successor.commit(2) == 0, 20)
        connection.send_fetch()
    finally:
        paused.process.send_signal(signal.SIGCONT)
    answers = [connection.receive_fetch()] + [connection.fetch() for _ in range(200)]
    assert ('offset', 1) not in answers, answers
    nodes.wait_until_in_sync('__consumer_offsets')
    assert successor.fetch() == ('offset', 2)


def test_groups_go_on_while_no_controller_answers(make_node):
    """Then nobody can have taken a coordinator's place, and its followers say so."""
    nodes = Nodes(make_node, controller=True).start()
    nodes.create('numbers')
    partition = TopicPartition('numbers', 0)
    group, coordinator = group_coordinated_by(nodes, partition, lambda node: True)
    connection = GroupConnection(nodes.node(coordinator), group, partition)
    nodes.wait_until(lambda: connection.commit(1) == 0, 20)
    nodes.controller.process.send_signal(signal.SIGSTOP)
    try:
        # Twice as long as a broker may be silent.
        ends = time.monotonic() + 2 * SESSION_SECONDS
        committed = 1
        while time.monotonic() < ends:
            assert connection.fetch() == ('offset', committed)
            committed += 1
            assert connection.commit(committed) == 0
    finally:
        nodes.controller.process.send_signal(signal.SIGCONT)


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


@pytest.mark.ours
def test_a_leader_that_is_cut_off_says_so(nodes, clients):
    """Kafka's holds a record until the client gives up, and sends it to itself again."""
    nodes.create('numbers')
    nodes.wait_until_in_sync('numbers')
    leader = nodes.leader('numbers')
    here = nodes.node(leader)
    producer = clients.producer(here, acks='all', enable_idempotence=False, retries=0,
                                request_timeout_ms=60_000, delivery_timeout_ms=90_000)
    assert producer.send('numbers', b'0').get(20).offset == 0
    others = [nodes.node(other).process for other in nodes.running() if other != leader]
    for other in others:
        other.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(NotLeaderForPartitionError):
            producer.send('numbers', b'1').get(60)
        assert time.monotonic() - began < PAUSE_SECONDS_MAX
        with here.connect(timeout=20) as connection:
            assert leaders(connection)['numbers'] == [-1]
    finally:
        for other in others:
            other.send_signal(signal.SIGCONT)
    nodes.wait_until_in_sync('numbers')
    after = clients.producer(nodes, acks='all')
    assert after.send('numbers', b'2').get(20).offset >= 1


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


@pytest.mark.ours
def test_who_is_not_idempotent_writes_nothing_twice_when_leaders_stop(nodes, clients):
    """Kafka's last leader says at once that it leads no more, also of what the next one has."""
    partitions = 6
    nodes.create('numbers', partitions)
    nodes.wait_until_in_sync('numbers')
    load = Load(nodes, 'numbers', partitions, enable_idempotence=False, max_in_flight_requests_per_connection=1)
    load.start()
    for node in nodes.nodes * 2:
        load.wait_for(200)
        node.stop(within=20)
        load.wait_for(50)
        node.launch()
        nodes.wait_until_in_sync('numbers')
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)


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


KEY = {'leader': 'leader.replication.throttled', 'follower': 'follower.replication.throttled'}
MOVED_PARTITION_BYTES = 256 << 10
# Bytes per second of one throttle; a second of it may pass at once.
RATE = 1 << 20


def configure(admin, *resources):
    # Rates are described only once they are set, so the client does not know them.
    answers = admin.alter_configs(resources, raise_on_unknown=False)
    assert all(answer == 'OK' for named in answers.values() for answer in named.values()), answers


class Moves:
    """Partitions of a topic on their way from nodes 1 and 2 to nodes 3 and 2, as
    kafka-reassign-partitions would send them."""

    def __init__(self, nodes, topic, partitions):
        self.nodes = nodes
        self.topic = topic
        self.partitions = [TopicPartition(topic, at) for at in range(partitions)]
        self.before, self.after = [1, 2], [3, 2]

    def create(self):
        with self.nodes.admin() as admin:
            admin.create_topics({self.topic: {'assignments': {tp.partition: self.before for tp in self.partitions}}})
        self.nodes.wait_until_in_sync(self.topic, 2)

    def throttle(self, side, rate):
        """The leaders are those that have the partitions, the follower is the one that
        gets them."""
        replicas = {'leader': self.before, 'follower': [3]}
        listed = {f'{KEY[each]}.replicas': ','.join(f'{tp.partition}:{at}' for tp in self.partitions for at in replicas[each])
                  for each in KEY}
        brokers = [ConfigResource(ConfigResourceType.BROKER, str(number), {f'{KEY[side]}.rate': str(rate)})
                   for number in self.nodes.running()]
        with self.nodes.admin() as admin:
            configure(admin, ConfigResource(ConfigResourceType.TOPIC, self.topic, listed), *brokers)

    def unthrottle(self, side):
        gone = {f'{key}.replicas': ('DELETE', None) for key in KEY.values()}
        brokers = [ConfigResource(ConfigResourceType.BROKER, str(number), {f'{KEY[side]}.rate': ('DELETE', None)})
                   for number in self.nodes.running()]
        with self.nodes.admin() as admin:
            configure(admin, ConfigResource(ConfigResourceType.TOPIC, self.topic, gone), *brokers)

    def start(self):
        with self.nodes.admin() as admin:
            answers = admin.alter_partition_reassignments(dict.fromkeys(self.partitions, self.after))
        assert answers == dict.fromkeys(self.partitions), answers

    def cancel(self):
        """Takes back what is not complete; returns which partitions that were."""
        ongoing = self.ongoing()
        with self.nodes.admin() as admin:
            answers = admin.alter_partition_reassignments(dict.fromkeys(ongoing))
        return {tp for tp, error in answers.items() if error is None}

    def ongoing(self):
        with self.nodes.admin() as admin:
            return admin.list_partition_reassignments()

    def replicas(self):
        return {TopicPartition(self.topic, at): each['replica_nodes'] for at, each in self.nodes.partitions(self.topic).items()}

    def bytes_moved(self):
        """What node 3 has of the topic."""
        with self.nodes.admin(3) as admin:
            directories = admin.describe_log_dirs([self.topic], brokers=[3])
        partitions = [partition for broker in directories for directory in broker['log_dirs']
                      for topic in directory['topics'] for partition in topic['partitions']]
        return sum(partition['partition_size'] for partition in partitions)

    def wait_until_moved(self, size, within):
        """Returns how much it was."""
        moved = 0

        def are_there():
            nonlocal moved
            moved = self.bytes_moved()
            return moved >= size

        self.nodes.wait_until(are_there, within, lambda: f'{moved} of {size} bytes were moved')
        return moved


@pytest.mark.parametrize('side', ['leader', 'follower'])
def test_moves_are_as_fast_as_they_may_be_and_lose_nothing(nodes, clients, tell, request, side):
    count = request.config.getoption('count') or 16
    moves = Moves(nodes, 'numbers', count)
    moves.create()
    load = Load(nodes, 'numbers', count)
    record, per_partition = 16 << 10, MOVED_PARTITION_BYTES // (16 << 10)
    load.fill(count * per_partition, record)
    load.start()
    load.wait_for(100)
    size = count * MOVED_PARTITION_BYTES
    moves.throttle(side, RATE)
    begun = time.monotonic()
    moves.start()
    moved = moves.wait_until_moved(size // 2, 60)
    took = time.monotonic() - begun
    told = [f'{moved / took / RATE:.2f} of the rate over {took:.1f} s']
    assert moved <= RATE * (took + 1.5), f'{moved} bytes in {took:.2f} s'

    taken_back = moves.cancel()
    assert taken_back, 'all were moved before that was taken back'
    assert not moves.ongoing()
    replicas = moves.replicas()
    assert all(set(replicas[tp]) == set(moves.before if tp in taken_back else moves.after) for tp in moves.partitions), replicas
    load.wait_for(100)

    kept = (count - len(taken_back)) * MOVED_PARTITION_BYTES
    nodes.wait_until(lambda: moves.bytes_moved() < kept + MOVED_PARTITION_BYTES, 20, lambda: 'what was taken back is kept')
    before = moves.bytes_moved()
    begun = time.monotonic()
    moves.start()
    nodes.wait_until(lambda: not moves.ongoing(), 60 + 2 * size / RATE)
    took = time.monotonic() - begun
    rest = moves.bytes_moved() - before
    told.append(f'{rest / took / RATE:.2f} of it over {took:.1f} s')
    # A busy machine may take its time, but not as long as a lower rate would.
    assert RATE * took / 2 <= rest <= RATE * (took + 1.5), f'{rest} bytes in {took:.2f} s'
    assert moves.replicas() == dict.fromkeys(moves.partitions, moves.after)
    moves.unthrottle(side)
    load.wait_for(100)
    load.stop()
    assert_kept(clients, nodes, 'numbers', load)
    tell(f'{count} partitions moved at the {side}: {", ".join(told)}; longest pause {load.longest_pause * 1000:.0f} ms')
