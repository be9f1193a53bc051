"""Writes the JSON Schema of a shown plan: that of a plan file, and what is added to it.

Run by scripts/view-schema.
"""

import json
import sys
from typing import Any

from generated import ROOT, keep

FOLDER = ROOT / "schemas" / "results"
SOURCE, FILE = FOLDER / "plan.v1.schema.json", FOLDER / "plan-view.v1.schema.json"

ADDED = {
    "counts": {
        "type": "object",
        "propertyNames": {"$ref": "#/$defs/step/properties/action"},
        "additionalProperties": {"type": "integer", "minimum": 1},
        "description": "Number of steps by action; actions that occur.",
    },
    "refused": {
        "type": "array",
        "items": {"$ref": "#/$defs/refusal"},
        "description": "Steps that the gate forbids. Apply does nothing of a plan that has one.",
    },
    "summary": {"type": "string", "description": "One sentence for people."},
}
REFUSAL = {
    "type": "object",
    "required": ["step", "impact", "allowedBy"],
    "properties": {
        "step": {"type": "string", "description": "Id of the step."},
        "impact": {"$ref": "#/$defs/impact"},
        "allowedBy": {"type": "string", "description": "The option that allows it."},
    },
}


def view_schema(plan: dict[str, Any]) -> dict[str, Any]:
    """The schema of a shown plan, which refers to nothing outside of itself."""
    properties = {**plan["properties"], **ADDED}
    properties["format"] = {**properties["format"], "const": "provisioner.plan-view/1"}
    return {
        "$schema": plan["$schema"],
        "$id": FILE.name,
        "title": "Plan view",
        "description": "What 'plan --json' and 'show PLANFILE --json' print, format"
        " provisioner.plan-view/1: a plan file with sensitive values masked, and 'counts',"
        " 'refused' and 'summary'. Keys may be added: ignore those you do not know.",
        "type": "object",
        "required": [*plan["required"], *ADDED],
        "properties": properties,
        "$defs": {**plan["$defs"], "refusal": REFUSAL},
    }


def main(arguments: list[str]) -> int:
    """Write the file, or check it; the exit code."""
    found = view_schema(json.loads(SOURCE.read_text(encoding="utf-8")))
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    return keep("view-schema", FILE, text, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
