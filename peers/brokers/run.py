"""Runs one peer in the foreground until it is told to stop."""

import argparse
import pathlib
import shutil
import signal
import sys
import tempfile

from . import kafka, native
from .install import INSTALLERS, Unavailable
from .node import DidNotStart, Node, free_port


class Stop(Exception):
    """SIGTERM or SIGINT came."""


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    directory = options.dir or pathlib.Path(tempfile.mkdtemp(prefix=f'peer-{options.peer}-'))
    directory.mkdir(parents=True, exist_ok=True)
    keep = options.dir is not None
    nodes = []
    try:
        ports = [options.port or free_port()] + [free_port() for _ in range(options.nodes - 1)]
        nodes = start(options, directory.resolve(), ports)
        addresses = ','.join(f'127.0.0.1:{port}' for port in ports)
        print(f'ready {addresses} pid={",".join(str(node.process.pid) for node in nodes)}', flush=True)
        return wait(nodes)
    except Stop:
        return 0
    except Unavailable as why:
        print(f'skipped: {options.peer}: {why}', file=sys.stderr)
        return 3
    except DidNotStart as why:
        print(f'{options.peer}: {why}', file=sys.stderr)
        keep = True
        return 1
    finally:
        stop(nodes)
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='run', description="Runs another project's broker on loopback.")
    parser.add_argument('peer', choices=INSTALLERS)
    parser.add_argument('--nodes', type=int, choices=[1, 3], default=1, help='how many brokers (Kafka only)')
    parser.add_argument('--first-id', type=int, default=1, help='the id of the first node, from which the others count on (Kafka only)')
    parser.add_argument('--dir', type=pathlib.Path, help='data and logs, kept; else a temporary directory')
    parser.add_argument('--port', type=int, help='the first broker listens here; else on a free port')
    parser.add_argument('--set', metavar='KEY=VALUE', action='append', default=[], help='a broker setting (Kafka only)')
    options = parser.parse_args(arguments)
    if any('=' not in setting for setting in options.set):
        parser.error('--set takes KEY=VALUE')
    if options.peer != 'kafka' and (options.nodes > 1 or options.set):
        parser.error(f'{options.peer} is one node and takes no settings')
    return options


def start(options: argparse.Namespace, directory: pathlib.Path, ports: list[int]) -> list[Node]:
    if options.peer == 'kafka':
        settings = dict(setting.split('=', 1) for setting in options.set)
        return kafka.start(directory, ports, options.first_id, settings)
    if options.peer == 'tansu':
        return [native.start_tansu(directory, ports[0])]
    return [native.start_noida(directory, ports[0])]


def wait(nodes: list[Node]) -> int:
    """Returns when every node has ended by itself: the first bad exit status."""
    statuses = [node.process.wait() for node in nodes]
    return next((abs(status) for status in statuses if status), 0)


def stop(nodes: list[Node]) -> None:
    # A second signal must not leave a node behind.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for node in nodes:
        node.ask_to_stop()
    for node in nodes:
        node.wait_until_stopped()


def on_signal(_number, _frame):
    raise Stop


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
