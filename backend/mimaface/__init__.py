"""MIMAFace Animator: one portrait photo, animated by rig controls, mocap or video."""

__version__ = "0.1.0"
