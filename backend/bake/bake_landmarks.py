"""Bake ``mimaface/assets/landmarks.npz``: where each of the 478 landmarks lies on the embedded head.

The landmarker looks at renders of the head itself (it takes them for faces), and the triangle under each landmark is looked
up. Several views, identities and lights are used; the median place on the mean head is kept, with its spread as a weight.

    python backend/bake/bake_landmarks.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mimaface.face.head import ASSETS, Head
from mimaface.face.landmarks import FaceLandmarker
from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.rotation import head_angles_to_matrix

SIDE = 640
FOCAL, DISTANCE = 2.2 * SIDE, 0.665  # pixels; metres from the camera to the face's surface
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)  # fmt: skip


def render(head: Head, identity: np.ndarray, blendshapes: np.ndarray, angles: np.ndarray, light: np.ndarray):
    """RGB (SIDE, SIDE, 3), and the raster of the head's drawn triangles."""
    camera = Camera(FOCAL, (SIDE / 2, SIDE / 2), SIDE, SIDE)
    vertices = head.shape(identity, blendshapes) @ head_angles_to_matrix(angles).T + np.array([0, 0.02, -0.085 - DISTANCE])
    raster = rasterise(camera.project(vertices), head.drawn_triangles(), SIDE, SIDE)
    shade = 0.35 + 0.65 * np.clip(vertex_normals(vertices, head.triangles) @ light, 0, 1)
    image = raster.interpolate(head.drawn_triangles(), head.albedo * shade[:, None])
    image = np.where(raster.covered[..., None], image, 0.55)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), raster


def observe(
    head: Head, landmarker: FaceLandmarker, random: np.random.Generator, jaw: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Places (478, 3) on the mean head under the landmarks of one random render, NaN where none is near, and triangles."""
    angles = random.uniform(-1, 1, 3) * [0.22, 0.12, 0.06]
    blendshapes = np.zeros(head.expression_size)
    blendshapes[BLENDSHAPE_INDEX["jawOpen"]] = jaw
    light = np.array([random.uniform(-0.5, 0.5), random.uniform(0, 0.5), 1.0])
    image, raster = render(
        head, random.normal(0, 0.5, head.identity_size), blendshapes, angles, light / np.linalg.norm(light)
    )
    faces = landmarker.faces(image)
    if not faces:
        return None
    skin = raster.covered & np.isin(head.drawn()[raster.triangle], head.part("skin"))
    rows, columns = np.nonzero(skin)
    distance, nearest = cKDTree(np.stack([columns, rows], 1) + 0.5).query(faces[0].points[:, :2])
    triangle = raster.triangle[rows[nearest], columns[nearest]]
    weights = raster.barycentric[rows[nearest], columns[nearest]]
    place = (head.vertices[head.triangles[head.drawn()[triangle]]] * weights[..., None]).sum(1)
    place[distance > 6] = np.nan
    return place, head.drawn()[triangle]


def response(head: Head, landmarker: FaceLandmarker, random: np.random.Generator, blendshape: int, repeats: int) -> np.ndarray:
    """How the landmarks (478, 2) move, in metres of the head frame's x and y, when the blendshape goes from 0 to 1.

    The network's idea of a landmark slides over the skin, so this is not the displacement of a skin point.
    """
    moves = []
    start = np.zeros(head.expression_size)
    if blendshape == BLENDSHAPE_INDEX["mouthClose"]:  # ARKit's mouthClose undoes an open jaw
        start[BLENDSHAPE_INDEX["jawOpen"]] = 0.4
    for _ in range(repeats):
        identity, light = random.normal(0, 0.4, head.identity_size), np.array([random.uniform(-0.3, 0.3), 0.3, 0.9])
        seen = []
        for weight in (0.0, 1.0):
            blendshapes = start.copy()
            blendshapes[blendshape] += weight
            faces = landmarker.faces(render(head, identity, blendshapes, np.zeros(3), light)[0])
            if faces:
                seen.append(faces[0].points[:, :2])
        if len(seen) == 2:
            moves.append((seen[1] - seen[0]) * [1, -1] * DISTANCE / FOCAL)
    return np.median(moves, axis=0)


def generic(head: Head, landmarker: FaceLandmarker) -> np.ndarray:
    """The landmarks (2, 478, 2) of the mean head from the front, mouth closed and open: to the right and down in the picture, in
    distances between the outer corners of the eyes, from the middle between these; both sides alike."""
    views = []
    for jaw in (0.0, 0.45):
        blendshapes = np.zeros(head.expression_size)
        blendshapes[BLENDSHAPE_INDEX["jawOpen"]] = jaw
        image, _ = render(head, np.zeros(head.identity_size), blendshapes, np.zeros(3), np.array([0, 0.3, 0.95]))
        points = landmarker.faces(image)[0].points[:, :2]
        across = points[263] - points[33]
        views.append((points - points[[33, 263]].mean(0)) / np.linalg.norm(across))
    partner = cKDTree(views[1]).query(views[1] * [-1, 1])[1]  # of the open mouth, for closed lips touch
    return np.stack([0.5 * (view + view[partner] * [-1, 1]) for view in views]).astype(np.float32)


def surface_point(head: Head, triangles: np.ndarray, place: np.ndarray) -> tuple[int, np.ndarray]:
    """Triangle and barycentric weights of the skin point nearest to ``place`` (3,)."""
    a, b, c = (head.vertices[head.triangles[triangles, k]] for k in range(3))
    grid = np.array([(i, j, 8 - i - j) for i in range(9) for j in range(9 - i)]) / 8
    points = np.einsum("gk,kni->ngi", grid, np.stack([a, b, c]))
    distance = np.linalg.norm(points - place, axis=2)
    row, column = np.unravel_index(np.argmin(distance), distance.shape)
    return int(triangles[row]), grid[column]


def bake(output: Path, renders: int) -> None:
    head, landmarker, random = Head.load(), FaceLandmarker.load(), np.random.default_rng(3)
    closed = [seen for _ in range(renders) if (seen := observe(head, landmarker, random, 0.0)) is not None]
    opened = [seen for _ in range(renders) if (seen := observe(head, landmarker, random, 0.45)) is not None]
    print(f"{len(closed)} + {len(opened)} of {2 * renders} renders were seen as faces")
    count = min(len(closed), len(opened))
    places = np.array([place for place, _ in closed[:count]])
    triangles = np.array([triangle for _, triangle in closed[:count]])
    for landmark in INNER_LIPS:  # closed lips touch: only an open mouth tells the upper from the lower
        places[:, landmark] = [place[landmark] for place, _ in opened[:count]]
        triangles[:, landmark] = [triangle[landmark] for _, triangle in opened[:count]]
    mirrored = symmetric_partner(np.nanmedian(places, axis=0))
    both = np.concatenate([places, places[:, mirrored] * [-1, 1, 1]])
    median = np.nanmedian(both, axis=0)
    spread = np.sqrt(np.nanmedian(((both - median) ** 2).sum(2), axis=0))
    kept = [k for k in range(468) if np.isfinite(median[k]).all() and spread[k] < 0.006]
    chosen = [surface_point(head, np.unique(triangles[:, k]), median[k]) for k in kept]
    raw = [response(head, landmarker, random, blendshape, 7) for blendshape in range(head.expression_size)]
    partner = [BLENDSHAPE_INDEX[mirror_name(name)] for name in BLENDSHAPE_NAMES]
    moves = [0.5 * (one + raw[other][mirrored] * [-1, 1]) for one, other in zip(raw, partner)]
    np.savez_compressed(
        output,
        index=np.array(kept, np.int32),
        triangle=np.array([triangle for triangle, _ in chosen], np.int32),
        barycentric=np.array([weights for _, weights in chosen], np.float32),
        spread=spread[kept].astype(np.float32),
        response=np.stack([every[kept] for every in moves]).astype(np.float32),
        generic=generic(head, landmarker),
    )
    for name, which in (("all", kept), ("lids", list(LIDS)), ("inner lips", list(INNER_LIPS))):
        print(f"{name}: median spread {1000 * np.nanmedian(spread[which]):.2f} mm")
    print(f"{output}: {len(kept)} landmarks")


def symmetric_partner(places: np.ndarray) -> np.ndarray:
    """For each landmark the one on the other side, by nearest mirrored place (478,)."""
    safe = np.where(np.isfinite(places), places, 9.0)
    return cKDTree(safe).query(safe * [-1, 1, 1])[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ASSETS / "landmarks.npz")
    parser.add_argument("--renders", type=int, default=60)
    arguments = parser.parse_args()
    bake(arguments.output, arguments.renders)
