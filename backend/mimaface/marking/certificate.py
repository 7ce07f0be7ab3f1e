"""Signing certificate for content credentials: the user's own, or one generated on first use."""

from __future__ import annotations

import contextlib
import datetime
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.optional import imports
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import writable, write_whole

if TYPE_CHECKING:
    from cryptography import x509

# in the user's folder; the chain starts with the signer's certificate
FOLDER, CHAIN, KEY = "signing", "certificates.pem", "key.pem"
VALID_DAYS = 3650  # days of validity of generated certificates; C2PA validates against the time of signing
NAME_OF = "MIMAFace Animator"
CURVES = {256: b"es256", 384: b"es384", 521: b"es512"}  # key size in bits → algorithm name in C2PA


def certificate(home: Path) -> tuple[bytes, bytes, bytes]:
    """Returns C2PA's algorithm name, the certificate chain and the key, in PEM. An empty folder gets a new pair, signed by a root
    whose key is discarded.

    Raises :class:`InvalidInput` for unusable files of the user, :class:`NotWritable`, and :class:`NotInstalled`.
    """
    folder = home / FOLDER
    chain, key = folder / CHAIN, folder / KEY
    if not chain.exists() and not key.exists():
        _create_folder(folder)
    try:
        return _algorithm(key.read_bytes()), chain.read_bytes(), key.read_bytes()
    except (OSError, ValueError, TypeError) as error:
        words = f"{folder} must hold {CHAIN} and, without a password, {KEY} ({error})"
        raise InvalidInput(words, "put both there, or remove both to generate a new pair") from error


def _create_folder(folder: Path) -> None:
    """Creates both files atomically; of several threads or processes at once, one pair wins."""
    pair = _generate()
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.part")
    with writable(folder, "choose another MIMAFACE_HOME"):
        part.mkdir(mode=0o700, parents=True)
        write_whole(part / CHAIN, pair[0], private=True, durable=True)
        write_whole(part / KEY, pair[1], private=True, durable=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # an empty one
        try:
            part.rename(folder)
        except OSError:
            shutil.rmtree(part)
            if not folder.is_dir():
                raise


def _algorithm(pem: bytes) -> bytes:
    """Returns C2PA's algorithm name. Raises :class:`ValueError` for a kind of key that C2PA does not allow."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem, None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in CURVES:
        return CURVES[key.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    raise ValueError("the key must be Ed25519, ECDSA or RSA")


def _generate(new_key: Callable[[], Any] | None = None) -> tuple[bytes, bytes]:
    """Generates a chain of two certificates and the key of the first, in PEM, as section 14.5 of the C2PA specification requires;
    ``new_key`` defaults to Ed25519.
    """
    with imports("signing of content credentials", "credentials"):
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.x509.oid import ExtendedKeyUsageOID
    root, key = Ed25519PrivateKey.generate(), (new_key or Ed25519PrivateKey.generate)()
    name = f"self-made certificate {secrets.token_hex(4)}"  # part of every signed frame, so it contains no personal name
    mine, above = name, f"{name}, root"
    top = (
        _certificate_builder(above, above, root.public_key(), root.public_key(), may_sign="certificates")
        .add_extension(x509.BasicConstraints(True, 0), True)
        .sign(root, None)
    )
    own = (
        _certificate_builder(mine, above, key.public_key(), root.public_key(), may_sign="content")
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .sign(root, None)
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return own.public_bytes(pem) + top.public_bytes(pem), secret


def _certificate_builder(subject: str, issuer: str, key: Any, issuer_key: Any, may_sign: str) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def name(words: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, NAME_OF), x509.NameAttribute(NameOID.COMMON_NAME, words[:64])])

    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)  # allows for clock differences
    content = may_sign == "content"
    usage = x509.KeyUsage(content, False, False, False, False, not content, not content, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject)).issuer_name(name(issuer)).public_key(key).serial_number(x509.random_serial_number())
        .not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=VALID_DAYS))
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False)
    )  # fmt: skip
