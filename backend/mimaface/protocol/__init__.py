"""Messages, codec and ``MotionClip``, shared by the backend and the Blender add-on, which contains an unchanged copy."""
