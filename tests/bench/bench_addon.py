"""Main-thread milliseconds per delivered frame inside Blender 5.0 (target: at most 5).

python tests/bench/bench_addon.py [OUT.json]      (run it with the backend's environment)
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import report

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.environ["MIMAFACE_DRIVE"])
import drive

def main():
    import bpy
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "bench.blend"))
    bpy.context.scene.frame_end = 96
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    runtime = drive.part("session").session()
    runtime.main_thread_seconds.clear()
    take = drive.generate()
    runtime.backend.stop()
    return {"seconds": list(runtime.main_thread_seconds), "frames": take.frames}

drive.run(main)
"""


def main() -> None:
    assets = ROOT / "backend" / "mimaface" / "assets"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, ROOT / "blender_addon" / "build.py", "--output", folder], check=True, stdout=subprocess.DEVNULL
        )
        variables = os.environ | {
            "MIMAFACE_ZIP": f"{folder}/mimaface_addon.zip", "MIMAFACE_WORK": folder, "MIMAFACE_HOME": f"{folder}/home",
            "MIMAFACE_PYTHON": sys.executable, "MIMAFACE_PORTRAIT": str(assets / "portrait.png"), "BLENDER_USER_RESOURCES": f"{folder}/user",
            "MIMAFACE_DRIVE": str(ROOT / "blender_addon"),
        }  # fmt: skip
        program = ROOT / ".venv-blender-5.0" / "bin" / "python"
        subprocess.run([program, "-c", SCRIPT], env=variables, check=True, stdout=subprocess.DEVNULL, timeout=300)
        result = json.loads((Path(folder) / "result.json").read_text())
    every = sorted(1000 * value for value in result["seconds"])
    report(
        "addon",
        {
            "frames": result["frames"],
            "main_thread_ms_per_frame": sum(every) / result["frames"],
            "pump_median_ms": statistics.median(every),
            "pump_worst_ms": every[-1],
        },
    )


if __name__ == "__main__":
    main()
