"""Hosts as network namespaces, joined by a bridge in one more. Nothing of it
touches the machine's own network, and nothing leaves it."""

import os
import shutil
import subprocess

SUBNET = '10.88.0'
CLIENTS = 100


class NotPermitted(Exception):
    """Why there can be no such network here."""


def sh(*words, text: str | None = None) -> None:
    done = subprocess.run([str(word) for word in words], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise NotPermitted(f'{" ".join(map(str, words))}: {done.stderr.strip()}')


class Network:
    """A bridge, a host for each number, and one for the clients (number 100)."""

    def __init__(self, hosts: list[int]):
        for tool in ('ip', 'nft'):
            if not shutil.which(tool):
                raise NotPermitted(f'there is no {tool} (Debian: iproute2, nftables)')
        self.prefix = f'ottla{os.getpid()}'
        self.switch = f'{self.prefix}sw'
        self.made: list[str] = []
        self.lines: set[str] = set()
        try:
            self._make([*hosts, CLIENTS])
        except BaseException:
            self.discard()
            raise

    def _make(self, hosts: list[int]) -> None:
        self._namespace(self.switch)
        sh('ip', '-n', self.switch, 'link', 'add', 'br0', 'type', 'bridge')
        sh('ip', '-n', self.switch, 'link', 'set', 'br0', 'up')
        for host in hosts:
            name = self.name(host)
            self._namespace(name)
            sh('ip', '-n', self.switch, 'link', 'add', f'v{host}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
            sh('ip', '-n', self.switch, 'link', 'set', f'v{host}', 'master', 'br0', 'up')
            sh('ip', '-n', name, 'addr', 'add', f'{address(host)}/24', 'dev', 'eth0')
            sh('ip', '-n', name, 'link', 'set', 'eth0', 'up')

    def _namespace(self, name: str) -> None:
        sh('ip', 'netns', 'add', name)
        self.made.append(name)
        sh('ip', '-n', name, 'link', 'set', 'lo', 'up')

    def name(self, host: int) -> str:
        return f'{self.prefix}n{host}'

    def on(self, host: int, command: list) -> list[str]:
        """The command, to be run on that host.

        Not by `ip netns exec`: that makes a mount namespace too, and the kernel closes the sockets of a process that was
        killed only after it has taken that down, up to 200 ms later.
        """
        return ['nsenter', f'--net=/run/netns/{self.name(host)}', *map(str, command)]

    def cut(self, source: int, target: int, both: bool = True) -> None:
        """What `source` sends no longer reaches `target`; with `both`, nor the
        other way round."""
        self.lines.add(f'ip saddr {address(source)} ip daddr {address(target)} drop')
        if both:
            self.lines.add(f'ip saddr {address(target)} ip daddr {address(source)} drop')
        self._filter()

    def slow(self, host: int, kilobits: int) -> None:
        sh('ip', 'netns', 'exec', self.name(host), 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf',
           'rate', f'{kilobits}kbit', 'burst', '32k', 'latency', '400ms')

    def fast_again(self, host: int) -> None:
        sh('ip', 'netns', 'exec', self.name(host), 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root')

    def heal(self) -> None:
        self.lines.clear()
        self._filter()

    def _filter(self) -> None:
        rules = '\n'.join(sorted(self.lines))
        table = ('table bridge part\ndelete table bridge part\n'
                 'table bridge part { chain cut { type filter hook forward priority 0; policy accept;\n'
                 f'{rules}\n}}\n}}\n')
        sh('ip', 'netns', 'exec', self.switch, 'nft', '-f', '-', text=table)

    def discard(self) -> None:
        for name in self.made:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True, check=False)
        self.made.clear()


def address(host: int) -> str:
    return f'{SUBNET}.{host}'
