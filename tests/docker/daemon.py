"""A Docker daemon with a data root and a socket of its own, in the network namespace
of this process."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

START_SECONDS = 60
STOP_SECONDS = 60
COMMAND_SECONDS = 300

# Debian's own; a client of another make may lack the builder.
DOCKER = '/usr/bin/docker'
COMPOSE = 'docker-compose'


class NotPermitted(Exception):
    """Why there can be no daemon here."""


class Daemon:
    def __init__(self, directory: pathlib.Path, *options: str):
        self.directory = directory
        self.socket = f'unix://{directory}/docker.sock'
        self.log = directory / 'dockerd.log'
        with self.log.open('w') as log:
            self.process = subprocess.Popen(
                ['/usr/sbin/dockerd', '-H', self.socket, '--data-root', directory / 'data', '--exec-root', directory / 'exec',
                 '--pidfile', directory / 'docker.pid', *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while self.docker('version', check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                last = self.log.read_text(errors='replace').strip().rpartition('\n')[2]
                self.discard()
                raise NotPermitted(f'dockerd does not start: {last}')
            time.sleep(0.1)

    def docker(self, *words, check=True, within=COMMAND_SECONDS) -> subprocess.CompletedProcess:
        return self._run([DOCKER, *map(str, words)], check, within)

    def compose(self, file: pathlib.Path, *words, check=True, within=COMMAND_SECONDS) -> subprocess.CompletedProcess:
        return self._run([COMPOSE, '--no-ansi', '--file', str(file), '--project-name', 'stock', *map(str, words)], check, within)

    def _run(self, command: list, check: bool, within: float) -> subprocess.CompletedProcess:
        environment = os.environ | {'DOCKER_HOST': self.socket, 'DOCKER_BUILDKIT': '1'}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=within, check=False)
        assert not check or done.returncode == 0, f'{" ".join(command)}: {done.stdout}{done.stderr}'
        return done

    def inspect(self, name: str) -> dict:
        return json.loads(self.docker('inspect', name).stdout)[0]

    def state(self, container: str) -> dict:
        return self.inspect(container)['State']

    def containers(self) -> list[str]:
        return self.docker('ps', '--all', '--format', '{{.Names}}').stdout.split()

    def logs(self, container: str) -> str:
        done = self.docker('logs', '--tail', 200, container, check=False)
        return done.stdout + done.stderr

    def discard_containers(self) -> None:
        if names := self.containers():
            self.docker('rm', '--force', '--volumes', *names)
        self.docker('volume', 'prune', '--force')
        self.docker('network', 'prune', '--force')

    def discard(self) -> None:
        """The daemon, and the directory with everything it made."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # What it started itself, such as containerd, is in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for mount in reversed(self._mounts()):
            subprocess.run(['umount', '--lazy', mount], check=False, capture_output=True)
        for made in ('data', 'exec'):
            shutil.rmtree(self.directory / made, ignore_errors=True)

    def _mounts(self) -> list[str]:
        lines = pathlib.Path('/proc/self/mounts').read_text().splitlines()
        return [words[1] for words in map(str.split, lines) if words[1].startswith(f'{self.directory}/')]
