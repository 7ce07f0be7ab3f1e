"""Speech by networks: their published keys and shapes on random weights, what they hear, and what becomes of what they tell."""

from __future__ import annotations

import json
import pickle
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, save_model
from safetensors.torch import save_file
from scipy.io import savemat
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from basel_heads import made_up
from mimaface.basel.speaking import ExpressionFromSound, PoseFromSound, SpeakingNetworks
from mimaface.cli import main
from mimaface.drivers import ReadingSettings, open_motion
from mimaface.drivers.speech.mel import mel_spectrogram, mel_windows
from mimaface.drivers.speech.networks import open_network
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, MimaFaceError
from mimaface.protocol.motion import MotionClip

# a few of each kind, as the published files have them
EXPRESSION_KEYS = {
    "audio_encoder.0.conv_block.0.weight": (32, 1, 3, 3), "audio_encoder.0.conv_block.1.running_var": (32,),
    "audio_encoder.9.conv_block.0.weight": (256, 128, 3, 3), "audio_encoder.11.conv_block.0.weight": (512, 256, 3, 3),
    "audio_encoder.12.conv_block.0.weight": (512, 512, 1, 1), "mapping1.weight": (64, 577), "mapping1.bias": (64,),
}  # fmt: skip
POSE_KEYS = {
    "audio_encoder.audio_encoder.12.conv_block.1.bias": (512,), "netG.decoder.classbias": (46, 64),
    "netG.decoder.MLP.L0.weight": (128, 262), "netG.decoder.MLP.L1.weight": (192, 128), "netG.decoder.linear_audio.weight": (6, 512),
    "netG.decoder.pose_linear.weight": (6, 6), "netG.decoder.resunet.input_layer.3.weight": (32, 32, 3, 3),
    "netG.decoder.resunet.input_skip.0.weight": (32, 1, 3, 3), "netG.decoder.resunet.residual_conv_1.conv_block.2.weight": (64, 32, 3, 3),
    "netG.decoder.resunet.residual_conv_1.conv_skip.1.running_mean": (64,), "netG.decoder.resunet.bridge.conv_block.5.bias": (256,),
    "netG.decoder.resunet.upsample_1.upsample.weight": (256, 256, 2, 1), "netG.decoder.resunet.output_layer.0.weight": (1, 32, 1, 1),
    "netG.decoder.resunet.up_residual_conv1.conv_block.2.weight": (128, 384, 3, 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(5)
    return ExpressionFromSound().eval(), PoseFromSound().eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory, networks):
    """One file as SadTalker publishes it, with weights of its other networks and of the training in it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    content = {f"audio2{name}.{key}": value for name, one in zip(("exp", "pose"), networks) for key, value in one.state_dict().items()}
    others = ("generator.first.conv.weight", "audio2pose.netG.encoder.MLP.L0.weight", "audio2pose.netD_motion.seq.0.conv.weight")
    save_file({**content, **{name: torch.zeros(2) for name in others}}, folder / "SadTalker_V0.0.2_256.safetensors")
    return folder


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """Two seconds: rest, half a second of syllables, rest."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    time = np.arange(32000) / 16000
    loud = 0.5 * (1 - np.cos(2 * np.pi * 5 * (time - 0.7))) * ((time > 0.7) & (time < 1.3))
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    samples = np.rint(8000 * loud * buzz).clip(-32767, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path, samples / np.float32(32768)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """LAM-A2E's interface around a loudness meter: column k, in alphabetical order, is (k + 1) / 100 of the loudness of its frame."""
    path = tmp_path_factory.mktemp("lam") / "wav2arkit_cpu.onnx"
    write_meter(path)
    return path


def write_meter(path, sound="audio_waveform", shapes="blendshapes"):
    values = {
        "starts": np.array([0]), "ends": np.array([64 * 533]), "axes": np.array([1]), "shape": np.array([1, 64, 533]), "last": np.array([2]),
        "columns": (np.arange(52, dtype=np.float32) + 1).reshape(1, 1, 52) / 100,
    }  # fmt: skip
    nodes = [
        helper.make_node("Abs", [sound], ["abs"]), helper.make_node("Slice", ["abs", "starts", "ends", "axes"], ["cut"]),
        helper.make_node("Reshape", ["cut", "shape"], ["frames"]), helper.make_node("ReduceMax", ["frames", "last"], ["loud"], keepdims=1),
        helper.make_node("Mul", ["loud", "columns"], [shapes]),
    ]  # fmt: skip
    ends = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in ((sound, [1, "N"]), (shapes, [1, 64, 52])))
    graph = helper.make_graph(nodes, "meter", *([end] for end in ends), [numpy_helper.from_array(value, name) for name, value in values.items()])
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def heard_by(path, **settings):
    return ReadingSettings(speech_model=str(path), **settings)


def test_keys_and_shapes_are_the_published_ones(networks):
    for network, keys in zip(networks, (EXPRESSION_KEYS, POSE_KEYS)):
        found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        assert {key: found.get(key) for key in keys} == keys
    assert len(networks[0].state_dict()) == 13 * 7 + 2


def test_the_spectrogram_is_that_of_another_library():
    samples = (0.1 * np.random.default_rng(0).normal(size=8000)).astype(np.float32)
    filters = mel_filter_bank(401, 80, 55.0, 7600.0, 16000, norm="slaney", mel_scale="slaney")
    emphasised = np.concatenate([samples[:1], samples[1:] - np.float32(0.97) * samples[:-1]])
    wanted = spectrogram(
        emphasised, window_function(800, "hann"), 800, 200, fft_length=800, power=1.0, pad_mode="constant", mel_filters=filters
    )
    wanted = np.clip(8 * (20 * np.log10(np.maximum(1e-5, wanted)) - 20 + 100) / 100 - 4, -4, 4)
    np.testing.assert_allclose(mel_spectrogram(samples), wanted.T, atol=1e-5)
    assert (mel_spectrogram(np.zeros(8000, np.float32)) == -4).all()


def test_windows_are_around_their_frames_and_held_at_the_ends():
    mel = np.arange(81, dtype=np.float32)[:, None] * np.ones(80, np.float32)
    windows = mel_windows(mel, 25.0, 0, 25)
    assert windows.shape == (25, 80, 16)
    assert windows[10, 0].tolist() == list(range(25, 41)), "frame 10 is at 0.4 s: spectrum 32, whose window begins two frames before"
    assert windows[0, 0].tolist() == [0] * 7 + list(range(1, 10))
    assert windows[24, 0].tolist() == [*range(70, 81), *[80] * 5]


def test_the_one_file_and_the_two_tell_the_same(published, networks, tmp_path, voice):
    for network, name in zip(networks, ("auido2exp_00300-model.pth", "auido2pose_00140-model.pth")):
        torch.save({"model": network.state_dict(), "epoch": 3, "optimizer": {"state": {}, "param_groups": []}}, tmp_path / name)
    mel = mel_spectrogram(voice[1])
    lids = np.zeros(40)
    lids[20] = 1

    def windows(first, last):
        return mel_windows(mel, 25.0, first, last)

    one, two = SpeakingNetworks.load(published), SpeakingNetworks.load(tmp_path)
    expression = np.concatenate(list(one.expressions(windows, lids)))
    assert expression.shape == (40, 64)
    np.testing.assert_array_equal(expression, np.concatenate(list(two.expressions(windows, lids))))
    open_lids = np.concatenate(list(one.expressions(windows, 0 * lids)))
    np.testing.assert_allclose((expression - open_lids)[20], one.expression.mapping1.weight[:, -1].numpy(), atol=1e-4)
    poses = one.poses(windows, 40, seed=1)
    np.testing.assert_array_equal(poses, two.poses(windows, 40, seed=1))
    assert poses.shape == (40, 3)
    assert not np.array_equal(poses, one.poses(windows, 40, seed=2))
    assert not np.array_equal(poses, one.poses(windows, 40, seed=1, style=3)) or not one.pose.netG["decoder"].classbias.any()
    assert one.poses(windows, 1).tolist() == [[0, 0, 0]]


def test_basel_expressions_become_a_motion(published, voice):
    clip = open_motion(voice[0], reading=heard_by(published))
    assert len(clip) == 50
    assert clip.expression_bfm.shape == (50, 64)
    assert "only the engine Released" in clip.meta["warnings"][0]
    assert not clip.blendshapes.any()
    still = open_motion(voice[0], reading=heard_by(published / "SadTalker_V0.0.2_256.safetensors", accents=0.0))
    assert np.ptp(still.head_quat, axis=0).max() < 1e-9 < np.ptp(clip.head_quat, axis=0).max()
    late = open_motion(voice[0], reading=heard_by(published, accents=0.0, delay=0.2))
    np.testing.assert_allclose(late.expression_bfm[5:], still.expression_bfm[:-5], atol=1e-5)


def test_with_a_basel_face_beside_them_they_are_blendshapes(published, voice, tmp_path):
    face = made_up(3, known=True)
    bfm, count = face.bfm, len(face.bfm.mean)
    arrays = {
        "meanshape": bfm.mean.reshape(1, -1), "meantex": bfm.albedo_mean.reshape(1, -1), "tri": bfm.triangles + 1, "point_buf": bfm.faces_of + 1,
        "keypoints": bfm.keypoints[None] + 1, "idBase": bfm.identity_basis.reshape(80, -1).T, "texBase": bfm.albedo_basis.reshape(80, -1).T,
        "exBase": bfm.expression_basis.reshape(64, 3 * count).T,
    }  # fmt: skip
    (tmp_path / "BFM_Fitting").mkdir()
    savemat(tmp_path / "BFM_Fitting" / "BFM09_model_info.mat", arrays)
    (tmp_path / "SadTalker_V0.0.2_256.safetensors").symlink_to(published / "SadTalker_V0.0.2_256.safetensors")
    clip = open_motion(voice[0], reading=heard_by(tmp_path))
    assert clip.blendshapes.any()
    assert not clip.meta.get("warnings")


def test_arkit_columns_are_bound_by_name_and_frames_are_in_time(exported, voice):
    path, samples = voice
    shapes = np.concatenate(list(open_network(exported).shapes(samples)))
    assert len(shapes) == 60
    loud = np.array([np.abs(samples[round(k * 533.33) : round((k + 1) * 533.33)]).max() for k in range(60)])
    for name in ("jawOpen", "tongueOut", "browDownLeft"):
        wanted = loud * (sorted(BLENDSHAPE_NAMES).index(name) + 1) / 100
        assert np.abs(shapes[:, BLENDSHAPE_INDEX[name]] - wanted).max() < 0.15 * wanted.max(), name  # a frame later would be 0.5
    clip = open_motion(path, reading=heard_by(exported))
    assert len(clip) == 60
    assert clip.time[1] == pytest.approx(1 / 30)
    assert clip.blendshapes[:20, BLENDSHAPE_INDEX["jawOpen"]].max() == 0
    assert clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]].max() > 0.1
    assert clip.blendshapes[:, BLENDSHAPE_INDEX["eyeBlinkLeft"]].max() == 1, "lids shut at the pause after speech"


SURFACE = ["jawOpen", "mouthPucker", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft"]


@pytest.fixture(scope="module")
def actor(tmp_path_factory):
    """Audio2Face-3D's files for a face of 40 vertices: its components are ARKit's blendshapes, mixed, and the network mixes them back from
    loudness and emotion: coefficients are jawOpen = loudness, mouthPucker = 1.5 × it, mouthSmileLeft = −it, browInnerUp = emotion 3."""
    folder, random = tmp_path_factory.mktemp("mark"), np.random.default_rng(4)
    moves, mix = random.normal(size=(5, 40, 3)), random.normal(size=(5, 5))
    neutral, offset = random.normal(size=(40, 3)), 0.02
    names = ["neutral", *SURFACE]
    np.savez(folder / "bs_skin.npz", neutral=neutral, poseNames=np.array(names, "S32"), frontalMask=np.arange(30, dtype=np.int32),
             **{name: move.astype(np.float32) for name, move in zip(SURFACE, moves)})  # fmt: skip
    shapes = np.tensordot(mix, moves, 1).astype(np.float32)
    shapes[:, 30:] = 1e6  # behind the face, which is not to count
    np.savez(folder / "model_data.npz", shapes_matrix_skin=shapes, shapes_mean_skin=neutral + offset * moves[0])
    feelings = np.zeros((6, 4), np.float32)
    feelings[2:5, 3] = 0.3, 0.4, 0.5
    np.savez(folder / "implicit_emo_db.npz", emo_db=feelings, emo_spec_names=np.array(["joy", "g2a_neutral", "pain"], "S32"),
             emo_spec_start=np.array([0, 2, 5]))  # fmt: skip
    (folder / "network_info.json").write_text(json.dumps({
        "id": {"type": "regression", "actor": "mark", "version": "2.3"},
        "params": {"implicit_emotion_len": 4, "explicit_emotions": ["anger", "joy"], "num_shapes_skin": 5, "num_shapes_tongue": 2},
        "audio_params": {"buffer_len": 8320, "buffer_ofs": 4160, "samplerate": 16000},
    }))  # fmt: skip
    back = np.linalg.inv(mix).astype(np.float32)  # weights of blendshapes → coefficients
    gains = np.zeros((8, 7), np.float32)
    gains[0, :5], gains[1 + 3, :5], gains[7, 5:] = np.array([1, 1.5, -1, 0, 1]) @ back, back[3], 9
    values = {
        "starts": np.array([4160 - 266]), "ends": np.array([4160 + 266]), "axis": np.array([2]), "gains": gains,
        "one": np.ones((1, 1, 1), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Abs", ["input"], ["abs"]), helper.make_node("Slice", ["abs", "starts", "ends", "axis"], ["middle"]),
        helper.make_node("ReduceMax", ["middle", "axis"], ["loud"], keepdims=1), helper.make_node("Mul", ["loud", "one"], ["last"]),
        helper.make_node("Concat", ["loud", "emotion", "last"], ["all"], axis=2), helper.make_node("MatMul", ["all", "gains"], ["result"]),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, size]) for name, size in (("input", 8320), ("emotion", 6))]
    outputs = [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["N", 1, 7])]
    graph = helper.make_graph(nodes, "face", inputs, outputs, [numpy_helper.from_array(value, name) for name, value in values.items()])
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "network.onnx")
    return folder


def test_a_surface_of_audio2face_is_bounded_blendshapes_in_time(actor, voice):
    """The mean of its skin counts, what lies behind the face does not, and the neutral recording's mean is the emotion."""
    path, samples = voice
    shapes = np.concatenate(list(open_network(actor / "network.onnx").shapes(samples)))
    assert len(shapes) == 60
    loud = np.array([np.abs(np.pad(samples, 266)[round(k * 533.33) : round(k * 533.33) + 532]).max() for k in range(60)])
    found = {name: shapes[:, BLENDSHAPE_INDEX[name]] for name in SURFACE}
    wanted = {"jawOpen": loud + 0.02, "mouthPucker": np.minimum(1.5 * loud, 1), "mouthSmileLeft": 0 * loud, "browInnerUp": 0 * loud + 0.4}
    free = loud > 0.02  # with a bound in force, the others make up for what it keeps back
    for name in ("jawOpen", "mouthPucker", "browInnerUp"):
        assert np.abs(found[name] - wanted[name])[~free].max() < 0.02, name
    assert np.corrcoef(found["jawOpen"], wanted["jawOpen"])[0, 1] > 0.98 and found["mouthSmileLeft"].max() < 0.02
    assert shapes.min() >= 0 and shapes.max() <= 1 and found["eyeBlinkLeft"].max() == 0
    for given in (actor, actor / "network.onnx"):
        clip = open_motion(path, reading=heard_by(given))
        assert len(clip) == 60 and clip.blendshapes[:, BLENDSHAPE_INDEX["eyeBlinkLeft"]].max() == 1, "lids shut at the pause after speech"


@pytest.mark.parametrize("name", ["network_info.json", "model_data.npz", "bs_skin.npz"])
def test_files_that_audio2face_lacks_are_said(actor, voice, tmp_path, name):
    folder = tmp_path / "mark"
    shutil.copytree(actor, folder)
    for content in (None, b"{}", (actor / name).read_bytes()[:200]):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        with pytest.raises(InvalidCheckpoint, match="files beside it are not those of Audio2Face-3D"):
            open_motion(voice[0], reading=heard_by(folder))
        (folder / name).touch()


def test_the_command(exported, voice, tmp_path):
    out = tmp_path / "said.motion.npz"
    assert main(["track", str(voice[0]), "-o", str(out), "--speech-model", str(exported)]) == 0
    assert MotionClip.load(out).blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]].max() > 0.1


def test_other_files_are_said(published, exported, voice, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "notes.txt").write_text("no network")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "auido2exp.pth").write_bytes(pickle.dumps(Code(), 2))
    save_file({"unet.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    write_meter(tmp_path / "other.onnx", "input", "output")
    for name, words in (
        ("absent.onnx", "no speech model lies at"), ("notes.txt", "not a known speech model – name SadTalker's"),
        ("empty", "name the folder of SadTalker's checkpoints"), ("text.onnx", "not a readable ONNX model"),
        ("auido2exp.pth", "not opened|no file of weights"), ("other.safetensors", "no weights of audio2exp"), ("other.onnx", "inputs input"),
    ):  # fmt: skip
        with pytest.raises(MimaFaceError, match=words):
            open_motion(voice[0], reading=heard_by(tmp_path / name))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InvalidInput, match="leave out one"):
        heard_by(exported, transcript="said.txt")
    cut = tmp_path / "SadTalker_V0.0.2_256.safetensors"
    cut.write_bytes((published / cut.name).read_bytes()[:100000])
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        open_motion(voice[0], reading=heard_by(cut))
