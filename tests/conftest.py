"""Shared pieces: the two photographs with their fits, motions with a few values set, renders of the head itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from mimaface.engines.pool import EnginePool
from mimaface.face.head import ASSETS, Head
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion
from mimaface.renderers.registry import Generated

COLLINS = ASSETS / "portrait.png"
HOPPER = Path(__file__).parent / "data" / "grace_hopper.jpg"
CASES = Path(__file__).parent / "cases"
# Files that take longest, in order: they begin first, so that no worker is left alone with one of them at the end. Those that wait for
# Blender are the very first, while the checks of run.py still need a core.
LONGEST = (
    "addon/test_blender.py", "addon/test_takes.py", "addon/test_rig.py", "addon/test_driving.py", "export/test_onnx.py", "weights/test_convert.py",
    "training/test_loop.py", "serving/test_server.py", "serving/test_room.py", "serving/test_faults.py", "serving/test_processes.py",
    "renderers/test_generated.py", "evaluation/test_ablations.py", "evaluation/test_golden_check.py", "training/test_adversary.py",
)  # fmt: skip
settings.register_profile("no clock", deadline=None)  # a busy machine makes no test fail
settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first; the rest in its order."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    return Portrait.open(COLLINS)


@pytest.fixture(scope="session")
def hopper() -> Portrait:
    return Portrait.open(HOPPER)


@pytest.fixture(scope="session", params=[COLLINS, HOPPER], ids=["collins", "hopper"])
def each_portrait(request: pytest.FixtureRequest) -> Portrait:
    return Portrait.open(request.param)


@dataclass(frozen=True, eq=False)
class Sitter:
    """A synthetic person before a camera: the portrait, and how the head stood, degrees yaw, pitch, roll."""

    portrait: Portrait
    angles: tuple[float, float, float]


PEOPLE = {  # seeds of people unlike each other in skin, hair, age and attire, from fair to dark
    "fair, glasses": 39, "fair, grey, stubble": 44, "freckles, red hair": 46, "beard, glasses, long hair": 9, "brown, white hair": 8,
    "dark, short hair": 7,
}  # fmt: skip


@pytest.fixture(scope="session", params=PEOPLE.values(), ids=PEOPLE)
def sitter(request: pytest.FixtureRequest) -> Sitter:
    from mimaface.data.camcorder import Camcorder
    from mimaface.data.people import random_person
    from mimaface.data.studio import random_studio

    random, angles = np.random.default_rng(request.param), (6.0, -3.0, 2.0)
    person, studio = random_person(random), random_studio(random, 320, [])
    pose = FacePose(np.zeros(52), head_angles_to_matrix(np.radians(angles)), studio.translation, np.zeros((2, 2)))
    content = io.BytesIO()
    Image.fromarray(Camcorder(person, studio, np.eye(3), request.param).take(pose)).save(content, "PNG")
    return Sitter(Portrait.open(content.getvalue()), angles)


def motion_of(*frames: dict, rate: float = 24.0) -> MotionClip:
    """A clip whose frames set ``angles`` (degrees yaw, pitch, roll), ``gaze`` (degrees yaw, pitch) and blendshapes by name."""
    clip = MotionClip.at_rest(np.arange(len(frames)) / rate)
    blendshapes, quaternion, gaze = clip.blendshapes.copy(), clip.head_quat.copy(), clip.gaze.copy()
    for index, values in enumerate(frames):
        for name, value in values.items():
            if name == "angles":
                quaternion[index] = matrix_to_quaternion(head_angles_to_matrix(np.radians(value)))
            elif name == "gaze":
                gaze[index] = np.radians(value)
            else:
                blendshapes[index, BLENDSHAPE_INDEX[name]] = value
    return clip.but(blendshapes=blendshapes, head_quat=quaternion, gaze=gaze)


def nod(frames: int) -> MotionClip:
    """A little of everything, different in every frame."""
    return motion_of(*[{"angles": (i % 7, -i % 5, 0), "jawOpen": (i % 4) / 4, "gaze": (i % 9, 0)} for i in range(frames)])


def generated(folder, portrait, motion, settings, start=0, memory=None, pool=None):
    """The frames by a model folder, and None after every step that finished none."""
    session = Generated("demo", folder).open(portrait, settings, pool or EnginePool())
    return session.shot(motion, start, {} if memory is None else memory)


@dataclass(frozen=True, eq=False)
class RenderedHead:
    """A render of the embedded head whose truth is known."""

    image: np.ndarray
    camera: Camera
    identity: np.ndarray
    blendshapes: np.ndarray
    rotation: np.ndarray
    gaze: np.ndarray


def render_head(seed: int, side: int = 512, **values: object) -> RenderedHead:
    """A random identity in a random light; ``angles``, ``gaze`` in degrees and blendshapes by name as in :func:`motion_of`."""
    random = np.random.default_rng(seed)
    head = Head.load()
    blendshapes = np.zeros(head.expression_size)
    angles, gaze = np.zeros(3), np.zeros(2)
    for name, value in values.items():
        if name == "angles":
            angles = np.radians(value)
        elif name == "gaze":
            gaze = np.radians(value)
        else:
            blendshapes[BLENDSHAPE_INDEX[name]] = value
    identity, rotation = random.normal(0, 0.6, head.identity_size), head_angles_to_matrix(angles)
    both = np.tile(gaze, (2, 1))
    camera = Camera.for_image(side, side)
    vertices = head.posed(identity, blendshapes, both) @ rotation.T + np.array([0.01, -0.02, -0.7])
    triangles = head.drawn_triangles()
    raster = rasterise(camera.project(vertices), triangles, side, side)
    light = np.array([random.uniform(-0.3, 0.3), 0.3, 0.9])
    shade = 0.35 + 0.65 * np.clip(vertex_normals(vertices, head.triangles) @ light, 0, 1)
    colours = np.where(raster.covered[..., None], raster.interpolate(triangles, head.albedo * shade[:, None]), 0.5)
    return RenderedHead((np.clip(colours, 0, 1) * 255).astype(np.uint8), camera, identity, blendshapes, rotation, both)
