"""One case of Debian's python3-kafka, run by Debian's own Python; its name is the argument."""

import sys
import time
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, __version__
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

BOOTSTRAP = sys.argv[1]
TOPIC = 'python3-kafka-' + uuid.uuid4().hex[:12]


def make_topic(partitions=1):
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([NewTopic(TOPIC, partitions, 1)])
    return admin


def consumer(*topics, **settings):
    settings = dict({'auto_offset_reset': 'earliest', 'consumer_timeout_ms': 4000}, **settings)
    return KafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, **settings)


def produce(count, **settings):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
    sent = [producer.send(TOPIC, b'%d' % number, key=b'k', headers=[('h', b'x')]) for number in range(count)]
    producer.flush()
    offsets = [future.get(timeout=10).offset for future in sent]
    producer.close()
    return offsets


def await_value(ask, wanted):
    """Kafka answers a change when its controller has it; its brokers show it
    a moment later."""
    deadline = time.monotonic() + 10
    while ask() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    check(ask(), wanted)


def check(got, wanted):
    if got != wanted:
        raise SystemExit('got %r, wanted %r' % (got, wanted))


def version_is_detected():
    check(KafkaConsumer(bootstrap_servers=BOOTSTRAP).config['api_version'] >= (2, 1), True)


def produce_and_consume():
    make_topic()
    check(produce(100), list(range(100)))
    records = list(consumer(TOPIC))
    check([record.value for record in records], [b'%d' % number for number in range(100)])
    check(records[0].headers, [('h', b'x')])


def codecs():
    make_topic()
    for codec in ('gzip', 'lz4', 'snappy', 'zstd'):
        try:
            produce(50, compression_type=codec, linger_ms=50)
        except AssertionError as error:
            # Debian packages the client without every codec.
            print('not installed: %s' % error)
    check(len(list(consumer(TOPIC))) % 50, 0)


def acks():
    make_topic()
    for acks in (0, 1, 'all'):
        produce(20, acks=acks)
    check(len(list(consumer(TOPIC))), 60)


def group_commits_and_resumes():
    make_topic(2)
    produce(40)
    group = TOPIC + '-group'
    first = consumer(TOPIC, group_id=group, enable_auto_commit=False)
    check(len(list(first)), 40)
    first.commit()
    first.close()
    produce(5)
    second = consumer(TOPIC, group_id=group)
    check(len(list(second)), 5)
    second.close()


def offsets():
    make_topic()
    produce(10)
    reader = consumer()
    place = TopicPartition(TOPIC, 0)
    check(reader.beginning_offsets([place]), {place: 0})
    check(reader.end_offsets([place]), {place: 10})
    check(reader.offsets_for_times({place: 1})[place].offset, 0)
    reader.assign([place])
    reader.seek(place, 7)
    check(next(reader).offset, 7)


def commit_with_metadata():
    make_topic()
    reader = consumer(group_id=TOPIC + '-group', enable_auto_commit=False)
    place = TopicPartition(TOPIC, 0)
    reader.assign([place])
    reader.commit({place: OffsetAndMetadata(3, 'note')})
    check(reader.committed(place, metadata=True), OffsetAndMetadata(3, 'note'))


def topics_and_partitions():
    make_topic(3)
    reader = consumer()
    check(TOPIC in reader.topics(), True)
    check(reader.partitions_for_topic(TOPIC), {0, 1, 2})


def admin():
    client = make_topic()
    client.create_partitions({TOPIC: NewPartitions(3)})
    await_value(lambda: len(client.describe_topics([TOPIC])[0]['partitions']), 3)
    resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC)
    check(len(client.describe_configs([resource])), 1)
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {'retention.ms': '1234'})])
    await_value(lambda: [entry[1] for entry in client.describe_configs([resource])[0].resources[0][4]
                         if entry[0] == 'retention.ms'], ['1234'])
    produce(1)
    reader = consumer(TOPIC, group_id=TOPIC + '-group')
    next(reader)
    reader.close()
    check(TOPIC + '-group' in [group for group, _ in client.list_consumer_groups()], True)
    check(client.describe_consumer_groups([TOPIC + '-group'])[0].state, 'Empty')
    client.delete_topics([TOPIC])
    await_value(lambda: TOPIC in client.list_topics(), False)


if __name__ == '__main__':
    print(__version__)
    globals()[sys.argv[2]]()
