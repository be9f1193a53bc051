"""A plan in the form that Terraform's ``show -json`` gives, for policy tools that read that, and
the counts that GitLab's merge requests show.

The format is Terraform's 1.2 (developer.hashicorp.com/terraform/internals/json-format), as far as
it has a counterpart here: ``resource_changes``. There is no ``configuration``, ``prior_state`` or
``planned_values``, because a plan does not hold what stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from provisioner.cli.render.gate import consent
from provisioner.cli.render.plan import summary
from provisioner.cli.render.review import own_steps, reasons
from provisioner.cli.render.values import Vocabulary, masked
from provisioner.core.actions import Action
from provisioner.core.values import Path, is_marker
from provisioner.service.model import Known, Plan, Step

FORMAT_VERSION = "1.2"

_ACTIONS = {
    Action.CREATE: ["create"],
    Action.UPDATE: ["update"],
    Action.REPLACE: ["delete", "create"],
    Action.DELETE: ["delete"],
    Action.FORGET: ["forget"],
    # Terraform changes nothing of what it imports or moves either: see importing, previous_address.
    Action.ADOPT: ["no-op"],
    Action.RENAME: ["no-op"],
}


def terraform_document(plan: Plan, vocabulary: Vocabulary) -> dict[str, Any]:
    """The plan as Terraform would print it; sensitive values are masked and marked.

    Under ``provisioner``, which readers of the format ignore, stands what Terraform has no word
    for.
    """
    return {
        "format_version": FORMAT_VERSION,
        # Wanted by the format. No version of Terraform has had anything to do with it.
        "terraform_version": f"0.0.0-provisioner.{plan.tool_version}",
        "timestamp": plan.created_at,
        "applyable": bool(plan.steps) and not plan.refused,
        "complete": not (plan.held or plan.undetermined or plan.is_partial),
        "errored": False,
        "resource_changes": [_change(step, plan, vocabulary) for step in own_steps(plan)],
        "provisioner": {
            "id": plan.id,
            "stack": plan.stack,
            "environment": plan.environment,
            "summary": summary(plan),
            "maxImpact": plan.max_impact.value,
            "held": [step.id for step in plan.held],
            "undetermined": [problem.address for problem in plan.undetermined],
        },
    }


def gitlab_counts(plan: Plan) -> dict[str, int]:
    """What ``artifacts:reports:terraform`` reads.

    GitLab's recipe counts the words in ``actions`` of Terraform's JSON
    (docs.gitlab.com/user/infrastructure/iac/mr_integration), so a replacement is one to create and
    one to delete, and what leaves the object alone (adopt, forget, rename) is not counted.
    """
    words = Counter(word for step in own_steps(plan) for word in actions(step))
    return {word: words[word] for word in ("create", "update", "delete")}


def actions(step: Step) -> list[str]:
    """The step's action in Terraform's words, in the order in which they are done."""
    found = _ACTIONS[step.action]
    return found[::-1] if step.replace_order == "create-first" else found


def _change(step: Step, plan: Plan, vocabulary: Vocabulary) -> dict[str, Any]:
    kind = step.address.kind
    name, _, generation = step.address.name.partition("#")
    before, after = _sides(step)
    change: dict[str, Any] = {
        "actions": actions(step),
        "before": _shown(before, kind, vocabulary),
        "after": _shown(after, kind, vocabulary),
        "after_unknown": _unknown(after) or {},
        "before_sensitive": _sensitive(before, kind, vocabulary),
        "after_sensitive": _sensitive(after, kind, vocabulary),
    }
    if step.action is Action.REPLACE:
        change["replace_paths"] = [list(item.path) for item in step.changes]
    if step.action is Action.ADOPT:
        change["importing"] = {"id": step.known.external_id or step.known.name}
    result: dict[str, Any] = {
        "address": _address(kind, name),
        "mode": "managed",
        "type": _type(kind),
        "name": _name(name),
        "provider_name": f"provisioner/{_provider(step.known, plan)}",
        "change": change,
        "provisioner": {
            "address": str(step.address),
            "host": step.known.endpoint,
            "action": step.action.value,
            "impact": step.impact.value,
            "deferred": [list(path) for path in step.deferred],
            "reasons": reasons(step),
            "allowedBy": None if plan.allows(step) else consent(step),
        },
    }
    if generation:
        result["deposed"] = generation
    if step.renamed_from is not None:
        result["previous_address"] = _address(step.renamed_from.kind, step.renamed_from.name)
    return result


def _address(kind: str, name: str) -> str:
    return f"{_type(kind)}.{_name(name)}"


def _name(name: str) -> str:
    """A resource's name as an identifier of Terraform's: letters, digits, ``_`` and ``-``, no digit
    first (developer.hashicorp.com/terraform/language/syntax/configuration#identifiers). Each name
    has one of its own, for no name of ours has an underscore.
    """
    identifier = name.replace(".", "_")
    return f"_{identifier}" if identifier[:1].isdecimal() else identifier


def _type(kind: str) -> str:
    """``VirtualMachine`` as Terraform would call it: ``provisioner_virtual_machine``."""
    return "provisioner_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()


def _provider(known: Known, plan: Plan) -> str:
    record = plan.endpoints.get(known.endpoint)
    return record.provider if record is not None else "unknown"


def _sides(step: Step) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The spec before and after; None where there is no object, or it is not looked after."""
    spec = step.known.spec
    if step.action is Action.CREATE:
        return None, spec
    if step.action in (Action.DELETE, Action.FORGET):
        return spec, None
    before = spec
    for change in step.changes:
        before = _with(before, change.path, change.before)
    return before, spec


def _with(spec: Mapping[str, Any], path: Path, value: Any) -> Mapping[str, Any]:
    """The spec with another value at the path; None: with none there."""
    key, *rest = path
    result = dict(spec)
    if rest:
        below = result.get(key)
        value = _with(below if isinstance(below, Mapping) else {}, tuple(rest), value)
    if value is None:
        result.pop(key, None)
    else:
        result[key] = value
    return result


def _shown(spec: Mapping[str, Any] | None, kind: str, vocabulary: Vocabulary) -> Any:
    return None if spec is None else masked(_known(spec), kind, vocabulary)


def _known(value: Any) -> Any:
    """A value without what is not known yet."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items() if _unknown(item) is not True}
    return value


def _unknown(value: Any) -> Any:
    """``true`` at the place of each value that is not known yet; None where there is none. A list
    is known as a whole or not at all.
    """
    if is_marker(value):
        return True
    if isinstance(value, (list, tuple)):
        return True if any(_unknown(item) is not None for item in value) else None
    if not isinstance(value, Mapping):
        return None
    found = {key: _unknown(item) for key, item in value.items()}
    return {key: item for key, item in found.items() if item is not None} or None


def _sensitive(
    value: Mapping[str, Any] | None, kind: str, vocabulary: Vocabulary, path: Path = ()
) -> Any:
    """``true`` at the place of each value that is masked; ``false`` for no object."""
    if value is None:
        return False
    found: dict[str, Any] = {}
    for key, item in value.items():
        below = (*path, key)
        if vocabulary.is_sensitive(kind, below):
            found[key] = True
        elif isinstance(item, Mapping) and not is_marker(item):
            inner = _sensitive(item, kind, vocabulary, below)
            if inner:
                found[key] = inner
    return found
