"""What pictures and films undergo on their way: H.264, JPEG, another size, another crop."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
from PIL import Image

Array = np.ndarray


def halved(image: Array) -> Array:
    """A picture (H, W, 3) uint8 at half its size."""
    return np.asarray(Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2), Image.Resampling.LANCZOS))


def cut(image: Array) -> Array:
    """A picture without a tenth of it, at the top and at both sides."""
    height, width = image.shape[:2]
    return image[height // 10 :, width // 20 : width - width // 20]


def filmed(images: Sequence[Array], crf: int = 28) -> list[Array]:
    """Frames (H, W, 3) uint8 encoded in H.264 and decoded; odd sizes lose a row or column."""
    file = io.BytesIO()
    height, width = images[0].shape[0] // 2 * 2, images[0].shape[1] // 2 * 2
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def as_jpeg(image: Array) -> Array:
    """A picture (H, W, 3) uint8 as a JPEG of quality 70 has it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))
