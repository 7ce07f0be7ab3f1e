"""Write README's looping film and ``docs/poses.jpg``, the sheet of hard poses, of the two public-domain photographs of this repository.

python backend/bake/bake_pictures.py [--engine demo]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import mimaface
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = (ROOT / "backend/mimaface/assets/portrait.png", ROOT / "tests/data/grace_hopper.jpg")
SIDE = 256  # pixels of a picture of the sheet, at 100 %: nothing is scaled
FILM_SIDE, RATE = 360, 20  # pixels of a square around the face in the film, and frames a second
WAY, STAY = 0.35, 0.35  # seconds to each pose of the film, and on it

Pose = dict[str, float]


def both(name: str, value: float) -> Pose:
    """A blendshape of both sides."""
    return {f"{name}Left": value, f"{name}Right": value}


POSES: dict[str, Pose] = {  # blendshapes by name; degrees of the head and the gaze; metres of the head's way to the camera
    "rest": {},
    "mouth wide open": {"jawOpen": 0.9},
    "smile, teeth closed": both("mouthSmile", 0.9) | both("mouthUpperUp", 0.5) | both("mouthLowerDown", 0.4) | both("cheekSquint", 0.5),
    "oo": {"mouthFunnel": 0.5, "mouthPucker": 0.7, "jawOpen": 0.15},
    "tongue": {"jawOpen": 0.5, "tongueOut": 0.9},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.4},
    "blink": both("eyeBlink", 1.0),
    "look left": {"gaze_yaw": 28.0},
    "look right": {"gaze_yaw": -28.0},
    "look up": {"gaze_pitch": 20.0},
    "look down": {"gaze_pitch": -20.0},
    "yaw 25": {"yaw": 25.0},
    "yaw -25": {"yaw": -25.0},
    "pitch 15": {"pitch": 15.0},
    "pitch -15": {"pitch": -15.0},
    "lean": {"roll": 25.0, "yaw": 8.0},
}
TURNED, TURNED_BACK = {"yaw": 14.0}, {"yaw": -14.0}
FILM: list[Pose] = [
    POSES["rest"], TURNED, POSES["smile, teeth closed"], TURNED_BACK, POSES["oo"], POSES["mouth wide open"], POSES["tongue"], POSES["wink"],
    POSES["look left"], POSES["look right"], POSES["pitch 15"], POSES["rest"],
]  # fmt: skip


def motion(poses: list[Pose], time: np.ndarray) -> mimaface.MotionClip:
    """The motion (T frames) that takes these poses at ``time`` (T,) seconds."""
    clip = mimaface.MotionClip.at_rest(time)
    blendshapes = clip.blendshapes.copy()
    for frame, pose in enumerate(poses):
        for name, value in pose.items():
            if name in BLENDSHAPE_INDEX:
                blendshapes[frame, BLENDSHAPE_INDEX[name]] = value
    angles = np.deg2rad([[pose.get(name, 0.0) for name in ("yaw", "pitch", "roll")] for pose in poses])
    gaze = np.deg2rad([[pose.get(name, 0.0) for name in ("gaze_yaw", "gaze_pitch")] for pose in poses])
    return clip.but(
        blendshapes=blendshapes,
        head_quat=matrix_to_quaternion(head_angles_to_matrix(angles)),
        gaze=np.repeat(gaze[:, None], 2, axis=1),
    )


def between(first: Pose, second: Pose, share: float) -> Pose:
    """The pose a ``share`` (0 to 1) of the way, which begins and ends slowly."""
    share = share * share * (3 - 2 * share)
    return {name: (1 - share) * first.get(name, 0.0) + share * second.get(name, 0.0) for name in first | second}


def performance() -> mimaface.MotionClip:
    """The film's poses, one after the other; it ends as it began."""
    steps = int(RATE * WAY)
    poses = [FILM[0]]
    for first, second in zip(FILM, FILM[1:]):
        poses += [between(first, second, (step + 1) / steps) for step in range(steps)]
        poses += [second] * int(RATE * STAY)
    return motion(poses, np.arange(len(poses)) / RATE)


def face_box(portrait: mimaface.Portrait) -> tuple[int, int, int, int]:
    """The square of ``SIDE`` pixels around the face: left, top, right, bottom in pixels of the photograph."""
    height, width = portrait.image.shape[:2]
    across, down = portrait.fit.landmarks[:, :2].mean(axis=0)
    left = int(np.clip(across - SIDE / 2, 0, width - SIDE))
    top = int(np.clip(down - SIDE / 2, 0, height - SIDE))
    return left, top, left + SIDE, top + SIDE


def write_sheet(path: Path, engine: str) -> None:
    """Each pose of each photograph at 100 %."""
    columns = 8
    rows = -(-len(POSES) // columns)
    sheet = Image.new("RGB", (columns * SIDE, len(PHOTOGRAPHS) * rows * SIDE))
    for which, photograph in enumerate(PHOTOGRAPHS):
        portrait = mimaface.Portrait.open(photograph)
        box, settings = face_box(portrait), mimaface.RenderSettings(engine=engine)
        for frame in mimaface.animate(portrait, motion(list(POSES.values()), np.arange(len(POSES)) / 1.0), settings):
            picture = Image.fromarray(frame.image).crop(box)
            ImageDraw.Draw(picture).text((6, SIDE - 16), list(POSES)[frame.index], fill="white", stroke_width=2, stroke_fill="black")
            row, column = divmod(frame.index, columns)
            sheet.paste(picture, (column * SIDE, (which * rows + row) * SIDE))
    sheet.save(path, quality=88)


def write_film(path: Path, engine: str) -> None:
    """Both photographs beside each other, as a film that loops."""
    settings = mimaface.RenderSettings(engine=engine, size=FILM_SIDE, framing="face")
    shots = [[frame.image for frame in mimaface.animate(mimaface.Portrait.open(each), performance(), settings)] for each in PHOTOGRAPHS]
    frames = [Image.fromarray(np.concatenate(pictures, axis=1)) for pictures in zip(*shots)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 // RATE, loop=0, quality=72, method=6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="proxy")
    wanted = parser.parse_args().engine
    write_sheet(ROOT / "docs" / "poses.jpg", wanted)
    write_film(ROOT / "docs" / "film.webp", wanted)
