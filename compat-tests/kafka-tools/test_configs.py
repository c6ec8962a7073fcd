"""kafka-configs and kafka-client-metrics: settings of topics, brokers, groups, clients and users."""

import contextlib

import pytest

from conftest import NODES
from tools import eventually

REFUSED = 'Error while executing config command with args'


@pytest.fixture
def configs(tools):
    """kafka-configs for one entity: describe(...) and alter(...)."""
    def configs(option, *arguments, status=0):
        return tools('kafka-configs', option, *arguments, status=status)
    return configs


def entries_of(configs, entity) -> dict[str, str]:
    return entries(configs('--describe', *entity))


def entries(printed) -> dict[str, str]:
    """The settings shown, each with the rest of its line."""
    return dict(line.strip().split('=', 1) for line in printed.lines if line.startswith('  '))


@contextlib.contextmanager
def altered(configs, entity, settings: dict[str, str]):
    """Settings that are gone after the case."""
    added = ','.join(f'{name}={value}' for name, value in settings.items())
    before = entries_of(configs, entity)
    done = configs('--alter', *entity, '--add-config', added)
    eventually(lambda: entries_of(configs, entity).keys(), before.keys() | settings.keys())
    yield done
    configs('--alter', *entity, '--delete-config', ','.join(settings))
    eventually(lambda: entries_of(configs, entity), before)


def test_of_a_topic(configs, topic):
    entity = ['--entity-type', 'topics', '--entity-name', topic]
    assert configs('--describe', *entity).lines == [f'Dynamic configs for topic {topic} are:']
    altered = configs('--alter', *entity, '--add-config', 'retention.ms=5000,cleanup.policy=[compact,delete]')
    assert altered.lines == [f'Completed updating config for topic {topic}.']
    eventually(lambda: configs('--describe', *entity).lines, [
        f'Dynamic configs for topic {topic} are:',
        '  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete,'
        ' DEFAULT_CONFIG:log.cleanup.policy=delete}',
        '  retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000}',
    ])
    for _ in range(2):
        configs('--alter', *entity, '--delete-config', 'retention.ms')
        eventually(lambda: entries_of(configs, entity).keys(), {'cleanup.policy'})


def test_all_of_a_topic(configs, topic):
    shown = entries(configs('--describe', '--all', '--entity-type', 'topics', '--entity-name', topic))
    assert shown['segment.bytes'] == '1073741824 sensitive=false synonyms={DEFAULT_CONFIG:log.segment.bytes=1073741824}'
    assert shown['retention.ms'] == '604800000 sensitive=false synonyms={}'
    assert len(shown) == 33 and list(shown) == sorted(shown)


@pytest.mark.parametrize('setting', ['retention.ms=x', 'nonsense=x', 'cleanup.policy=shred', 'min.insync.replicas=0'])
def test_what_no_topic_can_have(configs, topic, setting):
    entity = ['--entity-type', 'topics', '--entity-name', topic]
    refused = configs('--alter', *entity, '--add-config', setting, status=1)
    assert REFUSED in refused.errors and 'InvalidConfigurationException' in refused.errors
    assert entries_of(configs, entity) == {}


def test_of_no_topic(configs, name):
    entity = ['--entity-type', 'topics', '--entity-name', name]
    refused = configs('--alter', *entity, '--add-config', 'retention.ms=1', status=1)
    assert 'UnknownTopicOrPartitionException' in refused.errors
    described = configs('--describe', *entity)
    assert described.lines == [f"The topic '{name}' doesn't exist and doesn't have dynamic config."]


def test_of_a_broker(configs):
    entity = ['--entity-type', 'brokers', '--entity-name', '1']
    with altered(configs, entity, {'log.cleaner.threads': '2'}) as done:
        assert done.lines == ['Completed updating config for broker 1.']
        assert configs('--describe', *entity).lines == [
            'Dynamic configs for broker 1 are:',
            '  log.cleaner.threads=2 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.threads=2,'
            ' DEFAULT_CONFIG:log.cleaner.threads=1}',
        ]


def test_all_of_a_broker(configs):
    entity = ['--entity-type', 'brokers', '--entity-name', '1']
    shown = entries(configs('--describe', '--all', *entity))
    assert shown['node.id'].startswith('1 sensitive=false synonyms={STATIC_BROKER_CONFIG:node.id=1')
    assert shown['num.partitions'] == ('4 sensitive=false synonyms={STATIC_BROKER_CONFIG:num.partitions=4,'
                                     ' DEFAULT_CONFIG:num.partitions=1}')
    assert shown['ssl.keystore.password'] == 'null sensitive=true synonyms={}'
    assert len(shown) > 200 and list(shown) == sorted(shown)


def test_of_all_brokers(configs, topic):
    entity = ['--entity-type', 'brokers', '--entity-default']
    with altered(configs, entity, {'log.retention.ms': '777777', 'message.max.bytes': '1000000'}) as done:
        assert done.lines == ['Completed updating default config for brokers in the cluster.']
        described = configs('--describe', *entity)
        assert described.lines[0] == 'Default configs for brokers in the cluster are:'
        assert entries(described)['log.retention.ms'] == (
            '777777 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=777777}')
        of_topic = ['--entity-type', 'topics', '--entity-name', topic, '--all']
        eventually(lambda: entries_of(configs, of_topic)['max.message.bytes'], (
            '1000000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000000,'
            ' DEFAULT_CONFIG:message.max.bytes=1048588}'))


def test_of_each_broker(configs):
    described = configs('--describe', '--entity-type', 'brokers')
    headers = [line for line in described.lines if not line.startswith('  ')]
    assert headers == [*(f'Dynamic configs for broker {number} are:' for number in range(1, NODES + 1)),
                       'Default configs for brokers in the cluster are:']


def test_what_no_broker_can_have(configs):
    entity = ['--entity-type', 'brokers', '--entity-name', '1']
    for setting, error in [('node.id=4', 'InvalidRequestException'), ('log.cleaner.threads=x', 'InvalidRequestException')]:
        assert error in configs('--alter', *entity, '--add-config', setting, status=1).errors
    assert 'must be a valid integer broker id' in configs(
        '--alter', '--entity-type', 'brokers', '--entity-name', 'x', '--add-config', 'log.retention.ms=4', status=1).errors
    described = configs('--describe', '--entity-type', 'brokers', '--entity-name', '9')
    assert described.lines == ["The broker '9' doesn't exist and doesn't have dynamic config."]


def test_a_setting_that_nobody_knows(configs):
    entity = ['--entity-type', 'brokers', '--entity-name', '1']
    with altered(configs, entity, {'nonsense': '4'}):
        assert entries_of(configs, entity)['nonsense'] == (
            'null sensitive=true synonyms={DYNAMIC_BROKER_CONFIG:nonsense=null}')


def test_of_a_group(configs, name):
    entity = ['--entity-type', 'groups', '--entity-name', name]
    with altered(configs, entity, {'consumer.session.timeout.ms': '50000'}) as done:
        assert done.lines == [f'Completed updating config for group {name}.']
        assert entries_of(configs, entity)['consumer.session.timeout.ms'] == (
            '50000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000,'
            ' DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000}')
    assert f"The group '{name}' doesn't exist" in configs('--describe', *entity).output


def test_of_client_metrics(configs, tools, name):
    entity = ['--entity-type', 'client-metrics', '--entity-name', name]
    done = configs('--alter', *entity, '--add-config', 'interval.ms=5000')
    assert done.lines == [f'Completed updating config for client-metric {name}.']
    eventually(lambda: configs('--describe', *entity).lines, [
        f'Dynamic configs for client-metric {name} are:',
        '  interval.ms=5000 sensitive=false synonyms={DYNAMIC_CLIENT_METRICS_CONFIG:interval.ms=5000}',
    ])
    eventually(lambda: name in tools('kafka-client-metrics', '--list').lines, True)
    tools('kafka-client-metrics', '--alter', '--name', name, '--metrics', 'org.apache.', '--interval', '10000')
    eventually(lambda: tools('kafka-client-metrics', '--describe', '--name', name).lines, [
        f'Client metrics configs for {name} are:', '  interval.ms=10000', '  match=', '  metrics=org.apache.'])
    tools('kafka-client-metrics', '--delete', '--name', name)
    eventually(lambda: name in tools('kafka-client-metrics', '--list').lines, False)


def test_of_loggers(configs):
    described = configs('--describe', '--entity-type', 'broker-loggers', '--entity-name', '1')
    assert described.lines[0] == 'Dynamic configs for broker-logger 1 are:'
    refused = configs('--alter', '--entity-type', 'broker-loggers', '--entity-name', '1', '--add-config', 'nobody=DEBUG',
                      status=1)
    assert 'Invalid broker logger(s): nobody' in refused.errors


@pytest.mark.parametrize('kind, name, setting, described', [
    ('users', 'ann', 'producer_byte_rate=1024', "Quota configs for user-principal 'ann' are producer_byte_rate=1024.0"),
    ('users', None, 'consumer_byte_rate=1024', 'Quota configs for the default user-principal are consumer_byte_rate=1024.0'),
    ('clients', 'app', 'request_percentage=50', "Quota configs for client-id 'app' are request_percentage=50.0"),
    ('ips', '127.0.0.9', 'connection_creation_rate=100', "Quota configs for ip '127.0.0.9' are connection_creation_rate=100.0"),
], ids=['user', 'every-user', 'client', 'ip'])
def test_quotas(configs, kind, name, setting, described):
    entity = ['--entity-type', kind, *(['--entity-name', name] if name else ['--entity-default'])]
    configs('--alter', *entity, '--add-config', setting)
    eventually(lambda: configs('--describe', *entity).lines, [described])
    configs('--alter', *entity, '--delete-config', setting.split('=')[0])
    eventually(lambda: configs('--describe', *entity).lines, [])


def test_scram(configs, name):
    entity = ['--entity-type', 'users', '--entity-name', name]
    done = configs('--alter', *entity, '--add-config', 'SCRAM-SHA-256=[iterations=8192,password=secret]')
    assert done.lines == [f'Completed updating config for user {name}.']
    configs('--alter', *entity, '--delete-config', 'SCRAM-SHA-256')


def test_scram_described(configs, name):
    entity = ['--entity-type', 'users', '--entity-name', name]
    configs('--alter', *entity, '--add-config', 'SCRAM-SHA-512=[password=secret]')
    eventually(lambda: configs('--describe', *entity).lines, [
        f"SCRAM credential configs for user-principal '{name}' are SCRAM-SHA-512=iterations=4096"])
    configs('--alter', *entity, '--delete-config', 'SCRAM-SHA-512')
