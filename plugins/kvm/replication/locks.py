"""Who may work on a replica: one caller at a time, by a file of the receiving host. Called by
:mod:`handler`.

The file is in the folder of :mod:`private`. A process there holds it (flock), and ends with the
caller, however that ends; in it stands who that is. Every program that the caller runs there first
opens the file and reads that; and has it open until it ends. So whoever writes another name into
it, and then ends all that have it open, has put the former out: what ran is gone, and what would
run later is refused, also when the former only slept.

A program whose caller is gone may still run: it is ended by the next one that holds the lock.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner_plugins.kvm.replication.shell import Shell, ended, put_out

PATIENCE = 30.0
"""Seconds that a holder is given to come to its end, before it is put out."""
_AGAIN_SECONDS = 0.25
ANSWER_SECONDS = 60.0
"""That taking the lock may last: ending what has it open takes 20 at most."""
_END_SECONDS = 1.0
_REASONS = ("busy", "stuck")
"""How it says that others are in the way."""

# Also of leases: the path, and who is to stand in it, are their first arguments.
BEGIN = """
path=$1
umask 077
exec 9<>"$path"
others() {
  exec 9>&-
  find /proc/[0-9]*/fd -maxdepth 1 -lname "$path" 2>/dev/null |
    cut -d / -f 3 | sort -u | grep -vx "$$"
}
mine() {
  printf '%s\\n' "$1" >"$path"
  tries=0
  while left=$(others) && [ -n "$left" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then echo "stuck" $left; exit 1; fi
    if [ "$tries" -gt 40 ]; then signal=KILL; else signal=TERM; fi
    kill -s "$signal" $left 2>/dev/null || true
    sleep 0.1
  done
}
"""
HELD = """
mine "$2"
echo held
exec cat
"""
_HOLD = (
    BEGIN
    + """
if ! flock --nonblock 9; then
  if [ -z "$3" ]; then echo "busy $(head -n 1 -- "$path")"; exit 1; fi
  mine "$2"
  flock --wait 10 9 || { echo "busy $(head -n 1 -- "$path")"; exit 1; }
fi
"""
    + HELD
)


@contextmanager
def held(
    shell: Shell,
    path: str,
    about: str,
    now: datetime,
    deadline: Deadline,
    *,
    puts_out: bool = False,
) -> Iterator[Shell]:
    """A block that no other program has entered with the same file of the host; gives the shell
    whose programs run as long as that is so. ``puts_out``: another one is waited for
    :data:`PATIENCE`, and then put out.

    Raises Retryable (PRV5358 another one is in it), what :meth:`Shell.run` raises where the host
    cannot be asked and, out of the block, Terminal (PRV5386 another one has put us out).
    """
    us = f"{secrets.token_hex(16)} {socket.gethostname()} {os.getpid()} {now:%Y-%m-%dT%H:%M:%SZ}"
    holder = _entered(shell, path, us, about, deadline, puts_out=puts_out)
    try:
        yield replace(shell, lock=(path, us))
    except ProviderError as problem:
        if holder.poll() is not None and _is_anothers(shell, path, us, deadline):
            raise Terminal(put_out(shell.host)) from problem
        raise
    finally:
        if holder.stdin is not None:
            holder.stdin.close()
        ended(holder)


def _entered(
    shell: Shell, path: str, us: str, about: str, deadline: Deadline, *, puts_out: bool
) -> subprocess.Popen[bytes]:
    patient_until = time.monotonic() + PATIENCE
    while True:
        is_over = time.monotonic() >= patient_until
        how = "put out" if puts_out and is_over else ""
        argv = ("sh", "-euc", _HOLD, "provisioner", path, us, how)
        holder = shell.begun(argv)
        said = first_line(holder, min(deadline.remaining(), ANSWER_SECONDS))
        if said == "held":
            return holder
        is_told = said.partition(" ")[0] in _REASONS
        lost = None if is_told else unanswered(shell, argv, holder)
        ended(holder, at_once=True)
        if lost is not None:
            raise lost
        if not puts_out or is_over or deadline.passed:
            raise Retryable(_busy(about, said), 2.0)
        time.sleep(_AGAIN_SECONDS)


def first_line(holder: subprocess.Popen[bytes], seconds: float) -> str:
    """What it says first; empty if it says nothing in time."""
    assert holder.stdout is not None
    ready, _, _ = select.select([holder.stdout], [], [], max(0.0, seconds))
    return holder.stdout.readline().decode(errors="replace").strip() if ready else ""


def unanswered(
    shell: Shell, argv: tuple[str, ...], holder: subprocess.Popen[bytes]
) -> ProviderError:
    """Why nothing was said: that tells nothing of who has the lock."""
    try:
        code = holder.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return shell.late(argv[0])
    assert holder.stderr is not None
    return shell.failure(argv, code, holder.stderr.read())


def _is_anothers(shell: Shell, path: str, us: str, deadline: Deadline) -> bool:
    try:
        return shell.run(("head", "-n", "1", "--", path), deadline).strip() != us
    except ProviderError:
        return False  # the host was lost, and not the lock


def _busy(about: str, said: str) -> Diagnostic:
    word, _, rest = said.partition(" ")
    parts = rest.split()
    detail = ""
    if word == "busy" and len(parts) == 4:
        detail = f"It is process {parts[2]} on {parts[1]}, since {parts[3]}."
    elif word == "stuck":
        detail = f"These processes of the host do not end: {rest}."
    return error(
        "PRV5358",
        f"{about}: another program works on its replica",
        detail=detail,
        hint="Wait until that has ended: another provisioner replicates it, or recovers it.",
    )
