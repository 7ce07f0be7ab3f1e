"""Landmarks, fit, tracking, rasteriser and proxy at 512², and the fit's error on renders whose truth is known.

python tests/bench/bench_face.py [OUT.json]
"""

import sys
from pathlib import Path

import numpy as np
from measure import median_ms, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from conftest import render_head
from mimaface.drivers import open_motion
from mimaface.face.fit import fit_landmarks
from mimaface.face.head import ASSETS
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.face.track import track_frames
from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import matrix_to_head_angles
from mimaface.reprojection.reprojector import Reprojector
from slow_rasterise import rasterise_reference


def errors_on_renders(count: int = 60) -> dict[str, float]:
    """Mean absolute degrees of pose and the correlation of blendshapes and gaze over random rendered heads."""
    random = np.random.default_rng(1)
    names = ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft")
    angles, gaze, blendshapes = [], [], []
    for seed in range(count):
        weights = random.uniform(0, 1, len(names)) * (random.uniform(0, 1, len(names)) < 0.5)
        weights[2] *= seed % 3 == 0  # closed eyes show no gaze
        both = dict(zip(names, weights)) | {"mouthSmileRight": weights[1], "eyeBlinkRight": weights[2]}
        look = random.uniform(-1, 1, 2) * [22, 12]
        lids = {f"eyeLook{'Up' if look[1] > 0 else 'Down'}{side}": abs(look[1]) / 28 for side in ("Left", "Right")}
        truth = render_head(seed, angles=random.uniform(-1, 1, 3) * [30, 15, 15], gaze=look, **both, **lids)
        found = FaceLandmarker.load().faces(truth.image)
        if not found:
            continue
        fit = fit_landmarks(found[0].points, truth.camera)
        angles.append(np.degrees(matrix_to_head_angles(fit.rotation) - matrix_to_head_angles(truth.rotation)))
        blendshapes.append([(weight, fit.blendshapes[BLENDSHAPE_INDEX[name]]) for name, weight in zip(names, weights)])
        if weights[2] < 0.3:
            gaze.append(np.concatenate([look, np.degrees(fit.gaze.mean(0))]))
    mean, looks, seen = np.abs(angles).mean(0), np.array(gaze), np.array(blendshapes)
    result = {f"render_{name}_error_degrees": float(value) for name, value in zip(("yaw", "pitch", "roll"), mean)}
    result |= {
        f"render_gaze_{n}_r": float(np.corrcoef(looks[:, k], looks[:, 2 + k])[0, 1]) for k, n in enumerate(("yaw", "pitch"))
    }
    return result | {f"render_{name}_r": float(np.corrcoef(seen[:, k].T)[0, 1]) for k, name in enumerate(names)}


def main() -> None:
    portrait = Portrait.open(ASSETS / "portrait.png")
    landmarker, fit = FaceLandmarker.load(), portrait.fit
    renderer = Reprojector(portrait)
    poses = poses_for(fit, open_motion(ASSETS / "take.csv"))[:40]
    images = [renderer.render(pose) for pose in poses]
    film = [(index / 24, image) for index, image in enumerate(images)]
    turn = iter(range(10**6))
    proxy = median_ms(lambda: renderer.render(poses[next(turn) % 40]), 40)
    head = renderer.projection
    points = head.place
    fast = median_ms(lambda: rasterise(points, head.triangles, 512, 512))
    some = head.triangles[:200]
    ratio = median_ms(lambda: rasterise_reference(points, some, 512, 512), 3, 1) / median_ms(
        lambda: rasterise(points, some, 512, 512)
    )
    crop = 512 / (1.5 * float(np.ptp(fit.landmarks[:468, :2], axis=0).max()))
    report(
        "face",
        {
            "picture": "512 x 512",
            "landmarks_ms": median_ms(lambda: landmarker.follow(portrait.image, fit.landmarks)),
            "detect_and_landmarks_ms": median_ms(lambda: landmarker.faces(portrait.image)),
            "fit_ms": median_ms(lambda: fit_landmarks(fit.landmarks, fit.camera)),
            "fit_error_px": fit.error,
            "fit_error_px_in_512_face_crop": fit.error * crop,
            "track_fps": 1000 * len(film) / median_ms(lambda: track_frames(film), 3, 1),
            "proxy_prepare_ms": median_ms(lambda: Reprojector(portrait), 5, 1),
            "proxy_fps": 1000 / proxy,
            "rasterise_ms": fast,
            "rasterise_speed_over_reference": ratio,
            **errors_on_renders(),
        },
    )


if __name__ == "__main__":
    main()
