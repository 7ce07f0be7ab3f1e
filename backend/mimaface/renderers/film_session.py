"""A film acted anew by the ``proxy`` engine: each frame is a portrait, of which only the pixels that the motion moves are redrawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from mimaface.drivers.film import Film
from mimaface.drivers.film_pictures import FilmPictures
from mimaface.face.fit import FittedFace, lid_opening
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose, poses_for
from mimaface.geometry.interpolation import smoothstep
from mimaface.pictures import MATTE, Picture
from mimaface.protocol.arkit import regions_of
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.crops import cut_out, whole_picture
from mimaface.reprojection.cutout import straight
from mimaface.reprojection.reprojector import Reprojector
from mimaface.sampling.clips import Memory

from .base import Frame
from .reprojected import made_ahead, threads

WIDE_OPEN = 80  # percentile of a film's lid openings that counts as open. Higher: more frames count as half closed
# share of that opening up to which the gaze of an eye is the film's own, and from which it is the motion's. Higher: gaze stays the film's
# longer at a blink; lower: an iris that lids hide is painted
EYE_SEEN = 0.6, 0.9
SAME_POSE = 1e-9  # blendshapes, radians and metres: rounding error of equal poses. Higher: slow motion begins with a jump


class FilmSession:
    """See :class:`mimaface.renderers.base.Session`. Raises :class:`InvalidInput` for settings that films do not support."""

    def __init__(self, film: Film, settings: RenderSettings) -> None:
        if settings.engine != "proxy":
            raise InvalidInput(f"a film is acted anew by the engine proxy, not by {settings.engine}", "leave the engine out")
        if settings.framing != "photo" or settings.transparent:
            raise InvalidInput("a film keeps its framing and its background", "leave out the framing and transparency")
        self._film, self._settings = film, settings
        self._open = np.percentile([lid_opening(fit.landmarks) for fit in film.fits.values()], WIDE_OPEN, axis=0)
        # where the head stays, so does the body, and its shoulders need not be prepared
        self._body_follows = settings.body_follows if "head" in regions_of(settings.only) else 0.0
        self._pictures = FilmPictures(film)
        self._last: tuple[int, Reprojector] | None = None  # of the frame that was drawn last by :meth:`still`

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        """Yields the film's frames from ``start`` on, at its times; the motion begins with the film and holds its last pose."""
        clip = at_times(motion, self._film.times, self._settings.absolute)
        height, width = self._film.size
        given = ((index, picture) for index, picture in enumerate(self._film.frames()) if index >= start)
        frames = made_ahead(lambda each: self._frame(*each, _one(clip, each[0]), self._reprojector), given, threads(height * width))
        with closing(frames):
            yield from frames

    def still(self, index: int, motion: MotionClip) -> Frame:
        """Returns the frame of number ``index``, or the film's end that is nearer to it, under the first pose of a motion. The frame that
        was asked for last is the quickest, then those after it. Raises as :meth:`FilmPictures.at`; for one thread at a time."""
        index = min(max(index, 0), len(self._film) - 1)
        first = _one(motion if self._settings.absolute else motion.relative(), 0)
        return self._frame(index, self._pictures.at(index), first, self._kept)

    def _frame(self, index: int, picture: Picture, clip: MotionClip, prepared: Callable[[int, Portrait], Reprojector]) -> Frame:
        """Returns a frame under a motion of one pose."""
        portrait, settings = self._film.portrait(index, picture), self._settings
        if portrait is not None:
            pose = poses_for(portrait.fit, clip, settings.absolute, settings.only)[0]
            pose = replace(pose, gaze=self._seen_gaze(pose, portrait.fit))
            if _moves(pose, portrait.fit):
                drawn, share = prepared(index, portrait).retouched(pose)
                return Frame(index, drawn, not share.any(), share > 0.5)
        return Frame(index, _shown(picture, settings.size), True)

    def _reprojector(self, index: int, portrait: Portrait) -> Reprojector:
        return Reprojector(portrait, self._settings.size, "photo", self._body_follows, self._settings.only)

    def _kept(self, index: int, portrait: Portrait) -> Reprojector:
        """The reprojector of a frame, which is prepared once while the same frame is drawn."""
        if self._last is None or self._last[0] != index:
            self._last = index, self._reprojector(index, portrait)
        return self._last[1]

    def _seen_gaze(self, pose: FacePose, fit: FittedFace) -> Array:
        """Returns the gaze (2, 2) of a pose, nearer to the frame's own the more the film's lids hide an eye, whose iris is not visible."""
        seen = smoothstep(*EYE_SEEN, lid_opening(fit.landmarks) / np.maximum(self._open, 1e-3))
        return np.asarray(fit.gaze + seen[:, None] * (pose.gaze - fit.gaze))


def at_times(motion: MotionClip, times: Array, absolute: bool) -> MotionClip:
    """Returns the motion at a film's ``times`` (F,) seconds from its start: absolute, or relative to its neutral, which then is "rest"."""
    moved = motion if absolute else motion.relative()
    return moved.resampled(motion.time[0] + times)


def _one(clip: MotionClip, index: int) -> MotionClip:
    """Returns one frame of a clip as a clip."""
    return clip.resampled(clip.time[[index]]).but(meta={**clip.meta, "neutral": "rest"})


def _moves(pose: FacePose, fit: FittedFace) -> bool:
    """Whether a pose differs from the frame's own. If not, no reprojector is prepared."""
    own = fit.blendshapes, fit.rotation, fit.translation, fit.gaze
    new = pose.blendshapes, pose.rotation, pose.translation, pose.gaze
    return any(np.abs(a - b).max() > SAME_POSE for a, b in zip(own, new))


def _shown(picture: Picture, size: int) -> Array:
    """Returns an unchanged frame at the output's size."""
    height, width = picture.image.shape[:2]
    window = whole_picture(width, height, size)
    image = cut_out(picture.image, window)
    return image if picture.alpha is None else straight(np.dstack([image, cut_out(picture.alpha, window)]), float(MATTE[0]))
