"""The command line: which tests, on which broker."""

import argparse
import pathlib
import signal
import sys
import tempfile
import time

from compat import places
from compat.result import Case, Outcome
from suite import java, shards, verdict

HERE = java.HERE
BASELINE, INTERNALS, WAITING = HERE / 'baseline.tsv', HERE / 'internals.tsv', HERE / 'waiting.tsv'
SKIPPED, PAUSED = 3, 4


def main() -> int:
    arguments = parse_arguments()
    classes = [name for name in read_classes() if selected(name, arguments.only)]
    if not classes:
        print('no class of that name; classes.txt has them', file=sys.stderr)
        return 2
    ottla = None if arguments.baseline else places.ottla_binary()
    try:
        class_path = java.class_path(on_ottla=not arguments.baseline)
    except java.Missing as missing:
        print(f'skipped: {missing}')
        return SKIPPED
    output = arguments.output = arguments.output or pathlib.Path(tempfile.mkdtemp(prefix='apache-kafka-'))
    output.mkdir(parents=True, exist_ok=True)
    if not shards.may_go_on(output, ottla, arguments.resume):
        print(f'what ran in {output} ran on another program', file=sys.stderr)
        return 2
    begun = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, shards.leave_nothing_behind)
    print(f'{len(classes)} classes on {"Apache Kafka" if arguments.baseline else ottla}, output in {output}', flush=True)
    known = {} if arguments.baseline or arguments.all or arguments.method else known_methods()
    without = {name: [method for method, tells in known.get(shards.short_name(name), {}).items() if not tells]
               for name in classes}
    run = shards.Shards(class_path, HERE / 'log4j2.properties', output, ottla, arguments.jobs,
                        arguments.class_seconds, deadline=begun + arguments.seconds,
                        pause=begun + (arguments.pause_after or arguments.seconds), methods={name: arguments.method or [] for name in classes}, without=without)
    wanted = [name for name in classes if tells(name, known)]
    results = run.run(wanted, report)
    if len(results) < len(wanted):
        print(f'{len(results)} of {len(wanted)} classes have run; --resume --output {output} goes on')
        return PAUSED
    cases = {case.name: case for found in results.values() for case in found}
    seconds = time.monotonic() - begun
    shards.write_cases(output / 'results.tsv', list(cases.values()))
    duration = f'{seconds:.0f} s' + (' since the last pause' if arguments.resume else '')
    print(f'{len(cases)} cases in {duration}: ' + ', '.join(
        f'{sum(case.outcome is outcome for case in cases.values())} {outcome.value}' for outcome in Outcome))
    if arguments.baseline:
        return keep_baseline(cases, arguments)
    return compare(cases, classes, arguments)


def parse_arguments():
    parser = argparse.ArgumentParser(prog='compat-tests/apache-kafka/run', description=__doc__)
    parser.add_argument('--baseline', action='store_true',
                        help='run on Apache Kafka in the same JVM, and write what passes to baseline.tsv')
    parser.add_argument('--only', metavar='CLASS', action='append', help='only this class; may be repeated')
    parser.add_argument('--method', metavar='NAME', action='append',
                        help='only the tests of this method')
    parser.add_argument('--all', action='store_true', help='also the tests that are listed as waiting, which tell nothing')
    parser.add_argument('--jobs', metavar='N', type=int, default=2, help='classes at a time [2]')
    parser.add_argument('--class-seconds', metavar='N', type=int, default=1800, help='time limit of a class [1800]')
    parser.add_argument('--seconds', metavar='N', type=int, default=7200, help='time limit of the run [7200]')
    parser.add_argument('--pause-after', metavar='N', type=int,
                        help='start no class after so many seconds; --resume goes on')
    parser.add_argument('--resume', action='store_true', help='run what has not run in --output, and judge all of it')
    parser.add_argument('--output', metavar='DIR', type=pathlib.Path, help='where results and logs go')
    return parser.parse_args()


def read_classes() -> list[str]:
    lines = (HERE / 'classes.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def selected(name: str, only: list[str] | None) -> bool:
    return not only or name in only or shards.short_name(name) in only


def known_methods() -> dict[str, dict[str, bool]]:
    return verdict.methods_that_tell(verdict.read_baseline(BASELINE), every_listed())


def tells(name: str, known: dict[str, dict[str, bool]]) -> bool:
    """Whether running a class can show anything."""
    methods = known.get(shards.short_name(name))
    return methods is None or any(methods.values())


def every_listed() -> list[verdict.Listed]:
    return verdict.read_list(INTERNALS, 2) + verdict.read_list(WAITING, 3)


def report(name: str, cases: list[Case], seconds: float) -> None:
    passed = sum(case.outcome is Outcome.PASSED for case in cases)
    print(f'  {shards.short_name(name)}: {passed} of {len(cases)} passed in {seconds:.0f} s', flush=True)


def keep_baseline(cases: dict[str, Case], arguments) -> int:
    """What ran takes the place of what was known: whole classes, or single methods of them."""
    for case in cases.values():
        if case.outcome is not Outcome.PASSED:
            print(f'  {case.outcome.value:8} {case.name}  {case.detail[:300]}')
    ran = {part_of(name, arguments) for name in cases}
    kept = {name: outcome for name, outcome in verdict.read_baseline(BASELINE).items()
            if part_of(name, arguments) not in ran}
    verdict.write_baseline(BASELINE, kept | {case.name: case.outcome for case in cases.values()})
    return 0


def part_of(case: str, arguments) -> str:
    return case.split(' ')[0] if arguments.method else case.split('::')[0]


def compare(cases: dict[str, Case], classes: list[str], arguments) -> int:
    ran = {shards.short_name(name) for name in classes}
    baseline = {name: outcome for name, outcome in verdict.read_baseline(BASELINE).items()
                if name.split('::')[0] in ran and (not arguments.method or name in cases)}
    found = verdict.judge(cases, baseline, verdict.read_list(INTERNALS, 2), verdict.read_list(WAITING, 3))
    found.write(arguments.output / 'verdict.tsv')
    for name in found.recovered:
        print(f'  passes now, is it still to be listed? {name}')
    for case, reason in found.open:
        print(f'  {case.outcome.value} (listed: {reason}) {case.name}')
    for case in found.unlisted:
        print(f'  {case.outcome.value.upper()} {case.name}  {case.detail[:400]}')
    print('\n'.join(found.lines()), flush=True)
    return 1 if found.unlisted else 0


if __name__ == '__main__':
    sys.exit(main())
