"""Ed25519 signatures (RFC 8032) of recovery plans: keys in files, and whose signatures count.

Called by :mod:`provisioner.workflows.recovery.storing` and by the service layer; the only module
that imports ``cryptography``. A private key is a file of its owner alone, PKCS #8 in PEM. A public
key is one line, ``ed25519 HEX NAME``; a file of trusted keys has such lines, and others that begin
with ``#``.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, SourceRange, error, quoted

ALGORITHM = "ed25519"
LARGEST_FILE = 1024 * 1024
PUBLIC_SUFFIX = ".pub"

_LINE = re.compile(r"ed25519\s+([0-9a-f]{64})\s+(\S.*?)\s*")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: the id of the key that made it, and its 64 bytes."""

    key: str
    value: bytes

    def as_json(self) -> dict[str, Any]:
        """Plain data; :meth:`of` reads it."""
        return {"algorithm": ALGORITHM, "key": self.key, "value": self.value.hex()}

    @classmethod
    def of(cls, data: Any) -> Signature:
        """The signature that :meth:`as_json` wrote. Raises KeyError, TypeError or ValueError for
        anything else.
        """
        if data["algorithm"] != ALGORITHM:
            raise ValueError(f"found the algorithm {data['algorithm']!r}, expected {ALGORITHM!r}")
        return cls(str(data["key"]), bytes.fromhex(data["value"]))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; nothing prints it."""

    _key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> bytes:
        """The 32 bytes of its public half."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def id(self) -> str:
        """What signatures name it by."""
        return key_id(self.public)

    def sign(self, data: bytes) -> Signature:
        """Its signature of ``data``."""
        return Signature(self.id, self._key.sign(data))

    def public_line(self, name: str) -> str:
        """Its public half as a file of trusted keys has it."""
        return f"{ALGORITHM} {self.public.hex()} {name}\n"

    @classmethod
    def new(cls) -> SigningKey:
        """A key that nobody has yet."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """The key in a file; raises ProvisionerError (PRV7047) if it cannot be read, is none, or if
        others than its owner may read it.
        """
        try:
            status = path.stat()
            if status.st_mode & _OTHERS:
                raise _bad_key(
                    path, "others than its owner may read it", f"Forbid it: chmod go= {path}"
                )
            key = load_pem_private_key(_content(path), password=None)
        except OSError as problem:
            raise _bad_key(path, str(problem.strerror or problem), _MAKE_ONE) from problem
        except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
            raise _bad_key(path, "it is no private key in PEM without a password") from problem
        if not isinstance(key, Ed25519PrivateKey):
            raise _bad_key(path, "it is a key of another kind than Ed25519", _MAKE_ONE)
        return cls(key)


_MAKE_ONE = "Make one with 'provisioner dr key FILE'."


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Whose signatures count: names and public keys by the keys' ids. ``source`` is where that is
    written, for messages.
    """

    keys: Mapping[str, tuple[str, bytes]]
    source: str = ""

    def check(self, data: bytes, signature: Signature, what: str) -> str:
        """The name of whoever signed ``data``, which is called ``what``. Raises ProvisionerError:
        PRV7044 if the key is not trusted, PRV7042 if it did not sign exactly this.
        """
        found = self.keys.get(signature.key)
        if found is None:
            raise ProvisionerError(self._unknown(signature, what))
        name, public = found
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature.value, data)
        except InvalidSignature as problem:
            raise ProvisionerError(
                error(
                    "PRV7042",
                    f"{what} was altered after it was made",
                    detail=f"Its content does not fit its signature by {name}.",
                    hint="Get the original again, or compile a new one.",
                )
            ) from problem
        return name

    def _unknown(self, signature: Signature, what: str) -> Diagnostic:
        names = sorted(name for name, _ in self.keys.values())
        where = self.source or "nowhere: no file of trusted keys is named"
        return error(
            "PRV7044",
            f"{what} is signed by a key that is not trusted: {quoted(signature.key)}",
            detail=f"Trusted are, by {where}: {', '.join(names) or 'none'}.",
            hint="If you know whose it is, add the line of its public file to your trusted keys "
            "(recovery.trustedKeys in your configuration, or --trusted FILE).",
        )

    @classmethod
    def read(cls, path: Path) -> TrustedKeys:
        """The keys in a file; raises ProvisionerError (PRV7048) if it cannot be read or holds
        something else.
        """
        try:
            text = _content(path).decode("utf-8")
        except OSError as problem:
            raise _bad_trust(path, 0, str(problem.strerror or problem)) from problem
        except UnicodeDecodeError as problem:
            raise _bad_trust(path, 0, "it is not UTF-8 text") from problem
        keys: dict[str, tuple[str, bytes]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise _bad_trust(path, number, "expected 'ed25519 HEX NAME'")
            public = bytes.fromhex(match[1])
            keys[key_id(public)] = (match[2], public)
        return cls(keys, str(path))


def key_id(public: bytes) -> str:
    """What a public key is called in signatures: enough of its SHA-256 that no two are alike."""
    return f"{ALGORITHM}:{hashlib.sha256(public).hexdigest()[:32]}"


def make_key(path: Path, name: str) -> SigningKey:
    """A new private key in the file ``path`` that only its owner can read, and its public line,
    called ``name``, beside it. Nothing is overwritten. Raises ProvisionerError (PRV7049).
    """
    key = SigningKey.new()
    private = key._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    try:
        if public.exists():
            raise FileExistsError(None, "File exists")
        _write_new(path, private, 0o600)
        _write_new(public, key.public_line(name).encode(), 0o644)
    except OSError as problem:
        raise ProvisionerError(
            error(
                "PRV7049",
                f"the key {path} cannot be written",
                detail=f"{problem.strerror or problem}: {problem.filename or public}.",
                hint="Name another file: a key is never overwritten.",
            )
        ) from problem
    return key


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LARGEST_FILE)


def _bad_key(path: Path, reason: str, hint: str = _MAKE_ONE) -> ProvisionerError:
    return ProvisionerError(error("PRV7047", f"the key {path} cannot be used: {reason}", hint=hint))


def _bad_trust(path: Path, line: int, reason: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7048",
            f"the trusted keys in {path} cannot be used: {reason}",
            source=SourceRange(str(path), line, 1) if line else None,
            hint="It has a line for each key, as 'provisioner dr key' writes it into FILE.pub.",
        )
    )
