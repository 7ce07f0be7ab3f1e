"""A microphone: FFmpeg's device for filters plays a sound where one would be."""

from __future__ import annotations

import sys
import wave

import numpy as np
import pytest

from mimaface.cli import main
from mimaface.drivers.streams import microphone, open_stream
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import InvalidInput, MimaFaceError
from mimaface.protocol.motion import MotionClip

RATE = 16000


def write_voice(path, gain):
    """Noise of a room, from 0.5 s an open vowel of half a second, from 1.5 s a hiss of 0.4 s, at 2.5 s two vowels with shut lips between."""
    time = np.arange(int(3.4 * RATE)) / RATE
    random = np.random.default_rng(0)
    vowel = sum(np.sin(2 * np.pi * 110 * k * time) * np.exp(-(((110 * k - 1000) / 350) ** 2)) for k in range(1, 30))
    hiss = np.diff(random.normal(size=len(time) + 1)) * 0.5
    spoken = ((time >= 0.5) & (time < 1)) | ((time >= 2.5) & (time < 2.8)) | ((time >= 2.9) & (time < 3.2))
    sound = 0.1 * vowel * spoken + 0.1 * hiss * ((time >= 1.5) & (time < 1.9)) + 0.0005 * random.normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(32767 * gain * sound).astype("<i2").tobytes())


@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_the_mouth_follows_a_voice_however_loud_it_is(gain, tmp_path, monkeypatch):
    write_voice(tmp_path / "voice.wav", gain)
    monkeypatch.setitem(microphone.DEVICES, sys.platform, ("lavfi", (), "amovie={}"))
    samples = []
    with open_stream(f"microphone:{tmp_path / 'voice.wav'}") as heard:
        assert (heard.name, heard.port) == ("Microphone", 0)
        with pytest.raises(MimaFaceError, match="no more sound"):
            while True:
                samples += heard.poll(5)
        assert heard.tracking
    assert len(samples) == 170
    time = np.array([sample.seconds for sample in samples])
    assert np.allclose(np.diff(time), 0.02)
    shapes = np.array([sample.blendshapes for sample in samples])
    jaw, stretch = shapes[:, BLENDSHAPE_INDEX["jawOpen"]], shapes[:, BLENDSHAPE_INDEX["mouthStretchLeft"]]
    assert not shapes[time < 0.5].any(), "noise of a room is rest"
    assert jaw[(time > 0.65) & (time < 1)].min() > 0.3
    assert shapes[(time > 1.3) & (time < 1.5)].max() < 0.01
    assert stretch[(time > 1.65) & (time < 1.9)].min() > 0.1
    assert jaw[(time > 1.65) & (time < 1.9)].max() < 0.1
    assert jaw[(time > 2.8) & (time < 2.92)].min() < 0.15 < 0.25 < jaw[(time > 3) & (time < 3.2)].max()
    assert samples[0].head_quat is None


def test_a_microphone_that_is_not_there_is_said(monkeypatch):
    if sys.platform not in microphone.DEVICES:
        pytest.skip("microphones are not known here")
    with pytest.raises(InvalidInput, match="microphone:none such: it cannot be opened"):
        open_stream("microphone:none such")


def test_a_take_is_recorded_of_it(tmp_path, monkeypatch, capsys):
    write_voice(tmp_path / "voice.wav", 1.0)
    monkeypatch.setitem(microphone.DEVICES, sys.platform, ("lavfi", (), "amovie={}"))
    output = tmp_path / "take.motion.npz"
    assert main(["record", "--input", f"microphone:{tmp_path / 'voice.wav'}", "-o", str(output)]) == 0
    assert "no more sound" in capsys.readouterr().err
    clip = MotionClip.load(output)
    assert len(clip) == 170
    assert clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]].max() > 0.3
    assert clip.valid[:, 0].all() and not clip.valid[:, 1].any()
