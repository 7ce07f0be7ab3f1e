"""Films as the source of a shot: frames as they were, but for what the motion moves."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import mimaface
from conftest import COLLINS, HOPPER, motion_of
from mimaface.cli import main
from mimaface.drivers.film import Film, is_film, runs
from mimaface.drivers.film_pictures import FilmPictures
from mimaface.drivers.video import video_frames
from mimaface.face.landmarks import FaceLandmarker
from mimaface.pictures import Picture, load_picture, over_matte
from mimaface.protocol.arkit import REGIONS, blendshapes_of, regions_of
from mimaface.protocol.errors import InvalidInput, NoFaceFound
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.film_session import _shown

TICKS = (0, 40, 80, 200, 240)  # milliseconds of the film's frames: one is late
SIDE = 192
TALK = {"jawOpen": 0.6, "mouthSmileLeft": 0.8, "browInnerUp": 1.0, "angles": (10, 5, 0), "gaze": (15, 0)}


def small(path, shift: int = 0) -> np.ndarray:
    """A photograph at the film's size, moved by some pixels to the right, as a camera would."""
    picture = np.asarray(Image.fromarray(load_picture(path)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(np.roll(picture, shift, axis=1))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Two frames of one person, one of nobody, two of another person."""
    return [small(COLLINS), small(COLLINS, 2), np.full((SIDE, SIDE, 3), 90, np.uint8), small(HOPPER), small(HOPPER, 2)]


@pytest.fixture(scope="module")
def path(tmp_path_factory, pictures):
    """A film without loss whose frames are not even in time, with sound."""
    import av

    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        shown, heard = container.add_stream("ffv1", rate=25), container.add_stream("pcm_s16le", rate=16000, layout="mono")
        shown.width, shown.height, shown.pix_fmt = SIDE, SIDE, "bgr0"
        for tick, picture in zip(TICKS, pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(shown.encode(frame))
        container.mux(shown.encode())
        wave = (8000 * np.sin(np.arange(4480) * 0.2)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(heard.encode(frame))
        container.mux(heard.encode())
    return path


@pytest.fixture(scope="module")
def film(path) -> Film:
    return Film.open(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("frames")
    for index, picture in enumerate(pictures[:2]):
        Image.fromarray(picture).save(path / f"{index}.png")
    return path


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """From rest to talking, more slowly than the film."""
    path = tmp_path_factory.mktemp("motion") / "talk.motion.npz"
    motion_of({}, TALK, rate=12.5).save(path)
    return path


def test_what_a_film_is(path, folder, motion):
    assert is_film(path) and is_film(folder)
    assert not is_film(COLLINS) and not is_film(motion) and not is_film(folder / "absent.mp4")


def test_one_person_is_followed_and_the_rest_is_said(film):
    assert len(film) == len(TICKS) and film.size == (SIDE, SIDE)
    np.testing.assert_allclose(film.times, np.array(TICKS) / 1000, atol=1e-9)
    assert sorted(film.fits) == [0, 1]
    np.testing.assert_array_equal(film.fits[0].identity, film.fits[1].identity, "one person, one identity")
    assert film.warnings == ("frame 2: no face found; left as they are", "frames 3–4: another person's face; left as they are")


def test_at_rest_a_film_is_itself_to_the_byte(film, path):
    frames = list(mimaface.animate(film, MotionClip.at_rest(np.arange(2) / 10)))
    assert [frame.index for frame in frames] == list(range(len(TICKS))) and all(frame.still for frame in frames)
    for frame, (_, decoded) in zip(frames, video_frames(path), strict=True):
        np.testing.assert_array_equal(frame.image, decoded)


def test_the_motion_of_each_moment_moves_the_face_that_was_found(film, pictures):
    """At 0.04 s the jaw is half of the way; others' frames stay whatever it does."""
    frames = list(mimaface.animate(film, motion_of({}, {"jawOpen": 0.6}, rate=12.5)))
    assert [frame.still for frame in frames] == [True, False, True, True, True]
    halfway = list(mimaface.animate(film, motion_of({"jawOpen": 0.3}, rate=25)))
    np.testing.assert_array_equal(frames[1].image, halfway[1].image)
    assert not np.array_equal(frames[1].image, pictures[1])


def test_lips_alone_leave_all_above_the_nose(folder, motion, tmp_path, pictures):
    """In the files, watermark included; and the film's own head and gaze are kept."""
    assert main(["animate", str(folder), str(motion), "-o", str(tmp_path / "out"), "--only", "lips"]) == 0
    before, after = pictures[1].astype(int), load_picture(tmp_path / "out" / "000001.png").astype(int)
    nose, mouth = (FaceLandmarker.load().faces(pictures[1])[0].points[k, 1] for k in (195, 13))  # the middle of its bridge
    away = np.abs(after - before).max((1, 2))
    assert away[: int(nose)].max() <= 1
    assert away[int(mouth) :].max() > 60


@pytest.mark.parametrize(("only", "landmarks"), [("gaze", (468, 473)), ("lids", (159, 386)), ("brows", (105, 334))])
def test_a_region_moves_and_what_is_far_from_it_does_not(film, pictures, only, landmarks):
    values = TALK | {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    image = next(iter(mimaface.animate(film, motion_of(values), RenderSettings(only=only)))).image.astype(int)
    points = film.fits[0].landmarks[:, :2]
    away = np.abs(image - pictures[0]).max(-1)
    face = np.ptp(points[:468, 1])
    for landmark in landmarks:
        u, v = points[landmark].astype(int)
        assert away[v - 4 : v + 5, u - 4 : u + 5].max() > 15
    assert away[int(points[list(landmarks), 1].max() + 0.3 * face) :].max() == 0, "nothing below"


def test_the_head_alone_takes_its_own_expression_along(film, pictures):
    image = next(iter(mimaface.animate(film, motion_of(TALK), RenderSettings(only="head")))).image
    turned = next(iter(mimaface.animate(film, motion_of({"angles": TALK["angles"]}))))
    away = np.abs(image.astype(int) - pictures[0]).max(-1)
    assert (away > 20).mean() > 0.02, "a head and its outline"
    assert np.abs(image.astype(int) - turned.image)[turned.changed].mean() < 0.5


def test_regions_part_all_blendshapes():
    assert np.array([blendshapes_of(region) for region in REGIONS]).sum(0).tolist() == [1] * 52
    assert regions_of("") == tuple(REGIONS) and regions_of("lips, gaze") == ("lips", "gaze")
    with pytest.raises(InvalidInput, match="no region 'nose'"):
        RenderSettings(only="lips,nose")


def test_a_film_keeps_its_times_and_its_sound(path, motion, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    assert main(["animate", str(path), str(motion), "-o", str(out), "--only", "lips", "--consent", "not-needed"]) == 0
    said = capsys.readouterr().err
    assert "frames 3–4: another person's face" in said and "ends after 0.1 of the film's 0.2 s" in said
    assert [round(1000 * seconds) for seconds, _ in video_frames(out)] == list(TICKS)
    import av

    with av.open(str(out)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / container.streams.audio[0].rate
    assert heard == pytest.approx(0.28, abs=0.07)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fps", "12"), "--fps is not possible"),
        (("--framing", "face"), "--framing face is not possible"),
        (("--engine", "demo"), "--engine demo is not possible"),
        (("--only", "nose"), "no region 'nose'"),
    ],
)
def test_what_a_film_cannot_have_is_one_sentence(path, motion, tmp_path, capsys, options, words):
    assert main(["animate", str(path), str(motion), "-o", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.strip().splitlines()) == 1, said


def test_a_film_without_a_face(tmp_path, pictures):
    for name in "ab":
        Image.fromarray(pictures[2]).save(tmp_path / f"{name}.png")
    with pytest.raises(NoFaceFound, match="no face found in any of 2 frames"):
        Film.open(tmp_path)
    Image.fromarray(pictures[0]).save(tmp_path / "c.png")
    with pytest.raises(NoFaceFound, match="face 1 was asked for, but at most one face is in a frame"):
        Film.open(tmp_path, face=1)


def test_a_still_frame_with_an_alpha_has_its_own_colours():
    """The grey behind what is half see-through was left in its colours, while frames that moved had none."""
    image, alpha = np.full((64, 64, 3), (200, 60, 20), np.uint8), np.full((64, 64), 255, np.uint8)
    alpha[:, 30:40], alpha[:, 40:] = 128, 0
    found = _shown(Picture(over_matte(image.copy(), alpha), alpha, ()), 64)
    np.testing.assert_array_equal(found[..., 3], alpha)
    np.testing.assert_allclose(found[:, :40, :3], image[:, :40], atol=1)


def test_runs_of_frames_in_words():
    assert runs([4]) == "frame 4"
    assert runs([1, 2, 3, 7]) == "frames 1–3, 7"
    assert runs(list(range(0, 40, 2))) == "frames 0, 2, 4, 6, 8, 10 and 14 more runs"


@pytest.mark.parametrize(("ending", "codec"), [(".mkv", "mpeg4"), (".mp4", "mpeg4"), (".ts", "mpeg2video")])
def test_frames_in_any_order_are_those_of_the_film_in_order(tmp_path, ending, codec):
    """Key frames are ten apart; a container that cannot be searched is read from its beginning."""
    import av

    path = tmp_path / f"film{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10", "bf": "2", "sc_threshold": "1000000000"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(60):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[:, number : number + 5] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    frames = list(video_frames(path))
    film = Film(path, np.array([seconds for seconds, _ in frames]), Fraction(25), Fraction(1, 25), (48, 64), {}, "")
    pictures = FilmPictures(film)
    for number in (0, 1, 5, 45, 44, 44, 46, 12, 59, 3):
        np.testing.assert_array_equal(pictures.at(number).image, frames[number][1], err_msg=f"frame {number}")
    count = len(list(video_frames(path, float(film.times[45]))))
    assert count == 60 if ending == ".ts" else 15 <= count <= 25, "from the key frame before it"
