"""A broker for a suite: one that runs already, or ours on a free port."""

import contextlib
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# Client suites assume settings that they never state; these satisfy most of
# them. A suite that wants others overrides them.
COMMON_SETTINGS = {
    'auto.create.topics.enable': 'true',
    'num.partitions': '4',
    'default.replication.factor': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
}
START_SECONDS = 10
STOP_SECONDS = 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def is_listening(address: str) -> bool:
    host, port = address.rsplit(':', 1)
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


@contextlib.contextmanager
def ottla(binary: pathlib.Path, log: pathlib.Path, settings: dict[str, str], port: int | None = None):
    """Starts our broker in a directory of its own; yields its address."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-compat-'))
    port = port or free_port()
    properties = {
        'node.id': '1',
        'process.roles': 'broker,controller',
        'listeners': f'PLAINTEXT://127.0.0.1:{port}',
        'advertised.listeners': f'PLAINTEXT://127.0.0.1:{port}',
        'log.dirs': str(directory / 'data'),
    } | COMMON_SETTINGS | settings
    file = directory / 'server.properties'
    file.write_text(''.join(f'{key}={value}\n' for key, value in properties.items()))
    with log.open('w') as output:
        process = subprocess.Popen([binary, 'serve', '--config', file],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        address = f'127.0.0.1:{port}'
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'the broker did not start; its log is {log}')
            time.sleep(0.02)
        yield address
        if process.poll() is not None:
            raise RuntimeError(f'the broker died with {process.returncode}; its log is {log}')
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)
