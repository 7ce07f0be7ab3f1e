"""Picture files: read upright, in sRGB and eight bits, whatever the file says of itself, and written so that others read the same."""

from .reading import LARGEST_SIDE, MATTE, SMALLEST_SIDE, Picture, load_picture, load_pictures, open_picture
from .writing import encode_png, is_ours

__all__ = ["LARGEST_SIDE", "MATTE", "SMALLEST_SIDE", "Picture", "encode_png", "is_ours", "load_picture", "load_pictures", "open_picture"]
