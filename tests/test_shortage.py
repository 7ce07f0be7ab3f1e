"""Too little memory: measured before work begins, by real processes with a limit."""

import subprocess
import sys

import pytest

from mimaface.protocol.errors import OutOfResources
from mimaface.shortage import require


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process as Linux has them")
def test_a_backend_without_memory_says_so_and_does_not_hang(tmp_path):
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2); from mimaface.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", limited, "serve", "--connection", str(tmp_path / "c.json"), "--root", str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "needs about 640 MB of memory" in done.stderr and "close other programs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process as Linux has them")
def test_what_is_needed_is_compared_with_what_is_left():
    require(1 << 20)
    with pytest.raises(OutOfResources, match=r"this needs about \d+ MB of memory, and \d+ MB are left – close other programs"):
        require(1 << 60)
