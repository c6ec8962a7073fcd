"""A broker as a process: started on a free port with a directory of its own,
stopped, killed, and started again on the same data."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / 'compat-tests'))

from compat.broker import COMMON_SETTINGS, free_port, is_listening  # noqa: E402
from compat.places import ottla_binary  # noqa: E402

KAFKA_FOLDER = os.environ.get('KAFKA_FOLDER')
START_SECONDS = 60 if KAFKA_FOLDER else 10
STOP_SECONDS = 60 if KAFKA_FOLDER else 2.0


class Broker:
    """One node and its directory; at most one process at a time runs it."""

    def __init__(self, directory: pathlib.Path, settings=None, arguments=(), **popen):
        self.directory = directory
        self.port = free_port()
        self.arguments = arguments
        self.popen = popen
        self.process = None
        self.log = directory / 'broker.log'
        self.data = pathlib.Path((settings or {}).get('log.dirs', directory / 'data'))
        self.file = directory / 'server.properties'
        self.write_settings(settings or {})

    @property
    def address(self) -> str:
        return f'127.0.0.1:{self.port}'

    def write_settings(self, settings) -> None:
        properties = {
            'node.id': '1',
            'process.roles': 'broker,controller',
            'listeners': f'PLAINTEXT://127.0.0.1:{self.port}',
            'advertised.listeners': f'PLAINTEXT://127.0.0.1:{self.port}',
            'log.dirs': str(self.data),
        } | COMMON_SETTINGS
        if KAFKA_FOLDER:
            controller = free_port()
            properties |= {
                'listeners': f'PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}',
                'controller.listener.names': 'CONTROLLER',
                'controller.quorum.bootstrap.servers': f'127.0.0.1:{controller}',
                'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
            }
        self.file.write_text(''.join(f'{key}={value}\n' for key, value in (properties | settings).items()))

    def command(self) -> list:
        if KAFKA_FOLDER:
            return [f'{KAFKA_FOLDER}/bin/kafka-run-class.sh', 'kafka.Kafka', self.file, *self.arguments]
        return [ottla_binary(), 'serve', '--config', self.file, *self.arguments]

    def start(self) -> 'Broker':
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(self.address):
            assert self.process.poll() is None, f'the broker did not start:\n{self.output()}'
            assert time.monotonic() < deadline, f'the broker does not listen:\n{self.output()}'
            time.sleep(0.005)
        return self

    def launch(self) -> subprocess.Popen:
        """Starts the process without waiting for it to listen."""
        assert not self.is_running()
        if KAFKA_FOLDER and not self.data.exists():
            alone = [] if 'controller.quorum.voters' in self.file.read_text() else ['--standalone']
            subprocess.run([f'{KAFKA_FOLDER}/bin/kafka-storage.sh', 'format', *alone, '-t',
                            'AAAAAAAAAAAAAAAAAAAAAQ', '-c', self.file], check=True, capture_output=True)
        with self.log.open('a') as output:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=self.directory, **self.popen)
        return self.process

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a power cut would, but for the page cache."""
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM, within=STOP_SECONDS) -> float:
        """Asks it to end; returns how long that took, which is no longer than this."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=max(within, STOP_SECONDS))
        return time.monotonic() - begun

    def restart_after_kill(self) -> 'Broker':
        self.kill()
        return self.start()

    def output(self) -> str:
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def memory(self) -> int:
        """Resident bytes of the process."""
        for line in pathlib.Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) * 1024
        raise AssertionError('the process has no resident memory')

    def connect(self, timeout=10.0) -> socket.socket:
        return socket.create_connection(('127.0.0.1', self.port), timeout=timeout)

    def connect_to_leader(self, topic) -> socket.socket:
        """To whoever leads the first partition of a topic."""
        return self.connect()

    def discard(self) -> None:
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                self.kill()
