"""Speech → Basel face coefficients by SadTalker's networks (Zhang et al. 2023), which the paper uses for audio-driven animation.

``ExpressionFromSound`` is its ExpNet, ``PoseFromSound`` the decoder of its PoseVAE, with the keys of the published files: all in
one ``SadTalker_V0.0.2_256.safetensors`` (``audio2exp.…``, ``audio2pose.…``), or ``auido2exp_00300-model.pth`` and
``auido2pose_00140-model.pth``. 25 frames per second; each receives 0.2 s of the spectrogram of ``drivers/speech/mel.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import savgol_filter
from torch import Tensor, nn

from mimaface.model.checkpoint import load_weights, read_weights
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, NotFinite

Windows = Callable[[int, int], Array]  # windows (n, 80, 16) of frames in the interval [first, last)
RATE = 25.0  # frames per second
EXPRESSION, POSE = 64, 6
# of the PoseVAE: frames per sequence, latent size, styles, sound features per frame
SEQUENCE, LATENT, STYLES, HEARD = 32, 64, 46, 6
HIDDEN = (128, 192)  # widths of its decoder
SMOOTHING = 13  # frames of the published filter of the pose (Savitzky, Golay; second order)
AT_ONCE = 64  # frames whose expression is computed at once
WHOLE = "SadTalker_*.safetensors"
PARTS = {"audio2exp": "*2exp*.pth", "audio2pose": "*2pose*.pth"}
# (channels in, channels out, kernel, stride, padding, residual) of the sound encoder of both networks
ENCODER: tuple[tuple[int, int, int, int | tuple[int, int], int, bool], ...] = (
    (1, 32, 3, 1, 1, False), (32, 32, 3, 1, 1, True), (32, 32, 3, 1, 1, True),
    (32, 64, 3, (3, 1), 1, False), (64, 64, 3, 1, 1, True), (64, 64, 3, 1, 1, True),
    (64, 128, 3, 3, 1, False), (128, 128, 3, 1, 1, True), (128, 128, 3, 1, 1, True),
    (128, 256, 3, (3, 2), 1, False), (256, 256, 3, 1, 1, True),
    (256, 512, 3, 1, 0, False), (512, 512, 1, 1, 0, False),
)  # fmt: skip


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, kernel: int, stride: int | tuple[int, int], padding: int, residual: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inside, outside, kernel, stride, padding), nn.BatchNorm2d(outside))
        self.residual = residual

    def forward(self, value: Tensor) -> Tensor:
        result = self.conv_block(value)
        return torch.relu(result + value if self.residual else result)


class SoundEncoder(nn.Module):
    """Windows (N, 1, 80, 16) → (N, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = nn.Sequential(*(_Block(*sizes) for sizes in ENCODER))

    def forward(self, windows: Tensor) -> Tensor:
        result: Tensor = self.audio_encoder(windows).flatten(1)
        return result


class ExpressionFromSound(SoundEncoder):
    """Windows (N, 1, 80, 16), the photograph's expression (N, 64), lids (N, 1) from open 0 to shut 1 → expression (N, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping1 = nn.Linear(512 + EXPRESSION + 1, EXPRESSION)

    def express(self, windows: Tensor, photograph: Tensor, lids: Tensor) -> Tensor:
        result: Tensor = self.mapping1(torch.cat([self(windows), photograph, lids], dim=1))
        return result


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, outside, 3, stride, 1),
            nn.BatchNorm2d(outside), nn.ReLU(), nn.Conv2d(outside, outside, 3, 1, 1),
        )  # fmt: skip
        self.conv_skip = nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1), nn.BatchNorm2d(outside))

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.conv_block(value) + self.conv_skip(value)
        return result


class _Longer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), (2, 1))

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.upsample(value)
        return result


class _PoseUnet(nn.Module):
    """A residual U-Net over time with three downsamplings: (N, 1, 32, 6) → (N, 1, 32, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1))
        self.input_skip = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1))
        self.residual_conv_1 = _Residual(32, 64, (2, 1))
        self.residual_conv_2 = _Residual(64, 128, (2, 1))
        self.bridge = _Residual(128, 256, (2, 1))
        self.upsample_1, self.up_residual_conv1 = _Longer(256), _Residual(256 + 128, 128, 1)
        self.upsample_2, self.up_residual_conv2 = _Longer(128), _Residual(128 + 64, 64, 1)
        self.upsample_3, self.up_residual_conv3 = _Longer(64), _Residual(64 + 32, 32, 1)
        self.output_layer = nn.Sequential(nn.Conv2d(32, 1, 1, 1), nn.Sigmoid())

    def forward(self, value: Tensor) -> Tensor:
        first = self.input_layer(value) + self.input_skip(value)
        second = self.residual_conv_1(first)
        third = self.residual_conv_2(second)
        wide = self.up_residual_conv1(torch.cat([self.upsample_1(self.bridge(third)), third], dim=1))
        wide = self.up_residual_conv2(torch.cat([self.upsample_2(wide), second], dim=1))
        result: Tensor = self.output_layer(self.up_residual_conv3(torch.cat([self.upsample_3(wide), first], dim=1)))
        return result


class _PoseDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resunet = _PoseUnet()
        self.MLP = nn.Sequential()
        for index, (inside, outside) in enumerate(zip((LATENT + SEQUENCE * HEARD + POSE, HIDDEN[0]), HIDDEN)):
            self.MLP.add_module(f"L{index}", nn.Linear(inside, outside))
            self.MLP.add_module(f"A{index}" if index == 0 else "sigmoid", nn.ReLU() if index == 0 else nn.Sigmoid())
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(512, HEARD)
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))


class PoseFromSound(nn.Module):
    """32 windows (N, 32, 1, 80, 16), latents (N, 64), the first pose (N, 6), a style 0–45 → pose offsets (N, 32, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = SoundEncoder()
        self.netG = nn.ModuleDict({"decoder": _PoseDecoder()})

    def move(self, windows: Tensor, latents: Tensor, first: Tensor, style: int) -> Tensor:
        decoder: Any = self.netG["decoder"]
        heard = decoder.linear_audio(self.audio_encoder(windows.flatten(0, 1))).reshape(len(windows), -1)
        hidden = decoder.MLP(torch.cat([first, latents + decoder.classbias[style], heard], dim=1))
        result: Tensor = decoder.pose_linear(decoder.resunet(hidden.reshape(-1, 1, SEQUENCE, POSE)).squeeze(1))
        return result


@dataclass(frozen=True, eq=False)
class SpeakingNetworks:
    """SadTalker's two sound networks, for inference."""

    expression: ExpressionFromSound
    pose: PoseFromSound

    @classmethod
    def load(cls, path: Path) -> SpeakingNetworks:
        """Loads a folder of the published files, or the single file. Raises :class:`InvalidCheckpoint`."""
        weights = {name: _weights(path, name) for name in PARTS}
        weights["audio2pose"] = {key: value for key, value in weights["audio2pose"].items() if key.startswith(("audio_encoder.", "netG.decoder."))}
        networks = cls(ExpressionFromSound(), PoseFromSound())
        for network, (name, found) in zip((networks.expression, networks.pose), weights.items()):
            load_weights(network, found, f"{path}, {name}")
            network.float().eval().requires_grad_(False)
        return networks

    def expressions(self, windows: Windows, lids: Array) -> Iterator[Array]:
        """Yields β (n, 64) in standard deviations of consecutive frames with lids (T,) in total, for a photograph with mean
        expression.

        Raises :class:`NotFinite`.
        """
        for first in range(0, len(lids), AT_ONCE):
            shut = torch.from_numpy(lids[first : first + AT_ONCE, None].astype(np.float32))
            heard = torch.from_numpy(windows(first, first + len(shut))[:, None])
            with torch.inference_mode():
                found = self.expression.express(heard, torch.zeros(len(shut), EXPRESSION), shut)
            yield _finite(found.numpy())

    def poses(self, windows: Windows, frames: int, seed: int = 0, style: int = 0) -> Array:
        """Returns angles (T, 3) in radians of ``frames`` frames, as in SadTalker's and Deep3DFaceRecon's files.

        As published: 32 frames at a time after the first, which is fixed; the last sequence is aligned with the end; latents are
        drawn from ``seed``. Translations are omitted. Raises :class:`NotFinite`.
        """
        parts = [np.zeros((1, POSE), np.float32)]
        random = torch.Generator().manual_seed(seed)
        for start in range(1, frames, SEQUENCE):
            end = min(start + SEQUENCE, frames)
            part = windows(max(end - SEQUENCE, 1), end)
            # for sound shorter than one sequence
            part = np.concatenate([np.repeat(part[:1], SEQUENCE - len(part), axis=0), part])
            latents = torch.randn(1, LATENT, generator=random)
            with torch.inference_mode():
                moved = self.pose.move(torch.from_numpy(part[None, :, None]), latents, torch.zeros(1, POSE), style)
            parts.append(moved[0, start - end :].numpy())
        poses = _finite(np.concatenate(parts))
        width = SMOOTHING if len(poses) >= SMOOTHING else (len(poses) - 1) // 2 * 2 + 1
        return np.asarray(savgol_filter(poses, width, 2, axis=0)[:, :3] if width > 2 else poses[:, :3])


def _weights(path: Path, name: str) -> dict[str, Tensor]:
    """Returns the tensors of one network under its own keys."""
    if path.is_dir():
        found = sorted([*path.rglob(WHOLE), *path.rglob(PARTS[name])], key=lambda file: (file.suffix != ".safetensors", file))
        if not found:
            raise InvalidCheckpoint(f"{path}: neither {WHOLE} nor {PARTS[name]} is in it", "name the folder of SadTalker's checkpoints")
        path = found[0]
    weights = read_weights(path)
    inside = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
    if not inside and path.suffix == ".safetensors":
        raise InvalidCheckpoint(f"{path}: no weights of {name} are in it", "use SadTalker_V0.0.2_256.safetensors, or the folder it is in")
    return inside or weights


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise NotFinite("the speech network predicts a value that is not a number", "download its weights again")
    return values
