"""Text that is no strict YAML: the exact place and code of each mistake."""

import pytest

from provisioner.manifest.placeholders import UNREADABLE
from tests.unit.manifest.stacks import (
    BASE,
    POOL,
    check,
    errors,
    errors_of,
    load_stack,
    one,
    places,
    write,
)

HEAD = "apiVersion: provisioner/v1\nkind: Network\n"


@pytest.mark.parametrize(
    ("text", "code", "summary"),
    [
        (HEAD + "metadata:\n§\tname: lan\n", "PRV1011", "a tab is used for indentation"),
        (HEAD + "metadata:\n  name: lan\nspec:\n  §\tmode: nat\n", "PRV1011", "a tab is used"),
        (HEAD + "metadata:\n  name: lan\n§\tlabels: {}\n", "PRV1011", "a tab is used"),
        (HEAD + "metadata: {name: lan}\n§kind: Disk\n", "PRV1012", "the key 'kind' is given twice"),
        ('a: 1\nb:\n  c: 1\n  §"c": 2\n', "PRV1012", "the key 'c' is given twice"),
        ("a: {b: 1, §b: 2}\n", "PRV1012", "the key 'b' is given twice"),
        ("a:\n  §1: x\n", "PRV1013", "the key '1' is a number"),
        ("a:\n  §true: x\n", "PRV1013", "the key 'true' is a truth value"),
        ("a:\n  §~: x\n", "PRV1013", "the key '~' is empty"),
        ("? §[a]\n: 1\n", "PRV1013", "a key has to be plain text"),
        ("a: {§{ x }}\n", "PRV1013", "a key has to be plain text"),
        ("§&k a: 1\n", "PRV1013", "an anchor on a key"),
        ("a: &x {b: 1}\nc:\n  §<<: *x\n", "PRV1014", "merge keys"),
        ("a: §!!str 1\n", "PRV1015", "the tag '!!str'"),
        ("a: §!local 1\n", "PRV1015", "the tag '!local'"),
        ("a: §!e!x 1\n", "PRV1015", "tags are not supported"),
        ("a: §*nowhere\n", "PRV1016", "there is no anchor '&nowhere'"),
        ("a: &x [§*x]\n", "PRV1016", "stands inside of what it refers to"),
        ("a: §.inf\n", "PRV1021", "not finite"),
        ("a: §123456789012345678901234567890\n", "PRV1021", "does not fit into 64 bits"),
        ("§%YAML 1.1\n---\na: 1\n", "PRV1022", "YAML 1.1"),
        ("a: §'open\nb: 1\n", "PRV1010", "a quote is opened here and never closed"),
        ('a: §"open\n', "PRV1010", "a quote is opened here and never closed"),
        ("a: §[1, 2\nb: 3\n", "PRV1010", "the list that is opened here"),
        ("a: §{b: 1\nc: 3\n", "PRV1010", "the mapping that is opened here"),
        ("a: §[\n---\n", "PRV1010", "the list that is opened here is not closed"),
        ("a: [1, §{\n---\n", "PRV1010", "the mapping that is opened here is not closed"),
        ("a: §[x,\n\n", "PRV1010", "the list that is opened here is not closed"),
        ("a: b§: c\n", "PRV1010", "':' where no field can begin"),
        ("a: 1\n  b§: 2\n", "PRV1010", "':' where no field can begin"),
        ("a:\n  - 1\n §b: 2\n", "PRV1010", "does not fit into the block"),
        ("a: 'x'§y\n", "PRV1010", "does not fit into the block"),
        ("a: §- b\n", "PRV1010", "a list cannot begin in the middle of a line"),
        ("- a\n§b: 1\n", "PRV1010", "a list element without '- '"),
        ("a: §@home\n", "PRV1010", "text cannot begin with '@'"),
        ("a: §%x\n", "PRV1010", "text cannot begin with '%'"),
        ('a: "§\\q"\n', "PRV1010", "unknown escape"),
        ('a: "\\u§d800"\n', "PRV1010", "this escape stands for no character"),
        ('a: "\\x§0g"\n', "PRV1010", "an escape with too few hexadecimal digits"),
        ("a: |§x\n  text\n", "PRV1010", "text after '|'"),
        ("a: §*\n", "PRV1010", "has to be quoted"),
        ("a: §]\n", "PRV1010", "a value is expected here"),
        (POOL + "...\n§b: 2\n", "PRV1010", "text after the end of a document"),
        ("§- a\n- b\n", "PRV1100", "found a list, expected a manifest"),
        ("§just text\n", "PRV1100", "found 'just text', expected a manifest"),
    ],
)
def test_a_mistake_has_its_place(tmp_path, text, code, summary):
    assert summary in one(tmp_path, text, code).summary


def test_the_line_is_quoted_and_the_length_known(tmp_path):
    found = one(tmp_path, "a: 1\nb: {c: 1, §c: 2}  # twice\n", "PRV1012")
    assert found.source is not None
    assert "b: {c: 1, c: 2}  # twice" == found.source.text
    assert 1 == found.source.length
    assert ["main.yaml:2:5"] == [
        f"{place.file[-9:]}:{place.line}:{place.column}" for place in found.related
    ]


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_line_breaks_of_yaml_1_1_are_text(tmp_path, character):
    """In YAML 1.2 they neither end a comment, nor a line, nor become a space."""
    text = f"# a {character}b: c\n" + POOL.replace("/images", f"/a{character} b{character}c")
    broken = POOL.replace("images}", "more}").replace("dir", "§dire")
    check(tmp_path, f"{text}---\n{broken}", "PRV1106")
    (tmp_path / "main.yaml").unlink()
    stack = load_stack(tmp_path, {"a.yaml": text})
    assert [f"/a{character} b{character}c"] == [
        item.spec["path"] for item in stack.declarations.values()
    ]


def test_every_mistake_of_every_document_in_one_run(tmp_path):
    files = {
        "a.yaml": "a: 'x\n---\nb: [\n---\nkind: Networks\n",
        "b.yaml": "a: 1\na: 2\n---\n" + POOL.replace("type", "typ"),
        "c.yml": "a:\n\tx: 1\n",
    }
    assert [
        "PRV1010 a.yaml:1:4",
        "PRV1010 a.yaml:3:4",
        "PRV1102 a.yaml:5:7",
        "PRV1012 b.yaml:2:1",
        "PRV1103 b.yaml:7:8",
        "PRV1011 c.yml:2:1",
    ] == places(tmp_path, errors(tmp_path, files))


def test_what_strict_yaml_refuses_hides_no_other_mistake(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: VirtualMachine
        metadata: {name: web, §lables: {}}
        spec:
          cpu: {count: §99999999999999999999, model: &model host-model}
          autostart: §on
          power: §off
          memory:
            size: 1GiB
            §size: 2GiB
            max: §1_000MiB
          description: §!text x
          firmware: {§<<: *model, type: uefi}
          nics:
            - {name: a, network: §lam, model: §*modell}
            - {network: §lan2, §1: x}
          §disk: []
        """
    codes = [
        "PRV1103", "PRV1021", "PRV1104", "PRV1106", "PRV1012", "PRV1107", "PRV1015", "PRV1014",
        "PRV1301", "PRV1016", "PRV1105", "PRV1301", "PRV1013", "PRV1103",
    ]  # fmt: skip
    check(tmp_path, text.replace("- {network", "- §{network"), *codes)


def test_what_a_merge_key_brings_is_not_missing(tmp_path):
    machine = HEAD.replace("Network", "VirtualMachine")
    text = machine + "metadata: {name: web, labels: &m {memory: x, other: y}}\nspec: {§<<: *m}\n"
    check(tmp_path, text, "PRV1014")


def test_what_stands_for_the_unreadable_is_a_text_like_any_other(tmp_path):
    stack = BASE.replace("spec: {}", f"spec: {{policy: {{maxImpact: §'{UNREADABLE}'}}}}")
    text = stack + "---\n" + POOL.replace("/images", f"'§{UNREADABLE}'")
    check(tmp_path, text, "PRV1106", "PRV1220")


def test_a_kind_that_could_not_be_read_is_not_unknown_too(tmp_path):
    check(tmp_path, "apiVersion: provisioner/v1\nkind: Disk\n§kind: Network\n", "PRV1012")


def test_an_unknown_kind_in_a_document_that_is_refused(tmp_path):
    check(tmp_path, "kind: §Netwrk\nmetadata: {name: a, §name: b}\n", "PRV1102", "PRV1012")


def test_a_hundred_levels(tmp_path):
    text = HEAD + "metadata: {name: lan}\nspec: " + "[" * 63 + "§[" + "[" * 36 + "]" * 100 + "\n"
    assert "64 levels" in one(tmp_path, text, "PRV1018").summary


def test_sixty_four_levels_are_no_matter_of_depth(tmp_path):
    text = HEAD + "metadata: {name: lan}\n§spec: " + "[" * 63 + "]" * 63 + "\n"
    assert "found a list" in one(tmp_path, text, "PRV1104").summary


def test_a_hundred_thousand_levels(tmp_path):
    write(tmp_path, {"main.yaml": BASE + "---\na: " + "[" * 100_000 + "\n"})
    (found,) = errors_of(tmp_path)
    assert found.code in {"PRV1010", "PRV1018"}


def test_an_alias_bomb(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]"
        for last, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    write(tmp_path, {"main.yaml": BASE + "---\n" + "\n".join(lines) + "\n"})
    assert ["PRV1017 main.yaml:16:20"] == places(tmp_path, errors_of(tmp_path))


def test_too_many_values(tmp_path):
    write(tmp_path, {"main.yaml": BASE + "---\n- " + "[" + "1," * 500_001 + "]\n"})
    assert ["PRV1019"] == [item.code for item in errors_of(tmp_path)]


def test_a_control_character(tmp_path):
    found = one(tmp_path, HEAD + "metadata:\n  name: la§\x07n\n", "PRV1007")
    assert "U+0007" in found.summary


def test_strings_that_yaml_1_1_would_read_otherwise(tmp_path):
    check(
        tmp_path,
        """\
        apiVersion: provisioner/v1
        kind: StoragePool
        metadata:
          name: no
          labels: {port: 1:30, mode: 0755, when: 2024-01-01, many: 1_000, answer: off}
        spec: {type: dir, path: /on}
        """,
    )
