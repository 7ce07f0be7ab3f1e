"""Landmarks, fit, tracking, rasteriser and proxy at 512².    python tests/bench/bench_face.py [OUT.json]"""

import numpy as np
from measure import median_ms, report

from mimaface.drivers import open_motion
from mimaface.face.fit import fit_landmarks
from mimaface.face.head import ASSETS
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.face.proxy import ProxyRenderer
from mimaface.face.rasterise import rasterise, rasterise_reference
from mimaface.face.track import track_frames


def main() -> None:
    portrait = Portrait.open(ASSETS / "portrait.png")
    landmarker, fit = FaceLandmarker.load(), portrait.fit
    renderer = ProxyRenderer(portrait)
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
            "proxy_prepare_ms": median_ms(lambda: ProxyRenderer(portrait), 5, 1),
            "proxy_fps": 1000 / proxy,
            "rasterise_ms": fast,
            "rasterise_speed_over_reference": ratio,
        },
    )


if __name__ == "__main__":
    main()
