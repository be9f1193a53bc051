"""Reaching the consoles of a machine that was applied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.patience import NoAnswer, answer_of
from provisioner.engine.sessions import CLOSE_SECONDS, provider_failure
from provisioner.providers.api import ProviderError, Session
from provisioner.providers.capabilities import CONSOLE, Console, ConsoleStream, GraphicsAddress
from provisioner.service.model import EventSink
from provisioner.service.recorded import recorded_resource
from provisioner.service.workspace import Workspace

__all__ = ["ConsoleStream", "GraphicsAddress", "graphics_address", "serial_console", "serial_log"]


@contextmanager
def serial_console(
    workspace: Workspace, address: Address, sink: EventSink
) -> Iterator[ConsoleStream]:
    """The serial console of a running machine, closed at the end; raises ProvisionerError if it
    cannot be opened."""
    with recorded_resource(workspace, address, CONSOLE, sink) as found:
        stream = found.ask(
            lambda session: _console(session).serial(found.resource),
            f"opening the console of {address}",
        )
        try:
            yield stream
        except ProviderError as problem:
            raise provider_failure(problem, f"reading the console of {address}") from problem
        finally:
            with suppress(NoAnswer):
                answer_of(stream.close, CLOSE_SECONDS, "close-console")


def serial_log(workspace: Workspace, address: Address, sink: EventSink) -> str:
    """What the machine has written on its serial console; raises ProvisionerError (PRV6008) if
    nothing is kept."""
    with recorded_resource(workspace, address, CONSOLE, sink) as found:
        text = found.ask(
            lambda session: _console(session).serial_log(found.resource),
            f"reading the console of {address}",
        )
    if text is None:
        raise ProvisionerError(
            error(
                "PRV6008",
                f"no log is kept of the serial console of {address}",
                hint="Without --log, 'provisioner console' shows what it prints from now on.",
                address=str(address),
            )
        )
    return text


def graphics_address(workspace: Workspace, address: Address, sink: EventSink) -> GraphicsAddress:
    """Where a viewer connects; raises ProvisionerError (PRV6009) if there is no graphical console
    now."""
    with recorded_resource(workspace, address, CONSOLE, sink) as recorded:
        found = recorded.ask(
            lambda session: _console(session).graphics(recorded.resource),
            f"looking for the graphical console of {address}",
        )
    if found is None:
        raise ProvisionerError(
            error(
                "PRV6009",
                f"{address} has no graphical console now",
                detail="It is not running, or its manifest does not set spec.console.graphics.",
                hint="Set spec.console.graphics to vnc or spice, and start the machine.",
                address=str(address),
            )
        )
    return found


def _console(session: Session) -> Console:
    assert isinstance(session, Console), "its provider says so"
    return session
