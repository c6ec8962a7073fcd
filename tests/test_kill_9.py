"""What was acknowledged survives kill -9 under load, again and again.

`--count N` kills N times, in stories of up to 20 kills; `--seed S --count 20`
tells story S again.
"""

import random
import time

import pytest

MEBIBYTE = 1 << 20


@pytest.mark.faults(10, 20)
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_with_the_process(make_broker, make_checker, tell, seed, faults):
    begun = time.monotonic()
    chance = random.Random(seed)
    # The page cache outlives the process: both policies keep what was acknowledged.
    broker = make_broker({
        'ottla.flush.policy': chance.choice(['fsync', 'page-cache']),
        'ottla.commit.file.bytes': str(chance.choice([1, 2, 8, 32]) * MEBIBYTE),
        'log.retention.check.interval.ms': '1000',
    }).start()
    checker = make_checker(broker, seed, '--scratch')
    for number in range(faults):
        checker.wait_for_acknowledgements(chance.randrange(50, 500))
        time.sleep(chance.uniform(0, 0.2))
        checker.note(f'kill {number}')
        broker.restart_after_kill()
        # Also one that has only just begun to recover.
        if chance.random() < 0.2:
            broker.kill()
            broker.launch()
            time.sleep(chance.uniform(0, 0.05))
            broker.restart_after_kill()
    verdict = checker.verdict()
    tell(f'kills: seed {seed}, {faults} kills, {verdict.counts["acked"]} records acknowledged, '
         f'{verdict.counts["anomalies"]} anomalies, {time.monotonic() - begun:.0f} s')
    assert not verdict.anomalies, verdict.text
