"""Folders of a host for what only its user may reach: sockets, process ids and locks. Called by
:mod:`exports`, :mod:`source` and :mod:`handler`.

``/run/provisioner-nbd-0`` of root, ``/run/user/1000/provisioner-nbd-1000`` of others: where nobody
else can have put something before. It is of mode 0700, and used only if it is just that.

A QEMU that another user runs has to reach a socket now and then: those are beside it, in a folder
``.door`` that can be passed through (0711) and not be read, each the property of QEMU's user alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins.kvm.replication.shell import Shell

# stat looks at a link itself, not at where it leads.
_CHECKED = """
umask 077
checked() {
  mkdir -m "$2" -- "$1" 2>/dev/null || true
  found=$(stat -c '%u %a %F' -- "$1" 2>/dev/null || echo 'nothing')
  [ "$found" = "$(id -u) $2 directory" ] ||
    { printf 'refused %s: found %s, expected %s\\n' "$1" "$found" "$(id -u) $2 directory"; exit 0; }
}
"""
_FOLDER = (
    _CHECKED
    + """
uid=$(id -u)
if [ "$uid" = 0 ]; then at=/run; else at=${XDG_RUNTIME_DIR:-/run/user/$uid}; fi
checked "$at/provisioner-nbd-$uid" 700
printf '%s\\n' "$at/provisioner-nbd-$uid"
"""
)
_DOOR = (
    _CHECKED
    + """
checked "$1.door" 711
printf '%s\\n' "$1.door"
"""
)
_ROOM = (
    _CHECKED
    + """
checked "$1.door" 711
room="$1.door/$2"
mkdir -m 700 -- "$room" 2>/dev/null || true
found=$(stat -c '%u %a %F' -- "$room")
case "$found" in
  "$3 700 directory") ;;
  "$(id -u) 700 directory") chown -h "$3" -- "$room" ;;
  *) printf 'refused %s: found %s\\n' "$room" "$found"; exit 0 ;;
esac
printf '%s\\n' "$room"
"""
)
_USER = """
id -u
for file in $(grep -lzxF -e "$1" /proc/[0-9]*/cmdline 2>/dev/null || true); do
  if grep -qzxF -e -uuid "$file" 2>/dev/null; then stat -c %u -- "${file%/cmdline}"; exit 0; fi
done
"""


class Private:
    """The folders of one host."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._folder: str | None = None

    def on(self, shell: Shell) -> Private:
        """The same, by way of another shell of that host."""
        made = Private(shell)
        made._folder = self._folder
        return made

    def base(self, key: str, deadline: Deadline) -> str:
        """What the paths of all files of a key begin with. Raises Terminal (PRV5387)."""
        if self._folder is None:
            self._folder = self._told(_FOLDER, (), deadline)
        return f"{self._folder}/{_name(key)}"

    def door(self, key: str, deadline: Deadline) -> str:
        """The same, where who knows the name can get to a file that is his."""
        folder = self.base(key, deadline).rpartition("/")[0]
        return f"{self._told(_DOOR, (folder,), deadline)}/{_name(key)}"

    def room(self, key: str, qemu: str, deadline: Deadline) -> str:
        """A folder in which the QEMU of a machine (its uuid) can make a socket, and nobody else
        but us reach it. Raises Terminal (PRV5387).
        """
        base = self.base(key, deadline)
        folder = base.rpartition("/")[0]
        me, user = self.users(qemu, deadline)
        if user in (None, me):
            return folder
        return self._told(_ROOM, (folder, _name(key), str(user)), deadline)

    def users(self, qemu: str, deadline: Deadline) -> tuple[int, int | None]:
        """Who we are on the host, and who runs the QEMU of a machine there; None where none is
        seen.
        """
        found = [int(line) for line in self._shell.script(_USER, (qemu,), deadline).split()]
        return found[0], found[1] if len(found) > 1 else None

    def _told(self, text: str, arguments: Sequence[str], deadline: Deadline) -> str:
        said = self._shell.script(text, arguments, deadline).strip()
        refused, _, why = said.partition(" ")
        if refused == "refused":
            raise Terminal(
                error(
                    "PRV5387",
                    f"Host/{self._shell.host}: there is no folder for what nobody else may reach",
                    detail=f"{why} (user, mode, type).",
                    hint="Remove what is in its place. For a user without /run/user, log in by a "
                    "session ('loginctl enable-linger USER' keeps the folder).",
                )
            )
        return said


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]
