#!/usr/bin/env python3
"""Writes golden record batches as kafka-python's producer makes them.

    batches.py > batches.hex      (needs kafka-python, lz4, zstandard, python-snappy)
"""

import kafka
from kafka.record.default_records import DefaultRecordBatchBuilder

for codec, name in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0,
        producer_id=4000, producer_epoch=3, base_sequence=10, batch_size=1 << 20)
    for index in range(50):
        builder.append(
            index, 1_600_000_000_000 + index * 7, None if index % 5 == 4 else b"key%d" % index,
            None if index % 7 == 6 else b"value %d " % index * 8,
            [("header", b"one"), ("header", None)] if index % 3 == 0 else [])
    print(f"kafka-python-{kafka.__version__} {name} {bytes(builder.build()).hex()}")
