"""Content credentials: conformance, two independent readers, tampering, certificates, and behaviour without the extra."""

import io
import stat
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import HOPPER, motion_of
from marking.c2pa_checks import chunks, problems
from mimaface.cli import main
from mimaface.marking import credentials
from mimaface.marking.certificate import certificate
from mimaface.marking.consent import consent_of, keep_consent
from mimaface.marking.marker import Marker
from mimaface.marking.report import inspect
from mimaface.output.sinks import open_sink
from mimaface.pictures import encode_png, is_ours
from mimaface.protocol.errors import InvalidInput, NotInstalled
from mimaface.protocol.settings import RenderSettings

SOURCE = "a8ca" + "0" * 60


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(HOPPER).convert("RGB").resize((240, 300), Image.Resampling.LANCZOS))


def written(path, photo, home, frames=2, **settings):
    marker = Marker(SOURCE, RenderSettings("proxy", **settings), home)
    assert not marker.problem
    with open_sink(path, 24.0, True, marker=marker) as sink:
        for index in range(frames):
            sink.write(index, photo)
    return path


def told(path):
    return {finding.what: (finding.fine, finding.words) for finding in inspect(path)}


def test_a_frame_says_all_of_itself_to_both_readers_and_shows_the_same_picture(tmp_path, photo, home):
    keep_consent(home, SOURCE, "given")
    path = written(tmp_path / "shot", photo, home) / "000001.png"
    found = told(path)
    assert all(fine for fine, _ in found.values()), found
    assert "compositeWithTrainedAlgorithmicMedia" in found["made as"][1] and found["XMP"][1] == "compositeWithTrainedAlgorithmicMedia"
    assert found["photograph"][1].endswith(SOURCE) and "renderer proxy" in found["made by"][1] and "agreed" in found["consent"][1]
    assert "a8ca" in found["watermark"][1]
    assert problems(path.read_bytes()) == []
    assert is_ours(path), "a later run with --overwrite takes it away"
    marked = np.asarray(Image.open(path)).astype(float)
    assert 10 * np.log10(255**2 / np.mean((marked - photo) ** 2)) >= 42


@pytest.mark.parametrize("kind", ["png", "mp4"])
def test_a_changed_file_is_told(tmp_path, photo, home, kind):
    path = written(tmp_path / f"shot.{kind}", photo, home, 1)
    assert told(path)["content credentials"][0]
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT" if kind == "png" else b"mdat") + 2000
    content[place] ^= 1
    if kind == "png":
        assert problems(bytes(content)) == ["the file is not the one that was signed"]
        picture = np.array(Image.open(path))
        picture[100, 100] ^= 1
        whole, changed = path.read_bytes(), encode_png(picture)
        content = whole[: whole.index(b"IDAT") - 4] + changed[changed.index(b"IDAT") - 4 :]
    path.write_bytes(content)
    fine, words = told(path)["content credentials"]
    assert not fine and words.startswith("the picture was changed after it was signed")


def test_a_changed_statement_is_told(tmp_path, photo, home):
    path = written(tmp_path / "shot.png", photo, home, 1)
    content = path.read_bytes()
    kind, place, data = next(chunk for chunk in chunks(content) if chunk[0] == b"caBX")
    changed = kind + data.replace(SOURCE.encode(), b"b" + SOURCE[1:].encode())
    end = place + 8 + len(data)
    path.write_bytes(content[: place + 4] + changed + zlib.crc32(changed).to_bytes(4, "big") + content[end + 4 :])
    fine, words = told(path)["content credentials"]
    assert not fine and "the statement was changed" in words


def test_a_file_that_was_saved_anew_lacks_its_credentials_and_keeps_its_watermark(tmp_path, photo, home, capsys):
    path = written(tmp_path / "shot.png", photo, home, 1)
    Image.open(path).save(tmp_path / "anew.jpg", quality=80)
    assert main(["inspect", str(tmp_path / "anew.jpg")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" ! content credentials  missing") and lines[1].startswith(" ! XMP")
    assert lines[2].startswith("   watermark            found, of a photograph whose SHA-256 begins with a8ca")


@pytest.mark.parametrize("output, width", [("shot", 137), ("shot.mp4", 136)])
def test_a_picture_too_small_for_its_watermark_is_said(tmp_path, home, capsys, monkeypatch, output, width):
    """By the command that writes it, and by the one that looks for it; of a larger one nothing is said."""
    monkeypatch.setenv("MIMAFACE_HOME", str(home))
    motion_of({"jawOpen": 0.2}, {"jawOpen": 0.4}).save(tmp_path / "take.motion.npz")
    for size, small in ((160, True), (448, False)):
        assert main(["animate", str(HOPPER), str(tmp_path / "take.motion.npz"), "-o", str(tmp_path / output), "--size", str(size), "--overwrite",
                     "--consent", "not-needed", "--absolute"]) == 0  # fmt: skip
        last = capsys.readouterr().out.splitlines()[-1]
        assert (f" × {size} pixels are too small for their watermark to be found: choose a larger --size" in last) == small, last
        path = tmp_path / output / "000000.png" if output == "shot" else tmp_path / output
        fine, words = told(path)["watermark"]
        assert fine != small and (f"in so small a picture ({width} × {size} pixels); from 320 on" in words) == small, words


def test_no_watermark_is_never_silent(tmp_path, photo, home):
    path = written(tmp_path / "shot.png", photo, home, 1, watermark=False)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), photo)
    assert told(path)["watermark"] == (False, "none, as its credentials say (--no-watermark)")


def test_who_draws_every_pixel_says_so(home):
    kinds = {(engine, framing): Marker(SOURCE, RenderSettings(engine, framing=framing), home).statement.source_type.rpartition("/")[2]
             for engine in ("proxy", "demo", "released") for framing in ("photo", "face")}  # fmt: skip
    whole = {key for key, kind in kinds.items() if kind == "trainedAlgorithmicMedia"}
    assert whole == {("demo", "face"), ("released", "face")} and len(set(kinds.values())) == 2


def test_the_key_is_the_users_alone_and_is_kept(tmp_path):
    first = certificate(tmp_path)
    assert certificate(tmp_path) == first and first[0] == b"ed25519"
    for name in ("key.pem", "certificates.pem"):
        assert stat.S_IMODE((tmp_path / "signing" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["es256", "es384", "ps256"])
def test_a_certificate_of_the_users_own_signs(tmp_path, photo, kind, monkeypatch):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from mimaface.marking import certificate as module

    make = {"es256": lambda: ec.generate_private_key(ec.SECP256R1()), "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "ps256": lambda: rsa.generate_private_key(65537, 2048)}[kind]  # fmt: skip
    chain, key = module._generate(make)
    (tmp_path / "signing").mkdir()
    (tmp_path / "signing" / "certificates.pem").write_bytes(chain)
    (tmp_path / "signing" / "key.pem").write_bytes(key)
    assert told(written(tmp_path / "shot.png", photo, tmp_path, 1))["content credentials"][0]


def test_a_certificate_that_does_not_fit_is_said_and_frames_are_marked_otherwise(tmp_path, photo):
    certificate(tmp_path)
    (tmp_path / "signing" / "key.pem").write_bytes(b"no key")
    marker = Marker(SOURCE, RenderSettings("proxy"), tmp_path)
    assert "put both there, or remove both" in marker.problem
    (tmp_path / "shot.png").write_bytes(marker.png(encode_png(marker.picture(photo))))
    found = told(tmp_path / "shot.png")
    assert not found["content credentials"][0] and found["XMP"][0] and found["watermark"][0]
    with pytest.raises(InvalidInput):
        certificate(tmp_path)


def test_without_the_library_it_is_said_and_frames_are_marked_otherwise(tmp_path, photo, monkeypatch):
    def absent():
        raise NotInstalled("content credentials need c2pa-python", 'pip install "mimaface[credentials]"')

    monkeypatch.setattr(credentials, "_library", absent)
    marker = Marker(SOURCE, RenderSettings("proxy"), tmp_path)
    assert "mimaface[credentials]" in marker.problem
    content = marker.png(encode_png(photo))
    assert b"trainedAlgorithmicMedia".lower() in content.lower() and Image.open(io.BytesIO(content)).size == (240, 300)


def test_consent_is_asked_once_and_kept(tmp_path):
    assert consent_of(tmp_path, SOURCE) == "not stated"
    keep_consent(tmp_path, SOURCE, "self")
    keep_consent(tmp_path, "0" * 64, "not-needed")
    assert (consent_of(tmp_path, SOURCE), consent_of(tmp_path, "0" * 64)) == ("self", "not-needed")
    (tmp_path / "consent.json").write_text("[1, 2")
    assert consent_of(tmp_path, SOURCE) == "not stated", "a damaged file stops no frame"


def test_what_is_no_picture_is_a_sentence(tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"no film")
    for name, words in (("a.mp4", "not a readable picture or film"), ("absent.png", "is not there"), (".", "is a folder")):
        assert main(["inspect", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err


def test_a_frame_at_rest_is_the_photograph_to_the_byte_and_every_other_has_the_watermark(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path / "home"))
    picture = Image.open(HOPPER).convert("RGB").resize((240, 300), Image.Resampling.LANCZOS)
    picture.save(tmp_path / "photo.png")
    motion_of({}, {"jawOpen": 0.7}).save(tmp_path / "open.motion.npz")
    command = ["animate", str(tmp_path / "photo.png"), str(tmp_path / "open.motion.npz"), "--engine", "proxy", "-o", str(tmp_path / "shot")]
    assert main(command) == 0
    still, moved = (np.asarray(Image.open(tmp_path / "shot" / f"{index:06d}.png")) for index in range(2))
    assert np.array_equal(still, np.asarray(picture)), "nothing was made in it"
    background = np.s_[:20, :20]
    assert not np.array_equal(moved[background], still[background]), "the watermark is all over a frame that was made"
    assert told(tmp_path / "shot" / "000001.png")["watermark"][0] and not told(tmp_path / "shot" / "000000.png")["watermark"][0]
    assert all(told(tmp_path / "shot" / f"{index:06d}.png")["XMP"][0] for index in range(2))
