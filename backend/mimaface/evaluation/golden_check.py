"""``mimaface golden``: compares our modules with a folder of golden values of any seed, salt and sizes.

The folder contains ``<name>.safetensors`` with inputs and outputs recorded from other implementations, and ``manifest.json`` with
keys and shapes of the released state dicts. Weights are filled by the rule of :mod:`mimaface.evaluation.golden`. Sizes come from
the arrays and the manifest; without a manifest the keys are those of our modules at the released checkpoint's sizes.

A motion U-Net on small latents is ill-conditioned: at 1 × 1 pixels a group norm has two values, and its output jumps where they
cross, so for some salts float32 rounding alone changes the output by a thousandth and more. An array that misses its tolerance is
therefore recomputed in equivalent arithmetic, and the closest result counts; see ``ARITHMETIC``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mimaface.basel import align, bfm
from mimaface.basel.curricularface import CurricularFace, CurricularFaceConfig
from mimaface.basel.reconstruction import ReconstructionConfig, ReconstructionNet
from mimaface.model.appearance import RELEASED_SIGNAL_NAMES, build_appearance, from_released, repeat_frames, to_released
from mimaface.model.checkpoint import load_weights, without_memory
from mimaface.model.instances import RELEASED_SD15, SD15_UNET
from mimaface.model.motion_unet import MotionUNet, build_motion_unet, from_animatediff, to_animatediff
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InvalidInput, MimaFaceError
from mimaface.sampling import schedule
from mimaface.sampling.sampler import sample_clips

from .golden import fill_networks

TOLERANCE, SAMPLER_TOLERANCE = 1e-4, 1e-3  # max |Δ| relative to the standard deviation of the expected array
OVERLAP, GUIDANCE = 3, 5.0  # of the recorded sampler run
SMALL_UNET = {**SD15_UNET, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 48}
OUTPUTS = {  # compared arrays per file; names that end in a point are followed by numbers
    "motion_unet": ("out.",),
    "mim": ("out",),
    "sampler": ("timesteps", "sigmas", "latents."),
    "d3dfr_net": ("out",),
    "bfm": ("rotation", "vertices", "normals", "colour", "projected_yup", "landmarks68"),
    "curricularface": ("embedding", "deep"),
    "alignment": ("template5_256", "box_template_512", "affine", "box_corners", "similarity"),
}
ROUNDED = ("motion_unet", "sampler")  # files whose outputs are this sensitive to rounding
ARITHMETIC = ((False, torch.float32), (True, torch.float32), (False, torch.float64))  # fused temporal attention?, dtype
Arrays = Mapping[str, Tensor]
Found = Iterator[tuple[str, Tensor]]
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Row:
    """Result of one output array: max |Δ|, the same relative to the deviation of the expected array, or the reason for a missing
    comparison.

    rounding: spread of the relative difference among the computations tried.
    """

    name: str
    difference: float = float("nan")
    relative: float = float("nan")
    tolerance: float = TOLERANCE
    problem: str = ""
    rounding: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problem and self.relative <= self.tolerance  # False for NaN, too

    @property
    def near(self) -> bool:
        """Whether rounding may explain a miss: a wrong network is off by about the deviation itself."""
        return not self.problem and self.tolerance < self.relative < 0.5

    def words(self) -> str:
        """Returns "ok" or the problem."""
        if self.ok or self.problem:
            return self.problem or "ok"
        known = f" (rounding alone moves it by {self.rounding:.0e})" if self.rounding > self.tolerance else ""
        return f"MISS: more than {self.tolerance:.0e}{known}"


class Golden:
    """A folder of golden values and the networks filled for it. Raises :class:`InvalidInput` if it is not a folder."""

    def __init__(self, folder: Path, salt: str = "") -> None:
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is not a folder", "name a folder with manifest.json and its .safetensors files")
        self.folder, self.salt = folder, salt
        self.shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        path = folder / "manifest.json"
        if path.is_file():
            try:
                manifest = json.loads(path.read_text(encoding="utf-8"))
                self.shapes = {n: {key: tuple(entry[0]) for key, entry in keys.items()} for n, keys in manifest.items()}
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise InvalidInput(f"{path} is not a manifest of keys and shapes ({error})", "copy it again") from error
        self.arithmetic = ARITHMETIC[0]
        self._unet: MotionUNet | None = None

    def rows(self) -> Iterator[Row]:
        """Yields a row for each output array as soon as it is computed, also for missing files and arrays."""
        for name, check in CHECKS.items():
            yield from self._file_rows(name, check)

    def _file_rows(self, file: str, check: Callable[[Golden, Arrays], Found]) -> Iterator[Row]:
        path = self.folder / f"{file}.safetensors"
        if not path.is_file():
            yield from (Row(f"{file} {name}", problem=f"{path.name} is missing") for name in expected_outputs(file, {}))
            return
        try:
            values = load_file(path)
        except (SafetensorError, OSError) as error:
            yield from (Row(f"{file} {name}", problem=f"{path.name} is damaged: {error}") for name in expected_outputs(file, {}))
            return
        rows = self._compare(file, check, values)
        for self.arithmetic in ARITHMETIC[1:] if file in ROUNDED else ():
            if not any(row.near for row in rows):
                break
            rows = [closest(*pair) for pair in zip(rows, self._compare(file, check, values))]
        self.arithmetic = ARITHMETIC[0]
        yield from rows

    def _compare(self, file: str, check: Callable[[Golden, Arrays], Found], values: Arrays) -> list[Row]:
        """Returns a row for each expected output of a file, in order."""
        rows, problem = {}, ""
        try:
            with torch.no_grad():
                for name, found in check(self, values):
                    rows[name] = compared(file, name, found, values)
        except KeyError as error:
            problem = f"{file}.safetensors lacks {error.args[0]}"
        except (MimaFaceError, RuntimeError, ValueError, IndexError, TypeError) as error:  # arrays of incompatible sizes
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        names = expected_outputs(file, values)
        return [rows.get(name, Row(f"{file} {name}", problem=problem or "it was not computed")) for name in names]

    def filled(
        self, name: str, module: Module, ours: Callable[[Any], Mapping[str, Tensor]], theirs: Callable[[Any], Any]
    ) -> Module:
        """Returns a module from the meta device with weights by the rule: ``ours`` renames released keys to its own, ``theirs``
        back.
        """
        shapes = self.shapes.get(name) or {key: tuple(value.shape) for key, value in theirs(module.state_dict()).items()}
        load_weights(module, ours(fill_networks(shapes, self.salt)), name)
        return module.eval()

    def unet(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Runs the small motion U-Net in the current arithmetic; shapes as in :meth:`MotionUNet.forward`."""
        if self._unet is None:
            shapes = self.shapes.get("motion_unet_small")
            config = unet_sizes(shapes) if shapes else SMALL_UNET
            module = without_memory(lambda: build_motion_unet(config))
            self._unet = self.filled("motion_unet_small", module, from_animatediff, to_animatediff)
        fused, dtype = self.arithmetic
        if self._unet.conv_in.weight.dtype != dtype:
            # float32 weights convert to float64 and back exactly; diffusers' own method only warns
            nn.Module.to(self._unet, dtype)
        self._unet.attend_by_matmul(not fused)
        prediction: Tensor = self._unet(sample.to(dtype), timestep, context.to(dtype))
        return prediction


def expected_outputs(file: str, values: Arrays) -> list[str]:
    """Returns the arrays to compare: all required ones of a file, and as many numbered ones as it contains (at least one)."""
    names = []
    for name in OUTPUTS[file]:
        if not name.endswith("."):
            names.append(name)
            continue
        numbers = sorted(int(key[len(name) :]) for key in values if key.startswith(name) and key[len(name) :].isdecimal())
        names += [f"{name}{number}" for number in numbers or [0]]
    return names


def compared(file: str, name: str, found: Tensor, values: Arrays) -> Row:
    """Returns the row of one array."""
    label = f"{file} {name}"
    if name not in values:
        return Row(label, problem=f"{file}.safetensors lacks {name}")
    expected = values[name].double()
    if found.shape != expected.shape:
        return Row(label, problem=f"shape {tuple(found.shape)} instead of {tuple(expected.shape)}")
    difference = float((found.double() - expected).abs().max())
    deviation = float(expected.std()) if expected.numel() > 1 else float(expected.abs().max())
    tolerance = SAMPLER_TOLERANCE if name.startswith("latents.") else TOLERANCE
    return Row(label, difference, difference / max(deviation, 1e-12), tolerance)


def closest(a: Row, b: Row) -> Row:
    """Returns the better of two rows of an array, with the difference that rounding made."""
    best = a if a.ok or b.problem or a.relative <= b.relative else b
    return replace(best, rounding=max(a.rounding, b.rounding, abs(a.relative - b.relative)))


def unet_sizes(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Returns the configuration of a motion U-Net from its weights' shapes; 8 heads and 32 groups, which shapes do not
    determine."""
    levels = 1 + max(int(key.split(".")[1]) for key in shapes if key.startswith("down_blocks."))

    def blocks(side: str, plain: str, attending: str) -> tuple[str, ...]:
        return tuple(
            attending if any(key.startswith(f"{side}.{level}.attentions.") for key in shapes) else plain
            for level in range(levels)
        )

    resnets = {key.split(".")[3] for key in shapes if key.startswith("down_blocks.0.resnets.")}
    return {
        **SD15_UNET,
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "down_block_types": blocks("down_blocks", "DownBlockMotion", "CrossAttnDownBlockMotion"),
        "up_block_types": blocks("up_blocks", "UpBlockMotion", "CrossAttnUpBlockMotion"),
        "block_out_channels": tuple(shapes[f"down_blocks.{level}.resnets.0.conv1.weight"][0] for level in range(levels)),
        "layers_per_block": len(resnets),
        "cross_attention_dim": next(shape[1] for key, shape in shapes.items() if key.endswith(".attn2.to_k.weight")),
    }


def _motion_unet(golden: Golden, values: Arrays) -> Found:
    for name in expected_outputs("motion_unet", values):
        number = name.removeprefix("out.")
        sample, context = values[f"sample.{number}"], values[f"context.{number}"]
        if len(context) == len(sample):
            context = repeat_frames(context, sample.shape[2])  # recorded once per sample, for all frames
        yield name, golden.unet(sample, values[f"timestep.{number}"], context)


def _mim(golden: Golden, values: Arrays) -> Found:
    base = RELEASED_SD15.appearance
    inputs = {ours: values[f"{theirs}_embeds"] for ours, theirs in RELEASED_SIGNAL_NAMES.items()}
    tokens, (samples, _, width) = values["object_embeds"], values["out"].shape
    blocks = {key.split(".")[2] for key in golden.shapes.get("mim", ()) if key.startswith("mapper.resblocks.")}
    config = replace(
        base,
        signals=tuple(replace(signal, size=inputs[signal.name].shape[-1]) for signal in base.signals),
        token_width=tokens.shape[-1],
        context_width=width,
        modulation_heads=1,
        adapter_layers=len(blocks) or base.adapter_layers,
    )
    module = golden.filled("mim", without_memory(lambda: build_appearance(config)), from_released, to_released)
    signals = {name: value.unflatten(0, (samples, -1)) for name, value in inputs.items()}  # (B, F, n)
    frames = next(iter(signals.values())).shape[1]
    source = VisionTokens(torch.empty(0), tokens.flatten(0, -3))  # (B, 257, 1024)
    yield "out", module(source, signals)[::frames]


def _sampler(golden: Golden, values: Arrays) -> Found:
    noise, steps = values["noise"], len(values["timesteps"])
    points = schedule.euler_points(schedule.scaled_linear_schedule(), schedule.linspace_timesteps(steps))
    yield "timesteps", torch.tensor([point.timestep for point in points[:-1]])
    yield "sigmas", torch.tensor([point.noise for point in points])
    noise, frames = noise.to(golden.arithmetic[1]), noise.shape[2]
    previous: Tensor | None = None
    for name in expected_outputs("sampler", values):
        if not name.startswith("latents."):
            continue
        number = name.removeprefix("latents.")
        conditions = {"render": values[f"render.{number}"]}
        config = RELEASED_SD15.but(conditions=(("render", conditions["render"].shape[1]),))
        context = values[f"context.{number}"]
        context = repeat_frames(context, frames) if len(context) == 1 else context
        *_, result = sample_clips(golden.unet, config, noise, conditions, context, previous, steps, GUIDANCE)
        yield name, result[0].transpose(0, 1)
        previous = result[:, :, -OVERLAP:]


def _d3dfr(golden: Golden, values: Arrays) -> Found:
    shapes, config = golden.shapes.get("d3dfr_net"), ReconstructionConfig()
    if shapes:
        units = [{key.split(".")[2] for key in shapes if key.startswith(f"backbone.layer{stage}.")} for stage in range(1, 5)]
        config = ReconstructionConfig(shapes["backbone.conv1.weight"][0], tuple(map(len, units)))
    module = without_memory(lambda: ReconstructionNet(config))
    yield "out", golden.filled("d3dfr_net", module, dict, dict)(values["image"])


def _curricularface(golden: Golden, values: Arrays) -> Found:
    crop, shapes = values["crop112"], golden.shapes.get("curricularface_ir101")
    config = replace(CurricularFaceConfig(), side=crop.shape[-1])
    if shapes:
        count = 1 + max(int(key.split(".")[1]) for key in shapes if key.startswith("body."))
        outputs = [shapes[f"body.{index}.res_layer.3.weight"][0] for index in range(count)]
        widths = tuple(dict.fromkeys(outputs))  # stages differ in width
        units = tuple(outputs.count(width) for width in widths)
        config = CurricularFaceConfig(widths, units, shapes["output_layer.3.weight"][0], crop.shape[-1])
    module = without_memory(lambda: CurricularFace(config))
    found = golden.filled("curricularface_ir101", module, dict, dict)(crop)
    yield "embedding", found.embedding
    yield "deep", found.deep


def _bfm(golden: Golden, values: Arrays) -> Found:
    arrays = {name.removeprefix("model."): value.numpy() for name, value in values.items() if name.startswith("model.")}
    face = bfm.BaselFace.from_arrays(arrays, "bfm.safetensors")
    parts = bfm.split_coefficients(values["coeffs"].numpy())
    rotation = bfm.row_rotation(parts["rotation"])
    shape = face.geometry(parts["identity"], parts["expression"])
    normals = face.normals(shape)
    posed = face.posed(shape, parts["rotation"], parts["translation"])
    projected = face.project(posed)
    yield "rotation", torch.from_numpy(rotation)
    yield "vertices", torch.from_numpy(posed)
    yield "normals", torch.from_numpy(normals)
    yield "colour", torch.from_numpy(bfm.shade(face.albedo(parts["albedo"]), normals @ rotation, parts["light"]))
    yield "projected_yup", torch.from_numpy(projected)
    yield "landmarks68", torch.from_numpy(face.landmarks68(projected))


def _alignment(golden: Golden, values: Arrays) -> Found:
    yield "template5_256", torch.from_numpy(align.FIVE_POINTS_256)
    yield "box_template_512", torch.from_numpy(align.BOX_512)

    def each(name: str, work: Callable[[Any], Any]) -> Tensor:
        return torch.stack([torch.from_numpy(work(row.numpy())) for row in values[name]])

    yield "affine", each("landmarks5", align.face_affine)
    yield "box_corners", each("box", align.box_corners)
    yield "similarity", each("box", align.box_similarity)


CHECKS: dict[str, Callable[[Golden, Arrays], Found]] = {
    "motion_unet": _motion_unet,
    "mim": _mim,
    "sampler": _sampler,
    "d3dfr_net": _d3dfr,
    "bfm": _bfm,
    "curricularface": _curricularface,
    "alignment": _alignment,
}
