"""What kafka-python's fixtures call a service: a broker that runs elsewhere,
or one that they start. Their source distribution leaves this file out."""

import collections
import re
import signal
import subprocess
import threading
import time


class ExternalService:
    """A broker that somebody else started and will stop."""

    def __init__(self, host, port):
        self.host = host
        self.port = port

    def open(self):
        pass

    def close(self):
        pass

    def stop(self):
        pass

    def dump_logs(self):
        pass

    def wait_for(self, pattern, timeout=30):
        return True


class SpawnedService:
    """A child process whose output is read for lines that say it is ready."""

    LINES_KEPT = 2000
    STOP_SECONDS = 20

    def __init__(self, args, env):
        self.args = [str(arg) for arg in args]
        self.env = env
        self.child = None
        self.lines = collections.deque(maxlen=self.LINES_KEPT)
        self.news = threading.Condition()

    def start(self):
        self.child = subprocess.Popen(
            self.args, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
        threading.Thread(target=self._read, daemon=True).start()

    open = start

    def _read(self):
        for line in self.child.stdout:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()

    def stop(self):
        if self.child is None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=self.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    close = stop

    def wait_for(self, pattern, timeout=30):
        """Whether a line that matches came before the time was over."""
        wanted = re.compile(pattern, re.IGNORECASE)
        deadline = time.monotonic() + timeout
        with self.news:
            while not any(wanted.search(line) for line in self.lines):
                left = deadline - time.monotonic()
                if left <= 0 or self.child.poll() is not None:
                    return False
                self.news.wait(min(left, 0.2))
        return True

    def dump_logs(self):
        with self.news:
            print(''.join(self.lines))
