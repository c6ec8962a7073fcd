"""The promise of the README: a file of 100,000 lines goes through a topic with
six partitions and a group of three, over a kill in between."""

import collections
import threading
import time

import pytest

LINES, PARTITIONS, MEMBERS = 100_000, 6, 3


@pytest.fixture
def file_of_lines(tmp_path):
    path = tmp_path / 'lines.txt'
    path.write_text(''.join(f'{number}: the quick brown fox jumps over the lazy dog, again and again\n'
                            for number in range(LINES)))
    return path


@pytest.mark.timeout(400)
@pytest.mark.parametrize('killed', [False, True], ids=['running', 'killed between'])
def test_a_file_goes_through(broker, clients, file_of_lines, killed):
    clients.admin(broker).create_topics({'lines': {'num_partitions': PARTITIONS}}, wait_for_metadata=True)
    producer = clients.producer(broker, linger_ms=20, batch_size=1 << 16)
    sent = collections.defaultdict(list)
    with file_of_lines.open('rb') as lines:
        for number, line in enumerate(lines):
            partition = number % PARTITIONS
            producer.send('lines', line, partition=partition)
            sent[partition].append(line)
    producer.flush(timeout=120)
    if killed:
        broker.restart_after_kill()

    received = collections.defaultdict(list)
    consumers = [clients.consumer(broker, 'lines', group_id='readers') for _ in range(MEMBERS)]
    stop = threading.Event()

    def read(consumer):
        while not stop.is_set():
            for tp, records in consumer.poll(timeout_ms=200).items():
                received[tp.partition] += [(record.offset, record.value) for record in records]

    threads = [threading.Thread(target=read, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 120
        while sum(map(len, received.values())) < LINES:
            assert time.monotonic() < deadline, f'{sum(map(len, received.values()))} lines came'
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for partition in range(PARTITIONS):
        assert [value for _, value in received[partition]] == sent[partition]
        assert [offset for offset, _ in received[partition]] == list(range(len(sent[partition])))
