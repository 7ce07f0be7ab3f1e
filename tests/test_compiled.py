"""Every compiled kernel says what its source says as plain Python: on what real small frames pass to it."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

import mimaface
from conftest import motion_of
from mimaface.data import camcorder, people
from mimaface.data.camcorder import Camcorder
from mimaface.data.people import random_person
from mimaface.data.studio import random_studio
from mimaface.face import alignment
from mimaface.face.pose import FacePose, poses_for
from mimaface.geometry import distances, interpolation, least_squares, rasterise
from mimaface.reprojection import composition, head_layers, kernels, person_warp, photograph, references, reprojector, stillness
from mimaface.reprojection.reprojector import Reprojector

# beside slow twins that are written otherwise: geometry/test_rasterise.py and test_distances.py, reprojection/test_kernels.py and
# test_head_layers.py, face/test_alignment.py and test_fit.py
ELSEWHERE = {
    rasterise._rasterise, rasterise._in_view, rasterise._weights, rasterise._normal_sums, kernels.lift, kernels.between, composition.compose,
    distances.distances, distances.bounds, head_layers.where_parts_meet, head_layers.average_samples, person_warp.carry, alignment.compared,
    least_squares.bounded_solve,
}  # fmt: skip
ENTRIES = (  # where what Python calls is looked up; the other kernels are called by these
    (photograph, "texture"), (rasterise, "_interpolate"), (camcorder, "shade"), (camcorder, "develop"), (people, "fractal_noise"),
    (interpolation, "_enlarged"), (interpolation, "_halve"), (person_warp, "stretched"), (references, "mix_in"), (distances, "squared_depth"),
    (photograph, "add_grain"), (reprojector, "hindmost"), (stillness, "spread"), (stillness, "blend_still"),
)  # fmt: skip


def compiled() -> Iterator[tuple[object, str, CPUDispatcher]]:
    """Every name of a kernel in a module that is loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("mimaface."):
            yield from ((module, key, value) for key, value in list(vars(module).items()) if isinstance(value, CPUDispatcher))


def all_kernels() -> set[CPUDispatcher]:
    root = Path(mimaface.__file__).parent
    for path in root.rglob("*.py"):
        if "@numba.njit" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
    return {kernel for _, _, kernel in compiled()}


def frame_of_a_portrait(portrait) -> None:
    """Turned, looking aside, with an open mouth, half winking: skin, eyes, teeth, the mouth behind them and lids with grain are seen."""
    moved = {"angles": (12, 5, 0), "gaze": (15, 5), "jawOpen": 0.7, "mouthSmileLeft": 0.5, "eyeBlinkRight": 0.8}
    pose = poses_for(portrait.fit, motion_of(moved))[0]
    Reprojector(portrait, 96).render(pose)


def frame_of_a_synthetic_person(portrait) -> None:
    random = np.random.default_rng(9)  # one with beard, glasses and long hair
    person, studio = random_person(random), random_studio(random, 48, [])
    Camcorder(person, studio, np.eye(3), 9).take(FacePose(np.full(52, 0.2), np.eye(3), studio.translation, np.zeros((2, 2))))


def numbers(_) -> None:
    """Triangles that overlap, with attributes of more than three columns; layers of two photographs mixed; holes filled."""
    random = np.random.default_rng(2)
    points, triangles = random.uniform((0, 0, 0.5), (20, 20, 2), (12, 3)), random.integers(0, 12, (9, 3))
    raster = rasterise.rasterise(points, triangles, 20, 20)
    raster.interpolate(triangles, random.normal(size=(12, 5)))
    base, theirs = random.uniform(size=(2, 20, 20, 5)).astype(np.float32)
    kind, share = random.integers(1, 5, len(triangles)), random.uniform(size=12)
    references.mix_in(base.copy(), base, theirs, raster.triangle, raster.barycentric, triangles, kind, share)
    interpolation.fill_holes(base, random.uniform(size=(20, 20)) > 0.7)


@pytest.fixture(scope="module")
def passed(portrait) -> dict[str, list[tuple]]:
    """What the frames passed to each kernel, call by call."""
    found: dict[str, list[tuple]] = {name: [] for _, name in ENTRIES}

    def heard(name: str, kernel: CPUDispatcher) -> Callable[..., object]:
        def call(*arguments):
            found[name].append(copied(arguments))
            return kernel(*arguments)

        return call

    scenes = (frame_of_a_portrait, frame_of_a_synthetic_person, numbers)
    for scene in scenes:
        scene(portrait)  # compiles, which needs the kernels in their places
    with pytest.MonkeyPatch.context() as patched:
        for module, name in ENTRIES:
            patched.setattr(module, name, heard(name, getattr(module, name)))
        for scene in scenes:
            scene(portrait)
    points, *others = found["fractal_noise"][0]
    return found | {"fractal_noise": [(points[:200], *others)]}


def copied(arguments: tuple) -> tuple:
    return tuple(value.copy() if isinstance(value, np.ndarray) else value for value in arguments)


def result_of(call: Callable[..., object], arguments: tuple) -> np.ndarray:
    """What a kernel gives back, or the first array, into which it writes."""
    given = copied(arguments)
    found = call(*given)
    return given[0] if found is None else found


def plainly(kernel: CPUDispatcher, arguments: tuple, seen: set[CPUDispatcher]) -> np.ndarray:
    """The result of the Python that a kernel was compiled from, and of those that it calls; these are noted in ``seen``."""

    def plain(kernel: CPUDispatcher) -> Callable[..., object]:
        @functools.wraps(kernel.py_func)
        def call(*arguments):
            seen.add(kernel)
            return kernel.py_func(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for module, name, each in list(compiled()):
            patched.setattr(module, name, plain(each))
        return result_of(plain(kernel), arguments)


@pytest.fixture(scope="module")
def both(passed) -> dict[str, tuple[list[np.ndarray], list[np.ndarray], set[CPUDispatcher]]]:
    """Of each kernel the compiled results, the plain ones, and which kernels made them."""
    found = {}
    for module, name in ENTRIES:
        kernel, seen = getattr(module, name), set()
        plain = [plainly(kernel, arguments, seen) for arguments in passed[name]]
        found[name] = ([result_of(kernel, arguments) for arguments in passed[name]], plain, seen)
    return found


@pytest.mark.parametrize("name", [name for _, name in ENTRIES])
def test_a_kernel_says_what_its_source_says(both, name):
    for fast, slow in zip(*both[name][:2], strict=True):
        assert np.ptp(fast) > 0, "something is drawn"
        assert fast.dtype == slow.dtype and fast.shape == slow.shape
        np.testing.assert_allclose(fast.astype(float), slow.astype(float), atol=1e-4 * np.abs(slow).max(), rtol=1e-4)


def test_no_kernel_is_left_out(both):
    reached = {kernel for _, _, seen in both.values() for kernel in seen}
    assert {kernel.py_func.__qualname__ for kernel in all_kernels() - ELSEWHERE - reached} == set()
