"""The figures that a newcomer meets, measured and printed with their goals."""

import contextlib
import pathlib
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time

from blackbox import Broker
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

RUNS = 3


def main() -> int:
    missed = 0
    for name, goal, unit, measure in [
        ('listening, from an empty directory', 50, 'ms', listening),
        ('first acknowledged record, from an empty directory', 50, 'ms', first_record),
        ('resident memory when idle', 25, 'MB', idle_memory),
        ('1,000 topics created', 2000, 'ms', thousand_topics),
        ('a group of two assigned, default settings', 3500, 'ms', lambda: group_of_two({})),
        ('a group of two assigned, group.initial.rebalance.delay.ms=0', 500, 'ms',
         lambda: group_of_two({'group.initial.rebalance.delay.ms': '0'})),
        ('an idle fetch returns with a record (median)', 2, 'ms', idle_consumer),
        ("the same through kafka-python, its own time included", None, 'ms', idle_consumer_of_kafka_python),
    ]:
        values = sorted(measure() for _ in range(RUNS))
        median = statistics.median(values)
        print(f'{name:62} {median:8.1f} {unit} ({values[0]:.1f} to {values[-1]:.1f}){verdict(median, goal, unit)}',
              flush=True)
        missed += goal is not None and median > goal
    return 1 if missed else 0


def verdict(median, goal, unit) -> str:
    if goal is None:
        return ''
    return f', goal {goal} {unit}{"" if median <= goal else "  MISSED"}'


@contextlib.contextmanager
def fresh_broker(settings=None, start=True):
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-startup-'))
    broker = Broker(directory, {'group.initial.rebalance.delay.ms': '3000'} | (settings or {}))
    try:
        yield broker.start() if start else broker
    finally:
        broker.discard()
        shutil.rmtree(directory, ignore_errors=True)


def milliseconds(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def connect(broker) -> socket.socket:
    """Tries again and again, without a pause that would count."""
    deadline = time.perf_counter() + 60
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            connection = socket.create_connection(('127.0.0.1', broker.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        assert time.perf_counter() < deadline, broker.output()
        time.sleep(0.0005)


def listening() -> float:
    with fresh_broker(start=False) as broker:
        begun = time.perf_counter()
        broker.launch()
        with connect(broker):
            return milliseconds(begun)


def first_record() -> float:
    """By bare frames: the start of a Python client takes longer than the goal."""
    with fresh_broker(start=False) as broker:
        begun = time.perf_counter()
        broker.launch()
        with connect(broker) as connection:
            # Metadata v4 of the topic `t`, which creates it, until it has a leader.
            while True:
                answer = ask(connection, 3, 4, struct.pack('>ih1sB', 1, 1, b't', 1))
                if leader_is_known(answer):
                    break
            while produce_error(ask(connection, 0, 3, produce_request())) != 0:
                pass
            return milliseconds(begun)


def ask(connection, key, version, body) -> bytes:
    send(connection, key, version, body)
    return answer(connection)


def send(connection, key, version, body) -> None:
    frame = struct.pack('>hhih', key, version, 1, -1) + body
    connection.sendall(struct.pack('>i', len(frame)) + frame)


def answer(connection) -> bytes:
    size, = struct.unpack('>i', receive(connection, 4))
    return receive(connection, size)[4:]


def receive(connection, count) -> bytes:
    data = b''
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, 'the broker closed the connection'
        data += piece
    return data


def leader_is_known(answer: bytes) -> bool:
    # throttle, brokers (id, host, port, rack), cluster id, controller, topics
    place = 4
    brokers, = struct.unpack_from('>i', answer, place)
    place += 4
    for _ in range(brokers):
        place = after_string(answer, place + 4) + 4
        place = after_string(answer, place)
    place = after_string(answer, place) + 4
    topics, error = struct.unpack_from('>ih', answer, place)
    return topics == 1 and error == 0


def after_string(answer: bytes, place: int) -> int:
    length, = struct.unpack_from('>h', answer, place)
    return place + 2 + max(length, 0)


def produce_request() -> bytes:
    from kafka.record.default_records import DefaultRecordBatchBuilder
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 16384)
    builder.append(0, int(time.time() * 1000), None, b'first', [])
    records = bytes(builder.build())
    return (struct.pack('>hhi', -1, -1, 30_000) + struct.pack('>ih1s', 1, 1, b't')
            + struct.pack('>iii', 1, 0, len(records)) + records)


def fetch_request(offset: int) -> bytes:
    """Fetch v4 of one partition, waiting up to ten seconds for one byte."""
    return (struct.pack('>iiiib', -1, 10_000, 1, 1 << 20, 0) + struct.pack('>ih1s', 1, 1, b't')
            + struct.pack('>iiqi', 1, 0, offset, 1 << 20))


def produce_error(answer: bytes) -> int:
    error, = struct.unpack_from('>h', answer, 4 + 3 + 4 + 4)
    return error


def idle_memory() -> float:
    with fresh_broker() as broker:
        time.sleep(3)
        return broker.memory() / 1e6


def thousand_topics() -> float:
    with fresh_broker() as broker:
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
            topics = {f'topic-{number}': {'num_partitions': 1} for number in range(1000)}
            begun = time.perf_counter()
            admin.create_topics(topics)
            return milliseconds(begun)


def group_of_two(settings) -> float:
    with fresh_broker(settings) as broker:
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
            admin.create_topics({'t': {'num_partitions': 2}}, wait_for_metadata=True)
        consumers = [KafkaConsumer('t', bootstrap_servers=broker.address, group_id='g') for _ in range(2)]
        for consumer in consumers:
            consumer.partitions_for_topic('t')
        stop = threading.Event()

        def run(consumer):
            while not stop.is_set():
                consumer.poll(timeout_ms=20)

        threads = [threading.Thread(target=run, args=(consumer,)) for consumer in consumers]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        try:
            while any(len(consumer.assignment()) != 1 for consumer in consumers):
                assert milliseconds(begun) < 60_000, 'the group was never assigned'
                time.sleep(0.002)
            return milliseconds(begun)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for consumer in consumers:
                consumer.close(autocommit=False, timeout_ms=500)


def idle_consumer() -> float:
    """From sending a Produce to having the answer of the Fetch that waits for
    it, by bare frames: a client's own threads would cost more than the broker."""
    with fresh_broker() as broker, connect(broker) as sender, connect(broker) as reader:
        # A producer that was created before makes the topic and gives it a leader.
        while not leader_is_known(ask(sender, 3, 4, struct.pack('>ih1sB', 1, 1, b't', 1))):
            pass
        while produce_error(ask(sender, 0, 3, produce_request())) != 0:
            pass
        delays = []
        for offset in range(1, 101):
            send(reader, 1, 4, fetch_request(offset))
            time.sleep(0.02)
            request = produce_request()
            begun = time.perf_counter()
            send(sender, 0, 3, request)
            answered = answer(reader)
            delays.append(milliseconds(begun))
            assert b'first' in answered, 'the fetch came back empty'
            assert produce_error(answer(sender)) == 0
        return statistics.median(delays)


def idle_consumer_of_kafka_python() -> float:
    with fresh_broker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.address, acks=1, enable_idempotence=False)
        producer.send('t', b'warm').get(timeout=10)
        consumer = KafkaConsumer('t', bootstrap_servers=broker.address, fetch_max_wait_ms=5000)
        consumer.poll(timeout_ms=300)
        delays = []

        def listen():
            while len(delays) < 100:
                for records in consumer.poll(timeout_ms=1000).values():
                    now = time.perf_counter_ns()
                    delays.extend((now - int(record.value)) / 1e6 for record in records)

        thread = threading.Thread(target=listen)
        thread.start()
        while thread.is_alive():
            time.sleep(0.03)
            producer.send('t', b'%d' % time.perf_counter_ns())
            producer.flush()
        thread.join()
        producer.close(timeout=1)
        consumer.close(autocommit=False, timeout_ms=500)
        return statistics.median(delays)


if __name__ == '__main__':
    sys.exit(main())
