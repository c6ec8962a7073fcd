"""The image, built and started as its users do."""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.append(str(REPOSITORY / 'compat-tests'))

from client import Client, wait_until  # noqa: E402
from compat.places import ottla_binary  # noqa: E402
from daemon import Daemon, NotPermitted  # noqa: E402

IMAGE = 'ottla'
STOCK_IMAGE = 'apache/kafka:4.3.1'
BASE_IMAGE = 'debian:bookworm-slim'
IMAGE_BYTES_MAX = 40_000_000
APPUSER = 1000
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
def image(daemon: Daemon) -> None:
    """It is small, its user is not root, and it has the places of apache/kafka."""
    described = daemon.inspect(IMAGE)
    print(f'{described["Size"]:,} bytes')
    assert described['Size'] < IMAGE_BYTES_MAX, described['Size']
    config = described['Config']
    assert config['User'] == 'appuser', config['User']
    assert config['Cmd'] == ['/etc/kafka/docker/run'], config['Cmd']
    assert config['Healthcheck']['Test'] == ['CMD', '/opt/kafka/bin/ottla', 'health'], config['Healthcheck']
    assert set(config['ExposedPorts']) == {'9092/tcp'}, config['ExposedPorts']
    assert set(config['Volumes']) == {'/etc/kafka/secrets', '/var/lib/kafka/data', '/mnt/shared/config'}, config['Volumes']
    told = daemon.docker('run', '--rm', IMAGE, '/bin/sh', '-c', 'id -u; touch /usr/logs/x /opt/kafka/x /var/lib/kafka/data/x '
                         '/etc/kafka/x /etc/kafka/secrets/x /mnt/shared/config/x /home/appuser/x && echo writable').stdout
    assert told.split() == [str(APPUSER), 'writable'], told


@case
def no_setting(daemon: Daemon) -> None:
    """`docker run -p 9092:9092` is a broker; its health is seen, and it ends at once."""
    daemon.docker('run', '--detach', '--name', 'alone', '--publish', '9092:9092', IMAGE)
    wait_until_healthy(daemon, 'alone')
    Client(9092).check_use()
    users = daemon.docker('top', 'alone', '-eo', 'pid,uid,comm').stdout.split()[4:]
    assert users == [str(APPUSER), 'ottla'], users
    check_the_tools(daemon, 'alone')
    began = time.monotonic()
    daemon.docker('stop', '--time', 30, 'alone')
    took = time.monotonic() - began
    assert took < 10, f'it took {took} s to stop'
    assert daemon.state('alone')['ExitCode'] == 0, daemon.logs('alone')


def check_the_tools(daemon: Daemon, container: str) -> None:
    """What health checks and tutorials call answers, and fails where there is nobody."""
    def tool(*words, check=True):
        return daemon.docker('exec', '--workdir', '/opt/kafka/bin', container, *words, check=check)

    there = ['--bootstrap-server', 'localhost:9092']
    tool('./kafka-topics.sh', *there, '--create', '--topic', 'made', '--partitions', 2, '--config', 'retention.ms=60000')
    tool('./kafka-topics.sh', *there, '--create', '--topic', 'made', '--if-not-exists')
    assert tool('./kafka-topics.sh', *there, '--create', '--topic', 'made', check=False).returncode == 1
    assert 'made' in tool('./kafka-topics.sh', *there, '--list').stdout.split()
    described = tool('./kafka-topics.sh', *there, '--describe', '--topic', 'made').stdout
    assert 'PartitionCount: 2' in described and 'retention.ms=60000' in described, described
    tool('./kafka-topics.sh', *there, '--delete', '--topic', 'made')
    assert 'made' not in tool('./kafka-topics.sh', *there, '--list').stdout.split()
    assert 'localhost:9092 (id: 1' in tool('./kafka-broker-api-versions.sh', *there).stdout
    assert '5L6g3nShT-eMCtK--X86sw' in tool('./kafka-cluster.sh', 'cluster-id', *there).stdout
    tool('nc', '-z', 'localhost', '9092')
    assert tool('nc', '-z', 'localhost', '1', check=False).returncode == 1
    failed = tool('./kafka-broker-api-versions.sh', '--bootstrap-server', 'localhost:1', check=False)
    assert failed.returncode == 1 and 'localhost:1' in failed.stderr, failed


@case
def one_node(daemon: Daemon) -> None:
    """docker-compose.yml, and its data is there after the container is another one."""
    file = REPOSITORY / 'docker' / 'docker-compose.yml'
    daemon.compose(file, 'up', '--detach')
    wait_until_healthy(daemon, 'broker')
    Client(9092).check_use()
    daemon.compose(file, 'down')
    daemon.compose(file, 'up', '--detach')
    wait_until_healthy(daemon, 'broker')
    assert Client(9092).values('used', 100) == list(range(100))


@case
def cluster(daemon: Daemon) -> None:
    """docker-compose.cluster.yml: a node is killed under a client's feet and comes back."""
    daemon.compose(REPOSITORY / 'docker' / 'docker-compose.cluster.yml', 'up', '--detach')
    client = Client(29092, 39092, 49092)
    client.wait_for_brokers(1, 2, 3)
    client.create('kept', 6, 3)
    client.wait_until_in_sync('kept', 3)
    client.produce('kept', 500)
    daemon.docker('kill', 'kafka-2')
    client.produce('kept', 500, begin=500)
    client.wait_until_in_sync('kept', 2)
    assert client.values('kept', 1000) == list(range(1000))
    client.check_a_group('kept', 1000)
    daemon.docker('start', 'kafka-2')
    client.wait_until_in_sync('kept', 3)
    client.produce('kept', 500, begin=1000)
    assert Client(39092).values('kept', 1500) == list(range(1500))
    for node in ('kafka-1', 'kafka-2', 'kafka-3'):
        wait_until_healthy(daemon, node)


@case
def another_cluster_id(daemon: Daemon) -> None:
    """A directory belongs to one cluster."""
    for name, status in (('first', 0), ('second', 1)):
        daemon.docker('run', '--detach', '--name', name, '--volume', 'kept:/tmp/kraft-combined-logs', '--user', 'root',
                      '--env', f'CLUSTER_ID={name:_<22}', IMAGE)
        if status == 0:
            wait_until_healthy(daemon, name)
            daemon.docker('stop', name)
        wait_until_ended(daemon, name)
        assert daemon.state(name)['ExitCode'] == status, daemon.logs(name)
    assert 'first_' in daemon.logs('second') and 'second_' in daemon.logs('second'), daemon.logs('second')


@case
def stock_single(daemon: Daemon) -> None:
    up_stock(daemon, 'single')
    wait_until_healthy(daemon, 'stock_broker_1')
    Client(9092).check_use()


@case
def stock_combined(daemon: Daemon) -> None:
    up_stock(daemon, 'combined')
    for number in (1, 2, 3):
        wait_until_healthy(daemon, f'stock_kafka-{number}_1')
    wait_until_ended(daemon, 'stock_topics_1')
    assert daemon.state('stock_topics_1')['ExitCode'] == 0, daemon.logs('stock_topics_1')
    client = Client(29092, 39092, 49092)
    assert len(client.partitions('stock')) == 6
    client.wait_until_in_sync('stock', 3)
    client.check_use(replicas=3)


@case
def stock_isolated(daemon: Daemon) -> None:
    up_stock(daemon, 'isolated')
    client = Client(29092, 39092, 49092)
    client.wait_for_brokers(4, 5, 6)
    for name in daemon.containers():
        wait_until_healthy(daemon, name)
    client.check_use(replicas=3)
    daemon.docker('kill', 'stock_controller-1_1')
    client.check_use(topic='without', replicas=3)


@case
def stock_file_input(daemon: Daemon) -> None:
    up_stock(daemon, 'file-input')
    wait_until_healthy(daemon, 'stock_broker_1')
    client = Client(9092)
    client.wait_for_brokers(1)
    client.check_use()


@case
def stock_waiting_script(daemon: Daemon) -> None:
    up_stock(daemon, 'waiting-script')
    script = daemon.directory / 'start.sh'
    script.write_text('#!/bin/bash\n'
                      'export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092,BROKER://$(hostname -i):9093\n'
                      '/etc/kafka/docker/run\n')
    script.chmod(0o777)
    daemon.docker('cp', script, 'stock_broker_1:/tmp/start.sh')
    wait_until(lambda: 'Transitioning from RECOVERY to RUNNING' in daemon.logs('stock_broker_1'),
               why=lambda: daemon.logs('stock_broker_1'))
    Client(9092).check_use()


@case
def stock_tls(daemon: Daemon) -> None:
    """While there is no TLS, the log says so; and it says which file is missing, as the stock image does."""
    file = up_stock(daemon, 'tls')
    wait_until_ended(daemon, 'stock_broker_1')
    assert daemon.state('stock_broker_1')['ExitCode'] == 1
    missing = '/etc/kafka/secrets/broker.keystore.jks file does not exist'
    assert missing in daemon.logs('stock_broker_1'), daemon.logs('stock_broker_1')
    secrets = file.parent / 'secrets'
    for name in ('broker.keystore.jks', 'keystore_password', 'key_password'):
        (secrets / name).write_text('secret\n')
    daemon.docker('start', 'stock_broker_1')
    wait_until_ended(daemon, 'stock_broker_1')
    assert daemon.state('stock_broker_1')['ExitCode'] == 1
    assert 'only PLAINTEXT is served so far' in daemon.logs('stock_broker_1'), daemon.logs('stock_broker_1')


def up_stock(daemon: Daemon, name: str) -> pathlib.Path:
    """Starts a file written for the stock image, in which nothing but the image is changed."""
    directory = daemon.directory / 'stock'
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(HERE / 'stock', directory)
    file = directory / f'{name}.yml'
    file.write_text(file.read_text().replace(f'image: {STOCK_IMAGE}', f'image: {IMAGE}'))
    daemon.compose(file, 'up', '--detach')
    return file


def wait_until_healthy(daemon: Daemon, container: str) -> None:
    def healthy():
        state = daemon.state(container)
        assert state['Running'], f'{container} ended: {daemon.logs(container)}'
        return state['Health']['Status'] == 'healthy'

    wait_until(healthy, why=lambda: f'{container}: {daemon.state(container)["Health"]}\n{daemon.logs(container)}\nnot healthy')


def wait_until_ended(daemon: Daemon, container: str) -> None:
    wait_until(lambda: not daemon.state(container)['Running'], why=lambda: f'{daemon.logs(container)}\n{container} does not end')


def make_image(daemon: Daemon) -> None:
    """The image that compile.py has made, or else that of the binary that is there."""
    if compiled := os.environ.get('OTTLA_IMAGE'):
        daemon.docker('load', '--input', compiled)
    else:
        build_prebuilt(daemon)


def build_prebuilt(daemon: Daemon) -> None:
    """Nothing is compiled and nothing is pulled."""
    daemon.docker('import', os.environ['OTTLA_BASE'], BASE_IMAGE)
    context = daemon.directory / 'context'
    (context / 'docker' / 'prebuilt').mkdir(parents=True)
    shutil.copy(ottla_binary(), context / 'docker' / 'prebuilt' / 'ottla')
    for name in ('docker', 'dist'):
        shutil.copytree(REPOSITORY / name, context / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns('prebuilt'))
    daemon.docker('build', '--file', context / 'docker' / 'Dockerfile', '--tag', IMAGE, '--build-arg', 'BINARY=prebuilt', context)
    shutil.rmtree(context)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', action='append', choices=CASES, metavar='CASE', help='this case; may be given many times')
    parser.add_argument('--list', action='store_true', help='print the cases')
    options = parser.parse_args()
    if options.list:
        print('\n'.join(CASES))
        return 0
    if 'OTTLA_IMAGE' not in os.environ and not ottla_binary().exists():
        print(f'skipped: there is no {ottla_binary()}, which `make build` makes')
        return 0
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-docker-'))
    try:
        daemon = Daemon(directory)
    except NotPermitted as why:
        print(f'skipped: no image can be built here: {why}')
        shutil.rmtree(directory)
        return 0
    try:
        make_image(daemon)
        failed = [name for name in options.only or CASES if not passed(name, daemon)]
    finally:
        daemon.discard_containers()
        daemon.discard()
        shutil.rmtree(directory)
    print(f'failed: {", ".join(failed)}' if failed else 'all passed')
    return int(bool(failed))


def passed(name: str, daemon: Daemon) -> bool:
    print(f'{name} ...', flush=True)
    began = time.monotonic()
    try:
        CASES[name](daemon)
    except Exception:  # noqa: BLE001 - whatever went wrong, the other cases are told too
        traceback.print_exc()
        for container in daemon.containers():
            print(f'--- {container}\n{daemon.logs(container)}')
        return False
    finally:
        daemon.discard_containers()
    print(f'{name} passed in {time.monotonic() - began:.1f} s', flush=True)
    return True


if __name__ == '__main__':
    sys.exit(main())
