"""One process of a broker: started, watched until it answers, and stopped."""

import ctypes
import pathlib
import signal
import socket
import struct
import subprocess
import time

STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1


class DidNotStart(Exception):
    """A broker died or stayed silent; the message says where its log is."""


class Node:
    """A running process. Whoever made it stops it."""

    def __init__(self, command: list, log: pathlib.Path, directory: pathlib.Path, environment: dict[str, str]):
        self.log = log
        with log.open('ab') as output:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, preexec_fn=die_with_parent)

    def wait_until(self, is_ready, seconds: float) -> None:
        """Asks `is_ready` until it is so, the process dies or time is up."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self.process.poll() is not None:
                raise DidNotStart(f'the broker ended with {self.process.returncode}; its log is {self.log}')
            if time.monotonic() > deadline:
                raise DidNotStart(f'the broker did not answer within {seconds:.0f} s; its log is {self.log}')
            time.sleep(0.01)

    def logged(self, text: str) -> bool:
        return text in self.log.read_text(errors='replace')

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def die_with_parent() -> None:
    """Runs in the child: a broker never outlives whoever was to stop it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def answers_api_versions(port: int) -> bool:
    """Whether a broker at this port answers ApiVersions v0, which all know."""
    correlation = 7
    body = struct.pack('>hhih', 18, 0, correlation, -1)
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=5) as connection:
            connection.sendall(struct.pack('>i', len(body)) + body)
            answer = connection.recv(8)
    except OSError:
        return False
    return len(answer) == 8 and struct.unpack('>ii', answer)[1] == correlation
