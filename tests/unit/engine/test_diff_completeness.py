"""Changes that a comparison must not miss."""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.core.actions import Impact
from provisioner.engine.diff import differences
from provisioner.providers.api import Change, Present
from tests.unit.engine.made import MadeKind

KEYS = st.text(max_size=4) | st.sampled_from(["__a", "a.b", "['a']", "0", "root", "$unknown"])
VALUES = (
    st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9)
    | st.text(max_size=4)
    | st.lists(st.integers(0, 3) | st.dictionaries(KEYS, st.integers(0, 3), max_size=2), max_size=3)
)
SPECS = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=4),
    lambda inner: st.dictionaries(KEYS, VALUES | inner, max_size=4),
    max_leaves=8,
)


def changed(spec: dict[str, Any], changes: list[Change]) -> dict[str, Any]:
    """The spec with the changes carried out."""
    result = deepcopy(spec)
    for change in changes:
        place = result
        for key in change.path[:-1]:
            place = place[key]
        if change.after is None:
            del place[change.path[-1]]
        else:
            place[change.path[-1]] = change.after
    return result


class Owned(MadeKind):
    """Every mapping is owned as a whole."""

    def owned_whole(self, path: tuple[str, ...]) -> bool:  # noqa: ARG002 - of the protocol
        return True


@settings(max_examples=300)
@given(SPECS, SPECS)
def test_the_changes_lead_from_one_to_the_other(
    observed: dict[str, Any], desired: dict[str, Any]
) -> None:
    """What stands beside the desired fields at the root is nobody's, and stays out of it."""
    found = {key: value for key, value in observed.items() if key in desired}
    changes = differences(desired, None, Present("id", None, observed, "print"), Owned())
    assert desired == changed(found, changes)
    assert (desired == found) is (not changes)


def test_a_key_that_begins_with_underscores_is_a_key_like_any_other() -> None:
    observed = Present("id", None, {"notes": {"__owner": "a", "b": "c"}}, "print")
    assert [Change(("notes", "__owner"), "a", "d", Impact.LIVE)] == differences(
        {"notes": {"__owner": "d", "b": "c"}}, None, observed, MadeKind()
    )
