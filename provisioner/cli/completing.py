"""What the shell offers after TAB, beyond what click knows. A person who types sees no error of it:
where something is wrong, nothing is offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from provisioner.cli.invocation import Invocation

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]


def folders(_: click.Context, __: click.Parameter, incomplete: str) -> list[Any]:
    """Folders only."""
    return [CompletionItem(incomplete, type="dir")]


def addresses(*, recorded_only: bool = False, kind: str = "", files: bool = False) -> Complete:
    """Addresses of the stack, ``*`` for what replicas add to them; or only of what was applied.

    With ``kind`` the names of that kind. With ``files`` paths are offered as well.
    """

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
        found = _quietly(lambda: _addresses(context, recorded_only=recorded_only))
        if kind:
            found = [text.partition("/")[2] for text in found if text.startswith(f"{kind}/")]
        else:
            found = _quietly(lambda: _resources(found))
        items = [CompletionItem(incomplete, type="file")] if files else []
        names = sorted({text for text in found if text.startswith(incomplete)})
        return items + [CompletionItem(name) for name in names]

    return complete


def environments(context: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """Names of environments."""
    from provisioner.service import candidates  # noqa: PLC0415 - only when it is asked for

    found = _quietly(lambda: candidates.environments(_folder(context)))
    return sorted(name for name in found if name.startswith(incomplete))


def variables(context: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """``NAME=`` of variables."""
    from provisioner.service import candidates  # noqa: PLC0415 - as above

    found = _quietly(lambda: candidates.variables(_folder(context)))
    return sorted(f"{name}=" for name in found if f"{name}=".startswith(incomplete))


def _addresses(context: click.Context, *, recorded_only: bool) -> list[str]:
    from provisioner.service import candidates  # noqa: PLC0415 - as above

    folder = _folder(context)
    invocation = context.find_object(Invocation)
    environment = invocation.environment if invocation is not None else None
    recorded = _quietly(
        lambda: candidates.recorded_addresses(
            folder, environment, invocation.states if invocation is not None else None
        )
    )
    return recorded if recorded_only else recorded + candidates.declared_addresses(folder)


def _resources(found: list[str]) -> list[str]:
    from provisioner.service.candidates import POLICIES  # noqa: PLC0415 - as above

    return [text for text in found if text.partition("/")[0] not in POLICIES]


def _folder(context: click.Context) -> Path:
    """The stack's folder if it was typed by now, else the present one."""
    # click has not sorted the arguments where an option still waits for its value.
    given: list[Any] = [*context.args]
    for name in ("stack", "what"):
        value = context.params.get(name)
        given += value if isinstance(value, tuple) else [value]
    paths = (Path(item) for item in given if item and isinstance(item, str | Path))
    return next((path for path in paths if path.is_dir()), Path())


def _quietly(find: Callable[[], list[str]]) -> list[str]:
    try:
        return find()
    except Exception:  # noqa: BLE001 - a manifest that is being written may hold anything
        return []
