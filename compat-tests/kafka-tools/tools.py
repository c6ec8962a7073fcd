"""Kafka's command-line tools as they are started from a shell, but for the time that each of them takes to start."""

import contextlib
import dataclasses
import os
import pathlib
import select
import signal
import struct
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PEERS = REPOSITORY / 'peers'
CLASSES = dict(line.split('\t') for line in (PEERS / 'tools.tsv').read_text().splitlines())
# Longer than any tool waits by itself.
SECONDS = 60
SETTLE_SECONDS = 15
HEAP = '-Xmx512M -XX:+UseSerialGC -XX:TieredStopAtLevel=1'


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a tool left behind."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.output.splitlines() if line.strip()]

    @property
    def everything(self) -> str:
        return self.output + self.errors

    def table(self) -> list[list[str]]:
        """The words of each line, without the header."""
        return [line.split() for line in self.lines[1:]]


class Tools:
    """Runs tools against the brokers at an address, in one Java process."""

    def __init__(self, address: str):
        self.address = address
        self.java = None

    def __call__(self, name: str, *arguments, text: str = '', status: int | None = 0) -> Printed:
        """Runs a tool until it ends, with a text to read; fails unless it ends with
        the status."""
        command = command_line(name, self.address, arguments)
        printed = self.run([CLASSES[name], text, *command])
        shown = f'{name} {" ".join(command)}\n{printed.output}{printed.errors}'
        assert status is None or printed.status == status, f'ended with {printed.status}: {shown}'
        return printed

    def run(self, words: list[str]) -> Printed:
        encoded = [word.encode() for word in words]
        request = struct.pack('>i', len(words)) + b''.join(struct.pack('>i', len(word)) + word for word in encoded)
        java = self.start()
        java.stdin.write(request)
        java.stdin.flush()
        if not select.select([java.stdout], [], [], SECONDS)[0]:
            self.stop()
            raise AssertionError(f'did not end within {SECONDS} s: {" ".join(words)}')
        status = self.number()
        return Printed(status, self.text(), self.text())

    def number(self) -> int:
        return struct.unpack('>i', self.java.stdout.read(4))[0]

    def text(self) -> str:
        return self.java.stdout.read(self.number()).decode()

    def start(self):
        if self.java is None:
            self.java = subprocess.Popen([PEERS / 'bin' / 'kafka-run-class', HERE / 'Tools.java'],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         env=os.environ | {'KAFKA_HEAP_OPTS': HEAP})
        return self.java

    def stop(self) -> None:
        if self.java is not None:
            self.java.kill()
            self.java.wait()
            self.java = None

    @contextlib.contextmanager
    def process(self, name: str, *arguments):
        """Starts a tool as a process of its own, as an operator does; it is stopped at the end."""
        with tempfile.TemporaryFile('w+') as output:
            started = subprocess.Popen(
                [PEERS / 'bin' / name, *command_line(name, self.address, arguments)], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, env=os.environ | {'KAFKA_HEAP_OPTS': HEAP})
            try:
                yield Process(started, output)
            finally:
                if started.poll() is None:
                    started.kill()
                started.wait()


class Process:
    """A tool that runs, and what it has printed so far."""

    def __init__(self, process, output):
        self.process = process
        self.file = output

    @property
    def output(self) -> str:
        return os.pread(self.file.fileno(), 1 << 20, 0).decode()

    def wait(self) -> int:
        return self.process.wait(timeout=SECONDS)

    def interrupt(self) -> int:
        """As Ctrl-C does; returns its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait_until_printed(self, text: str) -> None:
        wait_until(lambda: text in self.output, lambda: f'did not print {text!r}: {self.output}')


def command_line(name: str, address: str, arguments) -> list[str]:
    """The arguments, with the brokers named where the tool expects it."""
    option = '--broker-list' if name == 'kafka-replica-verification' else '--bootstrap-server'
    brokers = [option, address]
    words = [str(argument) for argument in arguments]
    return words + brokers if name == 'kafka-cluster' else brokers + words


def wait_until(holds, why, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


def eventually(read, expected) -> None:
    """Reads again until that is what was expected: a broker hears a little later of what
    another was told."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected
