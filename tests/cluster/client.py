"""The stock client on the clients' host, as the harness sees it."""

import json
import pathlib
import queue
import subprocess
import sys
import threading
import time

from network import CLIENTS
from nodes import wait_until

HERE = pathlib.Path(__file__).resolve().parent
ANSWER_SECONDS = 30
WHOLE_SECONDS = 120
RESUME_SECONDS = 120
# A gap that began so long before the fault was reported may be its work.
BEFORE = 0.05


class Client:
    def __init__(self, cluster, note):
        self.count = len(cluster.nodes)
        self.note = note
        self.acked: dict[int, list[float]] = {}
        self.failures: list[str] = []
        self.answers: queue.Queue = queue.Queue()
        self.hits: list[tuple[int, float]] = []
        self.process = subprocess.Popen(
            cluster.network.on(CLIENTS, [sys.executable, HERE / 'agent.py', cluster.bootstrap]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            said = json.loads(line)
            if 'acked' in said:
                self.acked.setdefault(said['acked'], []).append(said['at'])
            elif 'failed' in said:
                self.failures.append(f'partition {said["failed"]}: {said["error"]}')
            else:
                self.answers.put(said)

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

    def wait_until(self, what: str, true) -> None:
        wait_until(what, true, WHOLE_SECONDS)

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
        self.hits.append((partition, time.monotonic()))

    def wait_until_produce_resumes(self) -> float:
        """How long after the last hit a record was acknowledged by its partition
        after the longest time without; about 0 if nothing stood still."""
        partition, began = self.hits[-1]
        settled = began + 0.5
        wait_until('that produce resumes', lambda: self.acked[partition][-1] > settled, RESUME_SECONDS)
        acked = list(self.acked[partition])
        before = [at for at in acked if at < began - BEFORE]
        times = before[-1:] + acked[len(before):]
        gaps = [(later - earlier, later) for earlier, later in zip(times, times[1:])]
        return max(max(gaps)[1] - began, 0.0)

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()
