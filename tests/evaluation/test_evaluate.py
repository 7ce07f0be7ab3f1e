"""Evaluation of a few samples end to end, its JSON, and the README's table."""

import json
from pathlib import Path

import numpy as np
import pytest

from mimaface.cli import main
from mimaface.data.samples import Sample, read_shards, shards_in, write_shard
from mimaface.data.synthetic import SyntheticConfig, make_sample
from mimaface.engines.torch_engine import TorchEngine
from mimaface.evaluation.evaluate import evaluate, generators_of, over_frames, proxy, summary, write_results
from mimaface.evaluation.tables import read_results, replace_between, table
from mimaface.protocol.errors import InvalidInput


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("held-out")
    write_shard(folder / "a.tar", [make_sample(7, index, SyntheticConfig(frames=2)) for index in range(2)])
    return folder


def test_the_proxy_is_better_than_a_copy_of_the_source(shards, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- evaluation -->\nold\n<!-- /evaluation -->\nafter\n")
    out = tmp_path / "results.json"
    assert main(["evaluate", str(shards), "--generators", "source,proxy", "--out", str(out), "--readme", str(readme)]) == 0
    results = read_results(out)
    assert results["samples"] == 2 and "evaluate" in results["command"]
    found, source = (results["results"][name] for name in ("proxy", "source"))
    assert found["psnr@head"]["mean"] > source["psnr@head"]["mean"] + 1
    assert found["pose@anny-fit"]["mean"] < source["pose@anny-fit"]["mean"]
    assert found["psnr@head"]["count"] == 2
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert f"{found['psnr@head']['mean']:.2f}" in text
    assert "absent: lpips@alex" in capsys.readouterr().out


@pytest.mark.parametrize("gpu", [True, False])
def test_models_are_evaluated_on_the_device_there_is(gpu, monkeypatch):
    opened = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr(TorchEngine, "open", lambda folder, device: opened.append((folder, device.type)))
    monkeypatch.setattr("mimaface.evaluation.evaluate.autoencoder_generator", lambda engine: engine)
    generators_of(["source", "autoencoder"], Path("a model"))
    assert opened == [(Path("a model"), "cuda" if gpu else "cpu")]


def test_frames_are_averaged_within_a_sample_and_samples_are_what_is_counted():
    frames = over_frames([{"psnr": 20.0, "ssim": 0.5}, {"psnr": 30.0}, {"psnr": float("inf")}])
    assert frames == {"psnr": 25.0, "ssim": 0.5}
    found = summary([1.0, 3.0, 5.0])
    assert (found.mean, found.count) == (3.0, 3)
    assert found.error == pytest.approx(2 / np.sqrt(3))  # standard deviation 2 by n − 1
    assert summary([4.0]).error == 0.0
    jumps = summary([0.5, 2.0], geometric=True)
    assert jumps.mean == pytest.approx(1.0)
    assert jumps.error == pytest.approx(np.log(2))


def test_faces_are_compared_where_all_show_one(shards):
    def half_blank(sample: Sample) -> np.ndarray:
        made = sample.driven.copy()
        made[0] = 90
        return made

    samples = list(read_shards(shards_in(shards)))
    alone = evaluate(samples, {"proxy": proxy})
    found = evaluate(samples, {"half": half_blank, "proxy": proxy})
    assert found["frames"] == 4
    assert found["frames_without_a_face"] == {"truth": 0, "half": 2, "proxy": 0}
    assert found["results"]["half"]["exp@anny-fit"]["mean"] == 0  # the other frame is the truth
    assert found["results"]["proxy"]["psnr"] == alone["results"]["proxy"]["psnr"]
    assert found["results"]["proxy"]["exp@anny-fit"]["mean"] != alone["results"]["proxy"]["exp@anny-fit"]["mean"]


def test_equal_pictures_leave_a_readable_file(shards, tmp_path):
    samples = list(read_shards(shards_in(shards)))
    found = evaluate(samples, {"truth": lambda sample: sample.driven})
    write_results(tmp_path / "x.json", found, "none", shards_in(shards))
    content = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert "psnr" not in content["results"]["truth"] and content["results"]["truth"]["ssim"]["mean"] == pytest.approx(1)
    assert list(content["data"]) == ["a.tar"] and content["versions"]["torch"]


@pytest.mark.parametrize(("name", "said"), [("magic", "magic"), ("model", "needs a model")])
def test_wrong_generators_are_named(name, said):
    with pytest.raises(InvalidInput, match=said):
        generators_of([name], None)


def test_nothing_to_evaluate_is_an_error(tmp_path, capsys):
    with pytest.raises(InvalidInput, match="no sample"):
        evaluate([], {})
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "x.json")]) != 0
    assert "holds no shards" in capsys.readouterr().err


def test_a_table_has_a_dash_where_nothing_was_measured():
    rows = {"full": {"psnr": {"mean": 21.347}, "csim@dlib": {"mean": 0.91}}, "without L_id": {"psnr": {"mean": 20.0}}}
    lines = table(rows).splitlines()
    assert lines[0] == "| | PSNR ↑ | CSIM (dlib) ↑ |"
    assert lines[2:] == ["| full | 21.35 | 0.9100 |", "| without L_id | 20.00 | – |"]


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"other": 1}))
    with pytest.raises(InvalidInput, match="not results"):
        read_results(path)
    with pytest.raises(InvalidInput, match="lacks the markers of the table"):
        replace_between(path, "evaluation", "text")
