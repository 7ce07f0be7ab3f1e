"""Picture files: read upright in 8-bit sRGB, whatever their encoding, and written as tagged PNG."""

from .colour import converted_frame, frame_conversion
from .reading import (
    ENDINGS,
    LARGEST_SIDE,
    MATTE,
    SMALLEST_SIDE,
    Picture,
    is_picture,
    load_picture,
    load_pictures,
    moving_frames,
    open_picture,
    over_matte,
)
from .writing import encode_png, is_ours

__all__ = [
    "ENDINGS", "LARGEST_SIDE", "MATTE", "SMALLEST_SIDE", "Picture", "converted_frame", "encode_png",
    "frame_conversion", "is_ours", "is_picture", "load_picture", "load_pictures",
    "moving_frames", "open_picture", "over_matte",
]  # fmt: skip
