"""A certificate authority for TLS tests, with certtool. Called by tests of connections.

Source: https://libvirt.org/kbase/tlscerts.html
"""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_CA = ["cn = lab authority", "ca", "cert_signing_key"]
_SERVER = ["cn = 127.0.0.1", "ip_address = 127.0.0.1", "dns_name = localhost", "tls_www_server"]
_USE = ["encryption_key", "signing_key", "expiration_days = 2"]
_PAST = [
    'activation_date = "2001-01-01 00:00:00 UTC"',
    'expiration_date = "2001-01-02 00:00:00 UTC"',
]


class Authority(NamedTuple):
    """``certificate`` of the authority; ``server``: the folder with its servercert.pem and
    serverkey.pem; ``folder``: where ``client`` and ``serving`` put further ones."""

    folder: Path
    certificate: Path
    server: Path

    def client(self, name: str) -> Path:
        """A client's folder as libvirt's ``pkipath`` wants it, for a certificate ``CN=name``."""
        target = self.folder / name
        target.mkdir()
        shutil.copyfile(self.certificate, target / "cacert.pem")
        _signed(self.folder, [f"cn = {name}", "tls_www_client", *_USE], target, "client")
        return target

    def serving(self, folder: str, name: str, *, expired: bool = False) -> Path:
        """A folder with servercert.pem and serverkey.pem for a host name or an IPv4 address."""
        target = self.folder / folder
        target.mkdir()
        kind = "ip_address" if name.replace(".", "").isdigit() else "dns_name"
        dates = _PAST if expired else []
        template = [f"cn = {name}", f"{kind} = {name}", "tls_www_server", *_USE, *dates]
        _signed(self.folder, template, target, "server")
        return target


def make_authority(folder: Path) -> Authority:
    """A new authority in ``folder``, which must not exist, and a server certificate for 127.0.0.1
    and localhost. Needs certtool (Debian package gnutls-bin)."""
    server = folder / "server"
    server.mkdir(parents=True)
    key, certificate, template = folder / "cakey.pem", folder / "cacert.pem", folder / "ca.cfg"
    template.write_text("\n".join(_CA))
    _private_key(key)
    arguments = ["--load-privkey", str(key), "--template", str(template)]
    _certtool("--generate-self-signed", *arguments, "--outfile", str(certificate))
    _signed(folder, [*_SERVER, *_USE], server, "server")
    return Authority(folder, certificate, server)


def _signed(authority: Path, template: list[str], target: Path, role: str) -> None:
    key, settings = target / f"{role}key.pem", target / f"{role}.cfg"
    settings.write_text("\n".join(template))
    _private_key(key)
    _certtool(
        "--generate-certificate",
        *("--load-privkey", str(key), "--template", str(settings)),
        *("--load-ca-certificate", str(authority / "cacert.pem")),
        *("--load-ca-privkey", str(authority / "cakey.pem")),
        *("--outfile", str(target / f"{role}cert.pem")),
    )


def _private_key(path: Path) -> None:
    # libvirt wants certificates that permit key encipherment, which is for RSA keys only.
    _certtool("--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", str(path))


def _certtool(*arguments: str) -> None:
    result = subprocess.run(["certtool", *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise ValueError(f"certtool {' '.join(arguments)}: {result.stderr.strip()}")
