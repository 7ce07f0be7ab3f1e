"""The ablation command end to end in miniature, and the recipe of each variant."""

import json

import pytest

from mimaface.cli import main
from mimaface.data.samples import write_shard
from mimaface.data.synthetic import VIDEO, SyntheticConfig, make_sample
from mimaface.evaluation.ablations import VARIANTS, variant_of
from training_fixtures import settings, tiny_model


def test_a_variant_changes_only_what_it_lacks():
    recipe = settings(steps=900, warmup=50, ema_decay=0.999, huber=0.1)
    made = {variant.name: variant_of(recipe, variant, 100) for variant in VARIANTS}
    full = made["full"]
    assert (full.steps, full.warmup, full.cooldown, full.ema_decay) == (100, 10, 50, pytest.approx(0.9))
    assert (full.huber, full.batch, full.learning_rate) == (recipe.huber, recipe.batch, recipe.learning_rate)
    changed = {name: {key for key, value in vars(config).items() if value != vars(full)[key]} for name, config in made.items()}
    assert changed == {
        "full": set(),
        "without render": {"without"},
        "without coefficients": {"without"},
        "without L_id": {"identity_weight"},
        "without ICA": {"without"},
        "context averaged over frames": {"average_context"},
    }


def test_every_variant_is_trained_and_measured(tmp_path, capsys):
    samples = tmp_path / "samples"
    write_shard(samples / "a.tar", [make_sample(0, 0, SyntheticConfig(size=32, frames=6, stride=VIDEO.stride))])
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    for stage, frames in (("image", 2), ("video", 4)):
        settings(stage=stage, batch=2, frames=frames).save(recipe / f"{stage}.json")
    tiny_model().save_pretrained(tmp_path / "start")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- ablations -->\n<!-- /ablations -->\n")
    command = ["ablate", "--model", str(tmp_path / "start"), "--images", str(samples), "--videos", str(samples)]
    command += ["--held-out", str(samples), "--recipe", str(recipe), "--out", str(tmp_path / "out"), "--readme", str(readme)]
    command += ["--image-steps", "1", "--video-steps", "1", "--samples", "1"]
    assert main([*command, "--variants", "without colour"]) == 2
    assert "no variant without colour" in capsys.readouterr().err
    assert main([*command, "--variants", "without ICA"]) == 0
    assert list(json.loads((tmp_path / "out" / "ablations.json").read_text())["results"]) == ["without ICA"]
    assert main(command) == 0
    rows = json.loads((tmp_path / "out" / "ablations.json").read_text())["results"]
    assert list(rows) == [variant.name for variant in VARIANTS]
    assert len({row["psnr"]["mean"] for row in rows.values()}) >= 4, "the variants differ"
    assert all(row["icj"]["count"] == 1 for row in rows.values())
    text = readme.read_text()
    assert "| without ICA |" in text
    (tmp_path / "out" / "full" / "image" / "model").rename(tmp_path / "gone")
    assert main(command) == 0, "variants that have results are not trained again"
    assert readme.read_text() == text
