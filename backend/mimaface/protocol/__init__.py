"""Messages, codec and ``MotionClip``: shared by the backend and, copied unchanged, by the Blender add-on."""
