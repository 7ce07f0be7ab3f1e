"""C2PA content credentials: a signed statement in a PNG or MP4 file about its tool, source and consent.

The library salts its statements, so signing the same picture twice gives different bytes. Frames that must be byte-identical are
stored unsigned and signed when they leave: to a folder, a film, or a client.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimaface import __version__
from mimaface.optional import optional
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import Watched

from .certificate import certificate

TOOL = "MIMAFace Animator"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
STATEMENT = "org.mimaface.animation"  # label of the assertion for everything without a C2PA standard label
# 3 KB and 3 ms per frame instead of 200
SIGNING_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}


@dataclass(frozen=True)
class Statement:
    """Assertions about a frame.

    source: SHA-256 of the photograph's file; renderer: its name in the settings; wholly: whether every pixel may be generated
    (otherwise some are the photograph's); consent: see :mod:`mimaface.marking.consent`; watermark: whether one is embedded.
    """

    source: str
    renderer: str
    wholly: bool
    consent: str
    watermark: bool

    @property
    def source_type(self) -> str:
        """URI of the IPTC digital source type."""
        return SOURCE_TYPES + ("trainedAlgorithmicMedia" if self.wholly else "compositeWithTrainedAlgorithmicMedia")


@dataclass(frozen=True)
class Credentials:
    """Content of a file's credentials. problems: sentences, empty for an unchanged file."""

    signer: str
    statement: dict[str, Any]
    source_type: str
    problems: tuple[str, ...]


class Signer:
    """Signs files with the certificate in a user's folder. Raises :class:`NotInstalled` without the extra, and as
    :func:`certificate`.
    """

    def __init__(self, home: Path) -> None:
        self._c2pa = _library()
        algorithm, chain, key = certificate(home)
        self._context = self._c2pa.Context.from_dict(SIGNING_SETTINGS)
        try:
            # no timestamp server: works offline
            self._signer = self._c2pa.Signer.from_info(self._c2pa.C2paSignerInfo(algorithm, chain, key, None))
        except self._c2pa.C2paError as error:
            raise InvalidInput(
                f"the certificate in {home / 'signing'} cannot sign ({error})", "C2PA needs one for signing content, followed by its issuers"
            ) from error

    def png(self, content: bytes, statement: Statement) -> bytes:
        """Returns the PNG file with credentials."""
        signed = io.BytesIO()
        self._sign("image/png", io.BytesIO(content), signed, hashlib.sha256(content).digest(), statement)
        return signed.getvalue()

    def film(self, unsigned: Path, signed: Path, statement: Statement) -> None:
        """Copies an MP4 file and adds credentials. Raises :class:`OSError`."""
        with unsigned.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            with signed.open("w+b") as raw:
                target = Watched(raw)
                try:
                    self._sign("video/mp4", file, target, digest, statement)
                except InvalidInput as error:
                    raise (target.failure or error) from None

    def _sign(self, kind: str, source: Any, target: Any, digest: bytes, statement: Statement) -> None:
        try:
            with self._c2pa.Builder(manifest(kind, digest, statement), self._context) as builder:
                builder.sign(self._signer, kind, source, target)
        except self._c2pa.C2paError as error:
            hint = "its certificate may have expired: remove the files in the folder signing to generate a new one"
            raise InvalidInput(f"the frame could not be signed ({error})", hint) from error


def manifest(kind: str, digest: bytes, statement: Statement) -> dict[str, Any]:
    """Returns the C2PA manifest of a file with this SHA-256 digest, as JSON values."""
    number = uuid.UUID(bytes=digest[:16], version=4)
    assertions = {
        "source_sha256": statement.source, "renderer": statement.renderer, "version": __version__, "consent": statement.consent,
        "watermark": statement.watermark,
    }  # fmt: skip
    created = {"action": "c2pa.created", "digitalSourceType": statement.source_type, "softwareAgent": {"name": TOOL, "version": __version__}}
    return {
        "claim_generator_info": [{"name": TOOL, "version": __version__}], "label": f"urn:c2pa:{number}", "instance_id": f"xmp:iid:{number}",
        "format": kind, "title": "animated portrait",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}, {"label": STATEMENT, "data": assertions}],
    }  # fmt: skip


def read_credentials(path: Path) -> Credentials | None:
    """Returns the credentials in a file, or None. Raises :class:`NotInstalled`, and :class:`InvalidInput` for damaged
    credentials.
    """
    c2pa = _library()
    try:
        found = c2pa.Reader.try_create(str(path))
        if found is None:
            return None
        with found as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        raise InvalidInput(f"{path.name}: its content credentials cannot be read ({error})", "they are damaged: use the original file") from error
    active = report["manifests"][report["active_manifest"]]
    assertions = {item["label"]: item["data"] for item in active.get("assertions", ())}
    actions: list[dict[str, Any]] = next((data["actions"] for label, data in assertions.items() if label.startswith("c2pa.actions")), [])
    problems = [item["code"] for item in report.get("validation_status", ()) if item["code"] != "signingCredential.untrusted"]
    signature = active.get("signature_info", {})
    signer = ", ".join(filter(None, (signature.get("common_name"), signature.get("issuer"))))
    source_type = next((action["digitalSourceType"] for action in actions if "digitalSourceType" in action), "")
    return Credentials(signer, assertions.get(STATEMENT, {}), source_type, tuple(_in_words(code) for code in problems))


def _in_words(code: str) -> str:
    """Returns a sentence for a C2PA validation code."""
    if code in ("assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"):
        return f"the picture was changed after it was signed ({code})"
    if code.startswith(("claim", "assertion")):
        return f"the statement was changed after it was signed ({code})"
    return code


def _library() -> Any:
    return optional("c2pa", "content credentials need c2pa-python", "credentials")
