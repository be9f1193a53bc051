"""A plan in another form than text: what ``--markdown``, ``--html``, ``--gitlab`` and
``--terraform`` print. Called by the commands that show plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from provisioner.cli.render.html.page import render_html
from provisioner.cli.render.markdown import render_markdown
from provisioner.cli.render.terraform import gitlab_counts, terraform_document
from provisioner.cli.terminal import json_lines
from provisioner.service.model import Plan
from provisioner.service.schema import Vocabulary

Render: TypeAlias = Callable[[Plan, Sequence[str]], list[str]]


def _markdown(plan: Plan, command: Sequence[str]) -> list[str]:
    return render_markdown(plan, Vocabulary(), command)


def _html(plan: Plan, command: Sequence[str]) -> list[str]:
    return render_html(plan, Vocabulary(), command)


def _gitlab(plan: Plan, _: Sequence[str]) -> list[str]:
    return json_lines(gitlab_counts(plan))


def _terraform(plan: Plan, _: Sequence[str]) -> list[str]:
    return json_lines(terraform_document(plan, Vocabulary()))


_RENDER: Mapping[str, Render] = {
    "markdown": _markdown,
    "html": _html,
    "gitlab": _gitlab,
    "terraform": _terraform,
}


def rendered(plan: Plan, form: str, command: Sequence[str]) -> list[str]:
    """The plan in lines of the form that was asked for; ``command`` had it made."""
    return _RENDER[form](plan, command)
