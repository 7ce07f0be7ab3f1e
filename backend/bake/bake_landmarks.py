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

from mimaface.face.camera import Camera  # noqa: E402
from mimaface.face.head import ASSETS, Head  # noqa: E402
from mimaface.face.landmarks import FaceLandmarker  # noqa: E402
from mimaface.face.rasterise import rasterise, vertex_normals  # noqa: E402
from mimaface.protocol.arkit import ACTION_INDEX  # noqa: E402
from mimaface.protocol.rotation import head_angles_to_matrix  # noqa: E402

SIDE = 640
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)  # fmt: skip


def render(head: Head, identity: np.ndarray, actions: np.ndarray, angles: np.ndarray, light: np.ndarray):  # noqa: ANN201
    """RGB (SIDE, SIDE, 3), the raster, and the triangles drawn (hair and lashes left out)."""
    camera = Camera(2.2 * SIDE, (SIDE / 2, SIDE / 2), SIDE, SIDE)
    vertices = head.shape(identity, actions) @ head_angles_to_matrix(angles).T + np.array([0, 0.02, -0.75])
    drawn = np.flatnonzero(~np.isin(head.triangle_part, [head.parts.index("hair"), head.parts.index("lashes")]))
    raster = rasterise(camera.project(vertices), head.triangles[drawn], SIDE, SIDE)
    shade = 0.35 + 0.65 * np.clip(vertex_normals(vertices, head.triangles) @ light, 0, 1)
    image = raster.interpolate(head.triangles[drawn], head.albedo * shade[:, None])
    image = np.where(raster.covered[..., None], image, 0.55)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), raster, drawn


def observe(head: Head, landmarker: FaceLandmarker, random: np.random.Generator, jaw: float) -> np.ndarray | None:
    """Places (478, 3) on the mean head under the landmarks of one random render; NaN where none is near."""
    angles = random.uniform(-1, 1, 3) * [0.22, 0.12, 0.06]
    actions = np.zeros(head.expression_size)
    actions[ACTION_INDEX["jawOpen"]] = jaw
    light = np.array([random.uniform(-0.5, 0.5), random.uniform(0, 0.5), 1.0])
    image, raster, drawn = render(
        head, random.normal(0, 0.5, head.identity_size), actions, angles, light / np.linalg.norm(light)
    )
    faces = landmarker.faces(image)
    if not faces:
        return None
    skin = raster.covered & (head.triangle_part[drawn][raster.triangle] == head.parts.index("skin"))
    rows, columns = np.nonzero(skin)
    distance, nearest = cKDTree(np.stack([columns, rows], 1) + 0.5).query(faces[0].points[:, :2])
    triangle = raster.triangle[rows[nearest], columns[nearest]]
    weights = raster.barycentric[rows[nearest], columns[nearest]]
    place = (head.vertices[head.triangles[drawn[triangle]]] * weights[..., None]).sum(1)
    place[distance > 6] = np.nan
    return place


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
    closed = [place for _ in range(renders) if (place := observe(head, landmarker, random, 0.0)) is not None]
    opened = [place for _ in range(renders) if (place := observe(head, landmarker, random, 0.45)) is not None]
    print(f"{len(closed)} + {len(opened)} of {2 * renders} renders were seen as faces")
    places = np.array(closed)
    places[:, INNER_LIPS] = np.array(opened)[: len(closed), INNER_LIPS]
    mirrored = symmetric_partner(np.nanmedian(places, axis=0))
    both = np.concatenate([places, places[:, mirrored] * [-1, 1, 1]])
    median = np.nanmedian(both, axis=0)
    spread = np.sqrt(np.nanmedian(((both - median) ** 2).sum(2), axis=0))
    front = head.part("skin")[(head.vertices[head.triangles[head.part("skin")]].mean(1)[:, 2] > 0)]
    near = cKDTree(head.vertices[head.triangles[front]].mean(1))
    kept = [k for k in range(468) if np.isfinite(median[k]).all() and spread[k] < 0.006]
    chosen = [surface_point(head, front[near.query(median[k], 24)[1]], median[k]) for k in kept]
    np.savez_compressed(
        output,
        index=np.array(kept, np.int32),
        triangle=np.array([triangle for triangle, _ in chosen], np.int32),
        barycentric=np.array([weights for _, weights in chosen], np.float32),
        spread=spread[kept].astype(np.float32),
        mirror=mirrored.astype(np.int32),
    )
    print(f"{output}: {len(kept)} landmarks, median spread {1000 * np.median(spread[kept]):.2f} mm, lids {1000*np.nanmedian(spread[list(LIDS)]):.2f} mm, inner lips {1000*np.nanmedian(spread[list(INNER_LIPS)]):.2f} mm")


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
