"""Where the files of an imported machine go: to whoever the endpoint names, if he is trusted."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provisioner.providers.api import Terminal
from tests.lab import certificates
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import session

pytest.importorskip("pyVmomi")

from provisioner_plugins.vmware.wire.transfer import Leased, Transfer

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

ADDRESS = "127.0.0.3"


@dataclass
class Other:
    """Another host with a certificate of another authority, and what it was given."""

    port: int
    thumbprint: str
    ca: Path
    given: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.port}/nfc/1/disk-0.vmdk"


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0)) as started:
        yield started


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    authority = certificates.make_authority(tmp_path / "authority")
    authority.serving("other", ADDRESS)
    certificate = authority.folder / "other" / "servercert.pem"
    shown = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    thumbprint = hashlib.sha1(shown, usedforsecurity=False).hexdigest()
    made = Other(0, thumbprint, authority.folder / "cacert.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            made.given.append((self.path, self.headers.get("Cookie", ""), content))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, authority.folder / "other" / "serverkey.pem")
    with ThreadingHTTPServer((ADDRESS, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def fingerprint(vcsim: Vcsim) -> str:
    shown = ssl.PEM_cert_to_DER_cert(vcsim.certificate.read_text())
    return hashlib.sha256(shown).hexdigest()


def give(vcsim: Vcsim, tls: dict[str, str], url: str, thumbprint: str) -> None:
    with session(vcsim, tls=tls) as opened:
        leased = Leased(url, thumbprint, replaces=False)
        Transfer(opened._client).give("import", leased, 4, [b"da", b"ta"])


def test_a_host_is_verified_by_the_same_authorities(vcsim: Vcsim, other: Other) -> None:
    both = other.ca.with_name("both.pem")
    both.write_text(vcsim.ca.read_text() + other.ca.read_text())
    give(vcsim, {"caFile": str(both)}, other.url, "")
    assert [("/nfc/1/disk-0.vmdk", "", b"data")] == other.given


def test_a_host_of_another_authority_gets_nothing(vcsim: Vcsim, other: Other) -> None:
    with pytest.raises(Terminal) as caught:
        give(vcsim, {"caFile": str(vcsim.ca)}, other.url, other.thumbprint)
    assert "PRV5305" == caught.value.diagnostic.code
    assert [] == other.given


def test_with_a_pin_the_endpoint_says_which_certificate_a_host_has(
    vcsim: Vcsim, other: Other
) -> None:
    pinned = {"fingerprint": fingerprint(vcsim)}
    for wrong in ("00" * 20, ""):
        with pytest.raises(Terminal) as caught:
            give(vcsim, pinned, other.url, wrong)
        assert "PRV5305" == caught.value.diagnostic.code
    assert [] == other.given
    give(vcsim, pinned, other.url, other.thumbprint)
    assert [b"data"] == [content for _, _, content in other.given]


@pytest.mark.parametrize("tls", ["caFile", "fingerprint"])
def test_a_star_is_the_endpoint_itself(vcsim: Vcsim, tls: str) -> None:
    value = str(vcsim.ca) if tls == "caFile" else fingerprint(vcsim)
    with pytest.raises(Terminal) as caught:
        give(vcsim, {tls: value}, "https://*/nfc/lease/disk-0.vmdk", "")
    # It was asked, and knows of no such lease.
    assert "404" in caught.value.diagnostic.detail


def test_nothing_goes_without_encryption(vcsim: Vcsim) -> None:
    with pytest.raises(Terminal) as caught:
        give(vcsim, {"caFile": str(vcsim.ca)}, f"http://{ADDRESS}/nfc/1/disk-0.vmdk", "")
    assert "PRV5305" == caught.value.diagnostic.code
