"""kafka-python: our suite of its public methods, and its own integration suite."""

import os
import shutil
import subprocess
import sys
import tarfile

from compat import places
from compat.result import Case, Outcome, from_junit
from compat.suites import Run, Suite, Unavailable

VERSION = '3.0.12'
# Theirs kills all of pytest at the first case that takes too long.
PYTEST_LIMITS = ['-o', 'addopts=', '--timeout', '90', '--timeout-method=signal']
# Each of their cases waits minutes for a broker that cannot come up, so they
# are counted as skipped without being started.
WAITING = {
    'test_sasl_integration.py': 'SASL is not served yet',
    'test_ssl_integration.py': 'TLS is not served yet',
}


def public_methods(run: Run) -> list[Case]:
    return pytest(run, places.COMPAT_TESTS / 'kafka-python', {'BOOTSTRAP_SERVERS': run.address, 'REPLICAS': str(run.nodes)})


def own_suite_at_address(run: Run) -> list[Case]:
    source = fetch_source()
    root = run.output / 'empty-kafka-root'
    root.mkdir(exist_ok=True)
    # It takes the address of one node and finds the others by itself.
    address = run.address.partition(',')[0]
    return own_suite(run, source, {'KAFKA_URI': f'kafka://{address}', 'KAFKA_ROOT': str(root)})


def own_suite_spawning(run: Run) -> list[Case]:
    if not (run.dist / 'bin' / 'kafka-run-class.sh').exists():
        raise Unavailable(f'{run.dist} has no bin/kafka-run-class.sh')
    source = fetch_source()
    return own_suite(run, source, {'KAFKA_ROOT': str(run.dist), 'OTTLA_BIN': str(places.ottla_binary())})


def own_suite(run: Run, source, environment) -> list[Case]:
    wanted = {'KAFKA_VERSION': '4.3.0', 'PROJECT_ROOT': str(source), 'REPLICAS': str(run.nodes)} | environment
    tests = source / 'test' / 'integration'
    options = ['-p', 'test.replicas', *(f'--ignore={tests / module}' for module in WAITING)]
    skipped = [Case(name, Outcome.SKIPPED, reason) for module, reason in WAITING.items()
               for name in collect(run, tests / module, wanted, source)]
    return pytest(run, tests, wanted, cwd=source, options=options) + skipped


def collect(run: Run, module, environment, cwd) -> list[str]:
    """The names of a module's cases, without running them."""
    command = [run.python, '-m', 'pytest', module, '-q', '--collect-only', '-o', 'addopts=']
    output = run.command(command, env=os.environ | environment, cwd=cwd, log='collected.txt')
    lines = [line.rpartition('/')[2] for line in output.splitlines() if '.py::' in line]
    # As in `from_junit`: a class stands for its module.
    return ['::'.join(line.replace('.py::', '::').split('::')[-2:]) for line in lines]


def pytest(run: Run, tests, environment, cwd=None, options=()) -> list[Case]:
    junit = run.output / 'junit.xml'
    junit.unlink(missing_ok=True)
    command = [run.python, '-m', 'pytest', tests, '-q', '-rA', *PYTEST_LIMITS,
               '-o', 'log_level=CRITICAL', '-p', 'no:cacheprovider', f'--junitxml={junit}', *options]
    if run.selection:
        command += ['-k', run.selection]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith('KAFKA_')}
    output = run.command(command, env=inherited | {'PYTHONUNBUFFERED': '1'} | environment, cwd=cwd)
    if not junit.exists():
        raise RuntimeError('pytest wrote no result: ' + ' '.join(output.splitlines()[-3:]))
    return from_junit(junit)


def fetch_source():
    """The source distribution, unpacked once, with what is added that
    it needs to run outside its repository."""
    source = places.FOREIGN / f'kafka_python-{VERSION}'
    if not (source / 'test' / 'integration').exists():
        places.FOREIGN.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-binary', ':all:',
                        '--dest', places.FOREIGN, f'kafka-python=={VERSION}'], check=True)
        with tarfile.open(places.FOREIGN / f'kafka_python-{VERSION}.tar.gz') as archive:
            archive.extractall(places.FOREIGN, filter='data')
    # The installed release is what is tested, not the copy beside the tests.
    shutil.rmtree(source / 'kafka', ignore_errors=True)
    ours = places.COMPAT_TESTS / 'kafka-python-own'
    # Without this file Python finds its own standard package `test` first.
    (source / 'test' / '__init__.py').touch()
    for ours_there in ('service.py', 'replicas.py'):
        shutil.copy(ours / ours_there, source / 'test' / ours_there)
    shutil.copytree(ours / 'resources', source / 'servers' / 'resources' / 'default', dirs_exist_ok=True)
    return source


SUITES = [
    Suite('kafka-python', 'every public method of its consumer, producer and admin client',
          seconds=600, run=public_methods, settings={'log.cleaner.backoff.ms': '200'}, quick=True),
    Suite('kafka-python-own-address', f'its own integration suite ({VERSION}) at an address',
          seconds=900, run=own_suite_at_address, settings={'node.id': '0'}, quick=True),
    Suite('kafka-python-own-spawn', 'the same suite, starting brokers through the scripts of a Kafka folder',
          seconds=1200, run=own_suite_spawning, needs_broker=False),
]
