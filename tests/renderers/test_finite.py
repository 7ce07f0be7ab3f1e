"""Networks that give numbers that are none: one more try, then an error that names step and frame; never a picture of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import generated, nod
from mimaface.engines.pool import EnginePool
from mimaface.engines.precision import finite
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import NotFinite
from mimaface.protocol.settings import RenderSettings
from mimaface.sampling.conditions import as_pictures
from training_fixtures import models

SMALL = RenderSettings(engine="demo", size=96, seed=4)


def tiny(target, parts, seed=0):
    """A model of random weights: 32² pictures, clips of 4 frames that overlap by 1."""
    torch.manual_seed(seed)
    model = MimaFaceModel(models.tiny_configuration(image_size=32, guidance=1.0, **parts))
    models.awaken(model)
    model.save_pretrained(target)
    return target


@pytest.fixture(scope="module", params=[models.WITH_REFINER, models.FOUR_CONDITIONS], ids=["refine", "decode_latents"])
def shot(request, tmp_path_factory, portrait):
    """A shot of one clip: what runs it, its frames, and which method of the engine makes pictures."""
    folder, pool = tiny(tmp_path_factory.mktemp("tiny"), request.param), EnginePool()

    def run():
        for step in generated(folder, portrait, nod(3), SMALL, pool=pool):
            if step is not None:
                yield step.index, step.image

    return run, dict(run()), "refine" if request.param is models.WITH_REFINER else "decode_latents"


def spoil(monkeypatch, method, calls, value=float("nan")):
    """Of the calls by number, one place of what a method of the engine gives is not a number."""
    real, count = getattr(TorchEngine, method), [0]

    def spoiled(self, *arguments, **named):
        found = real(self, *arguments, **named)
        count[0] += 1
        return spoilt(found, value) if count[0] - 1 in calls else found

    monkeypatch.setattr(TorchEngine, method, spoiled)


def spoilt(found, value):
    if isinstance(found, tuple):
        return type(found)(*(spoilt(each, value) for each in found))
    found = found.clone(memory_format=torch.contiguous_format)
    found.view(-1)[found.numel() // 2] = value
    return found


def test_once_is_made_good(monkeypatch, shot):
    run, whole, last = shot
    for method, calls, value in (
        ("encode_images", [0, 3], float("inf")),
        (last, [0, 2], float("nan")),
        ("encode_source", [0], -float("inf")),
    ):
        spoil(monkeypatch, method, calls, value)
    frames = dict(run())
    assert all(np.array_equal(frames[index], whole[index]) for index in range(3)), "to the byte"


@pytest.mark.parametrize(
    ("method", "first", "subject", "made"),
    [("last", 1, "decoder gave, for frame 1", 1), ("encode_images", 3, "encoder gave, for frame 2", 0)],
)
def test_twice_is_an_error_and_nothing_of_it_is_published(monkeypatch, shot, method, first, subject, made):
    run, whole, last = shot
    spoil(monkeypatch, last if method == "last" else method, range(first, 1000))
    frames = []
    with pytest.raises(NotFinite, match=f"^the {subject}, numbers that are not finite, twice – resume the take"):
        frames.extend(run())  # keeps what came before
    assert [index for index, _ in frames] == list(range(made))
    assert all(np.array_equal(image, whole[index]) for index, image in frames), "those before it are as ever"


def test_a_tensor_or_several_are_looked_at_and_no_picture_is_made_of_others():
    good, bad = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), float("nan"))
    given = iter([bad, good])
    assert finite(lambda: next(given), "x gave") is good
    with pytest.raises(NotFinite, match=r"^x gave numbers that are not finite, twice"):
        finite(lambda: (good, bad), "x gave")
    with pytest.raises(NotFinite):
        as_pictures(bad)


def test_weights_that_are_replaced_are_loaded_anew(tmp_path, portrait):
    """Under a running backend: what is generated belongs to the weights that the job is named by."""
    folder, pool = tiny(tmp_path / "model", models.WITH_REFINER), EnginePool()

    def frame():
        found = generated(folder, portrait, nod(2), replace(SMALL, seed=1), pool=pool)
        return next(step.image for step in found if step is not None and step.index == 1)

    before = frame()
    engine = pool.get(folder, lambda folder: pytest.fail("it is loaded already"))
    tiny(folder, models.WITH_REFINER, seed=1)
    after = frame()
    assert pool.get(folder, lambda folder: pytest.fail("it is loaded already")) is not engine
    assert not np.array_equal(after, before)
    tiny(folder, models.WITH_REFINER)
    assert np.array_equal(frame(), before)
