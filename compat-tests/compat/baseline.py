"""How a suite fares on Apache Kafka, kept as a file beside the suites.

A suite is judged by the difference: what passes on Apache Kafka has to pass on
Ottla, and what fails there says nothing about Ottla. A file for several nodes has
only what they do otherwise than one.
"""

import pathlib

from compat import places
from compat.result import Case, Entry, Outcome


def path_of(name: str, nodes: int) -> pathlib.Path:
    return places.BASELINES / (f'{nodes}-nodes' if nodes > 1 else '') / f'{name}.tsv'


def read(name: str, nodes: int) -> dict[str, Entry]:
    """Empty for a suite that never ran on Apache Kafka."""
    alone = entries_of(path_of(name, 1))
    return alone | entries_of(path_of(name, nodes)) if nodes > 1 else alone


def entries_of(path: pathlib.Path) -> dict[str, Entry]:
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


def write(name: str, nodes: int, cases: list[Case], kept: set[str], version: str) -> None:
    """Keeps the entries named, and the reasons that were found before."""
    before = read(name, nodes)
    entries = {case: before[case] for case in kept}
    entries |= {case.name: merged(case, before.get(case.name)) for case in cases}
    where, option = f'Apache Kafka {version}', ''
    if nodes > 1:
        alone = read(name, 1)
        entries = {case: entry for case, entry in entries.items()
                   if case not in alone or alone[case].outcome is not entry.outcome}
        where, option = f'{nodes} nodes of {where} where that is not as on one', f' --nodes {nodes}'
    lines = [f'# How these cases fare on {where}; made by compat-tests/run --on kafka{option} --write-baseline.',
             '# case\toutcome\treason, where it does not pass    (tabs between the fields)']
    lines += ['\t'.join(filter(None, (case, entry.outcome.value, entry.reason)))
              for case, entry in sorted(entries.items())]
    path = path_of(name, nodes)
    if not entries:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def merged(case: Case, before: Entry | None) -> Entry:
    if before and before.outcome is case.outcome:
        return before
    return Entry(case.outcome)
