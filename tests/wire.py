"""Kafka requests as bare bytes: well formed ones by the message schemas, and
what is left of them when a length in them lies."""

import dataclasses
import importlib.resources
import socket
import struct

from kafka.protocol.schemas import load_json, resources

MOST = 2**31 - 1


@dataclasses.dataclass
class Body:
    """The bytes of a request without header, and where a length is in them."""

    data: bytearray = dataclasses.field(default_factory=bytearray)
    lengths: list[tuple[int, int, str]] = dataclasses.field(default_factory=list)

    def length(self, value: int, width: str) -> None:
        """`width` is h, i, or c for a compact one, which holds value + 1."""
        begin = len(self.data)
        self.data += varint(value + 1) if width == 'c' else struct.pack(f'>{width}', value)
        self.lengths.append((begin, len(self.data), width))

    def lying(self, place: int, value: int = MOST) -> bytes:
        """The same bytes, but one length claims another value."""
        begin, end, width = self.lengths[place]
        lie = {'c': lambda: varint(value + 1), 'h': lambda: struct.pack('>h', min(value, 2**15 - 1)),
               'i': lambda: struct.pack('>i', value)}[width]()
        return bytes(self.data[:begin]) + lie + bytes(self.data[end:])


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def request_schemas() -> dict[int, dict]:
    """The requests whose fields are known, by API key."""
    names = [entry.name.removesuffix('.json') for entry in importlib.resources.files(resources).iterdir()
             if entry.name.endswith('Request.json')]
    schemas = [load_json(name) for name in sorted(names)]
    return {schema['apiKey']: schema for schema in schemas}


def covers(versions: str | None, version: int) -> bool:
    if not versions or versions == 'none':
        return False
    first, _, last = versions.partition('-')
    if first.endswith('+'):
        return version >= int(first[:-1])
    return int(first) <= version <= int(last or first)


def sample(schema: dict, version: int) -> Body:
    """A request of this version in which every array has one element."""
    flexible = covers(schema.get('flexibleVersions'), version)
    body = Body()
    add_fields(body, schema['fields'], version, flexible)
    return body


def add_fields(body: Body, fields: list[dict], version: int, flexible: bool) -> None:
    tagged = []
    for field in fields:
        if not covers(field['versions'], version):
            continue
        if covers(field.get('taggedVersions'), version):
            tagged.append(field)
        else:
            add_value(body, field['type'], field, version, flexible)
    if flexible:
        add_tagged(body, tagged, version)


def add_tagged(body: Body, tagged: list[dict], version: int) -> None:
    body.length(len(tagged) - 1, 'c')
    for field in sorted(tagged, key=lambda field: field['tag']):
        inner = Body()
        add_value(inner, field['type'], field, version, True)
        body.data += varint(field['tag'])
        body.length(len(inner.data) - 1, 'c')
        shift = len(body.data)
        body.lengths += [(begin + shift, end + shift, width) for begin, end, width in inner.lengths]
        body.data += inner.data


NUMBERS = {'bool': '>?', 'int8': '>b', 'int16': '>h', 'uint16': '>H', 'int32': '>i', 'uint32': '>I', 'int64': '>q',
           'float64': '>d'}


def add_value(body: Body, kind: str, field: dict, version: int, flexible: bool) -> None:
    if kind.startswith('[]'):
        body.length(1, 'c' if flexible else 'i')
        add_value(body, kind[2:], field, version, flexible)
    elif kind in NUMBERS:
        body.data += struct.pack(NUMBERS[kind], 0)
    elif kind == 'uuid':
        body.data += bytes(16)
    elif kind == 'string':
        body.length(1, 'c' if flexible else 'h')
        body.data += b'x'
    elif kind in ('bytes', 'records'):
        body.length(1, 'c' if flexible else 'i')
        body.data += b'x'
    else:
        if covers(field.get('nullableVersions'), version) and not kind.startswith('[]') and 'fields' in field \
                and field['type'] == kind:
            body.data += b'\x01'
        add_fields(body, field['fields'], version, flexible)


def header(key: int, version: int, flexible: bool, correlation: int = 7, client: bytes = b'wire') -> bytes:
    return struct.pack('>hhih', key, version, correlation, len(client)) + client + (b'\0' if flexible else b'')


def frame(payload: bytes) -> bytes:
    return struct.pack('>i', len(payload)) + payload


def receive(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer when the other side closed."""
    data = b''
    while len(data) < count:
        try:
            piece = connection.recv(count - len(data))
        except ConnectionError:
            break
        if not piece:
            break
        data += piece
    return data


def answer(connection: socket.socket) -> bytes | None:
    """The next frame, or None when the connection was closed instead."""
    size = receive(connection, 4)
    if len(size) < 4:
        return None
    length, = struct.unpack('>i', size)
    assert 0 <= length < 100_000_000, f'a frame of {length} bytes'
    payload = receive(connection, length)
    return payload if len(payload) == length else None


def ask(connection: socket.socket, payload: bytes) -> bytes | None:
    try:
        connection.sendall(frame(payload))
    except ConnectionError:
        return None
    return answer(connection)


def served_versions(connection: socket.socket) -> dict[int, tuple[int, int]]:
    """What ApiVersions v0 lists."""
    payload = ask(connection, header(18, 0, False))
    assert payload is not None, 'no answer to ApiVersions'
    error, count = struct.unpack_from('>hi', payload, 4)
    assert error == 0
    entries = [struct.unpack_from('>hhh', payload, 10 + 6 * index) for index in range(count)]
    return {key: (least, most) for key, least, most in entries}
