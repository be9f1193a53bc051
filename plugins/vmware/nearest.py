"""What an author may have meant by a name that is not there. Pure; called wherever a message can
offer such names.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 3


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most three of ``names`` that are nearly this one, best first; upper and lower case do not
    matter.
    """
    by_form: dict[str, list[str]] = {}
    for item in dict.fromkeys(names):
        by_form.setdefault(item.casefold(), []).append(item)
    near = get_close_matches(name.casefold(), by_form, n=_MOST)
    return [item for form in near for item in by_form[form]][:_MOST]
