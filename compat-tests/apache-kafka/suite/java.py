"""What Java needs: the jars from Maven Central and our classes, in the cache."""

import hashlib
import pathlib
import shutil
import subprocess

from compat import places

HERE = pathlib.Path(__file__).resolve().parent.parent
CACHE = places.CACHE / 'apache-kafka-tests'
RESOLVE_SECONDS = 900
COMPILE_SECONDS = 300


class Missing(Exception):
    """The tests cannot run on this machine; the message says what is missing."""


def class_path(on_ottla: bool) -> str:
    """Our classes come first, so that they stand in for Apache's of the same name."""
    for program in ('java', 'javac', 'mvn'):
        if shutil.which(program) is None:
            raise Missing(f'there is no {program}')
    jars = resolve()
    both = compile_sources('both', [f'{jars}/*'])
    one = compile_sources('ottla' if on_ottla else 'kafka', [str(both), f'{jars}/*'])
    return f'{one}:{both}:{jars}/*'


def resolve() -> pathlib.Path:
    pom = HERE / 'pom.xml'
    jars = CACHE / f'jars-{digest([pom])}'
    if not jars.exists():
        unfinished = fresh(jars)
        done = subprocess.run(['mvn', '-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime',
                               f'-DoutputDirectory={unfinished}', '-f', pom],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RESOLVE_SECONDS)
        if done.returncode != 0:
            reason = next((line for line in done.stdout.splitlines() if 'ERROR' in line), 'Maven failed')
            raise Missing(f'the jars cannot be had from Maven Central: {reason[:200]}')
        unfinished.rename(jars)
    return jars


def compile_sources(root: str, class_path: list[str]) -> pathlib.Path:
    sources = sorted((HERE / 'src' / root).rglob('*.java'))
    every_source = sorted((HERE / 'src').rglob('*.java'))
    classes = CACHE / f'classes-{root}-{digest([HERE / "pom.xml", *every_source])}'
    if not classes.exists():
        unfinished = fresh(classes)
        subprocess.run(['javac', '--release', '17', '-Xlint:all,-classfile,-processing,-serial,-try', '-Werror',
                        '-cp', ':'.join(class_path), '-d', unfinished, *sources],
                       check=True, timeout=COMPILE_SECONDS)
        unfinished.rename(classes)
    return classes


def fresh(place: pathlib.Path) -> pathlib.Path:
    unfinished = place.with_name(place.name + '.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    return unfinished


def digest(files: list[pathlib.Path]) -> str:
    sum = hashlib.sha256()
    for file in files:
        sum.update(file.read_bytes())
    return sum.hexdigest()[:16]
