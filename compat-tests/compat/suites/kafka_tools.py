"""Apache Kafka's command-line tools, as an operator runs them."""

import shutil
import subprocess

from compat import broker, places
from compat.result import Case
from compat.suites import Run, Suite, Unavailable
from compat.suites.kafka_python import pytest

DIRECTORY = places.COMPAT_TESTS / 'kafka-tools'


def kafka_tools(run: Run) -> list[Case]:
    folder = broker.kafka_folder()
    if not has_compiler():
        raise Unavailable('there is no JDK to run the tools in one process with (apt-get install openjdk-17-jdk-headless)')
    environment = {'BOOTSTRAP_SERVERS': run.address, 'NODES': str(run.nodes)}
    if run.on_kafka:
        environment['KAFKA_FOLDER'] = str(folder.place)
    return pytest(run, DIRECTORY, environment)


def has_compiler() -> bool:
    return shutil.which('java') is not None and 'jdk.compiler' in subprocess.run(
        ['java', '--list-modules'], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


SUITES = [
    Suite('kafka-tools', "Apache Kafka's command-line tools (4.3.1)", seconds=600, run=kafka_tools),
]
