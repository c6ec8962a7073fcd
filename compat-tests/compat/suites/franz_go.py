"""The tests of franz-go's client package that talk to a broker."""

import json
import os
import pathlib
import shutil
import subprocess

from compat import places
from compat.result import Case, Outcome
from compat.suites import Run, Suite, Unavailable

MODULE, VERSION = 'github.com/twmb/franz-go', '1.21.5'
BUILD_SECONDS = 900
TESTS = """
    TestIssue1034 TestPing TestUnknownGroupOffsetFetchPinned TestSCRAMAuth TestSCRAMAuthBadCredentials
    TestAddRemovePartitions TestConsumeRegex TestConsumeTopicRetrieval TestConsumeTopicRetrieval_Many
    TestDirectPartitionPurge TestGroupSimple TestHookPollStart TestIssue325 TestIssue337 TestIssue434 TestIssue523
    TestIssue648 TestIssue810 TestIssue865 TestPauseIssue489 TestPauseIssueOct2023 TestPooling
    TestGroupETL TestClient_Produce TestClient_ProduceLargeMessages TestIssue769 TestIssue831
    TestIssueProduceSyncManualPartitionNegativeDoesNotPanic
    TestShareGroup TestShareGroupAckOnClose TestShareGroupETL TestShareGroupOffsetsAdmin TestTxnEtl
    """.split()
# Theirs is half a million, for a cluster of machines.
RECORDS = 50_000
WAITING = {'TestTxnEtl': 'transactions are not served yet'}
WORDS = {'pass': Outcome.PASSED, 'fail': Outcome.FAILED, 'skip': Outcome.SKIPPED}


def kgo(run: Run) -> list[Case]:
    program = build()
    waiting = {} if run.on_kafka else WAITING
    tests = [test for test in TESTS if test not in waiting]
    if run.selection:
        tests = [test for test in tests if run.selection in test]
    environment = os.environ | {
        'KGO_SEEDS': run.address, 'KGO_TEST_RF': str(run.nodes), 'KGO_TEST_STABLE_FETCH': 'true',
        'KGO_TEST_RECORDS': str(RECORDS), 'KGO_LOG_LEVEL': 'none'}
    arguments = [f'-test.run=^({"|".join(tests)})$', '-test.v=test2json', '-test.count=1',
                 f'-test.timeout={run.seconds_left() - 5:.0f}s']
    output = run.command(['go', 'tool', 'test2json', program, *arguments], env=environment, cwd=program.parent)
    skipped = [Case(name, Outcome.SKIPPED, reason) for name, reason in waiting.items()]
    return cases_of(output) + (skipped if not run.selection else [])


def cases_of(output: str) -> list[Case]:
    """A case for each test without tests inside it, from lines of JSON."""
    printed: dict[str, str] = {}
    outcomes: dict[str, Outcome] = {}
    for line in output.splitlines():
        if not line.startswith('{'):
            continue
        event = json.loads(line)
        name = event.get('Test')
        if name is None:
            continue
        outcomes.setdefault(name, Outcome.FAILED)
        if event['Action'] == 'output':
            printed[name] = printed.get(name, '') + event['Output']
        elif event['Action'] in WORDS:
            outcomes[name] = WORDS[event['Action']]
    parents = {name.rpartition('/')[0] for name in outcomes}
    return [Case(name, outcome, detail_of(printed.get(name, ''))) for name, outcome in outcomes.items()
            if name not in parents]


def detail_of(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if '_test.go:' in line]
    return lines[0] if lines else ''


def build() -> pathlib.Path:
    """The package's test binary, built once from a copy in the cache."""
    program = places.FOREIGN / f'franz-go-{VERSION}' / 'kgo.test'
    if program.exists():
        return program
    if shutil.which('go') is None:
        raise Unavailable('go is not installed')
    module = places.FOREIGN / 'fetch-franz-go'
    module.mkdir(parents=True, exist_ok=True)
    (module / 'go.mod').write_text('module fetch\n')
    downloaded = subprocess.run(['go', 'mod', 'download', '-json', f'{MODULE}@v{VERSION}'], cwd=module,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if downloaded.returncode != 0:
        raise Unavailable(f'go could not bring {MODULE}: {downloaded.stderr.strip()[-200:]}')
    source = pathlib.Path(json.loads(downloaded.stdout)['Dir'])
    program.parent.mkdir(exist_ok=True)
    built = subprocess.run(['go', 'test', '-c', '-o', program, './pkg/kgo'], cwd=source, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=BUILD_SECONDS)
    if built.returncode != 0:
        raise RuntimeError(f'{MODULE} does not build: {built.stderr[-500:]}')
    return program


SUITES = [
    Suite('franz-go', f"franz-go {VERSION}'s own tests of its client that need a broker", seconds=900, run=kgo),
]
