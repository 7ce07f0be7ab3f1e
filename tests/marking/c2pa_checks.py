"""Independent checks of the C2PA specification on a PNG file: JUMBF boxes (ISO 19566-5), CBOR (RFC 8949) and COSE (RFC 9052)."""

from __future__ import annotations

import hashlib
import struct

from cryptography import x509


def chunks(content: bytes):
    """Yields (kind, offset of the chunk, its data) of a PNG file."""
    place = 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield content[place + 4 : place + 8], place, content[place + 8 : place + 8 + length]
        place += 12 + length


def boxes(content: bytes, path: str = "") -> dict[str, bytes]:
    """Returns a dictionary from each superbox's label to the data of its CBOR or JSON box."""
    found, place, label = {}, 0, path
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        body = content[place + 8 : place + size]
        if kind == b"jumd":
            label = body[17:].split(b"\0")[0].decode()
        elif kind == b"jumb":
            found |= boxes(body, label)
        elif kind in (b"cbor", b"json"):
            found[label] = body
        place += size
    return found


def cbor(content: bytes, place: int = 0):
    """Returns (value, offset behind it)."""
    head = content[place]
    major, value, place = head >> 5, head & 31, place + 1
    if major == 7:
        return {20: False, 21: True, 22: None}.get(value), place
    if value >= 24:
        size = 1 << value - 24
        value, place = int.from_bytes(content[place : place + size], "big"), place + size
    if major in (2, 3):
        raw = content[place : place + value]
        return (raw if major == 2 else raw.decode()), place + value
    if major in (4, 5):
        items = []
        for _ in range(value * (major - 3)):
            item, place = cbor(content, place)
            items.append(item)
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), place
    if major == 6:
        return cbor(content, place)
    return (value if major == 0 else -1 - value), place


def text(raw: bytes) -> bytes:
    """Encodes a byte string in CBOR."""
    size = len(raw)
    head = bytes([0x40 | size]) if size < 24 else b"\x58" + bytes([size]) if size < 256 else b"\x59" + size.to_bytes(2, "big")
    return head + raw


def problems(content: bytes) -> list[str]:
    """Returns the disagreements between a PNG file and its credentials."""
    found = boxes(next(data for kind, _, data in chunks(content) if kind == b"caBX"))
    wrong = []
    claim = cbor(found["c2pa.claim.v2"])[0]
    hashed, _ = cbor(found["c2pa.hash.data"])
    rest, place = b"", 0
    for hole in hashed["exclusions"]:
        rest, place = rest + content[place : hole["start"]], hole["start"] + hole["length"]
    if hashlib.sha256(rest + content[place:]).digest() != hashed["hash"]:
        wrong.append("the file is not the one that was signed")
    signed, _ = cbor(found["c2pa.signature"])
    protected, open_fields, _, signature = signed
    chain = (cbor(protected)[0] | open_fields)[33]
    own = x509.load_der_x509_certificate(chain[0])
    own.verify_directly_issued_by(x509.load_der_x509_certificate(chain[1]))
    structure = b"\x84\x6aSignature1" + text(protected) + text(b"") + text(found["c2pa.claim.v2"])
    try:
        own.public_key().verify(signature, structure)
    except Exception:
        wrong.append("the signature is not of this claim")
    if not any("c2pa.hash.data" in item["url"] for item in claim["created_assertions"]):
        wrong.append("the claim does not speak of the file")
    return wrong
