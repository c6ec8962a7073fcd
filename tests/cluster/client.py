"""The stock clients on the clients' host, as the harness sees them: one that asks, and
one that writes so many records at a time to each partition of a topic (`ottla-checker probe`)."""

import json
import pathlib
import queue
import subprocess
import sys
import threading
import time

import checker
from agent import PARTITIONS, TOPIC
from network import CLIENTS
from nodes import wait_until

HERE = pathlib.Path(__file__).resolve().parent
ANSWER_SECONDS = 30
WHOLE_SECONDS = 120
RESUME_SECONDS = 120
# librdkafka has its defaults but for these. Whoever waits a minute for the answer of a
# process that stands still cannot go on sooner, and one that asks for new leaders only
# every five minutes finds them only when a request of its own has failed. Whoever could not
# connect a few times within ten seconds waits that long, for what earlier faults have done.
PROBE = ('socket.timeout.ms=1000', 'topic.metadata.refresh.interval.ms=500', 'reconnect.backoff.max.ms=500')
# A gap that began so long before the fault was reported may be its work.
BEFORE = 0.05


class Client:
    def __init__(self, cluster, note):
        self.cluster = cluster
        self.count = len(cluster.nodes)
        self.note = note
        self.acked: dict[int, list[float]] = {}
        self.failures: list[str] = []
        self.answers: queue.Queue = queue.Queue()
        self.hits: list[tuple[int, float]] = []
        self.process = subprocess.Popen(
            cluster.network.on(CLIENTS, [sys.executable, HERE / 'agent.py', cluster.bootstrap]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.prober: subprocess.Popen | None = None
        threading.Thread(target=self._read_answers, daemon=True).start()

    def _read_answers(self) -> None:
        for line in self.process.stdout:
            self.answers.put(json.loads(line))

    def probe(self, settings: list[str], pause_ms: int, at_once: int) -> None:
        settings = [word for setting in (*PROBE, *settings) for word in ('--set', setting)]
        self.prober = subprocess.Popen(
            self.cluster.network.on(CLIENTS, [checker.binary(), 'probe', '--bootstrap', self.cluster.bootstrap,
                                              '--topic', TOPIC, '--partitions', PARTITIONS,
                                              '--pause-ms', pause_ms, '--at-once', at_once, *settings]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_probes, daemon=True).start()
        self.wait_until('the first probes', lambda: len(self.acked) == PARTITIONS)

    def _read_probes(self) -> None:
        for line in self.prober.stdout:
            what, partition, said = line.rstrip().split(' ', 2)
            if what == 'acked':
                self.acked.setdefault(int(partition), []).append(int(said) / 1_000_000)
            else:
                self.failures.append(f'partition {partition}: {said}')

    def try_ask(self, what: str, *arguments):
        """The answer, or None if there was none."""
        self.process.stdin.write(json.dumps({'do': what, 'with': arguments}) + '\n')
        self.process.stdin.flush()
        return self.answers.get(timeout=ANSWER_SECONDS).get('answer')

    def ask(self, what: str, *arguments):
        answer = []

        def asked() -> bool:
            answer[:] = [self.try_ask(what, *arguments)]
            return answer[0] is not None

        self.wait_until(f'an answer to {what}', asked)
        return answer[0]

    def partitions(self) -> list[dict]:
        return self.ask('partitions')

    def wait_until(self, what: str, true, seconds: float = WHOLE_SECONDS) -> None:
        def checked():
            self.cluster.check()
            return true()
        wait_until(what, checked, seconds)

    def wait_until_whole(self) -> None:
        """Every replica of every partition is in sync."""
        def whole() -> bool:
            partitions = self.try_ask('partitions') or []
            return bool(partitions) and self.try_ask('brokers') == self.count and all(
                set(partition['isr']) == set(partition['replicas']) and partition['leader'] in partition['isr']
                for partition in partitions)
        self.wait_until('that every replica is in sync', whole)

    def pass_time(self, seconds: float) -> None:
        """A fault lasts as long as it lasts; there is nothing to wait for."""
        time.sleep(seconds)

    def hit(self, partition: int, what: str) -> None:
        self.note(f'{what}, partition {partition}')
        self.hits.append((partition, time.time()))

    def wait_until_produce_resumes(self) -> float:
        """How long after the last hit a record was acknowledged by its partition
        after the longest time without; about 0 if nothing stood still."""
        partition, began = self.hits[-1]
        settled = began + 0.5
        self.wait_until('that produce resumes', lambda: self.acked[partition][-1] > settled, RESUME_SECONDS)
        acked = list(self.acked[partition])
        before = [at for at in acked if at < began - BEFORE]
        times = before[-1:] + acked[len(before):]
        gaps = [(later - earlier, later) for earlier, later in zip(times, times[1:])]
        return max(max(gaps)[1] - began, 0.0)

    def discard(self) -> None:
        for process in filter(None, (self.prober, self.process)):
            process.kill()
            process.wait()
