"""Write ``mimaface/assets/take.csv``: a four-second made-up performance in Live Link Face's format.

python backend/bake/bake_take.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mimaface.drivers.live_link import write_live_link_csv
from mimaface.face.head import ASSETS
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion

RATE, SECONDS = 60, 4.0


def bump(time: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A smooth hill of height 1."""
    return np.exp(-(((time - centre) / width) ** 2))


def performance() -> MotionClip:
    """Talks for two seconds while nodding and glancing aside, blinks twice, and ends on a smile."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    clip = MotionClip.at_rest(time)
    blendshapes = clip.blendshapes.copy()
    random = np.random.default_rng(11)
    talking = 1 / (1 + np.exp(-(time - 0.4) * 12)) - 1 / (1 + np.exp(-(time - 2.5) * 12))
    syllables = sum(bump(time, centre, 0.07) * random.uniform(0.3, 0.8) for centre in np.arange(0.5, 2.5, 0.21))

    def put(name: str, values: np.ndarray) -> None:
        blendshapes[:, BLENDSHAPE_INDEX[name]] += values

    put("jawOpen", 0.6 * syllables * talking)
    put("mouthFunnel", 0.4 * bump(time, 1.1, 0.12) + 0.35 * bump(time, 1.9, 0.1))
    put("mouthPucker", 0.3 * bump(time, 1.5, 0.12))
    for side in ("Left", "Right"):
        put(f"eyeBlink{side}", bump(time, 0.9, 0.07) + bump(time, 2.75, 0.07))
        put(f"mouthSmile{side}", 0.75 / (1 + np.exp(-(time - 2.9) * 9)) + 0.1)
        put(f"cheekSquint{side}", 0.4 / (1 + np.exp(-(time - 3.0) * 9)))
        put(f"mouthUpperUp{side}", 0.15 * syllables)
        put(f"mouthLowerDown{side}", 0.2 * syllables)
    put("browInnerUp", 0.5 * bump(time, 1.3, 0.3))
    blendshapes[0] = 0
    angles = np.stack([12 * np.sin(1.6 * time), 6 * np.sin(4.4 * time) * talking, 5 * np.sin(1.1 * time)], axis=1)
    glance = np.stack([14 * bump(time, 1.7, 0.25) - 10 * bump(time, 2.3, 0.2), -6 * bump(time, 1.7, 0.3)], axis=1)
    gaze = np.repeat(np.deg2rad(glance)[:, None], 2, axis=1)
    return clip.but(blendshapes=blendshapes, head_quat=matrix_to_quaternion(head_angles_to_matrix(np.deg2rad(angles))), gaze=gaze)


if __name__ == "__main__":
    target = ASSETS / "take.csv"
    target.write_bytes(write_live_link_csv(performance()))
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
