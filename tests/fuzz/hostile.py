"""Hostile manifests, for the fuzzing of the loader: real ones with something wrong, and texts made
of what YAML finds hard.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

ROOT = Path(__file__).resolve().parents[2]

PIECES = [
    *("&a ", "*a", "*b ", "<<: *a\n", "!!python/object/apply:os.system [x]", "!!int ", "!t ", "? "),
    *("- ", "-\n", ": ", ":\n", ",", "[", "]", "{", "}", "[[[[", "{{{{", "|\n", ">-\n", "|2+\n"),
    *("'", '"', "''", '"\\x"', '"\\u12"', "#", " #x\n", "%YAML 1.1\n", "%TAG ! x:\n", "---\n"),
    *("...\n", "\t", "\n", "\r", "\r\n", "\u0085", "\u2028", "\ufeff", "\x00", "\x07", "\ud7ff"),
    *("\U0001f600", "~", "null", "yes", "0o17", "1e999", "-.inf", ".nan", "1_000", "0x1F", "1:30"),
    *("9" * 400, "${", "${var.x}", "${Host/lab.x}", "${${x}}", "$${x}", "}" * 9, "a" * 2000),
    *("apiVersion: provisioner/v1\n", "kind: Disk\n", "kind: Stack\n", "metadata: {name: x}\n"),
    *("spec: {}\n", "spec:\n", "replicas: 1000000\n", "name: ../../x\n", "file: /dev/zero\n"),
    *("userDataFile: ../secret\n", "cidr: 0.0.0.0/0\n", "size: 99999999999TiB\n", "mac: ''\n"),
    "  " * 60 + "x:\n",
    "[" * 300,
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: [*d, *d]\n",
]


def _manifests() -> list[str]:
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "stacks").rglob("*.yaml"))]
    return [text for text in texts if len(text) < 20_000]


MANIFESTS = _manifests()


@st.composite
def damaged(draw: DrawFn) -> str:
    """A real manifest after some strokes with a brush that knows YAML."""
    text = draw(st.sampled_from(MANIFESTS))
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 60)))
        match draw(st.sampled_from(["put", "remove", "replace", "repeat", "move"])):
            case "put":
                text = text[:begin] + draw(st.sampled_from(PIECES)) + text[begin:]
            case "remove":
                text = text[:begin] + text[end:]
            case "replace":
                text = text[:begin] + draw(st.sampled_from(PIECES)) + text[end:]
            case "repeat":
                text = text[:end] + text[begin:end] * draw(st.integers(1, 200)) + text[end:]
            case "move":
                where = draw(st.integers(0, len(text)))
                text = text[:where] + text[begin:end] + text[where:]
    return text


PATCHWORK = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=60).map("".join)
"""Texts of hard pieces alone."""

FILES = st.one_of(
    damaged().map(lambda text: text.encode("utf-8", "surrogatepass")),
    PATCHWORK.map(lambda text: text.encode("utf-8", "surrogatepass")),
    damaged().map(lambda text: text.encode("utf-16")),
    st.binary(max_size=400),
)
"""The content of a manifest file."""
