"""Synthetic training samples: random people in random studios with all coefficients known.

Sample ``i`` of seed ``s`` is independent of the other samples and of the number of processes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimaface.face.fit import IRIS, FittedFace, LandmarkModel
from mimaface.face.head import Head, gaze_rotation
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, motion_signals
from mimaface.face.renders import render_albedo, render_normals
from mimaface.geometry.threads import one_thread
from mimaface.pictures import load_pictures
from mimaface.protocol.arrays import Array
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles
from mimaface.reprojection.reprojector import Reprojector

from .camcorder import Camcorder
from .motions import RATE, random_poses
from .people import Person, random_person
from .samples import Sample, head_box, write_shard
from .studio import Studio, random_studio

# Standard deviations of the simulated fit error, so that training sees reprojections of the same quality as inference: identity
# and blendshapes in their units, angles and gaze in radians.
IDENTITY_ERROR, BLENDSHAPE_ERROR, ANGLE_ERROR, GAZE_ERROR = 0.25, 0.03, np.radians(1.0), np.radians(2.0)
LANDMARK_ERROR = 0.0006  # metres, standard deviation


@dataclass(frozen=True)
class SyntheticConfig:
    """size: pixels a side; frames: of a sample; stride: seconds between them, range; pictures: folder of backgrounds."""

    size: int = 256
    frames: int = 8
    stride: tuple[float, float] = (0.15, 0.6)
    pictures: str = ""  # empty: procedural backgrounds only


VIDEO = SyntheticConfig(frames=20, stride=(1 / RATE, 1 / RATE))


def make_sample(seed: int, index: int, config: SyntheticConfig) -> Sample:
    """Returns sample ``index`` of data set ``seed``."""
    random = np.random.default_rng([seed, index])
    with one_thread():
        return _sample(random, f"{seed}-{index:07d}", config)


def _sample(random: np.random.Generator, key: str, config: SyntheticConfig) -> Sample:
    person = random_person(random)
    studio = random_studio(random, config.size, background_pictures(config.pictures))
    stride = float(random.uniform(*config.stride))
    source = random_poses(random, 1, stride, studio.translation)[0]
    source = calmer(source, random.uniform(0.2, 1.0))
    poses = random_poses(random, config.frames, stride, studio.translation)
    angles = matrix_to_head_angles(source.rotation)
    camcorder = Camcorder(person, studio, head_angles_to_matrix(angles * [0.4, 0.2, 0.2]), int(random.integers(1 << 30)))
    photo = camcorder.take(source)
    driven = np.stack([camcorder.take(pose) for pose in poses])
    fit = measured_fit(random, person, studio, source)
    renderer = Reprojector(Portrait(photo, fit, key), 0, "photo")
    away = [relative(pose, source, fit) for pose in poses]
    frames = [renderer.posed(pose) for pose in away]
    projected, provenance = (np.stack([getattr(frame, name) for frame in frames]) for name in ("picture", "provenance"))
    albedo = np.stack([render_albedo(person.identity, pose, studio.camera, studio.light) for pose in poses])
    box = np.stack([head_box(camcorder.vertices(pose), studio.camera) for pose in poses]).astype(np.float32)
    neighbours = RATE if stride == 1 / RATE else 0.0
    normals = np.stack([render_normals(frame.vertices, fit.camera) for frame in frames])
    still = render_normals(renderer.projection.still, fit.camera)
    return Sample(
        key, key, photo, driven, projected, provenance, albedo, normals, still, motion_signals(away, fit),
        person.identity.astype(np.float32), box, neighbours,
    )  # fmt: skip


def calmer(pose: FacePose, share: float) -> FacePose:
    """Returns a pose scaled down as in a portrait: less head rotation and expression."""
    angles = matrix_to_head_angles(pose.rotation) * (0.4 + 0.4 * share)
    return FacePose(pose.blendshapes * share, head_angles_to_matrix(angles), pose.translation, pose.gaze * 0.7)


def measured_fit(random: np.random.Generator, person: Person, studio: Studio, pose: FacePose) -> FittedFace:
    """Returns a simulated fit of the source: the truth with random errors of a fit, and nearly exact landmarks."""
    model, head = LandmarkModel.load(), Head.load()
    turned = head_angles_to_matrix(random.normal(0, ANGLE_ERROR, 3)) @ pose.rotation
    points = np.zeros((478, 3))
    exact = model.points(person.identity, pose.blendshapes)
    exact = (exact + random.normal(0, LANDMARK_ERROR, exact.shape)) @ pose.rotation.T + pose.translation
    points[:] = studio.camera.project(exact.mean(0))
    points[model.index] = studio.camera.project(exact)
    centres = head.eye_centres_for(person.identity)
    for side, iris in enumerate(IRIS):
        ahead = centres[side] + head.eye_radius * gaze_rotation(pose.gaze[side])[:, 2]
        points[iris] = studio.camera.project(ahead @ pose.rotation.T + pose.translation)
    share = random.uniform(0, 1)
    identity = person.identity + share * random.normal(0, IDENTITY_ERROR, len(person.identity))
    blendshapes = np.clip(pose.blendshapes + share * random.normal(0, BLENDSHAPE_ERROR, len(pose.blendshapes)), 0, 1)
    gaze = pose.gaze + share * random.normal(0, GAZE_ERROR, (1, 2))
    return FittedFace(identity, blendshapes, turned, pose.translation, gaze, studio.camera, points, 1.0, 1.0)


def relative(pose: FacePose, source: FacePose, fit: FittedFace) -> FacePose:
    """Returns the pose of the fitted source with the same motion relative to the source."""
    return FacePose(
        np.clip(fit.blendshapes + pose.blendshapes - source.blendshapes, 0, 1), pose.rotation @ source.rotation.T @ fit.rotation,
        pose.translation, fit.gaze + pose.gaze - source.gaze,
    )  # fmt: skip


@functools.cache
def background_pictures(folder: str) -> list[Array]:
    """Returns all pictures of a folder, cached per process; [] without a folder."""
    return load_pictures(Path(folder)) if folder else []


def make_samples(seed: int, first: int, count: int, config: SyntheticConfig, workers: int | None = None) -> Iterator[Sample]:
    """Yields samples ``first`` to ``first + count`` in order, computed in parallel."""
    workers = workers if workers is not None else os.cpu_count() or 1
    if workers == 1:
        yield from (make_sample(seed, first + i, config) for i in range(count))
        return
    with ProcessPoolExecutor(workers) as pool:
        jobs = pool.map(make_sample, [seed] * count, range(first, first + count), [config] * count, chunksize=4)
        yield from jobs


def make_shards(
    folder: Path, seed: int, samples: int, config: SyntheticConfig, per_shard: int = 64, workers: int | None = None
) -> Iterator[Path]:
    """Writes missing shards and yields the path of each; an interrupted run resumes."""
    for number, first in enumerate(range(0, samples, per_shard)):
        path = folder / f"synthetic-{seed}-{config.frames}x{config.size}-{number:05d}.tar"
        if not path.exists():
            write_shard(path, make_samples(seed, first, min(per_shard, samples - first), config, workers))
        yield path
