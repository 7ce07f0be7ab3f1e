"""Picture files: read upright, in sRGB and eight bits, whatever the file says of itself, and written so that others read the same."""

from .reading import ENDINGS, LARGEST_SIDE, MATTE, SMALLEST_SIDE, Picture, is_picture, load_picture, load_pictures, open_picture
from .writing import encode_png, is_ours

__all__ = [
    "ENDINGS", "LARGEST_SIDE", "MATTE", "SMALLEST_SIDE", "Picture", "encode_png", "is_ours", "is_picture", "load_picture", "load_pictures",
    "open_picture",
]  # fmt: skip
