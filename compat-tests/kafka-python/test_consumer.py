"""Every public method of kafka-python's KafkaConsumer."""

import time

import pytest

from conftest import assigned, drain, eventually, know_partitions, name, partition, polling
from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import (IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError)
from kafka.structs import MemberState, OffsetAndMetadata


def test_bootstrap_connected(make_consumer, topic):
    # True only as long as the connection to the bootstrap server is needed.
    consumer = make_consumer()
    eventually(lambda: topic in consumer.topics())
    assert not consumer.bootstrap_connected()


def test_bootstrap_refreshes_the_metadata(make_consumer, make_topic):
    consumer = make_consumer()
    consumer.bootstrap(timeout_ms=5000)
    topic = make_topic()
    consumer.bootstrap(timeout_ms=5000, refresh=True)
    assert topic in consumer.topics()


def test_assign_and_assignment(make_consumer, make_topic, fill):
    topic = make_topic(2)
    values = fill(topic, 3, partition=1)
    consumer = make_consumer()
    consumer.assign([partition(topic, 1)])
    assert consumer.assignment() == {partition(topic, 1)}
    assert [record.value for record in drain(consumer, 3)] == values


def test_assign_replaces_the_assignment(make_consumer, make_topic):
    topic = make_topic(2)
    consumer = make_consumer()
    consumer.assign([partition(topic, 0)])
    consumer.assign([partition(topic, 1)])
    assert consumer.assignment() == {partition(topic, 1)}


def test_assign_and_subscribe_exclude_each_other(make_consumer, topic):
    consumer = make_consumer(topic)
    with pytest.raises(IllegalStateError):
        consumer.assign([partition(topic)])


def test_subscribe_to_a_list(make_consumer, make_topic, fill, group):
    topics = [make_topic(), make_topic()]
    for topic in topics:
        fill(topic, 2)
    consumer = make_consumer(group_id=group)
    know_partitions(consumer, topics)
    consumer.subscribe(topics)
    assert consumer.subscription() == set(topics)
    assert {record.topic for record in drain(consumer, 4)} == set(topics)
    assert consumer.assignment() == {partition(topic) for topic in topics}


def test_subscribe_to_a_pattern_finds_topics_made_later(make_consumer, make_topic, admin, fill, group):
    prefix = name('pattern')
    early, late = f'{prefix}.early', f'{prefix}.late'
    admin.create_topics({early: {'num_partitions': 1}}, wait_for_metadata=True)
    consumer = make_consumer(group_id=group, metadata_max_age_ms=300)
    consumer.subscribe(pattern=f'^{prefix}\\..*')
    # Before it rejoins, this client asks for metadata, which queues behind its
    # own waiting fetch; a poll that is shorter than that gives up every time.
    assert assigned(consumer, 1, poll_ms=1000) == {partition(early)}
    admin.create_topics({late: {'num_partitions': 1}}, wait_for_metadata=True)
    assert assigned(consumer, 2, poll_ms=1000) == {partition(early), partition(late)}
    assert consumer.subscription() == {early, late}
    fill(late, 1)
    assert drain(consumer, 1)[0].topic == late
    admin.delete_topics([early, late])


def test_subscribe_calls_the_listener(make_consumer, topic, group):
    class Listener(ConsumerRebalanceListener):
        revoked, given = [], []

        def on_partitions_revoked(self, partitions):
            self.revoked.append(set(partitions))

        def on_partitions_assigned(self, partitions):
            self.given.append(set(partitions))

    consumer = make_consumer(group_id=group)
    know_partitions(consumer, [topic])
    consumer.subscribe([topic], listener=Listener())
    assigned(consumer)
    assert Listener.revoked[0] == set()
    assert Listener.given[-1] == {partition(topic)}


def test_subscription_is_none_before_subscribing(make_consumer):
    assert make_consumer().subscription() is None


def test_unsubscribe(make_consumer, topic, group):
    consumer = make_consumer(topic, group_id=group)
    assigned(consumer)
    consumer.unsubscribe()
    assert consumer.assignment() == set()
    assert not consumer.subscription()


def test_topics(make_consumer, make_topic):
    made = {make_topic(), make_topic()}
    assert made <= make_consumer().topics()


def test_partitions_for_topic(make_consumer, make_topic):
    assert make_consumer().partitions_for_topic(make_topic(3)) == {0, 1, 2}


def test_partitions_for_an_unknown_topic(make_consumer):
    consumer = make_consumer(allow_auto_create_topics=False)
    assert consumer.partitions_for_topic(name('nowhere')) == set()


def test_poll_returns_nothing_after_its_timeout(make_consumer, topic):
    consumer = make_consumer(topic)
    drain(consumer, 0)
    begun = time.monotonic()
    assert consumer.poll(timeout_ms=300) == {}
    assert 0.25 < time.monotonic() - begun < 2


def test_poll_returns_at_most_max_records_in_order(make_consumer, topic, fill):
    values = fill(topic, 25)
    consumer = make_consumer(topic, max_poll_records=10)
    seen = []
    def poll():
        batch = [record.value for records in consumer.poll(timeout_ms=500, max_records=4).values()
                 for record in records]
        assert len(batch) <= 4
        seen.extend(batch)
        return len(seen) == 25
    eventually(poll)
    assert seen == values


def test_poll_without_update_offsets_keeps_the_position(make_consumer, topic, fill):
    fill(topic, 3)
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    eventually(lambda: consumer.poll(timeout_ms=200, update_offsets=False))
    assert consumer.position(partition(topic)) == 0


def test_iteration_ends_at_the_consumer_timeout(make_consumer, topic, fill):
    values = fill(topic, 5)
    assert [record.value for record in make_consumer(topic, consumer_timeout_ms=1500)] == values


def test_records_carry_everything_that_was_sent(make_consumer, make_producer, topic):
    producer = make_producer()
    producer.send(topic, b'value', key=b'key', headers=[('h', b'1'), ('h', b'2')], timestamp_ms=1_600_000_000_123)
    producer.send(topic, None, key=b'tombstone')
    producer.flush()
    first, second = drain(make_consumer(topic), 2)
    assert (first.key, first.value, first.timestamp, first.timestamp_type) == (b'key', b'value', 1_600_000_000_123, 0)
    assert list(first.headers) == [('h', b'1'), ('h', b'2')]
    assert (first.offset, first.partition, first.leader_epoch) == (0, 0, 0)
    assert (second.key, second.value, second.offset) == (b'tombstone', None, 1)


def test_deserializers(make_consumer, topic, fill):
    fill(topic, 3)
    consumer = make_consumer(topic, value_deserializer=lambda raw: int(raw))
    assert [record.value for record in drain(consumer, 3)] == [0, 1, 2]


def test_position_moves_with_polling(make_consumer, topic, fill):
    fill(topic, 7)
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    assert consumer.position(partition(topic)) == 0
    drain(consumer, 7)
    assert consumer.position(partition(topic)) == 7


def test_position_of_a_foreign_partition_is_refused(make_consumer, topic):
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    with pytest.raises(IllegalStateError):
        consumer.position(partition(topic, 5))


def test_seek(make_consumer, topic, fill):
    values = fill(topic, 10)
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    consumer.seek(partition(topic), 6)
    assert [record.value for record in drain(consumer, 4)] == values[6:]
    consumer.seek(partition(topic), 2)
    assert drain(consumer, 8)[0].offset == 2


def test_seek_into_the_middle_of_a_batch(make_consumer, make_producer, topic):
    producer = make_producer(linger_ms=200, batch_size=1 << 20)
    for number in range(100):
        producer.send(topic, b'%d' % number)
    producer.flush()
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    consumer.seek(partition(topic), 57)
    assert [record.offset for record in drain(consumer, 43)] == list(range(57, 100))


def test_seek_to_beginning(make_consumer, topic, fill):
    fill(topic, 5)
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    drain(consumer, 5)
    consumer.seek_to_beginning(partition(topic))
    assert consumer.position(partition(topic)) == 0
    drain(consumer, 5)
    consumer.seek_to_beginning()
    drain(consumer, 5)


def test_seek_to_end(make_consumer, topic, fill):
    fill(topic, 5)
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    consumer.seek_to_end(partition(topic))
    assert consumer.position(partition(topic)) == 5
    consumer.seek_to_beginning()
    consumer.seek_to_end()
    assert consumer.position(partition(topic)) == 5
    fill(topic, 1, first=5)
    assert drain(consumer, 1)[0].value == b'5'


def test_seek_past_the_end_resets_by_policy(make_consumer, topic, fill):
    fill(topic, 5)
    consumer = make_consumer(auto_offset_reset='earliest')
    consumer.assign([partition(topic)])
    consumer.seek(partition(topic), 1000)
    assert drain(consumer, 5)[0].offset == 0


def test_seek_past_the_end_without_a_policy_raises(make_consumer, topic, fill):
    fill(topic, 5)
    consumer = make_consumer(auto_offset_reset='none')
    consumer.assign([partition(topic)])
    consumer.seek(partition(topic), 1000)
    with pytest.raises(OffsetOutOfRangeError):
        eventually(lambda: consumer.poll(timeout_ms=200))


def test_no_committed_offset_and_no_policy_raises(make_consumer, topic, group, fill):
    fill(topic, 1)
    consumer = make_consumer(topic, group_id=group, auto_offset_reset='none')
    with pytest.raises(NoOffsetForPartitionError):
        eventually(lambda: consumer.poll(timeout_ms=200))


def test_latest_reset_sees_only_new_records(make_consumer, topic, fill):
    fill(topic, 5)
    consumer = make_consumer(auto_offset_reset='latest')
    consumer.assign([partition(topic)])
    assert consumer.position(partition(topic)) == 5
    fill(topic, 2, first=5)
    assert [record.offset for record in drain(consumer, 2)] == [5, 6]


def test_beginning_and_end_offsets(make_consumer, make_topic, fill, admin):
    topic = make_topic(2)
    fill(topic, 10, partition=0)
    admin.delete_records({partition(topic, 0): 4})
    both = [partition(topic, 0), partition(topic, 1)]
    consumer = make_consumer()
    assert consumer.beginning_offsets(both) == {both[0]: 4, both[1]: 0}
    assert consumer.end_offsets(both) == {both[0]: 10, both[1]: 0}


def test_offsets_for_times(make_consumer, make_topic, fill):
    topic = make_topic(2)
    start = 1_700_000_000_000
    fill(topic, 10, timestamps=[start + 1000 * number for number in range(10)])
    consumer = make_consumer()
    def at(stamp):
        return consumer.offsets_for_times({partition(topic): stamp})[partition(topic)]
    assert (at(start).offset, at(start).timestamp) == (0, start)
    assert (at(start + 3001).offset, at(start + 3001).timestamp) == (4, start + 4000)
    assert at(start + 9001) is None
    empty = partition(topic, 1)
    assert consumer.offsets_for_times({empty: start}) == {empty: None}


def test_offsets_for_times_inside_one_batch(make_consumer, make_producer, topic):
    producer = make_producer(linger_ms=200, batch_size=1 << 20)
    start = 1_700_000_000_000
    for number in range(50):
        producer.send(topic, b'%d' % number, timestamp_ms=start + number)
    producer.flush()
    found = make_consumer().offsets_for_times({partition(topic): start + 33})
    assert (found[partition(topic)].offset, found[partition(topic)].timestamp) == (33, start + 33)


def test_highwater(make_consumer, topic, fill):
    fill(topic, 6)
    consumer = make_consumer(max_poll_records=2)
    consumer.assign([partition(topic)])
    assert consumer.highwater(partition(topic)) is None
    eventually(lambda: consumer.poll(timeout_ms=200))
    assert consumer.highwater(partition(topic)) == 6


def test_pause_paused_and_resume(make_consumer, make_topic, fill):
    topic = make_topic(2)
    quiet, busy = partition(topic, 0), partition(topic, 1)
    fill(topic, 3, partition=0)
    fill(topic, 3, partition=1)
    consumer = make_consumer()
    consumer.assign([quiet, busy])
    consumer.pause(quiet)
    assert consumer.paused() == {quiet}
    assert {record.partition for record in drain(consumer, 3)} == {1}
    consumer.resume(quiet)
    assert consumer.paused() == set()
    assert {record.partition for record in drain(consumer, 3)} == {0}


def test_commit_and_committed(make_consumer, topic, fill, group):
    fill(topic, 5)
    consumer = make_consumer(topic, group_id=group, enable_auto_commit=False)
    drain(consumer, 5)
    assert consumer.committed(partition(topic)) is None
    consumer.commit()
    assert consumer.committed(partition(topic)) == 5


def test_commit_of_given_offsets_with_metadata(make_consumer, topic, fill, group):
    fill(topic, 5)
    consumer = make_consumer(group_id=group, enable_auto_commit=False)
    consumer.assign([partition(topic)])
    consumer.commit({partition(topic): OffsetAndMetadata(3, 'where I was', 0)})
    stored = consumer.committed(partition(topic), metadata=True)
    assert (stored.offset, stored.metadata) == (3, 'where I was')
    follower = make_consumer(group_id=group, enable_auto_commit=False)
    follower.assign([partition(topic)])
    assert [record.offset for record in drain(follower, 2)] == [3, 4]


def test_commit_async_calls_back(make_consumer, topic, fill, group):
    fill(topic, 2)
    consumer = make_consumer(topic, group_id=group, enable_auto_commit=False)
    drain(consumer, 2)
    answers = []
    future = consumer.commit_async(callback=lambda offsets, error: answers.append((offsets, error)))
    def answered():
        consumer.poll(timeout_ms=100)
        return future.is_done and answers
    eventually(answered)
    offsets, error = answers[0]
    assert offsets[partition(topic)].offset == 2 and not isinstance(error, Exception)
    assert consumer.committed(partition(topic)) == 2


def test_commit_without_a_group_is_refused(make_consumer, topic):
    consumer = make_consumer()
    consumer.assign([partition(topic)])
    with pytest.raises((AssertionError, KafkaError)):
        consumer.commit()


def test_metadata_that_is_too_long_is_refused(make_consumer, topic, group):
    consumer = make_consumer(group_id=group, enable_auto_commit=False)
    consumer.assign([partition(topic)])
    with pytest.raises(KafkaError):
        consumer.commit({partition(topic): OffsetAndMetadata(0, 'x' * 5000, -1)})


def test_auto_commit_on_close(make_consumer, topic, fill, group):
    fill(topic, 4)
    consumer = make_consumer(topic, group_id=group)
    drain(consumer, 4)
    consumer.close()
    fill(topic, 1, first=4)
    assert drain(make_consumer(topic, group_id=group), 1)[0].offset == 4


def test_auto_commit_by_interval(make_consumer, topic, fill, group):
    fill(topic, 4)
    consumer = make_consumer(topic, group_id=group, auto_commit_interval_ms=200)
    drain(consumer, 4)
    def committed():
        consumer.poll(timeout_ms=100)
        return consumer.committed(partition(topic)) == 4
    eventually(committed)
    consumer.close(autocommit=False)


def test_close_without_autocommit_commits_nothing(make_consumer, topic, fill, group):
    fill(topic, 2)
    consumer = make_consumer(topic, group_id=group)
    drain(consumer, 2)
    consumer.close(autocommit=False)
    assert drain(make_consumer(topic, group_id=group), 2)[0].offset == 0


def test_close_leaves_the_group_at_once(make_consumer, make_topic, group):
    topic = make_topic(2)
    first, second = make_consumer(topic, group_id=group), make_consumer(topic, group_id=group)
    with polling(first, second):
        eventually(lambda: len(first.assignment()) == len(second.assignment()) == 1)
    with polling(second):
        first.close()
        begun = time.monotonic()
        eventually(lambda: len(second.assignment()) == 2)
        assert time.monotonic() - begun < 5


def test_close_is_quick_and_may_be_repeated(make_consumer, topic, group):
    consumer = make_consumer(topic, group_id=group)
    assigned(consumer)
    begun = time.monotonic()
    consumer.close()
    consumer.close()
    assert time.monotonic() - begun < 3


def test_metrics(make_consumer, topic, fill):
    fill(topic, 3)
    consumer = make_consumer(topic)
    drain(consumer, 3)
    assert consumer.metrics()['consumer-fetch-manager-metrics']['records-consumed-rate'] > 0
    assert consumer.metrics(raw=True)


def test_group_metadata(make_consumer, topic, group):
    consumer = make_consumer(topic, group_id=group)
    assert consumer.group_metadata().generation_id == -1
    assigned(consumer)
    metadata = consumer.group_metadata()
    assert (metadata.group_id, metadata.state) == (group, MemberState.STABLE)
    assert metadata.generation_id >= 1 and metadata.member_id


def test_a_group_shares_partitions_and_rebalances(make_consumer, make_topic, fill, group):
    topic = make_topic(6)
    consumers = [make_consumer(topic, group_id=group) for _ in range(3)]
    with polling(*consumers) as collected:
        eventually(lambda: [len(consumer.assignment()) for consumer in consumers] == [2, 2, 2])
        for number in range(6):
            fill(topic, 10, partition=number)
        eventually(lambda: sum(map(len, collected)) == 60)
    owners = [{record.partition for record in records} for records in collected]
    assert set.union(*owners) == set(range(6)) and sum(map(len, owners)) == 6


@pytest.mark.parametrize('strategy', [StickyPartitionAssignor], ids=['sticky'])
def test_other_assignors(make_consumer, make_topic, group, strategy):
    topic = make_topic(4)
    first, second = (make_consumer(topic, group_id=group, partition_assignment_strategy=[strategy]) for _ in range(2))
    with polling(first, second):
        eventually(lambda: len(first.assignment()) == len(second.assignment()) == 2)
    assert first.assignment() | second.assignment() == {TopicPartition(topic, number) for number in range(4)}


def test_a_static_member_keeps_its_partitions_over_a_restart(make_consumer, make_topic, group):
    topic = make_topic(2)
    def member(identity):
        return make_consumer(topic, group_id=group, group_instance_id=identity)
    first, second = member('one'), member('two')
    with polling(first, second):
        eventually(lambda: len(first.assignment()) == len(second.assignment()) == 1)
    before, generation = first.assignment(), second.group_metadata().generation_id
    first.close()
    again = member('one')
    with polling(again, second):
        eventually(lambda: again.assignment() == before)
        assert second.group_metadata().generation_id == generation


def test_a_consumer_that_stops_polling_loses_its_partitions(make_consumer, topic, group):
    sleeper = make_consumer(topic, group_id=group, max_poll_interval_ms=1500)
    assigned(sleeper)
    heir = make_consumer(topic, group_id=group)
    assigned(heir)


def test_fetch_limits_still_deliver_everything(make_consumer, topic, make_producer):
    producer = make_producer()
    for number in range(20):
        producer.send(topic, b'x' * 5000, key=b'%d' % number)
        producer.flush()
    consumer = make_consumer(topic, max_partition_fetch_bytes=100, fetch_max_bytes=200, fetch_min_bytes=1)
    assert [record.offset for record in drain(consumer, 20)] == list(range(20))


def test_fetch_waits_for_min_bytes(make_consumer, topic, fill):
    fill(topic, 1)
    consumer = make_consumer(topic, fetch_min_bytes=100_000, fetch_max_wait_ms=700)
    begun = time.monotonic()
    eventually(lambda: consumer.poll(timeout_ms=3000))
    assert time.monotonic() - begun > 0.6


def test_without_incremental_fetch_sessions(make_consumer, topic, fill):
    values = fill(topic, 5)
    consumer = make_consumer(topic, enable_incremental_fetch_sessions=False)
    assert [record.value for record in drain(consumer, 5)] == values


def test_read_committed_sees_plain_records(make_consumer, topic, fill):
    values = fill(topic, 5)
    assert [r.value for r in drain(make_consumer(topic, isolation_level='read_committed'), 5)] == values


def test_a_waiting_poll_sees_a_record_at_once(make_consumer, make_producer, topic):
    consumer = make_consumer(topic, fetch_max_wait_ms=5000)
    producer = make_producer()
    producer.send(topic, b'warm up').get(timeout=10)
    drain(consumer, 1)
    with polling(consumer) as (records,):
        time.sleep(0.5)
        producer.send(topic, b'now').get(timeout=10)
        begun = time.monotonic()
        eventually(lambda: records)
        assert time.monotonic() - begun < 1


def test_an_older_protocol_version(make_consumer, topic, fill):
    values = fill(topic, 3)
    for version in [(2, 1), (2, 6), (3, 0), (3, 9)]:
        consumer = make_consumer(topic, api_version=version)
        assert [record.value for record in drain(consumer, 3)] == values


def test_a_consumer_on_an_unknown_topic_creates_it(make_consumer, admin, fill):
    topic = name('made-by-consumer')
    consumer = make_consumer(topic, metadata_max_age_ms=500)
    eventually(lambda: consumer.poll(timeout_ms=100) or consumer.assignment())
    assert topic in admin.list_topics()
    admin.delete_topics([topic])
