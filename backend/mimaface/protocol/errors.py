"""Every error of MIMAFace Animator, in one tree; the code of each travels on the wire and never changes its meaning.

MimaFaceError                 code "error"
├── InvalidInput              "invalid_input"     a file, argument or message that cannot be used
│   ├── InvalidImage          "invalid_image"     not a picture, unknown format, or too large
│   ├── InvalidMotion         "invalid_motion"    a motion clip or mocap file that cannot be read
│   ├── InvalidMessage        "invalid_message"   a message that breaks the protocol
│   └── InvalidCheckpoint     "invalid_checkpoint" weights that are damaged, incomplete or of another model
├── NoFaceFound               "no_face"
├── NotInstalled              "not_installed"     an optional part is missing; the hint names the command
├── NotWritable               "not_writable"      a folder that cannot be written
├── DiskFull                  "disk_full"
├── UnknownJob                "unknown_job"
├── VersionMismatch           "version_mismatch"  the two ends speak no common protocol version
├── NotReachable              "not_reachable"     no backend answers, or it refused our key
├── Cancelled                 "cancelled"
└── InternalError             "internal"          a fault of ours; details are in the log
"""

from __future__ import annotations


class MimaFaceError(Exception):
    """Base of all errors. ``message`` is one sentence for the user, ``hint`` (may be empty) the next step to take."""

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} – {self.hint}" if self.hint else self.message


class InvalidInput(MimaFaceError):
    code = "invalid_input"


class InvalidImage(InvalidInput):
    code = "invalid_image"


class InvalidMotion(InvalidInput):
    code = "invalid_motion"


class InvalidMessage(InvalidInput):
    code = "invalid_message"


class InvalidCheckpoint(InvalidInput):
    code = "invalid_checkpoint"


class NoFaceFound(MimaFaceError):
    code = "no_face"


class NotInstalled(MimaFaceError):
    code = "not_installed"


class NotWritable(MimaFaceError):
    code = "not_writable"


class DiskFull(MimaFaceError):
    code = "disk_full"


class OutOfResources(MimaFaceError):
    code = "out_of_resources"


class NotFinite(MimaFaceError):
    code = "not_finite"


class UnknownJob(MimaFaceError):
    code = "unknown_job"


class VersionMismatch(MimaFaceError):
    code = "version_mismatch"


class NotReachable(MimaFaceError):
    code = "not_reachable"


class Cancelled(MimaFaceError):
    code = "cancelled"


class InternalError(MimaFaceError):
    code = "internal"


def _tree(root: type[MimaFaceError]) -> dict[str, type[MimaFaceError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


ERROR_OF_CODE: dict[str, type[MimaFaceError]] = _tree(MimaFaceError)


def error_from_wire(code: str, message: str, hint: str = "") -> MimaFaceError:
    """Rebuild an error on the receiving side; a code from a newer version becomes the plain base class."""
    return ERROR_OF_CODE.get(code, MimaFaceError)(message, hint)
