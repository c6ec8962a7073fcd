"""The methods of kafka-python's KafkaAdminClient."""

import time
import uuid

import pytest

from conftest import BOOTSTRAP, REPLICAS, assigned, drain, eventually, name, partition, polling, soon
from kafka import KafkaAdminClient
from kafka.admin import (AlterConfigOp, ConfigResource, ConfigResourceType, MemberToRemove, NewPartitions, NewTopic,
                         OffsetSpec, OffsetTimestamp)
from kafka.errors import (BrokerResponseError, GroupIdNotFoundError, InvalidConfigurationError, InvalidPartitionsError,
                          InvalidReplicationFactorError, InvalidTopicError, NoError, OffsetOutOfRangeError,
                          TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata, TopicPartitionReplica


def configs_of(admin, kind, resource, keys=None, **options):
    answer = admin.describe_configs([ConfigResource(kind, resource, keys)], **options)
    return answer[kind.name.lower()][str(resource)]


def topic_config(admin, topic, key):
    return configs_of(admin, ConfigResourceType.TOPIC, topic, [key], config_filter='all')[key]


def alter(admin, topic, configs, **options):
    answer = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)], **options)
    return answer['topic'][topic]


def partitions_of(admin, topic):
    return admin.describe_topics([topic])[0]['partitions']


# --- cluster ---------------------------------------------------------------------

def test_describe_cluster(admin):
    cluster = admin.describe_cluster()
    assert cluster['cluster_id']
    ids = [broker['broker_id'] for broker in cluster['brokers']]
    assert cluster['controller_id'] in ids
    host, port = BOOTSTRAP.split(',')[0].rsplit(':', 1)
    assert int(port) in [broker['port'] for broker in cluster['brokers']]


def test_api_versions(admin):
    served = {key.name: versions for key, versions in admin.api_versions().items()}
    assert served['Produce'][1] >= 9 and served['Fetch'][1] >= 13 and served['ApiVersions'][0] == 0


def test_get_broker_version_data(admin):
    broker = admin.describe_cluster()['brokers'][0]['broker_id']
    assert admin.get_broker_version_data(broker).broker_version >= (4, 0)


def test_describe_features(admin):
    features = admin.describe_features()
    least, most = features['metadata.version']['supported']
    assert least <= features['metadata.version']['finalized'][1] <= most


def test_describe_log_dirs(admin, topic, fill):
    fill(topic, 100)
    directories = admin.describe_log_dirs()[0]['log_dirs']
    assert all(directory['error_code'] == 0 for directory in directories)
    sizes = {entry['name']: entry['partitions'] for directory in directories for entry in directory['topics']}
    assert sizes[topic][0]['partition_size'] > 100
    only = admin.describe_log_dirs({topic: [0]})[0]['log_dirs']
    assert {entry['name'] for directory in only for entry in directory['topics']} == {topic}


# --- topics ----------------------------------------------------------------------

def test_create_list_describe_and_delete_topics(admin):
    topic = name('topic')
    created = admin.create_topics({topic: {'num_partitions': 3, 'replication_factor': REPLICAS}}, wait_for_metadata=True)
    answer, = created['topics']
    assert (answer['name'], answer['error_code'], answer['num_partitions'], answer['replication_factor']) == (topic, 0, 3, REPLICAS)
    assert uuid.UUID(answer['topic_id']) != uuid.UUID(int=0)
    assert answer['configs']['retention.ms']['config_source'] == 'DEFAULT_CONFIG'
    assert topic in admin.list_topics()
    described, = admin.describe_topics([topic])
    assert described['topic_id'] == answer['topic_id']
    assert [p['partition_index'] for p in sorted(described['partitions'], key=lambda p: p['partition_index'])] == [0, 1, 2]
    assert all(p['leader_id'] in p['isr_nodes'] and p['replica_nodes'] == p['isr_nodes'] for p in described['partitions'])
    assert admin.delete_topics([topic])['topics'][0]['error_code'] == 0
    eventually(lambda: topic not in admin.list_topics())


def test_create_topics_takes_names_and_objects(admin):
    plain, old = name('topic'), name('topic')
    admin.create_topics([plain], wait_for_metadata=True)
    admin.create_topics([NewTopic(old, 2, 1, topic_configs={'retention.ms': '1234'})], wait_for_metadata=True)
    assert len(partitions_of(admin, plain)) >= 1 and len(partitions_of(admin, old)) == 2
    assert topic_config(admin, old, 'retention.ms')['value'] == '1234'
    admin.delete_topics([plain, old])


def test_create_topics_with_assignments(admin):
    topic, broker = name('topic'), admin.describe_cluster()['brokers'][0]['broker_id']
    admin.create_topics({topic: {'assignments': {0: [broker], 1: [broker]}}}, wait_for_metadata=True)
    assert [p['replica_nodes'] for p in partitions_of(admin, topic)] == [[broker], [broker]]
    admin.delete_topics([topic])


def test_a_topic_s_life_goes_on_after_deletion_and_creation(admin, make_consumer, fill):
    topic = name('topic')
    ids = set()
    for _ in range(3):
        admin.create_topics({topic: {'num_partitions': 1}}, wait_for_metadata=True)
        ids.add(admin.describe_topics([topic])[0]['topic_id'])
        consumer = make_consumer()
        assert consumer.end_offsets([partition(topic)]) == {partition(topic): 0}
        admin.delete_topics([topic])
        eventually(lambda: topic not in admin.list_topics())
    assert len(ids) == 3


def test_validate_only_creates_nothing(admin):
    topic = name('topic')
    admin.create_topics({topic: {'num_partitions': 1}}, validate_only=True)
    assert topic not in admin.list_topics()


def test_describe_and_delete_topics_by_id(admin, make_topic):
    topic = make_topic()
    identity = uuid.UUID(admin.describe_topics([topic])[0]['topic_id'])
    assert admin.describe_topics([identity])[0]['name'] == topic
    assert admin.delete_topics([identity])['topics'][0]['error_code'] == 0
    eventually(lambda: topic not in admin.list_topics())


def test_describe_an_unknown_topic(admin):
    topic = name('nowhere')
    assert admin.describe_topics([topic])[0]['error_code'] == UnknownTopicOrPartitionError.errno
    assert topic not in admin.list_topics()


@pytest.mark.parametrize('request_, error', [
    ({'num_partitions': 0}, InvalidPartitionsError),
    ({'num_partitions': 1, 'replication_factor': 4}, InvalidReplicationFactorError),
    ({'num_partitions': 1, 'replication_factor': 0}, InvalidReplicationFactorError),
    ({'num_partitions': 1, 'configs': {'no.such.config': '1'}}, InvalidConfigurationError),
    ({'num_partitions': 1, 'configs': {'retention.ms': 'soon'}}, InvalidConfigurationError),
    ({'num_partitions': 1, 'configs': {'cleanup.policy': 'burn'}}, InvalidConfigurationError),
    ({'num_partitions': 1, 'configs': {'min.insync.replicas': '0'}}, InvalidConfigurationError),
], ids=['no partitions', 'too many replicas', 'no replicas', 'unknown config', 'wrong type', 'wrong word', 'below range'])
def test_create_topics_refuses(admin, request_, error):
    topic = name('topic')
    with pytest.raises(error):
        admin.create_topics({topic: request_})
    assert topic not in admin.list_topics()


@pytest.mark.parametrize('wrong', ['', '.', '..', 'a b', 'a/b', 'ä', 'x' * 250])
def test_create_topics_refuses_the_name(admin, wrong):
    with pytest.raises(InvalidTopicError):
        admin.create_topics({wrong: {'num_partitions': 1}})


def test_create_topics_refuses_a_second_one(admin, topic):
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([topic])


def test_create_topics_refuses_a_name_that_collides(admin):
    dotted = f'{name("topic")}.x'
    admin.create_topics([dotted])
    with pytest.raises(InvalidTopicError):
        admin.create_topics([dotted.replace('.', '_')])
    admin.delete_topics([dotted])


def test_delete_an_unknown_topic(admin):
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([name('nowhere')])


def test_wait_for_topics(admin, topic):
    admin.wait_for_topics([topic], timeout_ms=5000)


# --- partitions and offsets ------------------------------------------------------

def test_create_partitions(admin, make_topic, fill, make_consumer):
    topic = make_topic(2)
    admin.create_partitions({topic: 4})
    eventually(lambda: len(partitions_of(admin, topic)) == 4)
    fill(topic, 3, partition=3)
    consumer = make_consumer()
    consumer.assign([partition(topic, 3)])
    drain(consumer, 3)


def test_create_partitions_with_assignments(admin, make_topic):
    topic, brokers = make_topic(1), [broker['broker_id'] for broker in admin.describe_cluster()['brokers']]
    admin.create_partitions({topic: NewPartitions(3, [brokers[:REPLICAS], brokers[:REPLICAS]])})
    eventually(lambda: len(partitions_of(admin, topic)) == 3)


@pytest.mark.parametrize('count', [1, 2, 0, -3])
def test_create_partitions_refuses(admin, make_topic, count):
    with pytest.raises(InvalidPartitionsError):
        admin.create_partitions({make_topic(2): count})


def test_create_partitions_refuses_an_unknown_topic(admin):
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.create_partitions({name('nowhere'): 2})


def test_create_partitions_validate_only(admin, topic):
    admin.create_partitions({topic: 3}, validate_only=True)
    assert len(partitions_of(admin, topic)) == 1


def test_delete_records(admin, make_topic, fill, make_consumer):
    topic = make_topic(2)
    for number in (0, 1):
        fill(topic, 20, partition=number)
    deleted = admin.delete_records({partition(topic, 0): 7, partition(topic, 1): -1})
    assert {tp.partition: result['low_watermark'] for tp, result in deleted.items()} == {0: 7, 1: 20}
    consumer = make_consumer()
    consumer.assign([partition(topic, 0), partition(topic, 1)])
    assert [record.offset for record in drain(consumer, 13)] == list(range(7, 20))


def test_delete_records_refuses(admin, topic, fill):
    fill(topic, 5)
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({partition(topic): 6})
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_records({partition(topic, 9): 0})


def test_list_partition_offsets(admin, make_topic, fill):
    topic, start = make_topic(2), 1_600_000_000_000
    fill(topic, 10, timestamps=[start + 10 * n for n in (0, 1, 2, 9, 4, 5, 6, 7, 8, 3)])
    admin.delete_records({partition(topic): 1})
    def at(spec, number=0):
        return admin.list_partition_offsets({partition(topic, number): spec})[partition(topic, number)]
    assert at(OffsetSpec.EARLIEST).offset == 1
    assert at(OffsetSpec.LATEST).offset == 10
    assert at(OffsetSpec.EARLIEST_LOCAL).offset == 1
    assert (at(OffsetSpec.MAX_TIMESTAMP).offset, at(OffsetSpec.MAX_TIMESTAMP).timestamp) == (3, start + 90)
    assert (at(OffsetTimestamp(start + 35)).offset, at(OffsetTimestamp(start + 35)).timestamp) == (3, start + 90)
    assert at(OffsetTimestamp(start + 91)).offset == -1
    assert at(OffsetSpec.LATEST, 1).offset == 0
    assert at(OffsetSpec.MAX_TIMESTAMP, 1).offset == -1


def test_describe_topic_partitions_in_pages(admin, make_topic):
    topics = sorted([make_topic(3), make_topic(3)])
    whole = admin.describe_topic_partitions(topics)
    assert [(t['name'], len(t['partitions'])) for t in whole['topics']] == [(t, 3) for t in topics]
    seen, cursor = [], None
    while True:
        page = admin.describe_topic_partitions(topics, response_partition_limit=2, cursor=cursor)
        seen += [(t['name'], p['partition_index']) for t in page['topics'] for p in t['partitions']]
        cursor = page['next_cursor']
        if cursor is None:
            break
    assert seen == [(topic, number) for topic in topics for number in range(3)]


def test_describe_producers(admin, topic, make_producer):
    producer = make_producer(enable_idempotence=True)
    for _ in range(3):
        producer.send(topic, b'v').get(timeout=10)
    state, = admin.describe_producers([partition(topic)])[partition(topic)].active_producers
    assert state.producer_id >= 0 and state.producer_epoch == 0 and state.last_sequence == 2


# --- configs ---------------------------------------------------------------------

def test_describe_topic_configs(admin, make_topic):
    topic = make_topic(retention_ms=60000)
    modified = configs_of(admin, ConfigResourceType.TOPIC, topic)
    assert {key: entry['value'] for key, entry in modified.items()} == {'retention.ms': '60000'}
    assert modified['retention.ms']['config_source'] == 'DYNAMIC_TOPIC_CONFIG'
    everything = configs_of(admin, ConfigResourceType.TOPIC, topic, config_filter='all')
    assert len(everything) >= 30
    assert everything['cleanup.policy']['value'] == 'delete'
    assert everything['cleanup.policy']['config_type'] == 'LIST'
    assert everything['max.message.bytes']['value'] == '1048588'


def test_describe_configs_with_synonyms(admin, make_topic):
    topic = make_topic(retention_ms=60000)
    entry = configs_of(admin, ConfigResourceType.TOPIC, topic, ['retention.ms'], include_synonyms=True)['retention.ms']
    assert (entry['synonyms'][0]['name'], entry['synonyms'][0]['source']) == ('retention.ms', 'DYNAMIC_TOPIC_CONFIG')


def test_describe_broker_configs(admin):
    broker = admin.describe_cluster()['brokers'][0]['broker_id']
    configs = configs_of(admin, ConfigResourceType.BROKER, broker, config_filter='all')
    for key in ('num.partitions', 'default.replication.factor', 'auto.create.topics.enable', 'log.retention.hours',
                'advertised.listeners', 'message.max.bytes', 'offsets.retention.minutes'):
        assert configs[key]['value'] is not None, key
    assert configs['log.dirs']['read_only']


def test_alter_configs_incrementally(admin, topic):
    assert alter(admin, topic, {'retention.ms': '5000', 'cleanup.policy': 'delete'}) == 'OK'
    soon(lambda: topic_config(admin, topic, 'retention.ms')['value'] == '5000')
    assert alter(admin, topic, {'cleanup.policy': (AlterConfigOp.APPEND, 'compact')}) == 'OK'
    soon(lambda: topic_config(admin, topic, 'cleanup.policy')['value'] == 'delete,compact')
    assert alter(admin, topic, {'cleanup.policy': (AlterConfigOp.SUBTRACT, 'delete')}) == 'OK'
    soon(lambda: topic_config(admin, topic, 'cleanup.policy')['value'] == 'compact')
    assert alter(admin, topic, {'retention.ms': (AlterConfigOp.DELETE, None)}) == 'OK'
    soon(lambda: topic_config(admin, topic, 'retention.ms')['config_source'] == 'DEFAULT_CONFIG')


def test_alter_configs_all_at_once(admin, topic):
    alter(admin, topic, {'retention.ms': '5000', 'segment.ms': '7000'})
    soon(lambda: topic_config(admin, topic, 'segment.ms')['value'] == '7000')
    # The client adds what was set before, so that only the named key changes.
    assert alter(admin, topic, {'retention.ms': '6000'}, incremental=False) == 'OK'
    soon(lambda: topic_config(admin, topic, 'retention.ms')['value'] == '6000')
    soon(lambda: topic_config(admin, topic, 'segment.ms')['value'] == '7000')


def test_alter_configs_validate_only(admin, topic):
    assert alter(admin, topic, {'retention.ms': '5000'}, validate_only=True) == 'OK'
    assert topic_config(admin, topic, 'retention.ms')['config_source'] == 'DEFAULT_CONFIG'


@pytest.mark.parametrize('configs', [{'no.such.key': '1'}, {'retention.ms': 'x'}, {'min.insync.replicas': '0'}],
                         ids=['unknown key', 'wrong type', 'below range'])
def test_alter_configs_refuses(admin, topic, configs):
    assert 'InvalidConfigurationError' in alter(admin, topic, configs, raise_on_unknown=False)


def test_reset_configs(admin, topic):
    alter(admin, topic, {'retention.ms': '5000', 'segment.ms': '7000'})
    admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, ['retention.ms'])])
    soon(lambda: set(configs_of(admin, ConfigResourceType.TOPIC, topic)) == {'segment.ms'})
    admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, [])])
    soon(lambda: configs_of(admin, ConfigResourceType.TOPIC, topic) == {})


def test_every_topic_config_that_is_read_can_be_written_back(admin, topic):
    entries = configs_of(admin, ConfigResourceType.TOPIC, topic, config_filter='dynamic')
    values = {key: entry['value'] for key, entry in entries.items() if entry['value'] not in (None, '')
              and not key.startswith('remote.')}
    assert alter(admin, topic, values) == 'OK'


def test_alter_broker_configs(admin):
    broker = str(admin.describe_cluster()['brokers'][0]['broker_id'])
    def set_to(value):
        return admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, broker, {'log.retention.ms': value})])
    assert set_to('123456789')['broker'][broker] == 'OK'
    def entry():
        return configs_of(admin, ConfigResourceType.BROKER, broker, ['log.retention.ms'], config_filter='all')['log.retention.ms']
    eventually(lambda: entry()['value'] == '123456789')

    assert entry()['config_source'] == 'DYNAMIC_BROKER_CONFIG'
    admin.reset_configs([ConfigResource(ConfigResourceType.BROKER, broker, ['log.retention.ms'])])


def test_list_config_resources(admin, topic):
    resources = admin.list_config_resources()
    assert topic in resources['topic']
    assert str(admin.describe_cluster()['brokers'][0]['broker_id']) in resources['broker']
    assert set(admin.list_config_resources(['TOPIC'])) == {'topic'}


# --- groups ----------------------------------------------------------------------

@pytest.fixture
def member(make_consumer, topic, group, fill):
    fill(topic, 10)
    consumer = make_consumer(topic, group_id=group, enable_auto_commit=False)
    drain(consumer, 10)
    consumer.commit()
    return consumer


def test_describe_groups(admin, member, topic, group):
    described = admin.describe_groups([group])[group]
    assert (described['group_state'], described['protocol_type'], described['protocol_data']) == ('Stable', 'consumer', 'range')
    one, = described['members']
    assert one['member_metadata']['topics'] == [topic]
    assert one['member_assignment']['assigned_partitions'] == [{'topic': topic, 'partitions': [0]}]
    assert one['client_host'] == '/127.0.0.1'
    assert one['client_id'].startswith('kafka-python')


def test_describe_an_unknown_group(admin):
    unknown = name('group')
    described = admin.describe_groups([unknown])[unknown]
    assert described['group_state'] == 'Dead' and described['members'] == []


def test_list_groups_with_filters(admin, member, group):
    def listed(**filters):
        return {entry['group_id']: entry for entry in admin.list_groups(**filters)}
    assert listed()[group]['protocol_type'] == 'consumer'
    assert listed(states_filter=['Stable'])[group]['group_state'] == 'Stable'
    assert group not in listed(states_filter=['Empty'])
    assert listed(types_filter=['classic'])[group]['group_type'] == 'classic'
    assert group not in listed(types_filter=['share'])
    member.close()
    assert group in listed(states_filter=['Empty'])


def test_list_group_offsets(admin, member, topic, group):
    assert admin.list_group_offsets(group)[group][partition(topic)].offset == 10
    asked = admin.list_group_offsets({group: [partition(topic), partition(topic, 5)]})[group]
    assert asked[partition(topic, 5)].offset == -1
    other = name('group')
    assert admin.list_group_offsets([group, other])[other] == {}


def test_alter_group_offsets(admin, topic, group):
    committed = OffsetAndMetadata(4, 'by hand', -1)
    assert admin.alter_group_offsets(group, {partition(topic): committed})[partition(topic)] is NoError
    stored = admin.list_group_offsets(group)[group][partition(topic)]
    assert (stored.offset, stored.metadata) == (4, 'by hand')


def test_alter_group_offsets_of_an_active_group_is_refused(admin, member, topic, group):
    answer = admin.alter_group_offsets(group, {partition(topic): OffsetAndMetadata(4, '', -1)})
    assert answer[partition(topic)] is not NoError


def test_reset_group_offsets(admin, member, topic, group):
    member.close()
    reset = admin.reset_group_offsets(group, {partition(topic): OffsetSpec.EARLIEST})
    assert reset[partition(topic)] == {'error': NoError, 'offset': 0}
    assert admin.list_group_offsets(group)[group][partition(topic)].offset == 0


def test_delete_group_offsets(admin, member, topic, group):
    with pytest.raises(BrokerResponseError):
        refused = admin.delete_group_offsets(group, [partition(topic)])
        raise refused[partition(topic)]()
    member.close()
    assert admin.delete_group_offsets(group, [partition(topic)])[partition(topic)] is NoError
    assert partition(topic) not in admin.list_group_offsets(group)[group]


def test_delete_group_offsets_of_an_unknown_group(admin, topic):
    with pytest.raises(GroupIdNotFoundError):
        admin.delete_group_offsets(name('group'), [partition(topic)])


def test_delete_groups(admin, member, group):
    unknown = name('group')
    assert admin.delete_groups([group, unknown]) == {group: 'NonEmptyGroupError', unknown: 'GroupIdNotFoundError'}
    member.close()
    assert admin.delete_groups([group]) == {group: 'OK'}
    assert group not in {entry['group_id'] for entry in admin.list_groups()}


def test_remove_group_members(admin, make_consumer, topic, group):
    dynamic = make_consumer(topic, group_id=group)
    assigned(dynamic)
    identity = dynamic.group_metadata().member_id
    assert admin.remove_group_members(group, [MemberToRemove(member_id=identity)]) == {identity: NoError}
    static = make_consumer(topic, group_id=group, group_instance_id='one')
    with polling(dynamic, static):
        eventually(lambda: len(dynamic.assignment()) + len(static.assignment()) == 1)
    assert NoError in admin.remove_group_members(group, [MemberToRemove(group_instance_id='one')]).values()
    left = {one['group_instance_id'] for one in admin.describe_groups([group])[group]['members']}
    assert 'one' not in left


def test_committed_offsets_go_with_their_topic(admin, make_topic, group):
    kept, doomed = make_topic(), make_topic()
    admin.alter_group_offsets(group, {partition(t): OffsetAndMetadata(0, '', -1) for t in (kept, doomed)})
    admin.delete_topics([doomed])
    eventually(lambda: set(admin.list_group_offsets(group)[group]) == {partition(kept)})


# --- what one broker answers although it has only one ---------------------------

def test_elect_leaders_is_not_needed(admin, topic):
    answer = admin.elect_leaders(0, {topic: [0]}, raise_errors=False).to_dict()
    assert answer['replica_election_results'][0]['partition_result'][0]['error_code'] == 84


def test_list_partition_reassignments_is_empty(admin, topic):
    assert admin.list_partition_reassignments([partition(topic)]) == {}


def test_describe_metadata_quorum(admin):
    quorum = admin.describe_metadata_quorum()['topics'][0]['partitions'][0]
    assert quorum['leader_id'] in [voter['replica_id'] for voter in quorum['current_voters']]


def test_alter_replica_log_dirs_refuses_an_unknown_directory(admin, topic):
    replica = TopicPartitionReplica(topic, 0, admin.describe_cluster()['brokers'][0]['broker_id'])
    assert admin.alter_replica_log_dirs({replica: '/no/such/directory'})[replica] is not NoError


def test_list_transactions(admin):
    assert set(admin.list_transactions()) == {broker['broker_id'] for broker in admin.describe_cluster()['brokers']}


def test_close_is_quick():
    client = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    begun = time.monotonic()
    client.close()
    assert time.monotonic() - begun < 2
