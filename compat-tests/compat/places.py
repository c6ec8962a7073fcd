"""Where things are: the repository, the caches, the broker's binary."""

import os
import pathlib

COMPAT_TESTS = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = COMPAT_TESTS.parent
CACHE = pathlib.Path(
    os.environ.get('OTTLA_CACHE')
    or pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ottla')

# Sources of other projects' suites: fetched from package registries, patched
# and built here, never inside the repository.
FOREIGN = CACHE / 'foreign'

# Starts Apache Kafka, and makes a Kafka folder of its jars.
PEERS = REPOSITORY / 'peers'

# How every suite fares on Apache Kafka.
BASELINES = COMPAT_TESTS / 'baseline'

# A folder with `bin/kafka-storage.sh` and `bin/kafka-run-class.sh`.
DIST = REPOSITORY / 'dist'


def ottla_binary() -> pathlib.Path:
    """The release binary: named by OTTLA_BIN, or where cargo puts it."""
    if named := os.environ.get('OTTLA_BIN'):
        return pathlib.Path(named)
    target = os.environ.get('CARGO_TARGET_DIR')
    candidates = [pathlib.Path(target)] if target else [CACHE / 'target', REPOSITORY / 'target']
    for candidate in candidates:
        if (candidate / 'release' / 'ottla').exists():
            return candidate / 'release' / 'ottla'
    return candidates[0] / 'release' / 'ottla'
