"""Apache Kafka's own integration tests, which start Ottla themselves."""

import os

from compat import places
from compat.result import Case, Outcome
from compat.suites import Run, Suite, Unavailable

SKIPPED = 'skipped: '


def integration_tests(run: Run) -> list[Case]:
    """The cases that must pass; which those are, its own lists say."""
    if run.on_kafka:
        raise Unavailable("compat-tests/apache-kafka/run --baseline runs them on Apache Kafka")
    # It ends by itself before the suite's time does, so that no Java process is left.
    seconds = str(int(run.seconds_left() - 30))
    command = [places.COMPAT_TESTS / 'apache-kafka' / 'run', '--output', run.output, '--seconds', seconds]
    if run.selection:
        command += ['--only', run.selection]
    printed = run.command(command, env=os.environ | {'OTTLA_BIN': str(places.ottla_binary())})
    for line in printed.splitlines():
        if line.startswith(SKIPPED):
            raise Unavailable(line.removeprefix(SKIPPED))
    verdict = run.output / 'verdict.tsv'
    if not verdict.exists():
        raise RuntimeError('there is no verdict: ' + ' '.join(printed.splitlines()[-3:]))
    print('\n'.join(f'   {line}' for line in printed.splitlines()[-5:]))
    lines = (line.split('\t') for line in verdict.read_text().splitlines())
    return [Case(name, Outcome(outcome), detail) for name, outcome, detail in lines]


SUITES = [
    Suite('apache-kafka', "Apache Kafka's own integration tests (4.3.1)", seconds=2400, run=integration_tests,
          needs_broker=False),
]
