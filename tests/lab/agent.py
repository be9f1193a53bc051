"""Talks to the guest agent of a running domain. Called by live tests."""

import json
import time
from typing import Any

import libvirt
import libvirt_qemu

_ANSWER_SECONDS = 5


def ask(domain: libvirt.virDomain, command: str, deadline: float, **arguments: object) -> Any:
    """The answer to an agent command, asked again until the agent is there.

    ``deadline`` is in seconds from now; when it passes, the last libvirtError is raised.
    Source: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html
    """
    request = json.dumps({"execute": command, "arguments": arguments})
    end = time.monotonic() + deadline
    while True:
        try:
            answer = libvirt_qemu.qemuAgentCommand(domain, request, _ANSWER_SECONDS, 0)
            return json.loads(answer)["return"]
        except libvirt.libvirtError as error:
            if (
                error.get_error_code() != libvirt.VIR_ERR_AGENT_UNRESPONSIVE
                or time.monotonic() > end
            ):
                raise
        time.sleep(0.1)


def run(domain: libvirt.virDomain, *argv: str, deadline: float = 30.0) -> int:
    """The exit code of a program in the guest. ``deadline`` as in :func:`ask`; raises TimeoutError
    if it has not ended by then.
    """
    end = time.monotonic() + deadline
    begun = ask(domain, "guest-exec", deadline, path=argv[0], arg=list(argv[1:]))
    while True:
        state = ask(domain, "guest-exec-status", deadline, pid=begun["pid"])
        if state["exited"]:
            return int(state["exitcode"])
        if time.monotonic() > end:
            raise TimeoutError(f"{argv} in the guest has not ended")
        time.sleep(0.05)
