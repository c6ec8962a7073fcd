"""What was acknowledged survives the loss of power, again and again, and a
broker that acknowledges earlier than that is found out.

`--count N` loses power N times, in stories of up to 20 losses; `--seed S
--count 20` tells story S again.
"""

import random
import time

import pytest

from blackbox import KAFKA_FOLDER

DISK_MEBIBYTES = 384
MEBIBYTE = 1 << 20
# Kafka acknowledges what is not on disk unless it is told otherwise; Ottla does if it is told to.
SAFE = {'log.flush.interval.messages': '1'} if KAFKA_FOLDER else {}
UNSAFE = {} if KAFKA_FOLDER else {'ottla.flush.policy': 'page-cache'}

pytestmark = pytest.mark.one_node('about the disk of one process')


def lose_power(broker, drive, checker, chance):
    """Loses power under load, sometimes again while the broker recovers from
    that, and starts on what is left."""
    checker.wait_for_acknowledgements(chance.randrange(50, 500))
    drive.lose_power(after=chance.randrange(1, 400), seed=chance.randrange(1 << 30))
    losses = [restart_machine(broker, drive, checker)]
    if chance.random() < 0.2:
        drive.lose_power(after=chance.randrange(1, 60), seed=chance.randrange(1 << 30))
        broker.launch()
        losses.append(restart_machine(broker, drive, checker))
    broker.start()
    return losses


def restart_machine(broker, drive, checker):
    """Waits for the loss, ends what the machine's end would, and mounts again."""
    loss = drive.wait_for_loss()
    checker.note(str(loss))
    broker.kill()
    drive.unplug()
    drive.power_on()
    return loss


def start(make_broker, drive, settings):
    broker = make_broker({'log.dirs': str(drive.place / 'data')} | settings).start()
    if KAFKA_FOLDER:
        # It does not start on what its format command left unflushed.
        drive.sync()
    return broker


@pytest.mark.faults(10, 20)
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_with_the_power(make_disk, make_broker, make_checker, tell, seed, faults):
    begun = time.monotonic()
    chance = random.Random(seed)
    drive = make_disk(DISK_MEBIBYTES)
    broker = start(make_broker, drive, {
        'ottla.commit.file.bytes': str(chance.choice([1, 2, 8, 32]) * MEBIBYTE),
        'log.retention.check.interval.ms': '1000',
    } | SAFE)
    checker = make_checker(broker, seed, '--scratch')
    losses = []
    while len(losses) < faults:
        losses += lose_power(broker, drive, checker, chance)
    verdict = checker.verdict()
    tell(f'power losses: seed {seed}, {len(losses)} losses, {sum(loss.unflushed for loss in losses)} unflushed writes of '
         f'which {sum(loss.survived for loss in losses)} survived, {verdict.counts["acked"]} records acknowledged, '
         f'{verdict.counts["anomalies"]} anomalies, {time.monotonic() - begun:.0f} s')
    assert not verdict.anomalies, verdict.text


@pytest.mark.timeout(300)
def test_acknowledging_what_is_not_on_disk_is_found_out(make_disk, make_broker, make_checker, tell):
    chance = random.Random(1)
    drive = make_disk(DISK_MEBIBYTES)
    broker = start(make_broker, drive, UNSAFE)
    checker = make_checker(broker, 1)
    for _ in range(3):
        lose_power(broker, drive, checker, chance)
    verdict = checker.verdict()
    tell(f'without flushing: {verdict.counts["acked"]} records acknowledged, {verdict.anomalies}')
    assert 'lost-write' in verdict.anomalies, verdict.text
