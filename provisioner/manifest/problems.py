r"""What is wrong with a manifest, and where in it, before its file and line are looked up.

Every stage of loading makes :class:`Problem`\ s; :class:`provisioner.manifest.places.Places` turns
them into diagnostics.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from provisioner.core.diagnostics import SourceRange

MISSING = "PRV1105"
"""The code of a field that is missing: nothing is wrong with what is there."""


class Element(NamedTuple):
    """A list element in a path: its index, and where its list has a key, the value of its key
    field, in the form that ``form`` names (see :mod:`provisioner.manifest.forms`).
    """

    number: int | None
    key: str | None = None
    key_field: str | None = None
    form: str | None = None


Part: TypeAlias = str | int | Element


class Problem(NamedTuple):
    """Something wrong with a value, before its place is looked up.

    ``path`` leads to it from the top of the document. ``at_key``: the key is meant, not the value.
    ``within`` is a part of the value's text. ``source`` is the place where it is known already.
    ``secret``: the value must not be shown, so that its line is not quoted either.
    """

    path: tuple[Part, ...]
    code: str
    summary: str
    hint: str = ""
    detail: str = ""
    at_key: bool = False
    within: str = ""
    source: SourceRange | None = None
    warning: bool = False
    secret: bool = False
