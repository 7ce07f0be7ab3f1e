"""``mimaface models``: install from files or a fake hub, list, verify, remove, and its error messages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from mimaface.cli import main
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, NotReachable
from mimaface.weights import draft_decoder, library
from release import TINY, write_release, write_taesd


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("published"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("mimaface.weights.convert.RELEASE", TINY)
    return tmp_path / "home" / "models"


class Hub:
    """Two repositories as folders. ``downloads`` counts files; ``spoil`` is a file that arrives damaged once."""

    def __init__(self, published: Path, vae: Path) -> None:
        self.repositories = {library.HUB: published, library.HUB_VAE: vae}
        self.downloads: list[str] = []
        self.spoil = ""
        self.interrupt = False

    def model_info(self, _: Any, name: str, *, files_metadata: bool, timeout: float) -> SimpleNamespace:
        folder, siblings = self.repositories[name], []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "sd-vae" not in path.relative_to(folder).parts[0]:
                content = path.read_bytes()
                large = SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()) if path.suffix != ".json" else None
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                siblings.append(SimpleNamespace(rfilename=path.relative_to(folder).as_posix(), lfs=large, blob_id=blob))
        return SimpleNamespace(siblings=siblings, sha="0" * 40)

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: Sequence[str], local_dir: Path) -> str:
        for file in allow_patterns:
            target = Path(local_dir) / file
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.repositories[name] / file, target)
                self.downloads.append(file)
                if file == self.spoil:
                    target.write_bytes(target.read_bytes()[:-1] + b"?")
                    self.spoil = ""
            if self.interrupt and len(self.downloads) == 3:
                self.interrupt = False
                raise ConnectionError("gone")
        return str(local_dir)


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(published, published / "sd-vae-ft-mse")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **options: made.model_info(*args, **options))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["models", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_convert_list_verify_remove(published: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model is installed" in run(capsys, "list")[1]
    code, out, _ = run(capsys, "convert", published)
    assert code == 0
    assert f"released-sd15 is in {home / 'released-sd15'}" in out
    assert "already in" in run(capsys, "convert", published)[1]
    assert MimaFaceModel.from_pretrained(home / "released-sd15").config.name == "released-sd15"
    assert run(capsys, "list")[1].rstrip().endswith("ok")
    assert run(capsys, "verify", "released-sd15")[0] == 0
    code, out, _ = run(capsys, "remove", "released-sd15")
    assert code == 0
    assert not list(home.iterdir())
    assert run(capsys, "verify", "released-sd15")[0] == 2


def test_changes_are_found(published: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "convert", published)
    folder = home / "released-sd15"
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (folder / "bfm" / "model.safetensors").unlink()
    (folder / "notes.txt").write_text("stray")
    code, out, _ = run(capsys, "verify", "released-sd15")
    assert code == 1
    assert set(out.splitlines()[:3]) == {
        "unet/diffusion_pytorch_model.safetensors: changed", "bfm/model.safetensors: missing", "notes.txt: not part of the model",
    }  # fmt: skip
    assert "1 files are missing" in run(capsys, "list")[1]
    (folder / "SHA256SUMS").write_text("nonsense")
    code, _, errors = run(capsys, "verify", "released-sd15")
    assert code == 2
    assert "not a list of checksums" in errors


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_the_list(published: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "convert", published)
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=home / "released-sd15", check=True, capture_output=True)


def test_pull_installs_and_deletes_the_download(hub: Hub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "pull", "released")
    assert code == 0
    assert "licence" in out
    assert [path.name for path in home.iterdir()] == ["released-sd15"]
    assert MimaFaceModel.from_pretrained(home / "released-sd15").config.name == "released-sd15"
    count = len(hub.downloads)
    assert count == 7 + 2 + 2, "seven files, two configurations, the autoencoder's two"
    assert "already in" in run(capsys, "pull", "released")[1]
    assert len(hub.downloads) == count


def test_a_damaged_model_is_replaced_on_request(hub: Hub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "pull", "released")
    path = home / "released-sd15" / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    code, _, errors = run(capsys, "pull", "released")
    assert code == 2
    assert "vae/diffusion_pytorch_model.safetensors" in errors
    assert run(capsys, "pull", "released", "--overwrite")[0] == 0
    assert run(capsys, "verify", "released-sd15")[0] == 0


def test_an_interrupted_pull_goes_on_where_it_stopped(hub: Hub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.interrupt = True
    with pytest.raises(NotReachable, match="interrupted"):
        library.pull("released")
    assert "unfinished download" in run(capsys, "list")[1]
    assert library.pull("released") == (home / "released-sd15", True)
    assert len(hub.downloads) == len(set(hub.downloads)) == 11


@pytest.mark.parametrize("file", ["checkpoints/video/mim.pth", "checkpoints/image/pretrained_unet/config.json"])
def test_what_arrives_damaged_is_named_deleted_and_fetched_again(hub: Hub, home: Path, file: str) -> None:
    hub.spoil = file
    with pytest.raises(InvalidCheckpoint, match=f"arrived damaged.*{file}"):
        library.pull("released")
    assert not (home / library.DOWNLOADS / "MIMAFace" / file).exists()
    assert library.pull("released")[1]
    assert hub.downloads.count(file) == 2


def test_a_repository_that_changed_is_said(hub: Hub, tmp_path: Path, published: Path) -> None:
    hub.repositories[library.HUB] = Path(shutil.copytree(published, tmp_path / "changed"))
    (tmp_path / "changed" / "checkpoints/video/mim.pth").unlink()
    with pytest.raises(InvalidCheckpoint, match=r"has no mim\.pth"):
        library.pull("released")
    assert hub.downloads == []


def test_convert_fetches_only_the_autoencoder_where_it_is_not_there(
    hub: Hub, published: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "without"))
    shutil.rmtree(folder / "sd-vae-ft-mse")
    assert run(capsys, "convert", folder, "--vae", published / "sd-vae-ft-mse")[0] == 0
    assert hub.downloads == []
    assert run(capsys, "convert", folder)[0] == 0
    assert sorted(hub.downloads) == sorted(library.VAE_FILES)


def test_without_a_network_it_is_one_sentence(tmp_path: Path) -> None:
    environment = os.environ | {"MIMAFACE_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "mimaface.cli", "models", "pull", "released"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "cannot be reached" in done.stderr
    assert "models convert" in done.stderr


def test_names_are_not_paths(home: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "precious").mkdir(parents=True)
    home.mkdir()
    for name in ("../precious", ".", "", "absent"):
        with pytest.raises(InvalidInput, match="installed"):
            library.remove(name)
    with pytest.raises(InvalidInput, match="cannot be pulled"):
        library.pull("sdxl")
    assert (tmp_path / "home" / "precious").is_dir()


def test_taesd_is_pulled_checked_and_decodes_as_diffusers_has_it(
    hub: Hub, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the hub and from a folder; listed, verified and removed as any model."""
    published = write_taesd(tmp_path / "published-taesd")
    hub.repositories[library.HUB_DRAFT_DECODER] = published
    assert run(capsys, "pull", "taesd")[1].splitlines()[-1] == f"taesd is in {home / 'taesd'}"
    assert hub.downloads == list(library.VAE_FILES) and library.draft_decoder_folder() == home / "taesd"
    assert "already in" in run(capsys, "pull", "taesd")[1]
    assert run(capsys, "pull", "taesd", "--vae", published, "--overwrite")[0] == 0 and len(hub.downloads) == 2
    assert run(capsys, "verify", "taesd")[0] == 0
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    stock = AutoencoderTiny.from_pretrained(published)
    with torch.no_grad():
        expected = stock.decode(latents).sample.clamp(-1, 1)
    decode = draft_decoder.load(home / "taesd", torch.device("cpu"), 4, 16)
    assert torch.equal(decode(latents), expected)
    with pytest.raises(InvalidCheckpoint, match="latents of another model – remove it: mimaface models remove taesd"):
        draft_decoder.load(home / "taesd", torch.device("cpu"), 4, 64)(latents)
    assert "decoder.layers.2.conv.0.weight" in load_file(home / "taesd" / "diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize("damage", ["class", "weights", "config"])
def test_what_is_no_taesd_is_refused_and_nothing_is_installed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = write_taesd(tmp_path / "taesd")
    config = json.loads((folder / "config.json").read_text())
    if damage == "weights":
        save_file({"decoder.layers.0.weight": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    else:
        config |= {"class": {"_class_name": "AutoencoderKL"}, "config": {"num_encoder_blocks": [1]}}[damage]
    (folder / "config.json").write_text(json.dumps(config))
    code, _, errors = run(capsys, "pull", "taesd", "--vae", folder)
    assert code == 2 and errors.startswith("mimaface: ") and len(errors.splitlines()) == 1
    assert {"class": "AutoencoderKL", "weights": "weights do not fit", "config": "config.json"}[damage] in errors
    assert not home.exists() or not list(home.iterdir())
