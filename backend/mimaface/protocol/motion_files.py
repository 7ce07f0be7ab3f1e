"""Content of ``.motion.npz`` files: numpy arrays in a zip, with sizes checked before unpacking."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from typing import IO, Any

import numpy as np

from .arkit import BLENDSHAPE_NAMES
from .arrays import Array
from .errors import InvalidMotion
from .texts import shown, some

SCHEMA_VERSION = 2
FIRST_NAMES = {"actions": "blendshapes", "action_names": "blendshape_names"}  # names of these arrays in schema 1
MAX_FRAMES = 200_000
# unpacked bytes of a text. The meta of a clip takes some hundreds, the visemes of an hour of speech 5,000,000
LARGEST_META = 16 << 20
PARSE_ATTEMPTS = 3  # attempts at an array whose header Python fails to parse, which occurs under threads
LARGEST_FILE = 5 << 28  # bytes, packed or unpacked; 200,000 frames with landmarks take 1.2 GB
# values per frame of each array
VALUES = {
    "time": 1, "blendshapes": len(BLENDSHAPE_NAMES), "head_quat": 4, "head_pos": 3, "gaze": 4, "valid": 3, "confidence": 3,
    "landmarks": 478 * 3, "expression_bfm": 64, "gaze_d3dfr": 4,
}  # fmt: skip
TEXTS = ("meta", "blendshape_names")


def pack(arrays: dict[str, Array], meta: dict[str, Any]) -> bytes:
    """Returns the file's content; deterministic."""
    whole = {**arrays, "blendshape_names": np.array(BLENDSHAPE_NAMES), "meta": np.array(json.dumps(meta, sort_keys=True))}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in whole.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.asarray(value), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), stream.getvalue())
    return out.getvalue()


def unpack(content: bytes, name: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Returns the known arrays, with blendshapes in the order of ``BLENDSHAPE_NAMES``, and meta; other members are not unpacked.

    Raises :class:`InvalidMotion` that contains ``name`` for damaged files, newer versions, and more than ``MAX_FRAMES`` frames.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {item.filename.removesuffix(".npy"): item for item in archive.infolist() if item.filename.endswith(".npy")}
            found = {FIRST_NAMES[key]: item for key, item in members.items() if key in FIRST_NAMES} | members
            if sum(found[key].file_size for key in VALUES if key in found) > LARGEST_FILE:
                raise InvalidMotion(f"{name} is too large for a motion of {MAX_FRAMES} frames", "use a shorter take")
            arrays = {key: _array_with_retry(archive, found[key], key, name) for key in (*VALUES, *TEXTS) if key in found}
        meta = json.loads(str(arrays.pop("meta", "{}")))
        names = [str(value) for value in arrays.pop("blendshape_names", np.array(BLENDSHAPE_NAMES)).reshape(-1)]
    except InvalidMotion:
        raise
    except Exception as error:  # zip, npy headers and JSON raise many kinds of errors on damaged bytes
        raise InvalidMotion(f"{name}: not a readable .motion.npz file ({shown(error, 80)})") from error
    if not isinstance(meta, dict) or type(meta.get("schema", 1)) is not int or not isinstance(meta.get("edits", []), list):
        raise InvalidMotion(f"{name}: not a motion file: meta is damaged")
    if meta.get("schema", 1) > SCHEMA_VERSION:
        raise InvalidMotion(f"{name}: written by a newer version (schema {shown(meta['schema'], 20)})", "update MIMAFace")
    blendshapes = arrays.get("blendshapes")
    unknown = sorted(set(names) - set(BLENDSHAPE_NAMES))
    if blendshapes is not None:
        if unknown or blendshapes.ndim != 2 or blendshapes.shape[1] != len(names) or len(set(names)) != len(names):
            raise InvalidMotion(f"{name}: blendshape names do not fit: {some(unknown) or 'wrong count'}")
        by_name = np.zeros((len(blendshapes), len(BLENDSHAPE_NAMES)), np.float32)
        by_name[:, [BLENDSHAPE_NAMES.index(value) for value in names]] = blendshapes
        arrays["blendshapes"] = by_name
    return arrays, meta


def _array_with_retry(archive: zipfile.ZipFile, item: zipfile.ZipInfo, key: str, name: str) -> Array:
    """Calls :func:`_array`, repeatedly on SystemError: Python 3.11 shares one recursion count among threads that parse, as numpy
    does for headers.
    """
    for _ in range(PARSE_ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return _array(archive, item, key, name)
    return _array(archive, item, key, name)


def _array(archive: zipfile.ZipFile, item: zipfile.ZipInfo, key: str, name: str) -> Array:
    """Returns one member after validating its declared shape, type and size."""
    with archive.open(item) as stream:
        shape, dtype, header = _declared(stream)
    values = int(np.prod([int(side) for side in shape], dtype=object)) if shape else 1
    fits = dtype.kind == "U" if key in TEXTS else dtype.kind in "biuf" and dtype.itemsize <= 8 and len(shape) > 0
    most = LARGEST_META if key in TEXTS else MAX_FRAMES * VALUES[key] * min(dtype.itemsize, 8)
    if not fits:
        raise InvalidMotion(f"{name}: not a motion file: {key} does not hold {'text' if key in TEXTS else 'numbers by frame'}")
    if values * dtype.itemsize > most:
        raise InvalidMotion(f"{name}: {key} is too large for a motion of {MAX_FRAMES} frames", "use a shorter take")
    if header + values * dtype.itemsize != item.file_size:
        raise InvalidMotion(f"{name}: not a readable .motion.npz file ({key} has {item.file_size} bytes)")
    with archive.open(item) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _declared(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Returns shape, type and length in bytes of an npy header."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype, stream.tell()
