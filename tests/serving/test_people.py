"""Several people of one picture over the wire: one job and one preview, with the frames that Python gives."""

import io

import numpy as np
import pytest
from PIL import Image

import mimaface
from conftest import CASES, motion_of
from mimaface.face.portrait import Portrait
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.people import pack_motions, together
from mimaface.protocol.settings import RenderSettings

from .conftest import collect, fit, receive

PAIR = CASES / "two_near_far.jpg"
MOTIONS = [motion_of({}, {"jawOpen": 0.8}, {}), motion_of({}, {}, {"jawOpen": 0.8}, {"jawOpen": 0.4})]
PART = pack_motions([motion.to_bytes() for motion in MOTIONS])
SETTINGS = {"engine": "proxy", "size": 256, "watermark": False}


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    portraits = [Portrait.open(PAIR, face) for face in (0, 1)]
    return [frame.image for frame in mimaface.animate(portraits, MOTIONS, RenderSettings(size=256))]


def ids(client) -> list[str]:
    return [client.call("portrait.fit", {"face": face}, [PAIR.read_bytes()]).fields["portrait"] for face in (0, 1)]


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_two_people_are_one_job_that_goes_on_to_the_same_frames(backend, expected):
    client = backend.client()
    fields = {"portrait": together(ids(client)), "settings": SETTINGS, "name": "both"}
    told = client.call("job.submit", fields, [PART]).fields
    assert told["frames"] == 4, "the longer motion's"
    before, _ = receive(client, told["job"], limit=1)
    backend.kill()
    backend.start()
    client = backend.client()
    assert client.call("job.submit", fields, [PART]).fields["job"] == told["job"], "the same request is the same job"
    client.call("job.attach", {"job": told["job"], "from_frame": len(before), "credit": 8})
    after, end = collect(client, told["job"])
    assert end.kind == "done"
    for index, content in (before | after).items():
        np.testing.assert_array_equal(picture(content), expected[index])
    assert sorted(before | after) == [0, 1, 2, 3]
    other = pack_motions([motion.to_bytes() for motion in reversed(MOTIONS)])
    assert client.call("job.submit", fields, [other]).fields["job"] != told["job"]


def test_a_preview_shows_both(shared, expected):
    client = shared.client()
    part = pack_motions([motion_of({"jawOpen": 0.8}).to_bytes(), motion_of({}).to_bytes()])
    reply = client.call("preview", {"portrait": together(ids(client)), "slot": "a", "generation": 1, "settings": {"size": 256}}, [part])
    found = np.frombuffer(reply.parts[0], np.uint8).reshape(reply.fields["height"], reply.fields["width"], 3)
    np.testing.assert_array_equal(found, expected[1])


def test_what_does_not_go_together_is_said(shared):
    client = shared.client()
    both = ids(client)
    single = MOTIONS[0].to_bytes()
    for portraits, settings, part, error, words in (
        ([*both], SETTINGS, single, InvalidMotion, "have one motion for each of 2 people"),
        ([*both], SETTINGS, b"text", InvalidMotion, "motions of 2 people cannot be read"),
        ([both[0]], SETTINGS, PART, InvalidMotion, "job's motion"),
        ([both[0], fit(client)], SETTINGS, PART, InvalidInput, "in one picture"),
        ([both[0], both[0]], SETTINGS, PART, InvalidInput, "two motions are given to one face"),
        ([*both], SETTINGS | {"engine": "demo"}, PART, InvalidInput, "by the engine proxy"),
        ([*both], SETTINGS | {"transparent": True}, PART, InvalidInput, "framing and background"),
        ([both[0], ""], SETTINGS, PART, InvalidInput, "is invalid"),
    ):
        with pytest.raises(error, match=words):
            client.call("job.submit", {"portrait": together(portraits), "settings": settings}, [part])
