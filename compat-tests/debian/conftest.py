"""Clients as Debian packages them, run as programs against BOOTSTRAP_SERVERS."""

import os
import subprocess
import uuid

import pytest

BOOTSTRAP = os.environ.get('BOOTSTRAP_SERVERS', 'localhost:9092')
SECONDS = 40


@pytest.fixture
def topic():
    return f'debian-{uuid.uuid4().hex[:12]}'


@pytest.fixture
def run():
    def run(*command, text=None, check=True):
        result = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True,
                                timeout=SECONDS)
        assert not check or result.returncode == 0, f'{command}: {result.stdout}{result.stderr}'
        return result
    return run
