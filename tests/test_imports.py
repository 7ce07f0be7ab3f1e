import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
