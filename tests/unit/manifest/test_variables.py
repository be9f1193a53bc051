"""Variables: their types, where their values come from, and how they are put in."""

import json
import re

import pytest

from provisioner.core.address import Address
from tests.unit.manifest.stacks import BASE, POOL, catalog, check, errors_of, load_stack, one, write

STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec:
  variables:
    text: {type: string, default: hello}
    count: {type: integer, default: 2}
    ratio: {type: number, default: 1.5}
    flag: {type: boolean, default: true}
    size: {type: size, default: 1GiB}
    wait: {type: duration, default: 30s}
  environments:
    dev: {}
    prod:
      variables: {count: 3, size: 8GiB}
---
"""
MACHINE = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata:
  name: web
  labels: {a: "${var.text}", b: "${var.count}", c: "${var.flag}", d: "x-${var.ratio}-y"}
spec:
  cpu: {count: "${var.count}"}
  memory: {size: "${var.size}"}
  autostart: ${var.flag}
  shutdownTimeout: ${var.wait}
"""
WEB = Address("VirtualMachine", "web")


def spec(folder, environment=None, **variables):
    stack = load_stack(folder, {"main.yaml": STACK + MACHINE}, environment, **variables)
    return stack.declarations[WEB].spec


def test_a_whole_text_becomes_the_typed_value(tmp_path):
    assert {
        "cpu": {"count": 2},
        "memory": {"size": 2**30},
        "autostart": True,
        "shutdownTimeout": 30_000,
        "labels": {"a": "hello", "b": "2", "c": "true", "d": "x-1.5-y"},
    } == spec(tmp_path)


def test_the_environment_goes_before_the_default(tmp_path):
    found = spec(tmp_path, "prod")
    assert (3, 2**33) == (found["cpu"]["count"], found["memory"]["size"])


def test_the_command_line_goes_before_the_environment(tmp_path):
    found = spec(tmp_path, "prod", count="5", flag="false", ratio="2", text="${var.count}")
    assert 5 == found["cpu"]["count"]
    assert found["autostart"] is False
    assert {"a": "${var.count}", "b": "5", "c": "false", "d": "x-2-y"} == found["labels"]


def test_the_command_line_may_give_typed_values(tmp_path):
    assert 4 == spec(tmp_path, count=4)["cpu"]["count"]


@pytest.mark.parametrize(
    ("name", "value", "code", "summary"),
    [
        ("count", "two", "PRV1212", "was given 'two', expected a whole number"),
        ("count", "1.5", "PRV1212", "expected a whole number"),
        ("count", True, "PRV1212", "was given true, expected a whole number"),
        ("flag", "yes", "PRV1212", "expected true or false"),
        ("size", "4", "PRV1212", "expected a size with a unit"),
        ("wait", "30", "PRV1212", "expected a duration with a unit"),
        ("counts", "2", "PRV1211", "there is no variable 'counts'"),
    ],
)
def test_a_wrong_value_on_the_command_line(tmp_path, name, value, code, summary):
    write(tmp_path, {"main.yaml": STACK + MACHINE})
    found = [item for item in errors_of(tmp_path, **{name: value}) if item.source is None]
    assert [code] == [item.code for item in found]
    assert summary in found[0].summary


def test_a_wrong_value_on_the_command_line_hides_nothing_else(tmp_path):
    write(tmp_path, {"main.yaml": STACK + MACHINE.replace("web", "Web")})
    assert ["PRV1212", "PRV1107"] == [item.code for item in errors_of(tmp_path, count="x")]


def test_wrong_values_in_the_stack(tmp_path):
    check(
        tmp_path,
        """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec:
          variables:
            count: {type: integer, default: §two}
            §needed: {type: size}
          environments:
            prod:
              variables: {§coun: 3, needed: §12}
        """,
        "PRV1212", "PRV1213", "PRV1211", "PRV1212",
    )  # fmt: skip


def test_a_required_variable_is_named_with_the_ways_to_give_it(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec:
          variables:
            §domain: {type: string}
          environments: {prod: {}}
        """
    found = one(tmp_path, text, "PRV1213", environment="prod")
    assert "--var domain=" in found.hint
    assert "spec.environments.prod.variables" in found.hint
    check(tmp_path, text.replace("§", ""), environment="prod", domain="shop.example")


def test_a_variable_that_only_environments_give_leads_to_them(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec:
          variables:
            §stage: {type: string}
          environments:
            dev: {variables: {stage: dev}}
            prod: {variables: {stage: prod}}
            other: {}
        """
    found = one(tmp_path, text, "PRV1213")
    assert found.hint.startswith(
        "Choose an environment that gives it one: --env dev or --env prod."
    )
    assert "--env" not in one(tmp_path, text, "PRV1213", environment="other").hint


def test_an_unknown_variable_is_marked_within_the_text(tmp_path):
    text = STACK + MACHINE.replace("x-${var.ratio}-y", "x-§${var.ration}-y")
    found = one(tmp_path, text, "PRV1220")
    assert "'${var.ratio}'" in found.hint
    assert found.source is not None
    assert len("${var.ration}") == found.source.length


def test_an_unknown_variable_does_not_break_the_type_of_its_field_too(tmp_path):
    check(
        tmp_path,
        STACK + MACHINE.replace('count: "${var.count}"', 'count: "§${var.counts}"'),
        "PRV1220",
    )


def test_a_variable_of_the_wrong_type_is_shown_where_it_is_used(tmp_path):
    text = STACK + MACHINE.replace('count: "${var.count}"', 'count: §"${var.text}"')
    assert "found 'hello', expected a whole number" == one(tmp_path, text, "PRV1104").summary


def test_other_dollars_stay_as_they_are(tmp_path):
    shell = "echo ${HOME} ${x:-y} $${var.text} $$${var.text} ${A/b.c} $(date) ${#x} ${var.text}"
    text = MACHINE + f"  cloudInit:\n    userData: |\n      {shell}\n"
    stack = load_stack(tmp_path, {"main.yaml": STACK + text})
    assert (
        "echo ${HOME} ${x:-y} ${var.text} $${var.text} ${A/b.c} $(date) ${#x} hello\n"
        == stack.declarations[WEB].spec["cloudInit"]["userData"]
    )


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("${vars.text}", "did you mean 'var'?"),
        ("${VAR.text}", "did you mean 'var'?"),
        ("${text}", "did you mean ${var.text}?"),
        ("${var}", "a variable is ${var.NAME}"),
        ("${replica}", "the number is ${replica.index}"),
        ("${VirtualMachin/db.address}", "did you mean 'VirtualMachine'?"),
        ("${disk/d.path}", "did you mean 'Disk'?"),
        ("${DISK/d.path}", "did you mean 'Disk'?"),
        ("${Foo/x.y}", "there is no kind 'Foo'"),
        ("${Disk/d}", "an output is ${Disk/NAME.OUTPUT}"),
        ("${Disk/d.}", "an output is ${Disk/NAME.OUTPUT}"),
        ("${var.text", "its '}' is missing"),
        ("${var.text and ${var.size}", "its '}' is missing"),
        ("${replica.index\n", "its '}' is missing"),
        ("${Disk/d.path {}", "its '}' is missing"),
    ],
)
def test_what_looks_like_a_mistake_is_left_alone_with_a_warning(tmp_path, text, doubt):
    machine = MACHINE + f"  description: {json.dumps('a ' + text)}\n"
    stack = load_stack(tmp_path, {"main.yaml": STACK + machine})
    (found,) = stack.warnings
    literal = re.split(r"(?<=})|[ \n]", text)[0]
    assert ("PRV1224", f"{literal} is left as it is: {doubt}") == (found.code, found.summary)
    assert found.source is not None
    assert literal == found.source.text[found.source.column - 1 :][: found.source.length]
    assert "a " + text.replace("${var.size}", "1GiB") == stack.declarations[WEB].spec["description"]


@pytest.mark.parametrize(
    "text",
    [
        "${HOME} ${x:-y} ${x:-/dev/null} ${A/b.c} ${FOO/x.y} ${image/old/new} ${image/.raw}",
        "${x%.*} ${#x} ${path.name} ${1} ${} ${a b} $${var} $${var.text} $${Disk/d} ${Foo/x}",
        "$${var.text ${x",
    ],
)
def test_what_shells_write_is_left_alone_in_silence(tmp_path, text):
    machine = MACHINE + f"  cloudInit: {{userData: {json.dumps(text)}}}\n"
    assert () == load_stack(tmp_path, {"main.yaml": STACK + machine}).warnings


@pytest.mark.parametrize("environment", ["prd", "nothing"])
def test_an_unknown_environment(tmp_path, environment):
    text = STACK.replace("environments", "§environments") + MACHINE
    found = one(tmp_path, text, "PRV1203", environment=environment)
    assert ("'prod'" in found.hint) == (environment == "prd")


def test_the_environment_is_part_of_the_stack(tmp_path):
    stack = load_stack(tmp_path, {"main.yaml": STACK + MACHINE}, "dev")
    assert ("shop", "dev") == (stack.name, stack.environment)


def test_no_stack_manifest(tmp_path):
    write(
        tmp_path,
        {
            "main.yaml": "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: lab}\nspec: "
            "{provider: kvm}\n"
        },
    )
    assert ["PRV1201"] == [item.code for item in errors_of(tmp_path)]


def test_a_stack_that_says_nothing_but_its_name(tmp_path):
    stack = BASE.replace("spec: {}\n", "")
    assert "shop" == load_stack(tmp_path, {"main.yaml": stack}).name


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("{name: shop}", "{name: §'${var.text}'}", "PRV1107"),
        ("spec:\n", "spec:\n  defaults: {host: §'${var.text}'}\n", "PRV1107"),
        ("spec:\n", "spec:\n  policy: {maxImpact: §'${var.text}'}\n", "PRV1106"),
        ("default: 1GiB", "default: §'${var.text}'", "PRV1212"),
    ],
)
def test_nothing_is_replaced_in_the_stack_manifest(tmp_path, old, new, code):
    found = one(tmp_path, STACK.replace(old, new, 1) + MACHINE.replace("${var.size}", "1GiB"), code)
    assert "'${var.text}'" in found.summary
    assert "Nothing is replaced in" in found.hint


def test_placeholders_in_values_are_left_as_they_are_with_a_warning(tmp_path):
    text = STACK.replace("hello", "'a ${var.size}'").replace("size: 8GiB", "text: '${Network/x.y}'")
    text = text.replace("default: 2}", "default: 2, description: 'as ${var.size}'}")
    stack = load_stack(tmp_path, {"main.yaml": text + MACHINE})
    assert "a ${var.size}" == stack.declarations[WEB].spec["labels"]["a"]
    assert [("PRV1224", 6), ("PRV1224", 15)] == [
        (item.code, item.source.line) for item in stack.warnings if item.source
    ]


def test_a_value_that_looks_like_a_placeholder_is_no_size(tmp_path):
    text = STACK.replace("hello", "'${var.size}'")
    found = one(tmp_path, text + MACHINE.replace('"${var.size}"', '§"${var.text}"'), "PRV1107")
    assert "found '${var.size}', expected a size" in found.summary
    assert "value of a variable" in found.hint


def test_two_stack_manifests(tmp_path):
    one = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: shop}\nspec: {}\n"
    check(tmp_path, one + "---\n§" + one, "PRV1202")


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("§variable: {text: {type: string}}", "PRV1103"),
        ("§vars: {text: string}", "PRV1103"),
        ("§variables: [text]", "PRV1104"),
        ("variables: §!include all", "PRV1015"),
    ],
)
def test_where_variables_cannot_be_read_none_is_unknown(tmp_path, section, code):
    stack = STACK.split("  variables", maxsplit=1)[0]
    check(tmp_path, f"{stack}  {section}\n---\n{MACHINE}", code)


EVERYTHING = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop, §lables: {}}
spec:
  variables:
    size: {type: size, default: 1GiB}
    §needed: {type: string}
    given: {type: string}
  §environments:
    dev: {variables: {§undeclared: 1, given: x}}
  policy: {maxImpact: §foo}
  defaults: {§hots: lab}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {name: root}
spec: {pool: §nowhere, size: "§${var.nope}"}
"""


def test_no_mistake_in_the_stack_hides_others(tmp_path):
    codes = ["PRV1103", "PRV1213", "PRV1203", "PRV1211", "PRV1106", "PRV1103", "PRV1301", "PRV1220"]
    check(tmp_path, EVERYTHING, *codes, environment="prd")
    text = EVERYTHING.replace("§environments", "environments")
    check(tmp_path, text, *[code for code in codes if code != "PRV1203"], environment="dev")
    codes[2:3] = ["PRV1213"]
    text = text.replace("    given:", "    §given:")
    found = check(tmp_path, text, *sorted(codes[:3]), *codes[3:])
    assert ["needed", "given"] == [item.summary.split("'")[1] for item in found[1:3]]


def test_an_unknown_environment_hides_nothing(tmp_path):
    text = EVERYTHING.replace(", §lables: {}", "").replace("§foo", "live").replace("§hots", "host")
    codes = ["PRV1213", "PRV1203", "PRV1211", "PRV1301", "PRV1220"]
    check(tmp_path, text, *codes, environment="prd")


def test_the_catalog_is_the_installed_one():
    assert ["Stack", "Host", "Network", "StoragePool"] == list(catalog().kinds)[:4]


def test_a_damaged_stack_manifest_still_says_what_it_says(tmp_path):
    two = BASE.split("---\n")[1].replace("lab", "two")
    stack = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec:
  variables: {n: {type: integer, default: 3}, §m: {default: 4}}
  environments: {prod: {overlays: {StoragePool/images: {spec: {path: §relative}}}}}
  defaults: {hots: lab}
---
"""
    pool = POOL.replace("/images", "'/${var.n}/${var.m}/${var.o}'")
    text = stack.replace("hots", "§hots") + two + "---\n" + BASE.split("---\n")[1] + "---\n" + pool
    check(tmp_path, text, "PRV1105", "PRV1107", "PRV1103", environment="prod")
