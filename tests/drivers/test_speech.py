"""Speech as a driver, tested on eleven seconds of espeak-ng (en-us, 150 and 180 words a minute) with its own phones:
golden/speech.json.
"""

import json
import re
import shutil
import struct
import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from conftest import CASES, COLLINS
from mimaface.cli import main
from mimaface.drivers import ReadingSettings, RetargetSettings, open_motion
from mimaface.drivers.speech import speech_motion
from mimaface.drivers.speech.phones import Phone, fill_with_rest, phones_of
from mimaface.drivers.speech.recogniser import Recogniser, _decoder, _phones_of_words, _with_closures
from mimaface.drivers.speech.sound import RATE, blocks
from mimaface.drivers.speech.visemes import SHAPES, mouth_motion
from mimaface.face.pose import poses_for
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.blendshapes import PARTING
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.visemes import VISEMES

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SPEECH, KNOWN = GOLDEN / "speech.ogg", json.loads((GOLDEN / "speech.json").read_text(encoding="utf-8"))
MOUTH = [index for index, name in enumerate(BLENDSHAPE_NAMES) if name.startswith(("jaw", "mouth", "tongue", "cheek"))]
# the blendshape whose peak dates a viseme; for PP it is lip closure
PEAKS = {"FF": "mouthRollLower", "U": "mouthPucker", "O": "mouthFunnel", "CH": "mouthFunnel", "aa": "jawOpen", "I": "mouthStretchLeft"}


def parted(clip):
    """Returns the lip opening (T,) as a share of what mouthClose at 1 closes."""
    shares = clip.blendshapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values()))
    return shares - clip.blendshapes[:, BLENDSHAPE_INDEX["mouthClose"]]


def known_phones():
    return [phone for begin, end, symbol in KNOWN["phones"] for phone in phones_of(symbol, begin, end, english=False)]


def errors_of(clip):
    """Returns the share of p, b and m with closed lips, and the timing error in seconds of each viseme in ``PEAKS``."""
    gap, shut, late = parted(clip), [], []
    for phone in known_phones():
        middle = (phone.begin + phone.end) / 2
        if phone.viseme == "PP":
            shut.append((gap[(clip.time >= phone.begin - 0.02) & (clip.time <= phone.end + 0.02)] <= 0.01).any())
        near = np.flatnonzero(np.abs(clip.time - middle) < 0.15)
        sign = -gap if phone.viseme == "PP" else clip.blendshapes[:, BLENDSHAPE_INDEX[PEAKS.get(phone.viseme, "jawOpen")]]
        if phone.viseme in (*PEAKS, "PP") and np.ptp(sign[near]) > 1e-3:
            most = near[sign[near] >= sign[near].max() - 1e-3]
            late.append(np.abs(clip.time[most] - middle).min())
    return float(np.mean(shut)), np.array(late)


def samples():
    return np.concatenate(list(blocks(SPEECH)))


def write(path, sound, rate=RATE, codec="pcm_s16le", layout="mono"):
    """Writes samples (N,) to a sound file with ``codec``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        data = np.clip(np.tile(sound, (2 if layout == "stereo" else 1, 1)), -1, 1).astype(np.float32)
        for start in range(0, data.shape[1], 1 << 16):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data[:, start : start + (1 << 16)]), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the sound and its transcript."""
    folder = tmp_path_factory.mktemp("speech")
    shutil.copy(SPEECH, folder / "speech.ogg")
    (folder / "speech.txt").write_text(KNOWN["text"], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def aligned(folder):
    return open_motion(folder / "speech.ogg")


@pytest.fixture(scope="module")
def recognised():
    return open_motion(SPEECH)


def test_lips_shut_and_visemes_come_in_time_where_the_words_are_known(aligned):
    shut, late = errors_of(aligned)
    assert shut >= 0.9 and np.median(late) <= 0.04 and len(late) > 60, (shut, np.median(late))
    assert aligned.meta["format"] == "sound" and aligned.meta["neutral"] == "rest"
    assert "the words are those of speech.txt" in aligned.meta["warnings"]
    np.testing.assert_allclose(aligned.time, np.arange(len(aligned)) / 25)
    assert len(aligned) == np.ceil(len(samples()) / RATE * 25)


def test_without_words_most_are_found(recognised):
    shut, late = errors_of(recognised)
    assert shut >= 0.8 and np.median(late) <= 0.04, (shut, np.median(late))
    visemes = [*recognised.meta["visemes"], ["sil", KNOWN["seconds"], 1.0]]
    closures = [(begin, later[1]) for (name, begin, _), later in zip(visemes, visemes[1:]) if name == "PP"]
    true = [phone for phone in known_phones() if phone.viseme == "PP"]
    wrong = [begin for begin, end in closures if not any(begin < each.end + 0.06 and end > each.begin - 0.06 for each in true)]
    assert len(wrong) <= len(true) / 2, "lips do not shut at every consonant"
    assert "speech.txt" in recognised.meta["warnings"][0], "says what would make it exact"


def test_lips_shut_where_another_sentence_or_the_phones_alone_hear_them_shut():
    heard = [Phone("aa", 0.0, 0.3), Phone("DD", 0.3, 0.4), Phone("PP", 0.4, 0.5), Phone("sil", 0.5, 0.9)]
    others = [Phone("PP", 0.25, 0.33), Phone("PP", 0.42, 0.48), Phone("I", 0.0, 0.2), Phone("PP", 0.6, 0.7)]
    spoken = [(phone.viseme, phone.begin, phone.end) for phone in _with_closures(heard, others)]
    assert spoken == [
        ("aa", 0.0, 0.25), ("PP", 0.25, 0.33), ("DD", 0.33, 0.4), ("PP", 0.4, 0.5), ("sil", 0.5, 0.6), ("PP", 0.6, 0.7), ("sil", 0.7, 0.9),
    ]  # fmt: skip


def test_a_word_too_short_for_its_phones_leaves_the_others_their_own_times():
    piece, whole = [("my", 80, 96), ("brother", 96, 141), ("extraordinary", 141, 144)], samples()
    phones = [phone for phone in _phones_of_words(_decoder(), piece, whole) if phone.viseme != "sil"]
    spoken, spread = phones[:8], phones[8:]
    assert [phone.viseme for phone in spoken] == ["PP", "aa", "I", "PP", "RR", "aa", "TH", "RR"]
    assert abs(spoken[0].begin - 0.5) < 0.05 and abs(spoken[3].begin - 0.66) < 0.05, "m and b are where they are heard"
    assert np.ptp([phone.end - phone.begin for phone in spoken]) > 0.02, "and not spread evenly"
    assert len(spread) > 10 and spread[0].begin == pytest.approx(1.11) and spread[-1].end == pytest.approx(1.14)


def test_silence_is_rest(aligned):
    silent = (aligned.time > 5.8) & (aligned.time < 6.5)
    assert silent.sum() > 10
    assert np.abs(aligned.blendshapes[silent]).max() == 0 and np.abs(aligned.head_quat[silent] - [1, 0, 0, 0]).max() < 1e-9
    assert aligned.blendshapes[~silent][:, BLENDSHAPE_INDEX["jawOpen"]].max() > 0.25
    assert aligned.blendshapes.min() >= 0 and aligned.blendshapes.max() <= 1


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_lips_are_shut_at_every_rate(rate):
    time = np.arange(int(KNOWN["seconds"] * rate)) / rate
    shapes = mouth_motion(fill_with_rest(known_phones(), KNOWN["seconds"]), time)
    gap = shapes[:, [BLENDSHAPE_INDEX[name] for name in PARTING]] @ np.array(list(PARTING.values()))
    gap -= shapes[:, BLENDSHAPE_INDEX["mouthClose"]]
    middles = [(phone.begin + phone.end) / 2 for phone in known_phones() if phone.viseme == "PP"]
    assert all(gap[np.argmin(np.abs(time - middle))] < 0 for middle in middles)
    steps = np.abs(np.diff(shapes[:, BLENDSHAPE_INDEX["jawOpen"]])) * rate
    assert steps.max() < 12, "a jaw opens in 40 ms at the fastest"


def test_a_photograph_that_smiles_shuts_its_lips_too(portrait):
    clip = speech_motion(known_phones(), KNOWN["seconds"], None, ReadingSettings())
    posed = clip.but(blendshapes=np.stack([pose.blendshapes for pose in poses_for(portrait.fit, clip)]))
    gap, away = parted(posed), parted(clip.but(blendshapes=np.tile(portrait.fit.blendshapes, (len(clip), 1))))
    assert away[0] > 0.03, "it smiles with open lips"
    for phone in known_phones():
        if phone.viseme == "PP":
            assert gap[np.argmin(np.abs(clip.time - (phone.begin + phone.end) / 2))] <= 0


def test_a_level_that_is_another_throughout_changes_nothing(tmp_path):
    whole = samples()[: 2 * RATE]
    first, quiet = (open_motion(write(tmp_path / f"{by}.wav", whole / by, codec="pcm_f32le")) for by in (1, 8))
    assert first.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]].max() > 0.2
    np.testing.assert_allclose(quiet.blendshapes, first.blendshapes, atol=1e-3)
    np.testing.assert_allclose(quiet.head_quat, first.head_quat, atol=1e-4)


def test_the_same_sound_is_the_same_motion_and_a_delay_moves_it():
    first, again, later = (open_motion(SPEECH, reading=ReadingSettings(language="other", delay=delay)) for delay in (0, 0, 0.2))
    assert again.to_bytes() == first.to_bytes()
    np.testing.assert_allclose(later.blendshapes[5:, MOUTH], first.blendshapes[:-5, MOUTH], atol=1e-6)


def test_accents_are_channels_of_their_own_with_one_strength():
    lively, still = (open_motion(SPEECH, reading=ReadingSettings(language="other", accents=accents)) for accents in (1, 0))
    np.testing.assert_array_equal(still.blendshapes[:, MOUTH], lively.blendshapes[:, MOUTH])
    others = [index for index in range(52) if index not in MOUTH]
    assert np.abs(still.blendshapes[:, others]).max() == 0 and np.ptp(still.head_quat, axis=0).max() == 0
    blinks = lively.blendshapes[:, BLENDSHAPE_INDEX["eyeBlinkLeft"]]
    assert 2 <= ((blinks[1:] == 1) & (blinks[:-1] < 1)).sum() <= 8
    assert lively.blendshapes[:, BLENDSHAPE_INDEX["browInnerUp"]].max() > 0.1
    assert 0.01 < np.ptp(lively.head_quat, axis=0).max() < 0.1
    assert open_motion(SPEECH, RetargetSettings("auto"), reading=ReadingSettings(language="other")).meta["neutral"] == "rest"


def test_other_languages_have_a_mouth_without_any_model(monkeypatch):
    monkeypatch.setattr(Recogniser, "__init__", None)
    clip = open_motion(SPEECH, reading=ReadingSettings(language="other", rate=30))
    spoken = np.zeros(len(clip), bool)
    for begin, end, _ in KNOWN["phones"]:
        spoken |= (clip.time >= begin) & (clip.time < end)
    jaw = clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]]
    assert jaw[spoken].mean() > 0.12 and np.abs(clip.blendshapes[(clip.time > 5.8) & (clip.time < 6.5)]).max() == 0
    assert clip.time[1] == pytest.approx(1 / 30)


def test_the_sound_of_files_of_all_kinds_is_the_same(tmp_path):
    reference = samples()[: 2 * RATE]
    for name, codec, rate, layout in (
        ("a.mp3", "libmp3lame", 44100, "stereo"), ("a.m4a", "aac", 48000, "stereo"), ("a.flac", "flac", 16000, "mono"),
        ("a.aiff", "pcm_s16be", 22050, "mono"), ("a.wav", "pcm_s16le", 8000, "mono"), ("a.opus", "libopus", 48000, "mono"),
    ):  # fmt: skip
        places = np.arange(round(2 * rate)) / rate
        path = write(tmp_path / name, np.interp(places, np.arange(len(reference)) / RATE, reference), rate, codec, layout)
        read = np.concatenate(list(blocks(path)))
        assert abs(len(read) - 2 * RATE) < 0.1 * RATE, name
        size = min(len(read), len(reference))
        match = np.abs(np.fft.irfft(np.fft.rfft(read[:size], 2 * size) * np.conj(np.fft.rfft(reference[:size], 2 * size))))
        lag = int(np.argmax(match))
        assert min(lag, 2 * size - lag) <= 0.03 * RATE, f"{name} is late by {lag} samples"


def test_channels_that_cancel_offsets_and_broken_samples_leave_the_voice(tmp_path):
    voice = samples()[: 2 * RATE].astype(np.float32)
    broken = voice.copy()
    broken[[9000, 9001, 20000]] = np.nan, np.inf, -np.inf
    for channels in ((voice, -voice), (0 * voice, voice), (voice, voice), (voice + 0.2,), (broken,)):
        read = np.concatenate(list(blocks(wave_of(tmp_path / "a.wav", channels))))
        likeness = np.abs(np.corrcoef(read, voice)[0, 1])
        assert likeness > 0.99 and abs(read.mean()) < 0.005 and np.isfinite(read).all()
    quiet = write(tmp_path / "b.wav", 0 * voice)
    assert not np.concatenate(list(blocks(quiet))).any(), "silence is digital silence"


def wave_of(path, channels):
    """Writes channels (N,) as 32-bit floats."""
    data = np.stack(channels, 1).astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, len(channels), RATE, 4 * len(channels) * RATE, 4 * len(channels), 32)
    body = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    return path


def test_a_long_sound_takes_no_more_memory_than_a_block(tmp_path):
    path = write(tmp_path / "long.wav", np.tile(samples(), 5))
    tracemalloc.start()
    try:
        assert sum(len(block) for block in blocks(path)) > 65 * RATE
        assert tracemalloc.get_traced_memory()[1] < 1.2e6, "they are 4 MB as they are decoded"
    finally:
        tracemalloc.stop()


def test_what_is_no_speech_is_said(tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "damaged.mp3").write_bytes(bytes(range(256)) * 40)
    time = np.arange(3 * RATE) / RATE
    write(tmp_path / "silent.wav", np.zeros(3 * RATE))
    write(tmp_path / "tone.wav", np.sin(2 * np.pi * 300 * time) / 2)
    write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 3 * RATE))
    with wave.open(str(tmp_path / "none.wav"), "wb") as none:
        none.setparams((1, 2, RATE, 0, "NONE", ""))
    for name, words in (
        ("text.wav", "cannot be read as a sound"),
        ("empty.wav", "the file is empty"),
        ("damaged.mp3", "cannot be read as a sound"),
        ("silent.wav", "no speech is heard"),
        ("tone.wav", "no speech is heard"),
        ("noise.wav", "no speech is heard"),
        ("none.wav", "the sound has no length"),
    ):
        with pytest.raises(InvalidInput, match=words):
            open_motion(tmp_path / name)
    with pytest.raises(InvalidInput, match="it contains no sound"):
        open_motion(Path(__file__).resolve().parents[1] / "cases" / "handheld.mp4", reading=ReadingSettings(sound=True))


def test_wrong_settings_and_transcripts_are_said(tmp_path):
    for values, words in (
        ({"language": "de"}, "en"), ({"delay": 60}, "delay"), ({"accents": 3}, "accents"), ({"rate": -1}, "frames per second"),
        ({"delay": "x"}, "delay is not a number"), ({"language": "other", "transcript": "a.txt"}, "English only"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            ReadingSettings.from_wire(values)
    shutil.copy(SPEECH, tmp_path / "speech.ogg")
    (tmp_path / "speech.txt").write_text("...", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"speech.txt: there are no words"):
        open_motion(tmp_path / "speech.ogg")
    with pytest.raises(InvalidInput, match="no such file"):
        open_motion(SPEECH, reading=ReadingSettings(transcript=str(tmp_path / "absent.txt")))


def grid(phones, seconds, short=False, name="phones"):
    """Returns a TextGrid in Praat's format, with a tier of words before the tier of phones."""
    words = [(0.0, seconds, 'they said "so"')]
    if short:
        lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(seconds), "<exists>", "2"]
        for title, tier in (("words", words), (name, phones)):
            lines += ['"IntervalTier"', f'"{title}"', "0", str(seconds), str(len(tier))]
            for begin, end, label in tier:
                lines += [str(begin), str(end), '"{}"'.format(label.replace('"', '""'))]
        return "\n".join(lines) + "\n"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {seconds} ", "tiers? <exists> ", "size = 2 "]
    for number, (title, tier) in enumerate((("words", words), (name, phones)), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{title}" ', "        xmin = 0 "]
        lines += [f"        xmax = {seconds} ", f"        intervals: size = {len(tier)} "]
        for index, (begin, end, label) in enumerate(tier, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {begin} ", f"            xmax = {end} "]
            lines += ['            text = "{}" '.format(label.replace('"', '""'))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("short", "encoding", "name"), [(False, "utf-8", "phones"), (True, "utf-16", "MAU"), (False, "utf-8", "x")])
def test_a_textgrid_of_any_language_is_a_driver(tmp_path, short, encoding, name):
    path = tmp_path / "voice.TextGrid"
    path.write_text(grid(KNOWN["phones"], KNOWN["seconds"], short, name), encoding=encoding)
    clip = open_motion(path)
    shut, late = errors_of(clip)
    assert shut == 1 and np.median(late) < 0.02 and clip.meta["format"] == "phones"
    shutil.copy(SPEECH, tmp_path / "voice.ogg")
    stressed = open_motion(path)
    assert errors_of(stressed)[0] == 1 and (stressed.blendshapes[: len(clip)] != clip.blendshapes[: len(stressed)]).any()


def test_english_and_sampa_are_told_apart():
    assert [phone.viseme for phone in phones_of("S", 0, 1)] == ["SS"]
    assert [phone.viseme for phone in phones_of("S", 0, 1, english=False)] == ["CH"]
    assert [phone.viseme for phone in phones_of("OW1", 0, 1)] == ["O", "U"]
    assert [phone.viseme for phone in phones_of("ˈt͡ʃː", 0, 1, english=False)] == ["CH"]
    assert phones_of("sp", 0, 1) == [Phone("sil", 0, 1)]


def test_cues_of_rhubarb_are_a_driver(tmp_path):
    path = tmp_path / "voice.json"
    cues = [(0.0, 0.5, "X"), (0.5, 0.8, "D"), (0.8, 0.9, "A"), (0.9, 1.3, "F"), (1.3, 2.0, "X")]
    content = {"metadata": {"soundFile": "voice.ogg", "duration": 2.0}}
    content["mouthCues"] = [{"start": begin, "end": end, "value": value} for begin, end, value in cues]
    path.write_text(json.dumps(content))
    clip = open_motion(path, reading=ReadingSettings(rate=50))
    jaw, pucker = (clip.blendshapes[:, BLENDSHAPE_INDEX[name]] for name in ("jawOpen", "mouthPucker"))
    assert len(clip) == 100 and jaw[32] > 0.25 and parted(clip)[42] < 0 and pucker[55] > 0.4 and np.abs(clip.blendshapes[:8, MOUTH]).max() == 0
    for damage, words in (
        (lambda: content["mouthCues"][0].update(value="Q"), "no mouth shape 'Q'"),
        (lambda: content["mouthCues"][0].update(value="X", start=-1), "minutes"),
        (lambda: content["mouthCues"][0].update(start="soon"), "damaged"),
        (lambda: content["mouthCues"].clear(), "it contains no speech"),
    ):
        damage()
        path.write_text(json.dumps(content))
        with pytest.raises(InvalidMotion, match=words):
            open_motion(path)


def test_damaged_textgrids_are_said(tmp_path):
    path, whole = tmp_path / "voice.TextGrid", grid(KNOWN["phones"], KNOWN["seconds"])
    for text, words in (
        (whole[: len(whole) // 2], "damaged"),
        (whole.replace("size = 2", "size = 3"), "damaged"),
        (grid([(0, 1, "nothing like a phone")], 1, name="x"), "no tier of phones"),
        (grid([(0, 1, "")], 1), "it contains no speech"),
        (whole.replace('class = "IntervalTier"', "class = 5"), "damaged"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidMotion, match=words):
            open_motion(path)


def test_speech_and_portrait_are_a_film_with_its_sound(folder, tmp_path, capsys):
    source, output = write(tmp_path / "voice.wav", samples()[: round(1.2 * RATE)]), tmp_path / "talk.mp4"
    assert main(["animate", str(COLLINS), str(source), "-o", str(output), "--engine", "proxy", "--size", "64", "--fps", "30"]) == 0
    with av.open(str(output)) as container:
        assert container.streams.video[0].frames == 36 and container.streams.video[0].average_rate == 30
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    loud = [np.abs(sound[round(begin * rate) : round((begin + 0.4) * rate)]).max() for begin in (0.05, 0.7)]
    assert loud[0] < 0.02 and loud[1] > 0.2, "it is silent for half a second, as the file is"
    assert "voice.txt" in capsys.readouterr().err
    phones = tmp_path / "voice.TextGrid"
    phones.write_text(grid([entry for entry in KNOWN["phones"] if entry[1] < 0.7], 0.7), encoding="utf-8")
    arguments = ["animate", str(COLLINS), str(phones), "-o", str(output), "--engine", "proxy", "--size", "64", "--overwrite"]
    assert main(arguments) == 0
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == 1, "of the sound beside the times of its phones"


def test_visemes_written_to_be_edited_are_the_same_speech_and_an_edit_moves_the_lips(aligned, folder, tmp_path, capsys):
    sound, edited = shutil.copy(SPEECH, tmp_path / "speech.ogg"), tmp_path / "speech.TextGrid"
    arguments = ["track", str(sound), "-o", str(edited), "--transcript", str(folder / "speech.txt")]
    assert main(arguments) == 0 and "visemes" in capsys.readouterr().out
    again = open_motion(edited)
    np.testing.assert_array_equal(again.blendshapes, aligned.blendshapes)
    np.testing.assert_array_equal(again.head_quat, aligned.head_quat)
    text = edited.read_text()
    index = next(number for number, (name, _, _) in enumerate(aligned.meta["visemes"], 1) if name == "PP")
    place = text.index('"PP"')
    edited.write_text(text[:place] + '"aa"' + text[place + 4 :])
    middle = round(aligned.meta["visemes"][index - 1][1] * 25) + 1
    changed = open_motion(edited)
    assert parted(aligned)[middle] < 0.01 < 0.05 < parted(changed)[middle], "a p that is named a keeps the lips apart"
    edited.write_text(text[:place] + '"pb"' + text[place + 4 :])
    with pytest.raises(InvalidMotion, match=r"'pb' is no viseme .* sil, PP, FF"):
        open_motion(edited)
    edited.write_text(text.replace('name = "strength"', 'name = "other"'))
    assert errors_of(open_motion(edited))[0] >= 0.9, "without its strengths, too"
    edited.write_text(re.sub(r'(name = "strength"(?:.|\n)*?text = )"[^"]*"', r'\1"9"', text, count=1))
    with pytest.raises(InvalidMotion, match="a strength of 9 is out of range"):
        open_motion(edited)


def test_what_has_no_visemes_is_not_written_as_such(tmp_path, capsys):
    assert main(["track", str(CASES / "pose.csv"), "-o", str(tmp_path / "pose.TextGrid")]) == 2
    assert "not made of visemes" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_visemes_are_those_that_the_protocol_names():
    assert set(SHAPES) == set(VISEMES)
