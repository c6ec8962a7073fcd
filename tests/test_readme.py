"""What README.md shows, run as it is written there but for the broker's address."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

README = (pathlib.Path(__file__).resolve().parent.parent / 'README.md').read_text()


def programs() -> dict[str, str]:
    """The Python programs, by the name that their first line gives them."""
    blocks = re.findall(r'```python\n(# (\S+).*?)```', README, re.DOTALL)
    return {name: text for text, name in blocks}


def commands() -> list[str]:
    """The lines of shell that use them."""
    blocks = re.findall(r'```sh\n(.*?)```', README, re.DOTALL)
    return next(block for block in blocks if 'send.py' in block).splitlines()


def shell(directory: pathlib.Path, lines: list[str]) -> str:
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    result = subprocess.run(['bash', '-euo', 'pipefail', '-c', '\n'.join(lines)], cwd=directory, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=os.environ | {'PATH': path}, timeout=200)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize('killed', [False, True], ids=['at once', 'across kill -9'])
def test_a_file_moves_as_the_readme_says(make_broker, tmp_path, killed):
    broker = make_broker({'group.initial.rebalance.delay.ms': '3000'}).start()
    for name, text in programs().items():
        (tmp_path / name).write_text(text.replace('localhost:9092', broker.address))
    lines = commands()
    sent = 1 + next(number for number, line in enumerate(lines) if 'send.py' in line)
    shell(tmp_path, lines[:sent])
    if killed:
        broker.restart_after_kill()
    assert shell(tmp_path, lines[sent:]).endswith('all there, once, in order\n')
