"""Nothing acknowledged by a cluster is lost or reordered by kills, pauses, cuts and
restarts of its nodes (tests/cluster/README.md).

`--count N` causes N faults, in stories of up to 12, which is each of them once;
`--seed S --count 12` tells story S again.
"""

import pathlib
import subprocess
import sys
import time

import pytest

FEW = 3
ROUNDS = pathlib.Path(__file__).parent / 'cluster' / 'rounds.py'

pytestmark = pytest.mark.one_node('starts a cluster itself')


@pytest.mark.ours
@pytest.mark.faults(FEW, 12)
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_with_a_node(tell, seed, faults):
    begun = time.monotonic()
    # Without a count a fault that is over soon; the probe of an isolated controller may wait for two minutes.
    some = ['--only', 'kill-leader'] if faults <= FEW else []
    done = subprocess.run([sys.executable, ROUNDS, '--seed', str(seed), '--rounds', str(faults), *some],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith('skipped: '):
            pytest.skip(line.removeprefix('skipped: '))
    assert done.returncode == 0, done.stdout
    assert 'anomalies=0' in done.stdout, done.stdout
    tell(f'faults of a cluster: seed {seed}, {faults} faults, {time.monotonic() - begun:.0f} s')
