"""How a suite fares on Apache Kafka, kept as a file beside the suites.

A suite is judged by the difference: what passes on Apache Kafka has to pass on
Ottla, and what fails there says nothing about Ottla.
"""

import pathlib

from compat import places
from compat.result import Case, Entry, Outcome


def path_of(name: str) -> pathlib.Path:
    return places.BASELINES / f'{name}.tsv'


def read(name: str) -> dict[str, Entry]:
    """Empty for a suite that never ran on Apache Kafka."""
    path = path_of(name)
    if not path.exists():
        return {}
    entries = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith('#'):
            continue
        fields = line.split('\t')
        if len(fields) not in (2, 3):
            raise ValueError(f'{path}:{number}: expected case, outcome and perhaps a reason')
        entries[fields[0]] = Entry(Outcome(fields[1]), *fields[2:])
    return entries


def write(name: str, cases: list[Case], kept: set[str], version: str) -> None:
    """Keeps the entries named, and the reasons that were found before."""
    before = read(name)
    entries = {case: before[case] for case in kept}
    entries |= {case.name: merged(case, before.get(case.name)) for case in cases}
    lines = [f'# How these cases fare on Apache Kafka {version}; made by compat-tests/run --on kafka --write-baseline.',
             '# case\toutcome\treason, where it does not pass    (tabs between the fields)']
    lines += ['\t'.join(filter(None, (case, entry.outcome.value, entry.reason)))
              for case, entry in sorted(entries.items())]
    path_of(name).parent.mkdir(exist_ok=True)
    path_of(name).write_text('\n'.join(lines) + '\n')


def merged(case: Case, before: Entry | None) -> Entry:
    if before and before.outcome is case.outcome:
        return before
    return Entry(case.outcome)
