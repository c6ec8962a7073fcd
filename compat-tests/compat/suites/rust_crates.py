"""The integration tests that the crates rdkafka and rskafka ship."""

import os
import pathlib
import shutil
import subprocess

from compat import places
from compat.result import Case, Outcome, from_libtest
from compat.suites import Run, Suite, Unavailable, tried_again

RDKAFKA, RSKAFKA = 'rdkafka-0.39.0', 'rskafka-0.6.0'
BUILD_SECONDS = 1500
# Its cases wait minutes for what does not come, so they are counted as skipped
# without being started.
WAITING = {'test_transactions': 'transactions are not served yet'}
# It takes it that a topic that is made by asking for it is not there within 100 ms, which on one node of Apache Kafka
# too it now and then is.
RACES = {'test_low_producers::test_base_producer_timeout'}


def rdkafka(run: Run) -> list[Case]:
    source = fetch_source(RDKAFKA)
    environment = os.environ | {'KAFKA_HOST': run.address, 'KAFKA_VERSION': '4.3.0'}
    return run_tests(run, source, environment)


def rskafka(run: Run) -> list[Case]:
    source = fetch_source(RSKAFKA)
    # The locked version of this dependency no longer compiles.
    subprocess.run(['cargo', 'update', '--quiet', '--package', 'rsasl'], cwd=source, check=True)
    environment = os.environ | {'KAFKA_CONNECT': run.address, 'TEST_INTEGRATION': '1', 'TEST_BROKER_IMPL': 'kafka'}
    return run_tests(run, source, environment)


def run_tests(run: Run, source: pathlib.Path, environment) -> list[Case]:
    """Builds first, so that compiling does not count against the suite's time,
    then runs one test binary after the other: one that hangs ends only itself."""
    # What a client logs would break the lines that say how a case came out.
    environment = environment | {'CARGO_TARGET_DIR': str(places.FOREIGN / 'target'), 'RUST_LOG': 'off'}
    built = subprocess.run(['cargo', 'test', '--tests', '--no-run'], cwd=source, env=environment,
                           capture_output=True, text=True, timeout=BUILD_SECONDS)
    if built.returncode != 0:
        raise RuntimeError(f'{source.name} does not build: {built.stderr[-500:]}')
    cases = []
    for test in sorted(path.stem for path in (source / 'tests').glob('*.rs')):
        if test in WAITING and not run.on_kafka:
            listed = run.command(['cargo', 'test', '--test', test, '--', '--list'], env=environment, cwd=source)
            cases += [Case(f'{test}::{line.removesuffix(": test")}', Outcome.SKIPPED, WAITING[test])
                      for line in listed.splitlines() if line.endswith(': test')]
            continue
        found = run_test(run, source, environment, test, [run.selection] if run.selection else [])
        cases += [tried_again(case, lambda: run_alone(run, source, environment, case)) if case.name in RACES else case
                  for case in found]
    return cases


def run_test(run: Run, source: pathlib.Path, environment, test: str, words: list[str]) -> list[Case]:
    """One at a time: a case of rdkafka counts the wake-ups of a quiet second, and
    counts wrongly, on Apache Kafka too, while others run beside it."""
    output = run.command(['timeout', '--kill-after=5', '240', 'cargo', 'test', '--test', test, '--no-fail-fast',
                          '--', '--test-threads=1', *words], env=environment, cwd=source, log=f'{"-".join([test, *words[-1:]])}.log')
    return from_libtest(output, test)


def run_alone(run: Run, source: pathlib.Path, environment, case: Case) -> Case:
    test, _, function = case.name.partition('::')
    return next(iter(run_test(run, source, environment, test, ['--exact', function])), case)


def fetch_source(name: str) -> pathlib.Path:
    """A copy of the crate's sources as cargo unpacked them."""
    source = places.FOREIGN / name
    if not (source / 'Cargo.toml').exists():
        if shutil.which('cargo') is None:
            raise Unavailable('cargo is not installed')
        crate, _, version = name.rpartition('-')
        vendor = places.FOREIGN / f'fetch-{crate}'
        (vendor / 'src').mkdir(parents=True, exist_ok=True)
        (vendor / 'src' / 'lib.rs').touch()
        (vendor / 'Cargo.toml').write_text(f'[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n'
                                           f'[workspace]\n[dependencies]\n{crate} = "={version}"\n')
        subprocess.run(['cargo', 'fetch', '--quiet'], cwd=vendor, check=True)
        home = pathlib.Path(os.environ.get('CARGO_HOME') or pathlib.Path.home() / '.cargo')
        unpacked = next(home.glob(f'registry/src/*/{name}'))
        shutil.copytree(unpacked, source, dirs_exist_ok=True)
    # A crate pins the toolchain of its own continuous integration.
    (source / 'rust-toolchain.toml').unlink(missing_ok=True)
    manifest = source / 'Cargo.toml'
    if '[workspace]' not in manifest.read_text():
        manifest.write_text(manifest.read_text() + '\n[workspace]\n')
    return source


SUITES = [
    Suite('rdkafka', "the crate rdkafka's own tests (0.39.0)", seconds=900, run=rdkafka, port=9092,
          settings={'node.id': '0', 'num.partitions': '3'}),
    Suite('rskafka', "the crate rskafka's own tests (0.6.0)", seconds=600, run=rskafka,
          settings={'auto.create.topics.enable': 'false'}),
]
