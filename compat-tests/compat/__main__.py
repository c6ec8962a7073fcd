"""The command line: which suites, against which broker."""

import argparse
import contextlib
import pathlib
import signal
import sys
import tempfile
import time
import traceback

from compat import baseline, broker, places
from compat.result import WHOLE_SUITE, Case, Outcome, Verdict, judge, read_expectations
from compat.suites import Run, Suite, Unavailable, all_suites

EXPECTED = places.COMPAT_TESTS / 'expected-failures.tsv'


def main() -> int:
    # Told to stop, it stops the brokers that it started.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    arguments = parse_arguments()
    suites = [suite for suite in all_suites() if selected(suite, arguments)]
    if not suites:
        print('no suite of that name; --list shows them', file=sys.stderr)
        return 2
    if arguments.list:
        for suite in suites:
            print(f'{suite.name:28} {suite.summary}')
        return 0
    expectations = read_expectations(arguments.expected) if arguments.on == 'ottla' else []
    lines = []
    unexpected = 0
    for suite in suites:
        begun = time.monotonic()
        try:
            verdict = run_suite(suite, arguments, expectations, begun)
            report(verdict)
            unexpected += len(verdict.unexpected)
            line = verdict.line
        except Unavailable as reason:
            line = f'skipped: {reason}'
        lines.append(f'{suite.name:28} {line} in {time.monotonic() - begun:.0f} s')
        print(f'   {line}', flush=True)
    where = arguments.broker or arguments.on
    print('\n'.join([f'== on {arguments.nodes} nodes of {where}' if arguments.nodes > 1 else f'== on {where}', *lines]))
    return 1 if unexpected else 0


def parse_arguments():
    parser = argparse.ArgumentParser(prog='compat-tests/run', description=__doc__)
    parser.add_argument('--only', metavar='NAME', action='append', help='run this suite; may be repeated')
    parser.add_argument('--quick', action='store_true', help='only the suites that are done within minutes')
    parser.add_argument('--all', action='store_true', help='also the suites that run on request only')
    parser.add_argument('--on', choices=['ottla', 'kafka'], default='ottla', help='which broker to start')
    parser.add_argument('--nodes', type=int, choices=[1, 3], default=1, help='of which it starts so many, one cluster')
    parser.add_argument('--broker', metavar='HOST:PORT', help='test this broker instead of starting one')
    parser.add_argument('--dist', metavar='DIR', type=pathlib.Path,
                        help='the Kafka folder for the suites that start brokers themselves')
    parser.add_argument('--expected', metavar='FILE', type=pathlib.Path, default=EXPECTED,
                        help='the list of cases that may fail on Ottla, with their reasons')
    parser.add_argument('--write-baseline', action='store_true', help='keep the outcomes as those of Apache Kafka')
    parser.add_argument('-k', dest='selection', metavar='CASES', help='only these cases, as pytest selects them')
    parser.add_argument('--list', action='store_true', help='show the suites and end')
    arguments = parser.parse_args()
    if arguments.broker and arguments.nodes > 1:
        parser.error('--nodes is about brokers that are started here')
    if arguments.write_baseline and (arguments.on != 'kafka' or arguments.broker):
        parser.error('a baseline is what Apache Kafka does: --write-baseline needs --on kafka')
    return arguments


def selected(suite: Suite, arguments) -> bool:
    if arguments.only:
        return suite.name in arguments.only
    if arguments.quick:
        return suite.quick
    return arguments.all or arguments.list or not suite.on_request


def run_suite(suite: Suite, arguments, expectations, begun: float) -> Verdict:
    output = pathlib.Path(tempfile.mkdtemp(prefix=f'compat-{suite.name}-'))
    print(f'== {suite.name}: {suite.summary}\n   output in {output}', flush=True)
    try:
        dist = arguments.dist or (broker.kafka_folder().place if arguments.on == 'kafka' else places.DIST)
        with broker_for(suite, arguments, output) as address:
            run = Run(address, dist.resolve(), sys.executable, output, begun + suite.seconds, arguments.selection,
                      on_kafka=arguments.on == 'kafka', nodes=arguments.nodes)
            cases = suite.run(run)
    except Unavailable:
        raise
    except Exception as error:
        traceback.print_exc()
        cases = [Case(WHOLE_SUITE, Outcome.FAILED, str(error))]
    known = baseline.read(suite.baseline_name, arguments.nodes)
    there = {name: entry for name, entry in known.items() if suite.covers(name)}
    if arguments.write_baseline and not any(case.name == WHOLE_SUITE for case in cases):
        kept = set(known) if arguments.selection else known.keys() - there.keys()
        baseline.write(suite.baseline_name, arguments.nodes, cases, kept, broker.kafka_folder().version)
    if arguments.selection:
        there = {case.name: there[case.name] for case in cases if case.name in there}
    return judge(suite.name, cases, expectations, there)


def broker_for(suite: Suite, arguments, output: pathlib.Path):
    if not suite.needs_broker and arguments.nodes > 1:
        raise Unavailable('it starts its brokers itself, and each of them alone')
    if not suite.needs_broker:
        return contextlib.nullcontext()
    if arguments.broker:
        return contextlib.nullcontext(arguments.broker)
    if suite.port and broker.is_listening(f'127.0.0.1:{suite.port}'):
        raise Unavailable(f'something else listens on port {suite.port}, which this suite has written into its cases')
    if arguments.on == 'kafka':
        return broker.kafka(output / 'broker.log', suite.settings, suite.port, arguments.nodes)
    return broker.ottla(places.ottla_binary(), output / 'broker.log', suite.settings, suite.port, arguments.nodes)


def report(verdict: Verdict) -> None:
    for case, reason in verdict.known:
        print(f'   {case.outcome.value:8} {case.name}  ({reason})')
    for case in verdict.recovered:
        print(f'   passes now, take it off the list: {case.name}')
    for case in verdict.beyond:
        print(f'   passes, but not on Apache Kafka: {case.name}')
    for case in verdict.unexpected:
        print(f'   {case.outcome.value.upper():8} {case.name}  {case.detail}')


if __name__ == '__main__':
    sys.exit(main())
