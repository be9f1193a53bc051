"""Questions that machines ask in the middle of a task, which goes on when somebody has answered:
read, and answered where it is known what is meant. Called by :mod:`~.tasks`.

Source: vSphere Web Services API, VirtualMachineRuntimeInfo.question and VirtualMachine.AnswerVM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.providers.api import ProviderError
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.sweep import look

Answers = Mapping[str, str]
"""Answers by the ids of messages: ``msg.cdromdisconnect.locked`` to ``yes``."""
NO_ANSWERS: Answers = MappingProxyType({})
_QUESTION = "runtime.question"
_WORD = "button."
"""What a server that has no words for a choice puts before its name."""


class Question(NamedTuple):
    """One that waits for its answer. ``messages`` are the ids of what it is made of; ``choices``
    the answers that there are, as people see them, by key.
    """

    machine: Any
    id: str
    text: str
    messages: tuple[str, ...]
    choices: Mapping[str, str]

    def __str__(self) -> str:
        """For people."""
        return f"{self.text} ({' or '.join(self.choices.values())})"

    def key_for(self, answers: Answers) -> str | None:
        """The key of the choice that ``answers`` name; None where they do not, or there is none
        such.
        """
        wanted = next((answers[name] for name in self.messages if name in answers), None)
        labels = {label.lower().removeprefix(_WORD): key for key, label in self.choices.items()}
        return None if wanted is None else labels.get(wanted)


def pending(client: Client, machines: Sequence[Any]) -> dict[str, Question]:
    """What these machines ask now, by managed object id; one request for all of them."""
    wanted = {vim.VirtualMachine: (_QUESTION,)}
    found = {}
    for row in look(client, "look what machines ask", machines, wanted):
        asked = row.get(_QUESTION)
        if asked is not None:
            machine = client.managed(vim.VirtualMachine, row.moid)
            found[row.moid] = _question(machine, asked)
    return found


def answer(client: Client, question: Question, key: str) -> None:
    """Answer it; that somebody else was faster is no failure."""
    with suppress(ProviderError):
        client.call(
            "answer the question of a machine",
            lambda _: question.machine.AnswerVM(question.id, key),
        )


def _question(machine: Any, asked: Any) -> Question:
    messages = [str(message.id) for message in asked.message or ()]
    # Servers that do not tell messages by themselves begin the text with their id.
    first, colon, rest = str(asked.text).partition(":")
    is_told = colon and first.startswith("msg.")
    if is_told and first not in messages:
        messages.append(first)
    choices = {str(item.key): str(item.label) for item in asked.choice.choiceInfo or ()}
    text = " ".join((rest if is_told else str(asked.text)).split())
    return Question(machine, str(asked.id), text, tuple(messages), choices)
