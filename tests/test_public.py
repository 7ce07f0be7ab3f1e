"""The public surface: what ``mimaface`` offers by name, and the lines of README that use it."""

import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mimaface
from conftest import COLLINS
from mimaface.drivers.live_link import write_live_link_csv
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.motion import MotionClip

README = Path(__file__).resolve().parents[1] / "README.md"


def python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)


@pytest.fixture
def lines() -> str:
    return re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)


def test_the_public_names():
    assert mimaface.__all__ == ["Film", "MotionClip", "Portrait", "RenderSettings", "animate", "errors", "open_motion"]
    assert set(mimaface.__all__) <= set(dir(mimaface))
    assert mimaface.MotionClip is MotionClip
    assert issubclass(mimaface.errors.NoFaceFound, mimaface.errors.MimaFaceError)
    assert list(inspect.signature(mimaface.animate).parameters)[:3] == ["portrait", "motion", "settings"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mimaface.nothing  # noqa: B018


def test_no_module_has_a_public_name():
    """Importing a module sets its name in the package, over a function of the same name."""
    modules = {module.name for module in pkgutil.iter_modules(mimaface.__path__)}
    assert not modules & set(mimaface.__all__)


def test_a_name_is_imported_when_it_is_used():
    watched = "('torch', 'numba', 'numpy', 'PIL')"
    done = python(
        f"import sys, mimaface; print([m for m in {watched} if m in sys.modules])\n"
        f"from mimaface import RenderSettings, errors; print([m for m in {watched} if m in sys.modules])\n"
        "from mimaface import *; print(callable(animate), callable(open_motion))"
    )
    assert done.stdout.splitlines() == ["[]", "[]", "True True"], done.stderr


def test_the_lines_of_the_readme_make_frames(lines, tmp_path):
    assert len([line for line in lines.splitlines() if line]) == 10
    assert 'engine="proxy"' in lines
    Image.open(COLLINS).convert("RGB").resize((256, 256)).save(tmp_path / "portrait.jpg", quality=95)
    clip = MotionClip.at_rest(np.arange(4) / 30)
    clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]] = np.linspace(0, 1, 4)
    (tmp_path / "take.csv").write_bytes(write_live_link_csv(clip))
    done = python(lines.replace("size=512", "size=96"), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    frames = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("*.png"))]
    assert [frame.shape for frame in frames] == [(96, 96, 3)] * 3, "4 frames at 30 a second are 3 at 24"
    assert np.abs(frames[0].astype(int) - frames[2]).mean() > 0.1, "the mouth opens"


def test_a_mistake_in_the_lines_of_the_readme_is_one_sentence(lines, tmp_path):
    Image.new("RGB", (200, 200)).save(tmp_path / "portrait.jpg")
    done = python(lines, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no face" in done.stdout and len(done.stdout.splitlines()) == 1
