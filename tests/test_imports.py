import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # what decides how idle threads of OpenMP wait


def run(code: str, **environment: str) -> str:
    """Standard output, and after it standard error, of Python code in an environment without ``WAITING`` but for what is given."""
    others = {name: value for name, value in os.environ.items() if name not in WAITING}
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, env=others | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "own, waits",
    [
        ({}, "None 0 0"),
        ({"GOMP_SPINCOUNT": "300", "KMP_BLOCKTIME": "200"}, "None 300 200"),
        ({"OMP_WAIT_POLICY": "active"}, "active None None"),
    ],
    ids=["nobody said", "the user's own", "the user's own for all of OpenMP"],
)
def test_idle_threads_leave_the_cores_to_others(own, waits):
    """In a process that imports the package, and in those that it starts."""
    show = f"import os; print(*map(os.environ.get, {WAITING!r}))"
    said = run(
        f"import mimaface, subprocess, sys; {show}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {show!r}])", **own
    )
    assert said.splitlines() == [waits] * 2


def test_the_openmp_of_torch_heeds_it():
    """What importing torch loads, without the seconds that this takes."""
    found = sorted((Path(importlib.util.find_spec("torch").submodule_search_locations[0]) / "lib").glob("libgomp*"))
    if not found:
        pytest.skip("this torch brings no OpenMP of GCC's")
    assert "GOMP_SPINCOUNT = '0'" in run(f"import mimaface, ctypes; ctypes.CDLL({str(found[0])!r})", OMP_DISPLAY_ENV="VERBOSE")


def test_importing_mimaface_loads_nothing_heavy():
    loaded = run(
        "import sys, mimaface; print(' '.join(m for m in ('torch', 'numpy', 'scipy', 'numba', 'zmq', 'PIL') if m in sys.modules))"
    )
    assert loaded.strip() == ""


def test_the_protocol_needs_only_what_blender_has():
    blocked = ("torch", "scipy", "numba", "PIL", "rich", "diffusers", "ai_edge_litert")
    run(
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "import mimaface.protocol.client, mimaface.protocol.motion, mimaface.protocol.settings"
    )


def test_the_command_line_starts_without_torch():
    """Nor with what else is slow to load: a command imports what it needs when it runs."""
    heavy = "('torch', 'numpy', 'scipy', 'numba', 'zmq', 'PIL', 'rich', 'diffusers')"
    loaded = run(f"import sys, mimaface.cli; mimaface.cli.parser(); print(' '.join(m for m in {heavy} if m in sys.modules))")
    assert loaded.strip() == ""


def test_the_shipped_model_runs_without_the_libraries_that_are_slow_to_load():
    """diffusers, transformers and torch's compiler take 5 s of a processor to import."""
    run(
        "import sys; sys.modules.update(dict.fromkeys(('diffusers', 'transformers', 'torch._dynamo')))\n"
        "import torch; from mimaface.renderers.registry import SHIPPED; from mimaface.engines.torch_engine import TorchEngine\n"
        "TorchEngine.open(SHIPPED).encode_source(torch.zeros(1, 3, 256, 256))"
    )
