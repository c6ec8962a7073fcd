"""What a suite's cases came to, and how that compares with what we expect."""

import dataclasses
import enum
import fnmatch
import pathlib
import xml.etree.ElementTree as ElementTree


# The name of the case that stands for a suite of which nothing is known.
WHOLE_SUITE = '(the whole suite)'


class Outcome(enum.Enum):
    PASSED = 'passed'
    FAILED = 'failed'
    SKIPPED = 'skipped'


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    outcome: Outcome
    detail: str = ''


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A case that may fail or be skipped, with the reason why it may."""

    suite: str
    case: str
    outcome: Outcome
    reason: str

    def covers(self, suite: str, case: Case) -> bool:
        return fnmatch.fnmatchcase(suite, self.suite) and fnmatch.fnmatchcase(case.name, self.case)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A case's outcome on Apache Kafka; where it does not pass there, the
    reason, once a person has found it."""

    outcome: Outcome
    reason: str = ''


@dataclasses.dataclass
class Verdict:
    """Cases sorted by whether they did as expected."""

    cases: list[Case]
    known: list[tuple[Case, str]] = dataclasses.field(default_factory=list)
    unexpected: list[Case] = dataclasses.field(default_factory=list)
    recovered: list[Case] = dataclasses.field(default_factory=list)
    # Passed, though the same case does not pass on Apache Kafka.
    beyond: list[Case] = dataclasses.field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def line(self) -> str:
        counts = ', '.join(f'{self.count(outcome)} {outcome.value}' for outcome in
                           (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED))
        return f'{counts} ({len(self.known)} of them as expected)' if self.known else counts


def read_expectations(path: pathlib.Path) -> list[Expectation]:
    """Lines of suite, case, failed|skipped and reason, with tabs between them."""
    expectations = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith('#'):
            continue
        fields = line.split('\t')
        if len(fields) != 4 or not fields[3].strip():
            raise ValueError(f'{path}:{number}: expected suite, case, outcome and reason')
        expectations.append(Expectation(fields[0], fields[1], Outcome(fields[2]), fields[3]))
    return expectations


def judge(suite: str, cases: list[Case], expectations: list[Expectation], baseline: dict[str, Entry]) -> Verdict:
    """A skip counts like a failure unless it is listed or the case is skipped
    on Apache Kafka too: a case that does not run proves nothing. So does one
    that ran on Apache Kafka and is not there now."""
    verdict = Verdict(cases)
    if not cases:
        verdict.unexpected.append(Case(WHOLE_SUITE, Outcome.FAILED, 'no case ran'))
    for case in cases:
        covering = [e for e in expectations if e.covers(suite, case)]
        there = baseline.get(case.name, Entry(Outcome.PASSED))
        if case.outcome is Outcome.PASSED:
            if any('*' not in e.case for e in covering):
                verdict.recovered.append(case)
            if there.outcome is not Outcome.PASSED:
                verdict.beyond.append(case)
        elif reason := next((e.reason for e in covering if e.outcome is case.outcome), None):
            verdict.known.append((case, reason))
        elif case.outcome is there.outcome:
            verdict.known.append((case, f'on Apache Kafka too: {there.reason or case.detail or "no reason found yet"}'))
        else:
            verdict.unexpected.append(case)
    names = {case.name for case in cases}
    verdict.unexpected += [Case(name, Outcome.FAILED, 'did not run') for name in baseline if not names & with_parents(name)]
    return verdict


def with_parents(name: str) -> set[str]:
    """A test that is skipped as a whole stands for the tests inside it."""
    parts = name.split('/')
    return {'/'.join(parts[:length]) for length in range(1, len(parts) + 1)}


def from_junit(path: pathlib.Path) -> list[Case]:
    """The cases of a JUnit XML file as pytest writes it."""
    cases: dict[str, Case] = {}
    for element in ElementTree.parse(path).getroot().iter('testcase'):
        module = element.get('classname', '').rsplit('.', 1)[-1]
        name = f'{module}::{element.get("name")}'
        outcome, detail = Outcome.PASSED, ''
        for child in element:
            if child.tag in ('failure', 'error'):
                outcome, detail = Outcome.FAILED, child.get('message', '')
            elif child.tag == 'skipped':
                outcome, detail = Outcome.SKIPPED, child.get('message', '')
        # A failing teardown comes as a second element of the same case.
        if name not in cases or cases[name].outcome is Outcome.PASSED:
            cases[name] = Case(name, outcome, detail.splitlines()[0] if detail else '')
    return list(cases.values())


def from_libtest(output: str, prefix: str) -> list[Case]:
    """The cases in what a Rust test binary printed."""
    words = {'ok': Outcome.PASSED, 'FAILED': Outcome.FAILED, 'ignored': Outcome.SKIPPED}
    cases = []
    for line in output.splitlines():
        if not line.startswith('test ') or ' ... ' not in line:
            continue
        name, _, result = line[len('test '):].rpartition(' ... ')
        outcome = words.get(result.split(',')[0].split(' ')[0].strip())
        if outcome is not None:
            cases.append(Case(f'{prefix}::{name.split(" - ")[0]}', outcome))
    return cases
