"""Further photographs of one person: one identity is fitted to all, and the heads are aligned with the portrait's by their skin; unusable
ones are left out, with a warning that names them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mimaface.geometry.threads import one_thread
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidImage, InvalidInput, NoFaceFound

from .alignment import HeadPicture, Reference
from .fit import Estimate, FittedFace, LandmarkModel, finish, gauss_newton_step, initial_estimate
from .landmarks import FaceLandmarker
from .portrait import Portrait
from .recognition import face_code
from .track import shared_identity

MOST = 12  # references; each costs 0.5 s and about 30 MB at the start of a render, and time in every frame that is near to it
SMALLEST_FACE = 64.0  # pixels across: lids and lips of smaller faces have a few pixels, and would blur a sharp portrait
# distance of two face codes from which they are two people's, as its author says. Within six videos frames were 0.16 to 0.51 apart, faces of
# different people 0.43 to 1.0. Higher: more strangers are taken; lower: the person in other light, or years later, is not
SAME_PERSON = 0.6
ROUNDS = 6  # of Gauss–Newton steps with the shared identity


def with_references(portrait: Portrait, sources: Iterable[tuple[str, Path | str | bytes]]) -> Portrait:
    """``portrait`` with the pictures ``sources``, (name, picture) each, as its references, and one identity fitted to all.

    A picture without a face, with a face too small, or of another person is left out with a sentence in ``warnings``. Of several faces the
    one that resembles the portrait most is used. Raises :class:`InvalidInput` for more than MOST, and :class:`InvalidImage`.
    """
    sources, said = list(sources), list(portrait.warnings)
    kept: list[Portrait] = []
    code = face_code(portrait.image, portrait.fit.landmarks)
    if len(sources) > MOST:
        raise InvalidInput(f"{len(sources)} reference pictures are too many", f"choose the {MOST} that differ most from one another")
    for name, source in sources:
        try:
            picture, reason = _best_face(code, source)
        except NoFaceFound:
            said.append(f"{name} is left out: no face found in it")
            continue
        except InvalidImage as error:
            raise InvalidImage(f"{name}: {error}", error.hint) from error
        if reason:
            said.append(f"{name} is left out: {reason}")
            continue
        if all(picture.sha256 != other.sha256 for other in (portrait, *kept)):
            kept.append(picture)
    if not kept:
        return replace(portrait, warnings=tuple(said))
    own, *others = _of_one_person([portrait, *kept])
    references = tuple(replace(picture, fit=fit) for picture, fit in zip(kept, others))
    return replace(portrait, fit=own, references=references, warnings=tuple(said))


def _best_face(portrait: Array, source: Path | str | bytes) -> tuple[Portrait, str]:
    """The face of a picture that resembles the code ``portrait`` (128,) most, and why it cannot be a reference; "" if it can.

    Raises :class:`NoFaceFound` or :class:`InvalidImage`.
    """
    picture = Portrait.open(source)
    every = FaceLandmarker.load().faces(picture.image)
    apart = [float(np.linalg.norm(portrait - face_code(picture.image, found.points))) for found in every]
    nearest = int(np.argmin(apart))
    if nearest:
        picture = Portrait.open(source, nearest)
    width = float(np.ptp(picture.fit.landmarks[:468, 0]))
    if width < SMALLEST_FACE:
        return picture, f"the face in it is {width:.0f} pixels wide, {SMALLEST_FACE:.0f} are needed"
    return picture, "" if apart[nearest] < SAME_PERSON else "it shows somebody else"


def _of_one_person(pictures: list[Portrait]) -> list[FittedFace]:
    """The fits of the same faces with the identity that explains all of them best, their poses and blendshapes aligned with the first."""
    fits = [picture.fit for picture in pictures]
    with one_thread():
        identity = shared_identity([(fit.landmarks, fit.camera) for fit in fits], fits[0].placed)
        first, *others = [_estimate(fit, identity) for fit in fits]
        shown, *heads = [HeadPicture.of(picture.image, picture.fit.landmarks) for picture in pictures]
        if shown is not None:
            reference = Reference(shown, fits[0].camera, first, with_hair=False)
            for index, (fit, head) in enumerate(zip(fits[1:], heads)):
                if head is not None:
                    others[index] = reference.aligned(head, fit.camera, others[index])
        return [finish(fit.landmarks, fit.camera, each, fit.confidence, fit.placed) for fit, each in zip(fits, [first, *others])]


def _estimate(fit: FittedFace, identity: Array) -> Estimate:
    """Pose and blendshapes of a fit under another identity."""
    result = initial_estimate(fit.landmarks, fit.camera, identity)
    for _ in range(ROUNDS):
        result = gauss_newton_step(fit.landmarks, fit.camera, result, free_identity=False, model=LandmarkModel.trusting(fit.placed))
    return result
