"""Runs test classes, each in a Java process of its own with a time limit."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

from compat.result import Case, Outcome

METHOD_SECONDS = 120
# How the file of the cases of a class ends that has run.
KEPT = '.cases'
WORDS = {outcome.value: outcome for outcome in Outcome}


# The process groups that run.
GROUPS: set[int] = set()


def kill_group(group: int) -> None:
    GROUPS.discard(group)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def leave_nothing_behind(number: int, _frame) -> None:
    """What to do with a signal that ends the run."""
    for group in list(GROUPS):
        kill_group(group)
    os._exit(128 + number)


@dataclasses.dataclass(frozen=True)
class Shards:
    class_path: str
    log4j: pathlib.Path
    output: pathlib.Path
    ottla: pathlib.Path | None
    jobs: int
    class_seconds: int
    # When, on the monotonic clock, everything ends, and from when on nothing is begun.
    deadline: float
    pause: float
    # Of a class, the methods that alone run, and those that do not.
    methods: dict[str, list[str]]
    without: dict[str, list[str]]

    def run(self, classes: list[str], report) -> dict[str, list[Case]]:
        """The cases of every class that has run, now or before; `report` is told of each class as it ends."""
        results = {name: read_cases(self.kept(name)) for name in classes if self.kept(name).exists()}
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as workers:
            running = {workers.submit(self.run_class, name): name for name in classes if name not in results}
            for done in concurrent.futures.as_completed(running):
                name, ran = running[done], done.result()
                if ran is not None:
                    results[name], seconds = ran
                    write_cases(self.kept(name), results[name])
                    report(name, results[name], seconds)
        return results

    def kept(self, name: str) -> pathlib.Path:
        return self.output / f'{short_name(name)}{KEPT}'

    def run_class(self, name: str) -> tuple[list[Case], float] | None:
        begun = time.monotonic()
        if begun >= self.pause:
            return None
        short = short_name(name)
        events = self.output / f'{short}.events'
        temporary = self.output / f'{short}.tmp'
        temporary.mkdir(exist_ok=True)
        with (self.output / f'{short}.log').open('a') as log:
            # The brokers are in the group of the process that starts them.
            process = subprocess.Popen(self.command(name, events, temporary), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=temporary)
            GROUPS.add(process.pid)
            try:
                process.wait(timeout=max(1, min(self.class_seconds, self.deadline - begun)))
            except subprocess.TimeoutExpired:
                pass
            finally:
                kill_group(process.pid)
                process.wait()
        shutil.rmtree(temporary, ignore_errors=True)
        return read_events(events, short, process.returncode), time.monotonic() - begun

    def command(self, name: str, events: pathlib.Path, temporary: pathlib.Path) -> list[str]:
        properties = {
            'java.io.tmpdir': temporary,
            'log4j2.configurationFile': self.log4j.as_uri(),
            'ottla.methods': ','.join(self.methods.get(name, [])),
            'ottla.without': ','.join(self.without.get(name, [])),
            'junit.jupiter.execution.timeout.default': f'{METHOD_SECONDS} s',
        }
        if self.ottla:
            properties['ottla.bin'] = self.ottla
        return ['java', '-Xmx1g', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto',
                *(f'-D{key}={value}' for key, value in properties.items()),
                '-cp', self.class_path, 'ottla.RunTests', str(events), name]


def may_go_on(output: pathlib.Path, ottla: pathlib.Path | None, resume: bool) -> bool:
    """Notes down what runs. What ran before is forgotten, or has to be of the same program."""
    program = hashlib.sha256(ottla.read_bytes()).hexdigest() if ottla else 'Apache Kafka'
    note = output / 'program'
    if resume and note.exists():
        return note.read_text() == program
    for old in output.glob(f'*{KEPT}'):
        old.unlink()
    note.write_text(program)
    return True


def write_cases(path: pathlib.Path, cases: list[Case]) -> None:
    path.write_text(''.join(f'{case.name}\t{case.outcome.value}\t{case.detail}\n' for case in cases))


def read_cases(path: pathlib.Path) -> list[Case]:
    lines = (line.split('\t', 2) for line in path.read_text().splitlines())
    return [Case(name, Outcome(outcome), detail) for name, outcome, detail in lines]


def short_name(class_name: str) -> str:
    return class_name.rpartition('.')[2]


def read_events(path: pathlib.Path, short: str, status: int) -> list[Case]:
    """What a run came to, also of one that was stopped: what it had begun has failed."""
    cases: dict[str, Case] = {}
    ended = False
    for line in path.read_text(errors='replace').splitlines() if path.exists() else []:
        event, *fields = line.split('\t')
        if event == 'end':
            ended = True
        elif event == 'started' and len(fields) == 1:
            name = f'{short}::{fields[0]}'
            cases[name] = Case(name, Outcome.FAILED, 'did not end within the time limit of its class')
        elif event in WORDS and len(fields) >= 2:
            name = f'{short}::{fields[0]}'
            cases[name] = Case(name, WORDS[event], fields[2] if len(fields) > 2 else '')
    if not ended and status != -signal.SIGKILL:
        name = f'{short}::(the whole class)'
        cases[name] = Case(name, Outcome.FAILED, f'Java ended with {status} before the tests did')
    elif not ended:
        name = f'{short}::(the whole class)'
        cases[name] = Case(name, Outcome.FAILED, 'stopped at the time limit of a class')
    return list(cases.values())
