import re
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimaface.protocol.codec import MAX_CONTROL, Codec, Message
from mimaface.protocol.errors import ERROR_OF_CODE, InvalidMessage, MimaFaceError, error_from_wire
from mimaface.protocol.messages import SCHEMAS, common_version

SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
)
VALUES = st.recursive(
    SIMPLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)
OF_TYPE = {str: st.text(max_size=40), int: st.integers(0, 2**40), float: st.floats(-1e9, 1e9), bool: st.booleans(),
           list: st.lists(SIMPLE, max_size=4), dict: st.dictionaries(st.text(max_size=8), SIMPLE, max_size=4)}  # fmt: skip


@st.composite
def messages(draw):
    kind = draw(st.sampled_from(sorted(SCHEMAS)))
    schema = SCHEMAS[kind]
    fields = {}
    for name, wanted in schema.required.items():
        fields[name] = draw(OF_TYPE[draw(st.sampled_from(wanted if isinstance(wanted, tuple) else (wanted,)))])
    for name, wanted in schema.optional.items():
        if draw(st.booleans()):
            fields[name] = draw(OF_TYPE[draw(st.sampled_from(wanted if isinstance(wanted, tuple) else (wanted,)))])
    parts = tuple(draw(st.binary(max_size=50)) for _ in range(schema.parts))
    return Message(kind, fields, parts, draw(st.integers(0, 2**62)))


@settings(max_examples=200, deadline=None)
@given(messages())
def test_every_message_comes_back(message):
    assert Codec.decode(Codec.encode(message)) == message


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_noise_is_refused_and_nothing_else_happens(frames):
    try:
        Codec.decode(frames)
    except InvalidMessage:
        return
    raise AssertionError("noise was taken for a message")


def control(fields, kind="hello", number=1):
    return msgpack.packb([kind, number, fields])


GOOD = {"versions": [1], "name": "x"}
DEEP = {"a": [[[[[[[[[[1]]]]]]]]]]}
BAD = {
    "nothing": [],
    "five parts": [control(GOOD)] + [b""] * 4,
    "unexpected part": [control(GOOD), b"x"],
    "not a number": [control({**GOOD, "more": float("nan")})],
    "infinite": [control({**GOOD, "more": float("inf")})],
    "too deep": [control({**GOOD, "more": DEEP})],
    "extension": [control({**GOOD, "more": msgpack.ExtType(4, b"x")})],
    "timestamp": [control({**GOOD, "more": msgpack.Timestamp(1)})],
    "bytes inside": [control({**GOOD, "more": b"x"})],
    "unknown kind": [control(GOOD, "hallo")],
    "field missing": [control({"versions": [1]})],
    "wrong type": [control({"versions": "1", "name": "x"})],
    "bool for int": [control({"job": "a", "from_frame": True, "credit": 1}, "job.attach")],
    "negative number": [control(GOOD, number=-1)],
    "twice": [b"\x93\xa5hello\x01\x83\xa8versions\x91\x01\xa4name\xa1x\xa4name\xa1y"],
    "trailing": [control(GOOD) + b"\x00"],
    "cut": [control(GOOD)[:-2]],
    "large": [control({**GOOD, "more": ["x" * 60000] * 5})],
    "key not text": [b"\x93\xa5hello\x01\x81\x01\x02"],
    "claims a huge list": [b"\x93\xa5hello\x01\xdd\xff\xff\xff\xff"],
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_messages_are_refused(name):
    with pytest.raises(InvalidMessage):
        Codec.decode(BAD[name])


def test_unknown_fields_are_ignored_for_newer_peers():
    assert Codec.decode([control({**GOOD, "from_the_future": [1, "a"]})]).fields["name"] == "x"


def test_encoding_checks_too():
    for message in (
        Message("hello", {}),
        Message("hello", {**GOOD, "x": {1: 2}}),
        Message("hello", {**GOOD, "x": ["a" * MAX_CONTROL]}),
    ):
        with pytest.raises(InvalidMessage):
            Codec.encode(message)


def test_versions_meet_at_the_highest_common_one():
    assert common_version([1]) == 1
    assert common_version([99, 1, "1", True]) == 1
    assert common_version([99]) is None


def test_error_codes_are_unique_and_travel():
    def every(cls):
        yield cls
        for child in cls.__subclasses__():
            yield from every(child)

    classes = list(every(MimaFaceError))
    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        assert type(error_from_wire(cls.code, "a", "b")) is cls
        assert ERROR_OF_CODE[cls.code] is cls
    assert type(error_from_wire("of_the_future", "a")) is MimaFaceError


def test_the_document_lists_the_same_messages():
    text = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z.]+)` \| ([^|]*) \|", text, re.M))
    assert set(documented) == set(SCHEMAS)
    for kind, fields in documented.items():
        names = set(re.findall(r"`([a-z_0-9]+)\??`", fields))
        assert names == set(SCHEMAS[kind].required) | set(SCHEMAS[kind].optional), kind
