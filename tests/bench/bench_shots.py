"""Ten-second shots of four portraits by the shipped model: identity and clip boundaries, beside the proxy's.

Two photographs (public domain) and two pictures in other styles made from a render: ink and oil.

python tests/bench/bench_shots.py [OUTPUT.json]
"""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import report
from PIL import Image
from scipy.ndimage import gaussian_filter, median_filter, percentile_filter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import COLLINS, HOPPER, motion_of
from mimaface.animation import animate
from mimaface.data.synthetic import SyntheticConfig, make_sample
from mimaface.engines.precision import fast_dtype
from mimaface.engines.torch_engine import TorchEngine
from mimaface.evaluation.metrics import descriptor, inter_clip_jump_with_placebo, read_face
from mimaface.face.portrait import Portrait
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.generated_session import GeneratedSession, open_engine
from mimaface.renderers.registry import SHIPPED

SECONDS, RATE, EVERY = 10, 24, 12
SETTINGS = RenderSettings(engine="demo", size=384, framing="face")


def performance() -> MotionClip:
    """Turns, nods, talks, smiles, blinks and looks about, smoothly."""
    time = np.arange(SECONDS * RATE) / RATE
    talk = np.clip(0.5 * np.sin(9.0 * time) + 0.3 * np.sin(14.3 * time), 0, 1)
    smile = np.clip(np.sin(0.9 * time - 1.0), 0, 1) * 0.8
    blink = np.exp(-(((time[:, None] - [1.5, 4.2, 7.7]) / 0.09) ** 2)).max(1)
    return motion_of(
        *[
            {
                "angles": (18 * np.sin(0.8 * t), 7 * np.sin(1.7 * t), 6 * np.sin(0.5 * t)),
                "gaze": (10 * np.sin(1.3 * t), 5 * np.sin(0.7 * t)),
                "jawOpen": 0.7 * talk[i],
                **{f"mouthSmile{side}": smile[i] for side in ("Left", "Right")},
                **{f"eyeBlink{side}": blink[i] for side in ("Left", "Right")},
            }
            for i, t in enumerate(time)
        ],
        rate=RATE,
    )


def styled() -> dict[str, Portrait]:
    """A render as an ink drawing and as an oil painting."""
    photo = make_sample(2, 5, SyntheticConfig(size=512, frames=1)).source
    grey = photo.astype(float).mean(2)
    lines = 1 - np.clip((gaussian_filter(grey, 3) - gaussian_filter(grey, 0.7)) / 14, 0, 1)
    ink = np.clip(lines * (0.35 + 0.65 * np.round(gaussian_filter(grey, 2) / 52) * 52 / 255), 0, 1) * 255
    oil = np.stack([percentile_filter(median_filter(photo[..., k], 5), 60, 5) for k in range(3)], -1)
    return {"ink": _portrait(np.repeat(ink[..., None], 3, 2).astype(np.uint8)), "oil": _portrait(oil.astype(np.uint8))}


def _portrait(picture: np.ndarray) -> Portrait:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return Portrait.open(stream.getvalue())


def identity(portrait: Portrait, frames: list[np.ndarray]) -> float:
    """Mean cosine of dlib descriptors to the portrait."""
    own = descriptor(portrait.image, portrait.fit)
    faces = [(frame, read_face(frame)) for frame in frames[::EVERY]]
    return float(np.mean([own @ descriptor(frame, face) for frame, face in faces if face is not None]))


def generated(engine: TorchEngine, portrait: Portrait, motion: MotionClip) -> list[np.ndarray]:
    """All frames by the model."""
    return [done.image for done in GeneratedSession(engine, portrait, SETTINGS).shot(motion, 0, {}) if done is not None]


def measured(portrait: Portrait, motion: MotionClip) -> tuple[dict[str, float], np.ndarray]:
    """Figures of one portrait, and a sheet: proxy above model."""
    engine = open_engine(SHIPPED)
    length, overlap = engine.config.clip_length, engine.config.overlap
    proxy = [frame.image for frame in animate(portrait, motion, replace(SETTINGS, engine="proxy"))]
    made = generated(engine, portrait, motion)
    with_ica, placebo = inter_clip_jump_with_placebo(np.stack(made), length, overlap)
    model = MimaFaceModel.from_pretrained(SHIPPED, fast_dtype("cpu"))
    model.config = model.config.but(overlap=0)
    without_ica, _ = inter_clip_jump_with_placebo(np.stack(generated(TorchEngine(model), portrait, motion)), length, 0)
    chosen = list(range(0, len(made), len(made) // 8))[:8]
    sheet = np.concatenate([np.concatenate([rows[i] for i in chosen], 1) for rows in (proxy, made)], 0)
    figures = {
        "csim_model": identity(portrait, made),
        "csim_proxy": identity(portrait, proxy),
        "icj": with_ica,
        "icj_without_ica": without_ica,
        "icj_proxy": inter_clip_jump_with_placebo(np.stack(proxy), length, overlap)[0],
        "icj_placebo": float(np.median(placebo)),
    }
    return figures, sheet


def main() -> None:
    figures: dict[str, float] = {}
    sheets = []
    for name, portrait in {"collins": Portrait.open(COLLINS), "hopper": Portrait.open(HOPPER), **styled()}.items():
        found, sheet = measured(portrait, performance())
        figures |= {f"{name}_{key}": value for key, value in found.items()}
        sheets.append(sheet)
    Path("bench").mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(sheets, 0)).save("bench/shots.jpg", quality=88)
    report("shots", figures)


if __name__ == "__main__":
    main()
