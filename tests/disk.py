"""A disk that loses its power: a file system on a block device whose every write
and flush goes through a process of ours.

The process keeps the bytes and serves them as one file through FUSE, a loop
device makes a block device of the file, and the file system lies on that. Like
a real disk it has a volatile cache: what was written since the last flush may
or may not be there after a power loss, write by write and torn at sectors. The
loss happens between two requests of the kernel, so what survives is exactly one
moment, and after it no flush ever succeeds: whatever was acknowledged, before
or after, has to be in what survived.
"""

import contextlib
import ctypes
import dataclasses
import errno
import functools
import multiprocessing
import os
import pathlib
import random
import select
import shutil
import stat
import struct
import subprocess
import tempfile
import time

SECTOR = 512
WRITE_MOST = 1 << 20
# A disk that is asked for little loses its power after so long.
LOSS_SECONDS = 2
# The opcodes of FUSE that a single file meets.
GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT, INTERRUPT = 3, 4, 14, 15, 16, 18, 20, 25, 26, 36
FORGET, BATCH_FORGET = 2, 42


class Unavailable(Exception):
    """This machine lets nobody make such a disk; the message says why."""


@dataclasses.dataclass(frozen=True)
class Loss:
    """What a power loss met: how much was written since the last flush, and
    how many of those writes survived, in whole or torn."""

    requests: int
    unflushed: int
    survived: int
    torn: int


class Disk:
    """A file system of its own on a disk in memory, mounted at `place`."""

    def __init__(self, mebibytes: int, file_system: str = 'ext4'):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-disk-'))
        self.place = self.directory / 'mounted'
        self.place.mkdir()
        self.file = self.directory / 'image'
        self.file.touch()
        self.loop = None
        self.process, self.pipe = None, None
        image = self.directory / 'formatted'
        with image.open('wb') as file:
            file.truncate(mebibytes << 20)
        run([f'mkfs.{file_system}', '-q', *{'ext4': ['-F', '-m', '0']}.get(file_system, []), image])
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context('fork').Process(
            target=serve, args=(image, self.file, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.power_on()

    def power_on(self) -> None:
        """Mounts what there is, as a machine does when it starts."""
        self._ask('on')
        self.loop = run(['losetup', '--find', '--show', self.file]).stdout.strip()
        run(['mount', self.loop, self.place])

    def sync(self) -> None:
        run(['sync', '--file-system', self.place])

    def lose_power(self, after: int, seed: int) -> None:
        """Makes the disk lose its power after so many more writes and flushes,
        or after a while if nobody asks for so many."""
        self.pipe.send(('cut', after, seed))

    def wait_for_loss(self, within: float = 60) -> Loss:
        assert self.pipe.poll(within), 'the disk did not lose its power'
        kind, value = self.pipe.recv()
        assert kind == 'lost', value
        return value

    def unplug(self) -> None:
        """Takes the dead file system away; whoever used it has ended."""
        subprocess.run(['umount', self.place], capture_output=True, check=False)
        if os.path.ismount(self.place):
            subprocess.run(['umount', '--lazy', self.place], capture_output=True, check=False)
        if self.loop:
            subprocess.run(['losetup', '--detach', self.loop], capture_output=True, check=False)
            self.loop = None
        subprocess.run(['umount', '--lazy', self.file], capture_output=True, check=False)
        self._ask('off')

    def discard(self) -> None:
        if self.process and self.process.is_alive():
            with contextlib.suppress(OSError, AssertionError, EOFError):
                self.unplug()
            self.process.kill()
            self.process.join()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _ask(self, what: str) -> None:
        self.pipe.send((what,))
        assert self.pipe.poll(30), 'the disk does not answer'
        kind, value = self.pipe.recv()
        assert kind == 'done', value


@functools.cache
def why_unavailable() -> str | None:
    """None if such a disk can be made here."""
    if os.geteuid() != 0:
        return 'making a disk takes root'
    for needed in ['/dev/fuse', '/dev/loop-control']:
        if not os.path.exists(needed):
            return f'there is no {needed}'
    for needed in ['mkfs.ext4', 'losetup', 'mount']:
        if not shutil.which(needed):
            return f'there is no {needed}'
    return None


def run(command: list) -> subprocess.CompletedProcess:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Unavailable(f'{command[0]}: {done.stderr.strip()}')
    return done


class Platter:
    """The bytes of the disk: as they are read, as they were last flushed, and
    the writes between the two."""

    def __init__(self, content: bytes):
        self.now = bytearray(content)
        self.flushed = bytearray(content)
        self.unflushed: list[tuple[int, bytes]] = []
        self.requests = 0

    def write(self, at: int, data: bytes) -> None:
        self.now[at:at + len(data)] = data
        self.unflushed.append((at, data))
        self.requests += 1

    def flush(self) -> None:
        for at, data in self.unflushed:
            self.flushed[at:at + len(data)] = data
        self.unflushed.clear()
        self.requests += 1

    def lose_power(self, seed: int) -> Loss:
        """Some of what was not flushed survives, none of it, or all."""
        chance = random.Random(seed)
        share = chance.choice([0, 0.2, 0.5, 0.8, 1])
        torn = survived = 0
        for at, data in self.unflushed:
            if chance.random() >= share:
                continue
            survived += 1
            if share < 1 and chance.random() < 0.3:
                torn += 1
                data = data[:chance.randrange(len(data) // SECTOR + 1) * SECTOR]
            self.flushed[at:at + len(data)] = data
        loss = Loss(self.requests, len(self.unflushed), survived, torn)
        self.now = bytearray(self.flushed)
        self.unflushed.clear()
        return loss


def serve(image: pathlib.Path, place: pathlib.Path, pipe) -> None:
    """The disk's own process: answers the kernel and whoever holds the pipe."""
    content = image.read_bytes()
    image.unlink()
    Server(Platter(content), place, pipe).run()


class Server:
    def __init__(self, platter: Platter, place: pathlib.Path, pipe):
        self.platter, self.place, self.pipe = platter, place, pipe
        self.fuse: int | None = None
        # After how many requests, at what time at the latest, and by what seed.
        self.cut: tuple[int, float, int] | None = None
        self.dead = False

    def run(self) -> None:
        while True:
            sources = [self.pipe] if self.fuse is None else [self.pipe, self.fuse]
            left = max(0.0, self.cut[1] - time.monotonic()) if self.cut else None
            ready, _, _ = select.select(sources, [], [], left)
            if self.cut and time.monotonic() > self.cut[1]:
                self.lose_power()
            if self.pipe in ready:
                try:
                    message = self.pipe.recv()
                except EOFError:
                    return
                self.obey(*message)
            if self.fuse in ready:
                self.answer()

    def obey(self, what: str, *rest) -> None:
        if what == 'cut':
            after, seed = rest
            self.cut = (self.platter.requests + after, time.monotonic() + LOSS_SECONDS, seed)
            return
        try:
            self.connect() if what == 'on' else self.disconnect()
            self.pipe.send(('done', None))
        except OSError as error:
            self.pipe.send(('failed', str(error)))

    def connect(self) -> None:
        self.dead = False
        self.fuse = os.open('/dev/fuse', os.O_RDWR | os.O_NONBLOCK)
        options = f'fd={self.fuse},rootmode={stat.S_IFREG | 0o600:o},user_id=0,group_id=0,max_read={WRITE_MOST}'
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b'ottla-disk', os.fsencode(self.place), b'fuse', 0, options.encode()):
            raise OSError(ctypes.get_errno(), 'mounting a FUSE file')

    def disconnect(self) -> None:
        self.cut = None
        if self.fuse is not None:
            os.close(self.fuse)
            self.fuse = None

    def lose_power(self) -> None:
        loss = self.platter.lose_power(self.cut[2])
        self.cut, self.dead = None, True
        self.pipe.send(('lost', loss))

    def answer(self) -> None:
        try:
            request = os.read(self.fuse, WRITE_MOST + 4096)
        except BlockingIOError:
            return
        except OSError:
            # Unmounted.
            os.close(self.fuse)
            self.fuse = None
            return
        _, opcode, unique = struct.unpack_from('<IIQ', request)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        error, body = self.handle(opcode, memoryview(request)[40:])
        reply = struct.pack('<IiQ', 16 + len(body), -error, unique) + body
        # Whoever asked may have been interrupted meanwhile.
        with contextlib.suppress(OSError):
            os.write(self.fuse, reply)

    def handle(self, opcode: int, body: memoryview) -> tuple[int, bytes]:
        if opcode == INIT:
            return 0, init_reply(body)
        if opcode in (GETATTR, SETATTR):
            return 0, attributes(len(self.platter.now))
        if opcode == OPEN:
            # The kernel keeps nothing of the file: all of its writes come here.
            direct_io = 1
            return 0, struct.pack('<QII', 0, direct_io, 0)
        if opcode in (RELEASE, FLUSH):
            return 0, b''
        if self.dead and opcode in (READ, WRITE, FSYNC):
            return errno.EIO, b''
        if opcode == READ:
            _, at, size = struct.unpack_from('<QQI', body)
            return 0, bytes(self.platter.now[at:at + size])
        if opcode in (WRITE, FSYNC):
            return self.change(opcode, body)
        return errno.ENOSYS, b''

    def change(self, opcode: int, body: memoryview) -> tuple[int, bytes]:
        if self.cut and self.platter.requests >= self.cut[0]:
            self.lose_power()
            return errno.EIO, b''
        if opcode == FSYNC:
            self.platter.flush()
            return 0, b''
        _, at, size = struct.unpack_from('<QQI', body)
        self.platter.write(at, bytes(body[40:40 + size]))
        return 0, struct.pack('<II', size, 0)


def init_reply(body: memoryview) -> bytes:
    major, minor, read_ahead, offered = struct.unpack_from('<IIII', body)
    big_writes, max_pages = 1 << 5, 1 << 22
    return struct.pack('<IIIIHHIIHH8I', major, min(minor, 31), read_ahead, offered & (big_writes | max_pages), 16, 12,
                       WRITE_MOST, 1, WRITE_MOST // 4096, 0, *[0] * 8)


def attributes(size: int) -> bytes:
    valid_seconds = 3600
    return struct.pack('<QII6Q10I', valid_seconds, 0, 0, 1, size, size // 512, 0, 0, 0, 0, 0, 0,
                       stat.S_IFREG | 0o600, 1, 0, 0, 0, 4096, 0)
