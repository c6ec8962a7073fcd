#!/usr/bin/env python3
"""Writes golden bodies from Kafka's message schemas.

An encoder that shares nothing with the Rust code: it reads the JSON schemas of
a Kafka checkout and writes, for every message and version that we serve, three
bodies each: `default` holds defaults and empty arrays, `full` holds a distinct
value in every field, and `null` a null wherever one is allowed.

    messages.py KAFKA_CHECKOUT > messages.hex
"""

import json
import re
import struct
import sys
from pathlib import Path

SERVED = {
    0: (3, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 8: (2, 10), 9: (1, 10),
    10: (0, 6), 11: (0, 9), 12: (0, 4), 13: (0, 5), 14: (0, 5), 15: (0, 6),
    16: (0, 5), 17: (0, 1), 18: (0, 4), 19: (2, 7), 20: (1, 6), 21: (0, 2),
    22: (0, 5), 23: (2, 4), 32: (1, 4), 33: (0, 2), 34: (1, 2), 35: (1, 5),
    36: (0, 2), 37: (0, 3), 42: (0, 2), 43: (0, 2), 44: (0, 1), 45: (0, 1),
    46: (0, 0), 47: (0, 0), 50: (0, 0), 51: (0, 0), 55: (0, 2), 60: (0, 2),
    61: (0, 0), 64: (0, 0), 74: (0, 1), 75: (0, 0),
}

# Fields of replicas and of KRaft's own log, which our Fetch response leaves out.
LEFT_OUT = {("FetchResponse", "SnapshotId")}


def versions(text):
    """The range that a schema's text names; empty for `none`."""
    if text == "none":
        return range(0)
    low, _, high = text.partition("-")
    if text.endswith("+"):
        return range(int(text[:-1]), 1 << 15)
    return range(int(low), int(high or low) + 1)


def unsigned_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


class Body:
    """Encodes one message in one version."""

    def __init__(self, schema, version, kind):
        self.schema = schema
        self.version = version
        self.kind = kind
        self.flexible = version in versions(schema["flexibleVersions"])
        self.counter = 0
        self.structs = {s["name"]: s["fields"] for s in schema.get("commonStructs", [])}

    def encode(self):
        return self.struct(self.schema["fields"])

    def struct(self, fields):
        out = b""
        tagged = {}
        for field in fields:
            if self.version not in versions(field["versions"]):
                continue
            if self.version in versions(field.get("taggedVersions", "none")):
                if self.kind == "full" and (self.schema["name"], field["name"]) not in LEFT_OUT:
                    tagged[field["tag"]] = self.value(field)
                continue
            out += self.value(field)
        if self.flexible:
            out += unsigned_varint(len(tagged))
            for tag, value in sorted(tagged.items()):
                out += unsigned_varint(tag) + unsigned_varint(len(value)) + value
        return out

    def value(self, field):
        kind = field["type"]
        nullable = self.version in versions(field.get("nullableVersions", "none"))
        if kind.startswith("[]"):
            return self.array(field, kind[2:], nullable)
        if kind in ("string", "bytes", "records"):
            return self.blob(field, kind, nullable)
        if kind in ("bool", "int8", "int16", "uint16", "int32", "int64", "float64", "uuid"):
            return self.number(field, kind)
        if nullable and (self.kind == "null" or self.kind == "default" and field.get("default") == "null"):
            return b"\xff"
        body = self.struct(field.get("fields") or self.structs[kind])
        return b"\x01" + body if nullable else body

    def array(self, field, kind, nullable):
        if self.kind == "null" and nullable:
            return self.length(None, 4)
        if self.kind == "default":
            return self.length(None if nullable and field.get("default") == "null" else 0, 4)
        count = 2 if self.kind == "full" else 1
        out = self.length(count, 4)
        for _ in range(count):
            if kind[0].isupper():
                out += self.struct(field.get("fields") or self.structs[kind])
            else:
                out += self.value({**field, "type": kind, "nullableVersions": "none"})
        return out

    def blob(self, field, kind, nullable):
        size = 2 if kind == "string" else 4
        if nullable and (self.kind == "null" or self.kind == "default" and field.get("default") == "null"):
            return self.length(None, size)
        if self.kind == "default":
            return self.length(0, size)
        self.counter += 1
        data = f"{field['name']}{self.counter}".encode()
        return self.length(len(data), size) + data

    def number(self, field, kind):
        self.counter += 1
        if kind == "uuid":
            return bytes(16) if self.kind == "default" else bytes([self.counter % 256]) * 16
        value = self.counter
        if self.kind == "default":
            value = field.get("default", 0)
            value = {"true": 1, "false": 0, True: 1, False: 0}.get(value, value)
            value = int(value, 0) if isinstance(value, str) else value
        if kind == "bool":
            return bytes([value % 2 if self.kind == "default" else 1])
        if kind == "float64":
            return struct.pack(">d", value)
        code = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i", "int64": "q"}[kind]
        if kind == "int8":
            value = value if self.kind == "default" else value % 100
        return struct.pack(">" + code, value)

    def length(self, count, size):
        if self.flexible:
            return unsigned_varint(0 if count is None else count + 1)
        return struct.pack(">h" if size == 2 else ">i", -1 if count is None else count)


def load(path):
    text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
    return json.loads(re.sub(r"([^:])//.*$", r"\1", text, flags=re.M))


def main():
    folder = Path(sys.argv[1], "clients/src/main/resources/common/message")
    schemas = [load(path) for path in sorted(folder.glob("*.json"))]
    for key, (low, high) in SERVED.items():
        for side in ("request", "response"):
            (schema,) = (s for s in schemas if s.get("apiKey") == key and s["type"] == side)
            for version in range(low, high + 1):
                for kind in ("default", "full", "null"):
                    body = Body(schema, version, kind).encode()
                    print(f"{key} {side} {version} {kind} {body.hex()}")


main()
