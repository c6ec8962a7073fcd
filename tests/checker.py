"""The history checker as a process: it works on a broker until the faults are
over, and says what its history contradicts (crates/checker/README.md)."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / 'compat-tests'))

from compat.places import CACHE, REPOSITORY  # noqa: E402

ACKED_SECONDS = 60
# Its clients settle, and everything is read.
VERDICT_SECONDS = 300


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was counted, how often each anomaly was found, and all of it as text."""

    counts: dict[str, int]
    anomalies: dict[str, int]
    text: str


class Checker:
    """A run of the checker against one broker."""

    def __init__(self, address: str, history: pathlib.Path, seed: int, *arguments):
        self.history = history
        self.acked = 0
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            self.command('run', '--bootstrap', address, '--history', history, '--seed', seed, *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def command(self, *arguments) -> list:
        return [str(word) for word in (binary(), *arguments)]

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.startswith('acked '):
                self.acked = int(line.split()[1])
            else:
                self.lines.append(line)

    def note(self, text: str) -> None:
        self._say(f'note {text}')

    def wait_for_acknowledgements(self, more: int) -> None:
        goal = self.acked + more
        deadline = time.monotonic() + ACKED_SECONDS
        while self.acked < goal:
            assert self.process.poll() is None, f'the checker ended with {self.process.returncode}: {self._output()}'
            assert time.monotonic() < deadline, f'{more} more acknowledgements did not come within {ACKED_SECONDS} s'
            time.sleep(0.01)

    def verdict(self) -> Verdict:
        """Lets it read everything, now that the faults are over."""
        self._say('end')
        try:
            status = self.process.wait(timeout=VERDICT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'the checker did not end within {VERDICT_SECONDS} s: {self._output()}') from None
        self.reader.join()
        assert status in (0, 1), f'the checker ended with {status}: {self._output()}'
        first = next(line for line in self.lines if line.startswith('verdict '))
        counts = {key: int(number) for key, _, number in (word.partition('=') for word in first.split()[1:])}
        found = (line.split() for line in self.lines if line.startswith('anomaly '))
        return Verdict(counts, {name: int(count) for _, name, count in found}, self._output())

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f'{line}\n')
            self.process.stdin.flush()

    def _output(self) -> str:
        return ''.join(self.lines)


def binary() -> pathlib.Path:
    """The checker: named by OTTLA_CHECKER, or where cargo puts it."""
    if named := os.environ.get('OTTLA_CHECKER'):
        return pathlib.Path(named)
    target = os.environ.get('CARGO_TARGET_DIR')
    candidates = [pathlib.Path(target)] if target else [CACHE / 'target', REPOSITORY / 'target']
    for candidate in candidates:
        if (candidate / 'debug' / 'ottla-checker').exists():
            return candidate / 'debug' / 'ottla-checker'
    raise AssertionError('there is no history checker: cargo build --package ottla-checker')
