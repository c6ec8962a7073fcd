"""The suites, in the order in which they run."""

import dataclasses
import pathlib
import subprocess
import time
from typing import Callable

from compat.result import Case, Outcome

# How often a case is tried that races with a clock and loses now and then, on Apache Kafka too.
TRIES = 5


@dataclasses.dataclass
class Run:
    """What a suite is given: where the brokers are and where its output goes."""

    # Of every node, with commas in between.
    address: str | None
    dist: pathlib.Path
    python: str
    output: pathlib.Path
    deadline: float
    selection: str | None
    # Whether the broker is Apache Kafka, which is spared nothing.
    on_kafka: bool
    # How many nodes there are, and so how many copies a suite asks for where it can.
    nodes: int

    def seconds_left(self) -> float:
        return max(1, self.deadline - time.monotonic())

    def command(self, arguments, *, env=None, cwd=None, log='log.txt') -> str:
        """Runs a program to its end or the time limit; returns what it printed.
        Its exit status is not looked at: the cases say what happened."""
        path = self.output / log
        with path.open('w') as output:
            process = subprocess.Popen([str(a) for a in arguments], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                process.wait(timeout=self.seconds_left())
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                output.write('\nstopped at the time limit of the suite\n')
        return path.read_text(errors='replace')


@dataclasses.dataclass(frozen=True)
class Suite:
    name: str
    summary: str
    seconds: int
    run: Callable[[Run], list[Case]]
    # A suite that starts its brokers itself is given no address.
    needs_broker: bool = True
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    # A suite that has an address written into its cases; others get a free port.
    port: int | None = None
    # Done within a minute or two, with nothing to compile.
    quick: bool = False
    # Runs when it is named or with --all.
    on_request: bool = False
    # The file under `baseline/`, where that is not the suite's name, and which
    # of its cases are this suite's.
    baseline: str | None = None
    covers: Callable[[str], bool] = lambda _case: True

    @property
    def baseline_name(self) -> str:
        return self.baseline or self.name


def tried_again(case: Case, run: Callable[[], Case]) -> Case:
    """The case, or what became of it when it was run again, a few times at most, until it passed."""
    for _ in range(TRIES - 1):
        if case.outcome is Outcome.PASSED:
            break
        case = run()
    return case


class Unavailable(Exception):
    """The suite cannot run on this machine; the message says what is missing."""


def all_suites() -> list[Suite]:
    from compat.suites import apache_kafka, debian, franz_go, kafka_python, kafka_tools, librdkafka, rust_crates
    return [*kafka_python.SUITES, *kafka_tools.SUITES, *debian.SUITES, *rust_crates.SUITES, *franz_go.SUITES,
            *librdkafka.SUITES, *apache_kafka.SUITES]
