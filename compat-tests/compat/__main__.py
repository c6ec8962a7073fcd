"""The command line: which suites, against which broker."""

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time
import traceback

from compat import broker, places
from compat.result import Case, Outcome, Verdict, judge, read_expectations
from compat.suites import Run, Suite, Unavailable, all_suites

EXPECTED = places.COMPAT_TESTS / 'expected-failures.tsv'


def main() -> int:
    arguments = parse_arguments()
    suites = [suite for suite in all_suites() if selected(suite, arguments)]
    if not suites:
        print('no suite of that name; --list shows them', file=sys.stderr)
        return 2
    if arguments.list:
        for suite in suites:
            print(f'{suite.name:28} {suite.summary}')
        return 0
    expectations = read_expectations(arguments.expected)
    unexpected = 0
    for suite in suites:
        verdict = run_suite(suite, arguments, expectations)
        unexpected += len(verdict.unexpected)
    return 1 if unexpected else 0


def parse_arguments():
    parser = argparse.ArgumentParser(prog='compat-tests/run', description=__doc__)
    parser.add_argument('--only', metavar='NAME', action='append', help='run this suite; may be repeated')
    parser.add_argument('--quick', action='store_true', help='only the suites that need no compiling and no apt')
    parser.add_argument('--broker', metavar='HOST:PORT', help='test this broker instead of starting ours')
    parser.add_argument('--dist', metavar='DIR', type=pathlib.Path, default=places.DIST,
                        help='the Kafka folder for the suites that start brokers themselves')
    parser.add_argument('--expected', metavar='FILE', type=pathlib.Path, default=EXPECTED,
                        help='the list of cases that may fail, with their reasons')
    parser.add_argument('-k', dest='selection', metavar='CASES', help='only these cases, as pytest selects them')
    parser.add_argument('--list', action='store_true', help='show the suites and end')
    return parser.parse_args()


def selected(suite: Suite, arguments) -> bool:
    if arguments.only:
        return suite.name in arguments.only
    return suite.quick or not arguments.quick


def run_suite(suite: Suite, arguments, expectations) -> Verdict:
    output = pathlib.Path(tempfile.mkdtemp(prefix=f'compat-{suite.name}-'))
    print(f'== {suite.name}: {suite.summary}\n   output in {output}', flush=True)
    begun = time.monotonic()
    try:
        with broker_for(suite, arguments, output) as address:
            run = Run(address, arguments.dist.resolve(), sys.executable, output,
                      begun + suite.seconds, arguments.selection)
            cases = suite.run(run)
    except Unavailable as reason:
        cases = [Case('(the whole suite)', Outcome.SKIPPED, str(reason))]
    except Exception as error:
        traceback.print_exc()
        cases = [Case('(the whole suite)', Outcome.FAILED, str(error))]
    verdict = judge(suite.name, cases, expectations)
    report(verdict, time.monotonic() - begun)
    return verdict


def broker_for(suite: Suite, arguments, output: pathlib.Path):
    if not suite.needs_broker:
        return contextlib.nullcontext()
    if arguments.broker:
        return contextlib.nullcontext(arguments.broker)
    if suite.port and broker.is_listening(f'127.0.0.1:{suite.port}'):
        raise Unavailable(f'something else listens on port {suite.port}, which this suite has written into its cases')
    return broker.ottla(places.ottla_binary(), output / 'broker.log', suite.settings, suite.port)


def report(verdict: Verdict, seconds: float) -> None:
    for case, reason in verdict.known:
        print(f'   {case.outcome.value:8} {case.name}  (listed: {reason})')
    for case in verdict.recovered:
        print(f'   passes now, take it off the list: {case.name}')
    for case in verdict.unexpected:
        print(f'   {case.outcome.value.upper():8} {case.name}  {case.detail}')
    print(f'   {verdict.line} in {seconds:.0f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
