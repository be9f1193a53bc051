"""Writes the manifest reference, a page for each kind and each provider and an index, from the
schemas.

Run by scripts/reference. What the annotations mean is written in docs/schema-annotations.md.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from provisioner.providers.api import Description
from provisioner.providers.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
SHARED = "definitions.v1.json"
MARK = "<!-- Written by scripts/reference from schemas/: do not edit. -->"

Schema: TypeAlias = dict[str, Any]

_FORMATS = {
    "mac": "MAC address",
    "ip": "IP address",
    "cidr": "network (CIDR)",
    "interface": "address with network bits",
}
_IMPACTS = {
    "none": "Nothing that a guest, or a person who uses it, could see.",
    "live": "The guest runs on and sees the change.",
    "restart": "The guest, or the service it depends on, is interrupted.",
    "replace": "The object is removed, and made again if it is still wanted; data on disks stays.",
    "data-loss": "Data is gone afterwards. Always needs consent of its own.",
}


class Section(NamedTuple):
    """An object of a schema that gets a table: its dotted path, and the impact it hands down."""

    path: str
    schema: Schema
    impact: str


class Reference:
    """The schemas, and the pages made of them."""

    def __init__(self, folder: Path) -> None:
        self._shared = _read(folder / SHARED)["$defs"]
        kinds = [_read(file) for file in folder.glob("*.v1.json") if file.name != SHARED]
        self.kinds = sorted(kinds, key=lambda schema: int(schema["x-order"]))
        self._own: dict[str, Schema] = {}
        """Definitions of the provider whose page is written."""
        registry = Registry()
        self.providers = [registry.get(name).describe() for name in registry.names()]

    def pages(self) -> dict[str, str]:
        """Text by file name."""
        pages = {_file(kind["title"]): "\n".join(self._kind(kind)) for kind in self.kinds}
        for provider in self.providers:
            pages[_provider_file(provider)] = "\n".join(self._provider(provider))
        pages["index.md"] = "\n".join(self._index())
        return pages

    def resolved(self, schema: Schema) -> Schema:
        """The schema with its ``$ref`` followed; what stands beside the ``$ref`` goes first."""
        if "$ref" not in schema:
            return schema
        name = schema["$ref"].rpartition("/")[2]
        local = schema["$ref"].startswith("#") and name in self._own
        definition = self.resolved(self._own[name] if local else self._shared[name])
        return {**definition, **{key: value for key, value in schema.items() if key != "$ref"}}

    def _kind(self, kind: Schema) -> Iterator[str]:
        title = kind["title"]
        example = _yaml(kind["examples"][0])
        modeline = f"# yaml-language-server: $schema=../schemas/{kind['$id']}"
        yield from (f"# {title}", "", MARK, "", kind["description"], "")
        yield from ("```yaml", modeline, f"{example.rstrip()}", "```", "")
        part = "metadata" if _is_resource(kind) else "metadata-of-what-nothing-is-made-of"
        yield from (f"`metadata` is described [in the index](index.md#{part}).", "")
        spec = self.resolved(kind["properties"]["spec"])
        for section in self._sections(Section("spec", spec, "live")):
            yield from self._table(section, with_impact=_is_resource(kind))
        if _is_resource(kind):
            yield from _removal(kind)
        if "x-computed" in kind:
            yield from _outputs(kind)

    def _provider(self, provider: Description) -> Iterator[str]:
        connection, native = (
            json.loads(json.dumps(schema))
            for schema in (provider.connection_schema, provider.native_schema)
        )
        # Providers share the definitions, and have some of their own.
        self._own = {**connection.get("$defs", {}), **native.get("$defs", {})}
        yield from (f"# Provider {provider.name}", "", MARK, "")
        yield from (f"It serves {_names(sorted(provider.kinds))}.", "")
        yield from ("## `connection`", "", connection["description"], "")
        yield from (
            "A [Host](host.md) of this provider has these fields under `spec.connection`.",
            "",
        )
        for example in connection["examples"]:
            yield from ("```yaml", _yaml({"connection": example}).rstrip(), "```", "")
        yield from self._provider_tables("connection", connection)
        yield from _provider_defaults(provider)
        yield from ("## `native`", "", native["description"], "")
        yield from (f"They stand under `spec.native.{provider.name}` of a resource.", "")
        for example in native["examples"]:
            section = {"native": {provider.name: example}}
            yield from ("```yaml", _yaml(section).rstrip(), "```", "")
        if native.get("properties"):
            yield from self._provider_tables("native", native)
        self._own = {}

    def _provider_tables(self, path: str, schema: Schema) -> Iterator[str]:
        for section in self._sections(Section(path, schema, "none")):
            yield from self._table(section, with_impact=False, titled=section.path != path)

    def _index(self) -> Iterator[str]:
        yield from ("# Manifest reference", "", MARK, "")
        yield "A manifest is a YAML document with `apiVersion`, `kind`, `metadata` and `spec`."
        yield from ("", "| Kind | |", "|---|---|")
        for kind in self.kinds:
            yield f"| [{kind['title']}]({_file(kind['title'])}) | {_cell(kind['description'])} |"
        yield from ("", "What a provider takes under `connection` and `native`:")
        links = (f"[{item.name}]({_provider_file(item)})" for item in self.providers)
        yield from (f"{', '.join(links)}.", "")
        for title, text in (
            ("Sizes", self._shared["size"]),
            ("Durations", self._shared["duration"]),
            ("Names", self._shared["name"]),
        ):
            examples = ", ".join(f"`{example}`" for example in text["examples"])
            yield from (f"**{title}**: {text['description']} Examples: {examples}.", "")
        yield from ("## Impact", "")
        yield "What changing a field does to a running guest, at worst; a plan judges each change."
        yield from ("", "| Impact | |", "|---|---|")
        for impact, text in _IMPACTS.items():
            yield f"| {impact} | {text} |"
        yield ""
        headings = {"metadata": "Metadata", "plainMetadata": "Metadata of what nothing is made of"}
        for name, heading in headings.items():
            yield from (f"## {heading}", "", self._shared[name]["description"], "")
            for section in self._sections(Section("metadata", self._shared[name], "none")):
                nested = section.path != "metadata"
                yield from self._table(section, with_impact=name == "metadata", titled=nested)

    def _sections(self, section: Section) -> Iterator[Section]:
        """The object itself and, below it, every object with fields of its own."""
        yield section
        for name, field in section.schema.get("properties", {}).items():
            schema = self.resolved(field)
            impact = schema.get("x-impact", section.impact)
            path = f"{section.path}.{name}"
            found = self._nested(path, schema)
            if found is not None:
                inner, nested = found
                handed_down = str(nested.get("x-impact", impact))
                yield from self._sections(Section(inner, nested, handed_down))

    def _nested(self, path: str, schema: Schema) -> tuple[str, Schema] | None:
        """The object with named fields that a field is, or is a list or a map of."""
        if schema.get("type") == "object" and schema.get("properties"):
            return path, schema
        for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
            inner = schema.get(keyword)
            if isinstance(inner, dict) and self.resolved(inner).get("properties"):
                return path + suffix, self.resolved(inner)
        return None

    def _table(self, section: Section, *, with_impact: bool, titled: bool = True) -> Iterator[str]:
        schema = section.schema
        if titled:
            yield from (f"## `{section.path}`", "", schema["description"], "")
        columns = ["Field", "Type", "Default", *(["Impact"] if with_impact else []), "Meaning"]
        yield f"| {' | '.join(columns)} |"
        yield "|" + "---|" * len(columns)
        required = schema.get("required", [])
        for name, field in schema["properties"].items():
            value = self.resolved(field)
            default = "required" if name in required else _default(value)
            impact = [value.get("x-impact", section.impact)] if with_impact else []
            nested = self._nested(f"{section.path}.{name}", value)
            kind = self._type(value) if nested is None else _link(value, nested[0])
            meaning = value["description"] + ("" if nested else _example(value))
            cells = [f"`{name}`", kind, default, *impact, _cell(meaning)]
            yield f"| {' | '.join(cells)} |"
        yield ""
        rules = list(_rules(schema))
        yield from rules
        if rules:
            yield ""

    def _type(self, schema: Schema) -> str:
        if "x-ref" in schema:
            kinds = schema["x-ref"] if isinstance(schema["x-ref"], list) else [schema["x-ref"]]
            return "name: " + " or ".join(f"[{kind}]({_file(kind)})" for kind in kinds)
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        if "x-unit" in schema:
            return _quantity(schema)
        if "x-format" in schema:
            return _FORMATS[schema["x-format"]]
        if "x-provider-schema" in schema:
            part = schema["x-provider-schema"]
            links = (f"[{item.name}]({_provider_file(item)}#{part})" for item in self.providers)
            return f"the provider's own: {', '.join(links)}"
        if "x-file" in schema:
            return "path of a file"
        if schema.get("x-sensitive"):
            return "text or `secretRef`" if "string" in schema["type"] else "`secretRef`"
        kind = schema.get("type")
        if kind == "array":
            return f"list of {self._type(self.resolved(schema['items']))}"
        if kind == "object" and isinstance(schema["additionalProperties"], dict):
            return f"map of {self._type(self.resolved(schema['additionalProperties']))}"
        if kind == "integer" and {"minimum", "maximum"} & schema.keys():
            most = f" to {schema['maximum']}" if "maximum" in schema else " or more"
            return f"integer, {schema['minimum']}{most}"
        if isinstance(kind, list):
            return str(schema.get("x-expected", " or ".join(kind)))
        return str(kind)


def _provider_defaults(provider: Description) -> Iterator[str]:
    """What fields mean that are left out, where their kinds leave that to the provider."""
    if not provider.defaults:
        return
    yield from (
        "## Defaults",
        "",
        "What a field means that is left out, where the schema leaves that to the provider:",
        "",
    )
    yield from ("| Kind | Field | Default |", "|---|---|---|")
    for kind, defaults in sorted(provider.defaults.items()):
        for path, value in _leaves(defaults):
            yield f"| [{kind}]({_file(kind)}) | `{path}` | `{_inline(value)}` |"
    yield ""


def _leaves(defaults: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in defaults.items():
        path = f"{above}[]" if name == "*" else f"{above}.{name}".lstrip(".")
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        else:
            yield path, value


def _quantity(schema: Schema) -> str:
    """A number with a unit, and its limits."""
    name = {"bytes": "size", "milliseconds": "duration"}[schema["x-unit"]]
    least, most, unit = (schema.get(f"x-{key}") for key in ("minimum", "maximum", "multiple"))
    limits = [f"{least} to {most}" if most else f"{least} or more"] if least else []
    limits += [f"whole {unit.lstrip('1')}"] if unit else []
    return ", ".join([name, *limits])


def _rules(schema: Schema) -> Iterator[str]:
    """The conditions of an object, in words."""
    if "x-expected" in schema and "maxProperties" in schema:
        yield f"- {schema['x-expected'].capitalize()}."
    for field, needed in schema.get("dependentRequired", {}).items():
        yield f"- `{field}` requires {_names(needed)}."
    for part in [schema, *schema.get("allOf", [])]:
        if "if" in part and "not" in part["if"]:
            missing, needed = part["if"]["not"]["required"], part["then"]["required"]
            yield f"- Without {_names(missing)}, {_names(needed)} is required."
        elif "if" in part:
            condition = _condition(part["if"])
            demanded = list(_demands(part["then"]))
            if demanded:
                yield f"- {condition} requires {_names(demanded)}."
            for field, needed in part["then"].get("dependentRequired", {}).items():
                yield f"- With {condition}, `{field}` requires {_names(needed)}."
        elif "not" in part and "x-expected" in part:
            yield f"- Only {part['x-expected'].removeprefix('only ')}."
    for rule in schema.get("x-rules", ()):
        yield f"- {rule}"


def _is_resource(kind: Schema) -> bool:
    return not (kind.get("x-stack") or kind.get("x-endpoint") or kind.get("x-policy"))


def _link(schema: Schema, path: str) -> str:
    """A type that leads to the table of the object at ``path``."""
    text = {"[]": "list", ".*": "map"}.get(path[-2:], "object")
    anchor = "".join(letter for letter in path.lower() if letter.isalnum())
    return f"[{text}](#{anchor})" + (f" by `{schema['x-set']}`" if "x-set" in schema else "")


def _condition(schema: Schema) -> str:
    return " and ".join(
        " or ".join(f"`{field}: {choice}`" for choice in value.get("enum", [value.get("const")]))
        for field, value in schema["properties"].items()
    )


def _demands(schema: Schema, prefix: str = "") -> Iterator[str]:
    yield from (prefix + name for name in schema.get("required", []))
    for name, inner in schema.get("properties", {}).items():
        yield from _demands(inner, f"{prefix}{name}.")


def _removal(kind: Schema) -> Iterator[str]:
    yield from ("## Removal", "")
    yield f"Removing the resource from the stack has the impact `{kind['x-impact-on-delete']}`."
    if "x-retention" in kind:
        field = kind["x-retention"]
        default = kind["properties"]["spec"]["properties"][field]["default"]
        given = f"`{field}: keep`" + (", the default," if default == "keep" else "")
        yield f"With {given} it is only forgotten, and stays on the endpoint as it is."
    if "x-borrowed" in kind:
        either = _names(kind["x-borrowed"]).replace(" and ", " or ")
        yield f"With {either} it is always only forgotten."
    yield ""


def _outputs(kind: Schema) -> Iterator[str]:
    yield from ("## Outputs", "")
    name = kind["examples"][0]["metadata"]["name"]
    first = next(iter(kind["x-computed"]))
    yield f"Other manifests use them in strings, such as `${{{kind['title']}/{name}.{first}}}`."
    yield from ("", "| Output | Type | Meaning |", "|---|---|---|")
    types = {"array": "list of strings", "object": "map of strings", "string": "string"}
    for output, schema in kind["x-computed"].items():
        yield f"| `{output}` | {types[schema['type']]} | {_cell(schema['description'])} |"
    yield ""


def _default(schema: Schema) -> str:
    return f"`{_inline(schema['default'])}`" if "default" in schema else ""


def _example(schema: Schema) -> str:
    if "enum" in schema or schema.get("type") == "boolean":
        return ""
    return f" Example: `{_inline(schema['examples'][0])}`"


def _inline(value: object) -> str:
    return value if isinstance(value, str) and "\n" not in value else json.dumps(value)


def _names(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _provider_file(provider: Description) -> str:
    return f"provider-{provider.name}.md"


def _file(kind: str) -> str:
    return f"{kind.lower()}.md"


def _read(path: Path) -> Schema:
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema


class _Indented(yaml.SafeDumper):
    """Indents lists below their key, as the worked stacks do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _yaml(document: object) -> str:
    text: str = yaml.dump(document, Dumper=_Indented, sort_keys=False, allow_unicode=True)
    return text


def _stale(folder: Path, pages: dict[str, str]) -> list[str]:
    """Names of pages that are missing, differ, or belong to no kind any more."""
    present = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}
    return sorted(name for name in {*pages, *present} if pages.get(name) != present.get(name))


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "manifests", metavar="FOLDER")
    options = parser.parse_args(arguments)
    pages = Reference(SCHEMAS).pages()
    stale = _stale(options.into, pages)
    if options.check:
        for name in stale:
            print(f"{options.into / name} is not what the schemas say: run scripts/reference")
        return 1 if stale else 0
    options.into.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in pages:
            (options.into / name).write_text(pages[name], encoding="utf-8")
        else:
            (options.into / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
