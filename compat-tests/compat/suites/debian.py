"""Clients as Debian packages them, installed with apt when they are missing."""

import os
import shutil
import subprocess

from compat import places
from compat.result import Case
from compat.suites import Run, Suite, Unavailable
from compat.suites.kafka_python import pytest

DIRECTORY = places.COMPAT_TESTS / 'debian'


def kcat(run: Run) -> list[Case]:
    if shutil.which('kcat') is None:
        install('kcat')
    return pytest(run, DIRECTORY / 'test_kcat.py', {'BOOTSTRAP_SERVERS': run.address})


def python3_kafka(run: Run) -> list[Case]:
    if not is_importable():
        install('python3-kafka')
    if not is_importable():
        raise Unavailable('/usr/bin/python3 has no package kafka')
    return pytest(run, DIRECTORY / 'test_python3_kafka.py', {'BOOTSTRAP_SERVERS': run.address})


def is_importable() -> bool:
    python = '/usr/bin/python3'
    return os.path.exists(python) and subprocess.run([python, '-I', '-c', 'import kafka'],
                                                     capture_output=True).returncode == 0


def install(package: str) -> None:
    if shutil.which('apt-get') is None or os.geteuid() != 0:
        raise Unavailable(f'{package} is not installed, and only root with apt-get could install it')
    environment = os.environ | {'DEBIAN_FRONTEND': 'noninteractive'}
    for arguments in (['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', package]):
        done = subprocess.run(['apt-get', *arguments], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Unavailable(f'apt-get could not install {package}: {done.stderr.strip()[-200:]}')


SUITES = [
    Suite('kcat', "Debian's kcat 1.7.1 (librdkafka 2.0.2)", seconds=300, run=kcat, quick=True),
    Suite('python3-kafka', "Debian's python3-kafka 2.0.2", seconds=300, run=python3_kafka),
]
