"""A film as the source of a job over the wire: the frames that Python gives, also after the backend was killed."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mimaface
from conftest import CASES, motion_of
from mimaface.drivers.film import Film, pack_film, unpack_film
from mimaface.protocol.errors import InvalidInput, NoFaceFound, UnknownJob
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings

from .conftest import collect, receive, video

MOTION = motion_of({}, {"jawOpen": 0.8, "browInnerUp": 1.0}, {})
SETTINGS = {"engine": "proxy", "size": 128, "watermark": False, "only": "lips"}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return video(tmp_path_factory.mktemp("film") / "film.mkv", 4)


@pytest.fixture(scope="module")
def film(path) -> Film:
    return Film.open(path)


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_what_is_kept_of_a_film_is_the_film(film, path):
    again = unpack_film(pack_film(film), path)
    assert (again.rate, again.tick, again.size, again.sha256, again.warnings) == (film.rate, film.tick, film.size, film.sha256, film.warnings)
    np.testing.assert_array_equal(again.times, film.times)
    assert sorted(again.fits) == sorted(film.fits)
    for index, fit in film.fits.items():
        for name in ("identity", "blendshapes", "rotation", "translation", "gaze", "landmarks", "error", "confidence", "camera"):
            np.testing.assert_array_equal(getattr(again.fits[index], name), getattr(fit, name))


def test_a_film_is_a_job_that_goes_on_to_the_same_frames(backend, film, path, tmp_path):
    source = Path(shutil.copy(path, tmp_path / "film.mkv"))
    client = backend.client()
    opened = client.call("film.open", {"path": str(source)}).fields
    told = {(event.fields["stage"], event.fields["done"]) for event in client.events() if event.kind == "progress"}
    assert {("reading", 4), ("following", 4)} <= told
    assert (opened["frames"], opened["rate"], opened["sound"], opened["width"]) == (4, 25, False, 256)
    fields = {"portrait": opened["film"], "settings": SETTINGS, "name": "film"}
    job = client.call("job.submit", fields, [MOTION.to_bytes()]).fields
    assert job["frames"] == 4, "the film's"
    before, _ = receive(client, job["job"], limit=1)
    backend.kill()
    backend.start()
    client = backend.client()
    client.call("job.attach", {"job": job["job"], "from_frame": len(before), "credit": 8})
    after, end = collect(client, job["job"])
    assert end.kind == "done"
    expected = [frame.image for frame in mimaface.animate(film, MOTION, RenderSettings(size=128, only="lips"))]
    for index, content in sorted((before | after).items()):
        np.testing.assert_array_equal(picture(content), expected[index])
    whole = client.call("job.submit", fields | {"settings": SETTINGS | {"only": ""}}, [MOTION.to_bytes()]).fields["job"]
    assert whole != job["job"]
    source.write_bytes((CASES / "handheld.mp4").read_bytes())
    other = client.call("job.submit", fields | {"settings": SETTINGS | {"size": 96}}, [MOTION.to_bytes()]).fields["job"]
    ended = receive(client, other)[1]
    assert ended.kind == "failed" and "has changed since it was tracked" in ended.fields["message"]


def test_a_preview_shows_the_film_where_the_player_stands(shared, film, path, tmp_path):
    """Forwards, backwards and beyond its ends: to the byte what a job makes of that frame; and the sentence where the film is gone."""
    source = Path(shutil.copy(path, tmp_path / "film.mkv"))
    client = shared.client()
    identity = client.call("film.open", {"path": str(source)}).fields["film"]
    pose = MOTION.resampled(MOTION.time[[1]]).but(meta={"neutral": "rest"})
    held = pose.resampled(np.array([0.0, 1.0]))
    expected = [frame.image for frame in mimaface.animate(film, held, RenderSettings(size=128, only="lips"))]

    def shown(number: int, motion) -> np.ndarray:
        fields = {"portrait": identity, "slot": "a", "generation": 1, "settings": SETTINGS, "frame": number}
        reply = client.call("preview", fields, [motion.to_bytes()])
        return np.frombuffer(reply.parts[0], np.uint8).reshape(reply.fields["height"], reply.fields["width"], 3)

    for number, frame in ((2, 2), (3, 3), (1, 1), (1, 1), (-5, 0), (99, 3)):
        np.testing.assert_array_equal(shown(number, pose), expected[frame])
    assert not np.array_equal(shown(2, MotionClip.at_rest(np.zeros(1))), expected[2])
    source.unlink()
    with pytest.raises(UnknownJob, match="is not there any more"):
        shown(0, pose)
    Path(shutil.copy(path, tmp_path / "moved.mkv"))
    assert client.call("film.open", {"path": str(tmp_path / "moved.mkv")}).fields["film"] == identity
    np.testing.assert_array_equal(shown(0, pose), expected[0])


def test_what_a_film_cannot_be_is_said(shared, path):
    client = shared.client()
    opened = client.call("film.open", {"path": str(path)}).fields
    for settings, words in ((SETTINGS | {"engine": "demo"}, "by the engine proxy"), (SETTINGS | {"transparent": True}, "keeps its framing")):
        with pytest.raises(InvalidInput, match=words):
            client.call("job.submit", {"portrait": opened["film"], "settings": settings}, [MOTION.to_bytes()])
    with pytest.raises(UnknownJob):
        client.call("job.submit", {"portrait": opened["film"][:-8] + "00000000", "settings": SETTINGS}, [MOTION.to_bytes()])
    for fields in ({"path": "/absent.mp4"}, {"path": str(path), "face": 3}, {"path": str(path), "face": -1}):
        with pytest.raises((InvalidInput, NoFaceFound)):
            client.call("film.open", fields)
    assert client.call("preview", {"portrait": opened["portrait"], "slot": "a", "generation": 1}, [MOTION.to_bytes()]).fields["width"] == 256
