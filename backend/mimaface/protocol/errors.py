"""All errors of MIMAFace Animator in one tree; each code is part of the protocol and never changes its meaning.

error, with its code              what happened
``MimaFaceError``, error
  ``InvalidInput``, invalid_input        a file, argument or message that cannot be used
    ``InvalidImage``, invalid_image             no picture, an unknown format, or too large
    ``InvalidMotion``, invalid_motion           a motion or a recording that cannot be read
    ``InvalidMessage``, invalid_message         a message that violates the protocol
    ``InvalidCheckpoint``, invalid_checkpoint   weights that are damaged, incomplete or of another model
  ``NoFaceFound``, no_face               a picture or film without the face that is wanted
  ``NotInstalled``, not_installed        an optional part is missing; the hint contains the command
  ``NotWritable``, not_writable          a file or folder that cannot be written
  ``Shortage``, shortage                 a temporary lack of resources; a paused job continues by itself
    ``DiskFull``, disk_full                     too little space on a disk
    ``OutOfResources``, out_of_resources        too little memory, or too few file handles
  ``NotFinite``, not_finite              a network's output that is not finite
  ``UnknownJob``, unknown_job            a job or portrait that this backend does not have
  ``VersionMismatch``, version_mismatch  no common protocol version
  ``NotReachable``, not_reachable        no backend answers, or it refused our key
  ``Cancelled``, cancelled               the user cancelled the request
  ``Replaced``, replaced                 a newer preview of the same slot replaced this one
  ``TooMany``, too_many                  one client has more waiting requests than the backend accepts
  ``InternalError``, internal            a bug; details are in the log
"""

from __future__ import annotations

# Characters of a message, hint or warning. Paths (at most 4096 bytes) are shortened in the middle. Raised: errors of 200 jobs no
# longer fit into a few control parts of 256 KiB.
LONGEST = 1000


def plain(text: str, longest: int = LONGEST) -> str:
    """Returns text that any encoding can print and send: lone surrogates become "?", the middle of longer text becomes "…"."""
    if len(text) > longest:
        head = longest * 2 // 3
        text = f"{text[:head]} … {text[head + 3 - longest :]}"
    return text.encode("utf-8", "replace").decode("utf-8")


class MimaFaceError(Exception):
    """Base of all errors. ``message`` is one sentence for the user, ``hint`` the next step; it defaults to the class's.

    Both are made :func:`plain`, whatever they quote.
    """

    code = "error"
    next_step = "try again; if it fails again, look at the log (in Blender: Copy Report)"

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = plain(message), plain(hint or self.next_step)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} – {self.hint}" if self.hint else self.message


class InvalidInput(MimaFaceError):
    code = "invalid_input"
    next_step = "check the file and the settings, then try again"


class InvalidImage(InvalidInput):
    code = "invalid_image"
    next_step = "choose another picture, or save this one anew as PNG or JPEG"


class InvalidMotion(InvalidInput):
    code = "invalid_motion"
    next_step = "record or export the motion again"


class InvalidMessage(InvalidInput):
    code = "invalid_message"
    next_step = "update the add-on and the backend to the same release"


class InvalidCheckpoint(InvalidInput):
    code = "invalid_checkpoint"
    next_step = "install the model again"


class NoFaceFound(MimaFaceError):
    code = "no_face"
    next_step = "use a picture in which the whole face is visible"


class NotInstalled(MimaFaceError):
    code = "not_installed"
    next_step = "install MIMAFace again"


class NotWritable(MimaFaceError):
    code = "not_writable"
    next_step = "choose another folder"


class Shortage(MimaFaceError):
    """needed: bytes of disk or memory that must be free to continue, 0 if unknown; not sent over the wire."""

    code = "shortage"

    def __init__(self, message: str, hint: str = "", needed: int = 0) -> None:
        super().__init__(message, hint)
        self.needed = needed


class DiskFull(Shortage):
    code = "disk_full"
    next_step = "free space on the disk, then resume"


class OutOfResources(Shortage):
    code = "out_of_resources"
    next_step = "close other programs, then try again"


class NotFinite(MimaFaceError):
    code = "not_finite"
    next_step = "choose another engine"


class UnknownJob(MimaFaceError):
    code = "unknown_job"
    next_step = "generate the take again"


class VersionMismatch(MimaFaceError):
    code = "version_mismatch"
    next_step = "update the add-on and the backend to the same release"


class NotReachable(MimaFaceError):
    code = "not_reachable"
    next_step = "start the backend again"


class Cancelled(MimaFaceError):
    code = "cancelled"
    next_step = ""  # the user asked for it


class Replaced(MimaFaceError):
    code = "replaced"
    next_step = ""  # nobody waits for the reply


class TooMany(MimaFaceError):
    code = "too_many"
    next_step = "wait until some of them are answered"


class InternalError(MimaFaceError):
    code = "internal"
    next_step = "look at the backend's log (in Blender: Copy Report)"


def _tree(root: type[MimaFaceError]) -> dict[str, type[MimaFaceError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


ERROR_OF_CODE: dict[str, type[MimaFaceError]] = _tree(MimaFaceError)


def is_shortage(code: str) -> bool:
    """Returns whether a code is a temporary shortage, after which a paused job resumes by itself."""
    return issubclass(ERROR_OF_CODE.get(code, MimaFaceError), Shortage)


def error_from_wire(code: str, message: str, hint: str = "") -> MimaFaceError:
    """Rebuilds an error on the receiving side; unknown codes of newer versions become the base class."""
    return ERROR_OF_CODE.get(code, MimaFaceError)(message, hint)
