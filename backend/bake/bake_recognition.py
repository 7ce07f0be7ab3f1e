"""Bake ``mimaface/assets/face_recognition.npz``: dlib's face recognition network in 8 bits a weight.

It comes from the npm package @vladmandic/face-api (``npm pack @vladmandic/face-api@1.7.15``), which has it in 8 bits with a manifest.

    python backend/bake/bake_recognition.py package/model/face_recognition_model-weights_manifest.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mimaface.face.head import ASSETS


def bake(manifest: Path) -> None:
    """Write the arrays that ``manifest`` lists, each as uint8 with its scale and least value."""
    (group,) = json.loads(manifest.read_text(encoding="utf-8"))
    content = (manifest.parent / group["paths"][0]).read_bytes()
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for entry in group["weights"]:
        count = int(np.prod(entry["shape"]))
        if "quantization" in entry:
            values = np.frombuffer(content, np.uint8, count, offset)
            scale, least = entry["quantization"]["scale"], entry["quantization"]["min"]
            offset += count
        else:  # a few layers are kept in 32 bits
            whole = np.frombuffer(content, "<f4", count, offset)
            scale, least = float(np.ptp(whole)) / 255, float(whole.min())
            values = np.round((whole - least) / scale).astype(np.uint8)
            offset += 4 * count
        name = entry["name"]
        arrays |= {name: values.reshape(entry["shape"]), f"{name}:scale": np.float32(scale), f"{name}:least": np.float32(least)}
    assert offset == len(content)
    np.savez_compressed(ASSETS / "face_recognition.npz", **arrays)


if __name__ == "__main__":
    bake(Path(sys.argv[1]))
