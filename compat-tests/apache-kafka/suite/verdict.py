"""Which cases must pass on Ottla, and how many do."""

import collections
import dataclasses
import pathlib
import re

from compat.result import Case, Outcome

# Stands in waiting.tsv for a difference of ours that no later issue removes: such a case stays among those that must pass.
OPEN = 'open'


@dataclasses.dataclass(frozen=True)
class Listed:
    """A case, or with `*` several, that may fail on Ottla."""

    pattern: str
    issue: str
    reason: str

    def covers(self, name: str) -> bool:
        return re.fullmatch('.*'.join(map(re.escape, self.pattern.split('*'))), name) is not None


def read_list(path: pathlib.Path, columns: int) -> list[Listed]:
    """Lines of a case, the issue (in the list that has one) and the reason, with tabs between them."""
    listed = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith('#'):
            continue
        fields = line.split('\t')
        if len(fields) != columns or not all(field.strip() for field in fields):
            raise ValueError(f'{path}:{number}: expected {columns} fields with tabs between them')
        listed.append(Listed(fields[0], fields[1] if columns == 3 else '', fields[-1]))
    return listed


def read_baseline(path: pathlib.Path) -> dict[str, Outcome]:
    lines = [line.split('\t') for line in path.read_text().splitlines() if line and not line.startswith('#')]
    return {case: Outcome(outcome) for case, outcome in lines}


def write_baseline(path: pathlib.Path, cases: dict[str, Outcome]) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith('#')]
    lines = [f'{case}\t{cases[case].value}' for case in sorted(cases)]
    path.write_text('\n'.join(head + lines) + '\n')


@dataclasses.dataclass
class Verdict:
    """The cases that pass on Apache Kafka, by what they came to on Ottla."""

    passed: list[str]
    open: list[tuple[Case, str]]
    unlisted: list[Case]
    internals: list[str]
    waiting: dict[str, list[str]]
    recovered: list[str]
    not_on_kafka: list[str]

    @property
    def required(self) -> int:
        return len(self.passed) + len(self.open) + len(self.unlisted)

    def lines(self) -> list[str]:
        kafka = self.required + len(self.internals) + sum(map(len, self.waiting.values()))
        share = 100 * len(self.passed) / max(1, self.required)
        names = self.passed + [case.name for case, _ in self.open] + [case.name for case in self.unlisted]
        waiting = ', '.join(f'{issue} {len(cases)}' for issue, cases in sorted(self.waiting.items()))
        return [
            f'{kafka} cases pass on Apache Kafka ({len(self.not_on_kafka)} more do not)',
            f'  {len(self.internals)} of them look into the JVM broker',
            f'  {sum(map(len, self.waiting.values()))} wait for a later issue: {waiting or "none"}',
            f'{len(names)} cases ({self.methods(names)} methods) pass on Apache Kafka and need no later issue',
            f'{len(self.passed)} of them pass on Ottla: {share:.1f} %',
        ]

    def write(self, path: pathlib.Path) -> None:
        """The cases that have to pass, a line each: the case, what it came to, why."""
        rows = [(name, Outcome.PASSED, '') for name in self.passed]
        rows += [(f'(listed as {OPEN}) {case.name}', case.outcome, reason) for case, reason in self.open]
        rows += [(case.name, case.outcome, case.detail) for case in self.unlisted]
        path.write_text(''.join(f'{name}\t{outcome.value}\t{detail}\n' for name, outcome, detail in rows))

    @staticmethod
    def methods(names: list[str]) -> int:
        return len({name.split(' ')[0] for name in names})


def not_worth_running(baseline: dict[str, Outcome], listed: list[Listed]) -> dict[str, list[str]]:
    """Of each class the methods of which no case has to pass: running them would only take time."""
    worth = collections.defaultdict(set)
    every = collections.defaultdict(set)
    for name, outcome in baseline.items():
        short, _, case = name.partition('::')
        method = case.split(' ')[0]
        every[short].add(method)
        if outcome is Outcome.PASSED and not any(entry.covers(name) for entry in listed if entry.issue != OPEN):
            worth[short].add(method)
    return {short: sorted(methods - worth[short]) for short, methods in every.items()}


def judge(ottla: dict[str, Case], baseline: dict[str, Outcome], internals: list[Listed], waiting: list[Listed]) -> Verdict:
    """A skip where Apache Kafka passes is a failure, and so is a case that did not run."""
    verdict = Verdict([], [], [], [], collections.defaultdict(list), [], [])
    for name, outcome in sorted(baseline.items()):
        if outcome is not Outcome.PASSED:
            verdict.not_on_kafka.append(name)
            continue
        case = ottla.get(name) or Case(name, Outcome.FAILED, 'did not run')
        inside = next((entry for entry in internals if entry.covers(name)), None)
        waits = next((entry for entry in waiting if entry.covers(name)), None)
        if case.outcome is Outcome.PASSED and (inside or waits):
            verdict.recovered.append(name)
        if inside:
            verdict.internals.append(name)
        elif waits and waits.issue != OPEN:
            verdict.waiting[waits.issue].append(name)
        elif case.outcome is Outcome.PASSED:
            verdict.passed.append(name)
        elif waits:
            verdict.open.append((case, waits.reason))
        else:
            verdict.unlisted.append(case)
    return verdict
