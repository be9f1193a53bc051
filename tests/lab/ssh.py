"""An ssh server on the loopback for tests of ``qemu+ssh`` connections, with its own host key and
one key that may log in. Called by tests of connections.

Source: sshd_config(5), https://libvirt.org/uri.html
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.launcher import SEARCH_PATH, LabError, Launcher
from tests.lab.listeners import free_port
from tests.lab.namespaces import Isolation

_ADDRESS = "127.0.0.1"
_START_SECONDS = 10.0


class SshServer:
    """``user`` may log in at 127.0.0.1:``port`` with ``key``; ``known_hosts`` names the host.

    To reach a daemon whose socket is not the default one, libvirt runs nc on the far side.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self.user = getpass.getuser()
        self.port = free_port()
        self.key = self.directory / "client"
        self.known_hosts = self.directory / "known_hosts"
        self._launcher: Launcher | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server and the sessions in it."""
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        host_key, log = self.directory / "host", self.directory / "sshd.log"
        for path in (host_key, self.key):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
            subprocess.run(command, check=True, capture_output=True)
        public = Path(f"{host_key}.pub").read_text()
        self.known_hosts.write_text(f"[{_ADDRESS}]:{self.port} {public}")
        settings = {
            "ListenAddress": f"{_ADDRESS}:{self.port}",
            "HostKey": host_key,
            "AuthorizedKeysFile": f"{self.key}.pub",
            "AuthenticationMethods": "publickey",
            "PermitRootLogin": "prohibit-password",
            # The folder is below /tmp, which everybody may write to.
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
        }
        configuration = self.directory / "sshd_config"
        configuration.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        if os.geteuid() == 0:
            # sshd gives up its privileges here; Debian's service file would have made it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = shutil.which("sshd", path=SEARCH_PATH)
        if sshd is None:
            raise LabError("sshd not found: install openssh-server")
        self._launcher = Launcher(Isolation(), self.directory)
        # sshd starts itself again for each connection, for which it wants its absolute path.
        argv = [sshd, "-D", "-e", "-f", str(configuration)]
        self._launcher.start(argv, {"PATH": SEARCH_PATH, "LANG": "C"}, log)
        self._wait_until_it_answers(log, time.monotonic() + _START_SECONDS)

    def _wait_until_it_answers(self, log: Path, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                socket.create_connection((_ADDRESS, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise LabError(f"sshd did not answer within {_START_SECONDS} s\n{log.read_text()}")
