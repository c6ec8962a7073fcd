"""Peers that are one native program: Tansu in memory, and noida-db."""

import os
import pathlib

from . import install
from .node import Node, answers_api_versions

START_SECONDS = 20


def start_tansu(directory: pathlib.Path, port: int) -> Node:
    address = f'tcp://127.0.0.1:{port}'
    return start(directory, port, 'tansu', [
        install.tansu().place, 'broker', '--silent', '--listener-url', address,
        '--advertised-listener-url', address, '--storage-engine', 'memory://tansu/'])


def start_noida(directory: pathlib.Path, port: int) -> Node:
    return start(directory, port, 'noida', [
        install.noida().place, 'start', '--data-dir', directory / 'data', '--host', '127.0.0.1',
        '--only', 'kafka', '--kafka-port', port])


def start(directory: pathlib.Path, port: int, name: str, command: list) -> Node:
    node = Node(command, directory / f'{name}.log', directory, dict(os.environ))
    try:
        node.wait_until(lambda: answers_api_versions(port), START_SECONDS)
    except BaseException:
        node.process.kill()
        raise
    return node
