"""Networks of tiny models as ONNX graphs in ONNX Runtime, compared with torch; each is exported once per file."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from conftest import COLLINS, nod
from mimaface.cli import main
from mimaface.engines import choosing, chosen_engine, exported
from mimaface.engines.base import Engine
from mimaface.engines.choosing import NAME, TORCH, Choice, Measured, chosen, in_words, read_choice, write_choice
from mimaface.engines.exported import CONTEXT, DENOISE, ENCODE
from mimaface.engines.onnx_engine import OnnxNetwork, open_onnx
from mimaface.engines.parity import difference, differences, random_inputs
from mimaface.engines.runtimes import runtimes
from mimaface.engines.torch_engine import TorchEngine
from mimaface.face.portrait import Portrait
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InternalError, InvalidCheckpoint, InvalidInput, NotWritable
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry
from mimaface.renderers.generated_session import GeneratedSession
from mimaface.renderers.registry import SHIPPED, Generated
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.sampler import ClipInputs, generate_clips
from mimaface.serving.jobs import Job
from mimaface.serving.renders import Renders
from mimaface.serving.scheduler import Scheduler
from mimaface.serving.store import Store
from mimaface.serving.work import Work
from mimaface_export import onnx_folder
from mimaface_export.onnx_folder import is_there
from mimaface_export.tensorrt_plan import export_tensorrt
from model.conftest import WITH_REFINER, awaken, tiny_configuration
from release import SMALL

pytestmark = pytest.mark.filterwarnings("ignore")
needs_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT for RTX is not installed: pip install 'mimaface[tensorrt]'"
)
SIZES = {"rotation": 3, "translation": 3, "expression": 52, "gaze": 4}
# one level: export time grows with the number of layers
UNET = {"down_block_types": ("CrossAttnDownBlockMotion",), "up_block_types": ("CrossAttnUpBlockMotion",), "block_out_channels": (16,)}
SMALL_VAE = {"_class_name": "SmallAutoencoder", "latent_channels": 4, "widths": (8,), "encoder_blocks": (1,), "decoder_blocks": (1,)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def checkpoint(home: Path) -> Path:
    """A model of the shipped kind: a small autoencoder, a refiner, a context per frame."""
    torch.manual_seed(3)
    unet = {**WITH_REFINER["unet"], **UNET}
    model = MimaFaceModel(tiny_configuration(**{**WITH_REFINER, "unet": unet, "vae": SMALL_VAE})).eval()
    awaken(model)
    model.save_pretrained(home / "tiny")
    return home / "tiny"


@pytest.fixture(scope="module")
def exports(home: Path, checkpoint: Path) -> Path:
    """The export, made by the command in the default location, and measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMAFACE_HOME", str(home))
        assert main(["export", "onnx", str(checkpoint)]) == 0
        return exported.exports_folder(exported.checksums.fingerprint(checkpoint))


@pytest.fixture
def here(exports: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the exports in the default location, with ONNX Runtime measured as twice as fast."""
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path))
    copy = exported.exports_folder(exported.checksums.fingerprint(checkpoint))
    shutil.copytree(exports, copy)
    (onnx,) = [one for one in runtimes(copy) if "CPUExecutionProvider" in one.name]
    rows = Measured(TORCH, 0, 2), Measured(onnx.name, 1e-6, 1)
    write_choice(copy, Choice(choosing.here(), dict.fromkeys(exported.NETWORKS, rows), {}))
    return copy


def test_every_network_says_what_torch_says(exports: Path, checkpoint: Path) -> None:
    """Also at sizes that were not traced: repeat_interleave exports wrongly for batch 2 with several frames (spec 6.3)."""
    engine, torch_engine = open_onnx(exports / "onnx-float32"), TorchEngine.open(checkpoint, dtype=torch.float32)
    found = dict(differences(engine, torch_engine, exported.NETWORKS))
    assert set(found) == set(exported.NETWORKS), "all networks of a model with a refiner"
    assert max(found.values()) < 1e-4, found
    for count in ((1, 16), (2, 4), (4, 3)):
        assert difference(engine, torch_engine, DENOISE, random_inputs(engine.config, 8, *count, seed=5)) < 1e-4
    assert engine.config == torch_engine.config and engine.has_refiner


def inputs_of(clip: Clip) -> ClipInputs:
    generator = torch.Generator().manual_seed(clip.index)
    count = len(clip.frames)
    conditions = {name: torch.randn(count, 4, 8, 8, generator=generator) for name in ("render", "source", "normals", "source_normals")}
    return ClipInputs(conditions, {name: torch.randn(count, size, generator=generator) for name, size in SIZES.items()})


def test_two_clips_of_the_sampler_under_guidance_are_those_of_torch(here: Path, checkpoint: Path) -> None:
    shots = []
    for engine in (chosen_engine.open_engine(checkpoint, torch.device("cpu")), TorchEngine.open(checkpoint, dtype=torch.float32)):
        source = engine.encode_source(torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16))
        clips = [clip for clip in generate_clips(engine, ClipPlan(7, 4, 1), source, inputs_of, 5, guidance=2.0) if clip is not None]
        shots.append(torch.cat([engine.decode_latents(clip.new) for clip in clips]))
    assert shots[0].shape == (7, 3, 16, 16)
    assert (shots[0] - shots[1]).abs().max() < 2 / 255, "pictures span [-1, 1]"


def test_what_was_measured_is_kept_for_this_machine_alone(exports: Path) -> None:
    choice = read_choice(exports)
    assert choice is not None and set(choice.measured) == set(exported.NETWORKS)
    for rows in choice.measured.values():
        assert [row.failed for row in rows] == ["", ""] and rows[0].runtime == TORCH
        assert rows[1].difference < 1e-4 and rows[1].milliseconds > 0


def test_the_faster_one_runs_a_network_unless_it_is_wrong_or_hardly_faster() -> None:
    def best(*rows: Measured) -> str:
        return Choice("here", {DENOISE: (Measured(TORCH, 0.01, 10), *rows)}, {"gone": "why"}).best(DENOISE)

    assert best(Measured("a", 1e-3, 5), Measured("b", 1e-3, 4)) == "b"
    assert best(Measured("a", 1e-3, 9.5)) == best(Measured("a", 0.2, 1)) == best(Measured("a", float("nan"), 1)) == TORCH
    assert best(Measured("a", failed="no such device"), Measured("gone", 1e-3, 1)) == TORCH


def test_a_take_is_named_after_what_runs_its_networks(here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.RENDERERS, "tiny", Generated("tiny", checkpoint))
    before = registry.build("tiny")
    assert not choosing.is_outdated(checkpoint) and list(Generated("tiny", checkpoint).measure()) == []
    assert registry.runtimes_in(before)["denoise"].startswith("onnx-float32@") and set(chosen(checkpoint)) == set(exported.NETWORKS)
    monkeypatch.setattr(choosing, "here", lambda: "another machine")
    assert registry.runtimes_in(registry.build("tiny")) == {}
    assert choosing.is_outdated(checkpoint) and "after a take" in in_words(checkpoint)
    (here / NAME).unlink()
    assert in_words(checkpoint) == ""


def test_a_file_that_is_damaged_is_not_loaded_and_torch_takes_over_once(here: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = here / "onnx-float32" / "denoise.onnx.data"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    engine = chosen_engine.open_engine(checkpoint, torch.device("cpu"))
    assert isinstance(engine, TorchEngine) and "denoise.onnx.data is damaged" in caplog.text
    assert chosen(checkpoint) == {}, "nor is it tried again"
    assert "denoise.onnx.data is damaged" in in_words(checkpoint)


def test_a_runtime_that_fails_in_mid_shot_ends_the_take_and_torch_makes_the_next(
    here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All frames of a take come from one runtime, which is part of its name."""
    renderer = Generated("tiny", checkpoint)
    monkeypatch.setitem(registry.RENDERERS, "tiny", renderer)
    begun = registry.build("tiny")
    engine = chosen_engine.open_engine(checkpoint, torch.device("cpu"))
    source = engine.encode_source(torch.zeros(1, 3, 16, 16))
    clips = generate_clips(engine, ClipPlan(7, 4, 1), source, inputs_of, 5, steps=1)
    assert next(clips) is None, "the first step is made"
    monkeypatch.setattr(OnnxNetwork, "__call__", raising(RuntimeError("the device was removed")))
    with pytest.raises(InvalidCheckpoint, match=r"failed while frames were made .*the device was removed.*press Generate"):
        list(clips)
    assert "failed and is used no more (RuntimeError: the device was removed)" in renderer.networks()
    assert begun not in (registry.build("tiny"), registry.build("tiny", begun))
    assert isinstance(chosen_engine.open_engine(checkpoint, torch.device("cpu")), TorchEngine)


def test_a_job_whose_runtime_fails_keeps_its_frames_and_the_next_is_whole(
    here: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frame is lost, rendered twice, or from another runtime than the rest of its job."""
    monkeypatch.setitem(registry.RENDERERS, "demo", Generated("demo", checkpoint))
    store = Store(tmp_path / "store")
    work, identity, settings = Work(store), f"{store.put_portrait(COLLINS.read_bytes())}-0", RenderSettings(engine="demo", size=64)
    job = work.submit(identity, settings, "nod", nod(6).to_bytes())
    made = []
    with pytest.raises(InvalidCheckpoint, match="make the take anew: press Generate"):
        for step in work.render(job):
            made += [step] if step is not None else []
            if len(made) == 2:
                monkeypatch.setattr(OnnxNetwork, "__call__", raising(RuntimeError("the device was removed")))
    assert 2 <= len(made) < 6 and store.job(job.id).done == len(made)
    with pytest.raises(InvalidCheckpoint, match="begun with another version"):
        list(work.render(store.job(job.id)))
    again = work.submit(identity, settings, "nod", nod(6).to_bytes())
    assert again.id != job.id and [step[0] for step in work.render(again) if step is not None] == list(range(6))
    assert [store.frame(job.id, index)[1] for index, _ in made] == [digest for _, digest in made], "those of the first stay"
    store.close()


@pytest.mark.parametrize("first, then", [(TORCH, "onnx"), ("onnx", TORCH)])
def test_a_take_goes_on_by_the_runtimes_that_it_began_with(
    first: str, then: str, here: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though others were chosen meanwhile, which make new takes; equal to the byte, also in a backend that was started anew."""
    monkeypatch.setitem(registry.RENDERERS, "demo", Generated("demo", checkpoint))
    onnx_first = read_choice(here)
    assert onnx_first is not None
    alike = {name: tuple(replace(row, milliseconds=1) for row in rows) for name, rows in onnx_first.measured.items()}
    torch_first = replace(onnx_first, measured=alike)
    choices, settings = {TORCH: torch_first, "onnx": onnx_first}, RenderSettings(engine="demo", size=64)

    def job_in(store: Store, work: Work) -> Job:
        return work.submit(f"{store.put_portrait(COLLINS.read_bytes())}-0", settings, "nod", nod(6).to_bytes())

    write_choice(here, choices[first])
    whole = Store(tmp_path / "whole")
    expected = [step for step in Work(whole).render(job_in(whole, Work(whole))) if step is not None]
    whole.close()
    store = Store(tmp_path / "store")
    work = Work(store)
    job = job_in(store, work)
    running = (step for step in work.render(job) if step is not None)
    made = [next(running), next(running)]
    write_choice(here, choices[then])
    new = job_in(store, work)
    assert new.id != job.id and set(registry.runtimes_in(new.build)) == (set(exported.NETWORKS) if then == "onnx" else set())
    assert [step[0] for step in work.render(new) if step is not None] == list(range(6))
    running.close()
    made += [step for step in Work(store).render(store.job(job.id)) if step is not None]
    assert made == expected
    store.close()


def test_a_backend_measures_after_a_take_what_was_not_measured_here(
    here: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch makes that take, the progress is told meanwhile, once per backend; what was chosen makes the next take."""
    monkeypatch.setitem(registry.RENDERERS, "demo", Generated("demo", checkpoint))
    write_choice(here, replace(read_choice(here), here="another machine"))
    store, scheduler, todo = Store(tmp_path / "store"), Scheduler(), SimpleQueue()
    work = Work(store)
    renders = Renders(store, work, scheduler, todo.put)
    told = []

    def measured(engine: Engine, *_: object) -> float:
        told.append(renders.measuring.get("demo", ""))
        return 2.0 if isinstance(engine, TorchEngine) else 1.0

    monkeypatch.setattr(chosen_engine, "seconds", measured)
    identity, settings = f"{store.put_portrait(COLLINS.read_bytes())}-0", RenderSettings(engine="demo", size=64)

    def take(frames: int) -> str:
        job = work.submit(identity, settings, "nod", nod(frames).to_bytes())
        by = "onnx" if chosen(checkpoint) else "torch"
        renders.start(b"client", job)
        while job.id in renders or choosing.is_outdated(checkpoint) or renders.measuring:
            with contextlib.suppress(Empty):
                todo.get(timeout=0.05)()
        assert store.job(job.id).state == "done"
        return by

    try:
        assert [take(2), take(3)] == ["torch", "onnx"]
    finally:
        scheduler.stop()
        store.close()
    assert len(told) == 2 * len(exported.NETWORKS), "measured once"
    assert "encode_images by onnx-float32@" in " ".join(told)


def test_a_lack_of_memory_withdraws_nothing(here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job waits for memory and continues with the same runtime."""
    engine = chosen_engine.open_engine(checkpoint, torch.device("cpu"))
    monkeypatch.setattr(OnnxNetwork, "__call__", raising(RuntimeError("Failed to allocate memory for requested buffer of size 1")))
    with pytest.raises(RuntimeError, match="allocate memory"):
        engine.encode_source(torch.zeros(1, 3, 16, 16))
    assert "failed" not in in_words(checkpoint) and len(chosen(checkpoint)) == len(exported.NETWORKS)


def test_an_export_is_made_again_when_anything_that_decides_it_has_changed(exports: Path, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    shutil.copytree(exports / "onnx-float32", target)
    found = exported.read(target)
    assert is_there(target, found)
    for changed in ({"weights": "0" * 64}, {"precision": "float16"}, {"made_with": {**found.made_with, "torch": "1"}}):
        assert not is_there(target, replace(found, **changed))
    (target / exported.NAME).write_text((target / exported.NAME).read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(InvalidCheckpoint, match="of another version – export the model again"):
        exported.read(target)


def test_a_graph_says_whose_it_is(exports: Path, checkpoint: Path) -> None:
    graph = onnx.load(exports / "onnx-float32" / "denoise.onnx", load_external_data=False)
    labels = {entry.key: entry.value for entry in graph.metadata_props}
    assert labels["weights"] == exported.checksums.fingerprint(checkpoint) and labels["opset"] == "23"
    kinds = {node.op_type for node in graph.graph.node}
    assert {"Attention", "GroupNormalization"} <= kinds, "whole, so that a runtime can fuse them"


def test_an_export_that_is_wrong_is_never_there(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_folder, "write_graph", raising(InternalError("exported networks differ from torch")))
    with pytest.raises(InternalError):
        onnx_folder.export_onnx(checkpoint, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(NotWritable, match="something else"):
        onnx_folder.export_onnx(checkpoint, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_what_is_no_checkpoint_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "onnx", str(tmp_path / "nowhere")]) == 2
    assert "is no checkpoint folder – give a folder with model_index.json, or demo or released" in capsys.readouterr().err


def test_the_released_model_in_float16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its autoencoder stays float32, some signals are constant over the shot, and its context is averaged. Tested are the
    networks of kinds that the other model lacks.
    """
    torch.manual_seed(4)
    released = SMALL.base.but(unet={**SMALL.base.unet, **UNET, "block_out_channels": (32,), "layers_per_block": 1})
    model = MimaFaceModel(released).eval()
    awaken(model)
    model.save_pretrained(tmp_path / "released")
    every = onnx_folder.networks
    monkeypatch.setattr(onnx_folder, "networks", lambda model: {name: every(model)[name] for name in (ENCODE, CONTEXT, DENOISE)})
    assert onnx_folder.export_onnx(tmp_path / "released", tmp_path / "export", "float16"), "which compares it with torch"
    graphs = {path.stem: onnx.load(path, load_external_data=False) for path in (tmp_path / "export").glob("*.onnx")}
    kinds = {name: {value.data_type for value in graph.graph.initializer if value.dims} for name, graph in graphs.items()}
    assert all(onnx.TensorProto.FLOAT16 not in kinds[name] for name in (CONTEXT, ENCODE)), "float16 is too coarse for these"
    assert {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT} <= kinds[DENOISE], "the time embedding stays float32"
    (tmp_path / "export" / "context.onnx").unlink()
    with pytest.raises(InvalidCheckpoint, match=r"context\.onnx is missing"):
        exported.read(tmp_path / "export")


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@needs_tensorrt
def test_every_network_becomes_a_plan_for_an_rtx_card(exports: Path, tmp_path: Path) -> None:
    """Without such a card: plans can be verified only on one."""
    assert export_tensorrt(exports / "onnx-float32", tmp_path / "plans", frames=(4,), targets=("sm89",))
    found = exported.read(tmp_path / "plans")
    assert set(found.networks) == set(exported.NETWORKS) and found.made_with["frames"] == "4"
    assert all((tmp_path / "plans" / one.file).stat().st_size > 1000 for one in found.networks.values())
    assert not export_tensorrt(exports / "onnx-float32", tmp_path / "plans", frames=(4,), targets=("sm89",)), "is up to date"
    with pytest.raises(InvalidInput, match=r"sm90 is no target of TensorRT for RTX – known are .*sm120.*sm89"):
        export_tensorrt(exports / "onnx-float32", tmp_path / "other", targets=("sm90",))
    assert not (tmp_path / "other").exists()


def test_without_tensorrt_it_says_what_to_install(checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimaface.engines.tensorrt_engine.LIBRARIES", ())
    monkeypatch.setattr("mimaface_export.tensorrt_plan.LIBRARIES", ())
    assert main(["export", "tensorrt", str(checkpoint)]) == 2
    assert "TensorRT is not installed – pip install 'mimaface[tensorrt]', under NVIDIA's licence" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 13 minutes on two cores shared by fourteen programs
@needs_tensorrt
def test_all_networks_of_the_shipped_model_become_plans_for_three_cards(tmp_path: Path) -> None:
    """Half a minute on two idle cores; pictures of the shipped model by ONNX Runtime match torch in float32."""
    assert onnx_folder.export_onnx(SHIPPED, tmp_path / "half", "float16")
    assert export_tensorrt(tmp_path / "half", tmp_path / "plans")
    assert len(list((tmp_path / "plans").glob("*.plan"))) == len(exported.NETWORKS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pictures_of_the_shipped_model_are_those_of_torch(tmp_path: Path, portrait: Portrait) -> None:
    assert onnx_folder.export_onnx(SHIPPED, tmp_path / "export")
    settings = RenderSettings(engine="demo", size=256)
    shots = []
    for engine in (open_onnx(tmp_path / "export"), TorchEngine.open(SHIPPED, dtype=torch.float32)):
        frames = GeneratedSession(engine, portrait, settings).shot(nod(14), 0, {})
        shots.append(np.stack([frame.image for frame in frames if frame is not None]))
    assert shots[0].shape[0] == 14, "two clips"
    assert np.abs(shots[0].astype(int) - shots[1]).max() <= 1
