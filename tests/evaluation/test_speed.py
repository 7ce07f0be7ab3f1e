"""Figures, output and comparison of ``mimaface bench``."""

import json

import numpy as np
import pytest
import torch

from mimaface.cli import main
from mimaface.drivers import open_motion
from mimaface.engines.mock import MockEngine
from mimaface.evaluation.speed import FIGURES, Shot, TimedEngine, beginning, measured, one_pose
from mimaface.face.head import ASSETS
from mimaface.face.pose import poses_for
from mimaface.model.config import qualities_in
from mimaface.model.instances import PAPER_SD15
from mimaface.protocol.errors import InternalError
from mimaface.protocol.settings import QUALITIES
from mimaface.renderers.registry import RENDERERS


def test_a_timed_engine_counts_what_passes_in_each_network_and_what_the_unet_evaluates():
    engine = TimedEngine(MockEngine())
    assert engine.config is engine._engine.config and not engine.seconds
    sample = torch.zeros(2, engine.config.input_channels, 6, 8, 8)
    expected = engine._engine.denoise(sample, torch.tensor(1.0), torch.zeros(12, 1, 4))
    torch.testing.assert_close(engine.denoise(sample, torch.tensor(1.0), torch.zeros(12, 1, 4)), expected)
    engine.denoise(sample[:1], timestep=torch.tensor(1.0), context=torch.zeros(6, 1, 4))
    assert engine.evaluations == 2 * 6 + 6 and engine.seconds["denoise"] > 0
    engine.reset()
    assert engine.evaluations == 0 and not engine.seconds


def test_bench_writes_its_figures_and_compares_with_earlier_ones(tmp_path, capsys):
    """The earlier run was twice as slow in everything and used twice the memory. The draft of demo runs no network."""
    now, then = tmp_path / "now.json", tmp_path / "then.json"
    asked = ["bench", "--engine", "demo", "--quality", "draft", "--size", "64", "--frames", "2"]
    assert main([*asked, "--json", str(now)]) == 0
    assert FIGURES["frames_per_second"].label in capsys.readouterr().out
    content = json.loads(now.read_text())
    assert (content["size"], content["frames"]) == (64, 2)
    found = content["engines"]["demo, draft"]
    assert set(found) <= set(FIGURES) and found["copies"] == 0 and found["outside_networks"] == 1
    assert min(found[key] for key in ("frames_per_second", "first_frame_s", "draw_ms", "one_pose_ms", "png_ms")) > 0
    slow = {key: value / 2 if FIGURES[key].more_is_better else value * 2 for key, value in found.items()}
    then.write_text(json.dumps({**content, "engines": {"demo, draft": slow}}))
    from mimaface.cli.bench import _read, _table

    rows = [str(cell) for column in _table(_read(now), _read(then), "").columns[1:] for cell in column.cells]
    assert len(rows) == len(found)
    assert all(row.endswith("(2.00 x)") for row in rows if not row.startswith("0.0"))


def test_the_one_pose_is_not_at_rest(portrait):
    """A frame that is relative to itself moves nothing, so a renderer would return the photograph."""
    motion = beginning(open_motion(ASSETS / "take.csv"), 24)
    (pose,) = poses_for(portrait.fit, one_pose(motion))
    angles = np.degrees(np.arccos((np.trace(pose.rotation @ portrait.fit.rotation.T) - 1) / 2))
    assert angles > 1 or np.abs(pose.blendshapes - portrait.fit.blendshapes).max() > 0.1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"engines": 3}', '{"engines": {"proxy": {"draw_ms": "fast"}}}'])
def test_a_file_of_something_else_is_one_sentence(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(content)
    assert main(["bench", "--engine", "proxy", "--against", str(tmp_path / "a.json")]) == 2
    said = capsys.readouterr().err.strip()
    assert said == "mimaface: a.json is not a file of mimaface bench – write one with mimaface bench --json FILE"


def test_an_engine_that_does_not_work_here_is_one_sentence(capsys):
    assert main(["bench", "--engine", "fast"]) == 2
    assert "engine 'fast' is unknown" in capsys.readouterr().err


def test_qualities_that_would_be_measured_twice_are_measured_once(tmp_path, capsys):
    assert [RENDERERS[name].qualities() for name in ("proxy", "demo")] == [("standard",), ("draft", "standard")]
    (tmp_path / "config.json").write_text(json.dumps(PAPER_SD15.to_json()))
    assert qualities_in(tmp_path) == QUALITIES
    assert main(["bench", "--engine", "proxy", "--quality", "final"]) == 2
    assert capsys.readouterr().err == "mimaface: proxy: no quality final, which would differ – leave out --quality\n"


def test_a_measurement_that_fails_says_what_it_said(tmp_path):
    with pytest.raises(InternalError, match=r"engine proxy ended: [^:]*no\.jpg"):
        measured(Shot(tmp_path / "no.jpg", ASSETS / "take.csv", "proxy", 64, 2))
