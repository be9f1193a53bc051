"""Says in plain words what is wrong where the YAML parser gave up.

Called by :mod:`provisioner.manifest.documents`. The parsers (libyaml and PyYAML's own) word the
same problem in different ways; the table below knows both and falls back to the parser's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, SourceRange, error
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import SyntaxFailure


class _Rule(NamedTuple):
    """``problem`` and ``context`` are looked for in the parser's words. ``opening``: the place
    meant is where the construct began.
    """

    problem: str
    summary: str
    hint: str
    context: str = ""
    opening: bool = False
    code: str = "PRV1010"


_INDENTATION = (
    "Check the indentation of this line and of the one above; "
    "quote the whole of a value that goes on after a closing quote."
)
_RULES = (
    _Rule(
        "end of stream|document indicator|document separator",
        "a quote is opened here and never closed",
        "Close it with the same quote before the document ends.",
        context="quoted scalar",
        opening=True,
    ),
    _Rule(
        "',' or ']'",
        "the list that is opened here is not closed",
        "Close it with ']', with ',' between its elements; within [...] put ${...} in quotes.",
        opening=True,
    ),
    _Rule(
        "',' or '}'",
        "the mapping that is opened here is not closed",
        "Close it with '}', with ',' between its fields; within {...} put ${...} in quotes.",
        opening=True,
    ),
    _Rule(
        "mapping values are not allowed",
        "':' where no field can begin",
        "Put text that contains ': ' in quotes, or mend the indentation of this line.",
    ),
    _Rule(
        "could not find expected ':'",
        "a line without ':' where a field is expected",
        "Write 'key: value', or indent the line if it belongs to the text above.",
        opening=True,
    ),
    _Rule(
        "expected key|expected <block end>",
        "this does not fit into the block that it stands in",
        _INDENTATION,
        context="block mapping",
    ),
    _Rule(
        "expected '-' indicator|expected <block end>",
        "a list element without '- '",
        "Begin each element of the list with '- ', in the same column.",
        context="block collection",
    ),
    _Rule(
        "sequence entries are not allowed",
        "a list cannot begin in the middle of a line",
        "Write each '- ' element on a line of its own below the key, or use [a, b].",
    ),
    _Rule(
        "unknown escape character",
        "unknown escape in double quotes",
        "Use single quotes, where a backslash means itself, or double the backslash.",
    ),
    _Rule(
        "invalid Unicode character",
        "this escape stands for no character",
        "Write the character itself; one beyond U+FFFF is \\U and eight digits, not two \\u.",
    ),
    _Rule(
        "hexdecimal number|hexadecimal number",
        "an escape with too few hexadecimal digits",
        "\\x takes two, \\u four and \\U eight; a backslash that means itself is doubled.",
    ),
    _Rule(
        "alphabetic or numeric character",
        "text that begins with '*' or '&' has to be quoted",
        "Put it in quotes.",
        opening=True,
    ),
    _Rule(
        "undefined tag handle",
        "tags are not supported",
        "Remove the tag ('!...'); put text that begins with '!' in quotes.",
        code="PRV1015",
    ),
    _Rule(
        "<document start>",
        "text after the end of a document",
        "Begin the next document with a line '---'.",
    ),
    _Rule(
        "incompatible YAML",
        "the %YAML directive asks for a version that is not supported",
        "Remove the directive: manifests are YAML 1.2.",
        code="PRV1022",
    ),
    _Rule(
        "comment or line break|chomping or indentation",
        "text after '|' or '>'",
        "Begin the text on the next line, indented.",
        context="block scalar",
    ),
    _Rule(
        "node content",
        "a value is expected here",
        "Put text that begins with ',', ']', '}' or '%' in quotes.",
    ),
)
_TAB_HINT = "Indent with spaces: YAML does not allow tabs there (YAML 1.2.2, section 6.1)."
_LEADING_TAB = re.compile(r"[ -]*\t")


def explain(
    failure: SyntaxFailure, file: SourceFile, open_brackets: Sequence[int] = ()
) -> Diagnostic:
    """The diagnostic for a place where the parser gave up (PRV1010, PRV1011, PRV1015, PRV1022).

    ``open_brackets``: where brackets stand that are open there, the innermost first.
    """
    tab = _tab_at(failure, file)
    if tab is not None:
        return error(
            "PRV1011",
            "a tab is used for indentation",
            source=file.range_of(tab),
            hint=_TAB_HINT,
        )
    if "cannot start any token" in failure.problem:
        character = file.text[failure.offset : failure.offset + 1]
        return error(
            "PRV1010",
            f"text cannot begin with {character!r}",
            source=file.range_of(failure.offset),
            hint="Put it in quotes.",
        )
    if "node content" in failure.problem and _ends_at(file, failure.offset):
        if open_brackets:
            return _unclosed(file, open_brackets[0])
        return error(
            "PRV1010",
            "the document ends where a value is expected",
            source=_range(file, failure.offset),
            hint="Write the value.",
        )
    for rule in _RULES:
        if _any(rule.problem, failure.problem) and rule.context in failure.context:
            return _by_rule(rule, failure, file)
    words = failure.problem + (f" ({failure.context})" if failure.context else "")
    return error(
        "PRV1010",
        "this is not valid YAML",
        detail=f"The parser says: {words}.",
        source=_range(file, failure.offset),
        hint=_INDENTATION,
    )


def _unclosed(file: SourceFile, bracket: int) -> Diagnostic:
    what, close = ("list", "]") if file.text[bracket] == "[" else ("mapping", "}")
    return error(
        "PRV1010",
        f"the {what} that is opened here is not closed",
        source=file.range_of(bracket),
        hint=f"Close it with '{close}' before the document ends.",
    )


def _by_rule(rule: _Rule, failure: SyntaxFailure, file: SourceFile) -> Diagnostic:
    end = _range(file, failure.offset)
    opening = _range(file, failure.context_offset) if failure.context_offset >= 0 else None
    detail = ""
    if rule.opening and opening is not None and opening.line != end.line:
        detail = f"Something else was found on line {end.line}, column {end.column}."
        if failure.offset >= file.end:
            detail = "The file ends before it is closed."
    elif opening is not None and not rule.opening and opening.line != end.line:
        detail = f"The block begins on line {opening.line}, column {opening.column}."
    source = opening if rule.opening and opening is not None else end
    return error(rule.code, rule.summary, detail=detail, source=source, hint=rule.hint)


def _range(file: SourceFile, index: int) -> SourceRange:
    return file.range_of(min(index, file.end))


def _any(alternatives: str, text: str) -> bool:
    return any(part in text for part in alternatives.split("|"))


def _ends_at(file: SourceFile, offset: int) -> bool:
    return offset >= file.end or file.text.startswith(("---", "..."), offset)


def _tab_at(failure: SyntaxFailure, file: SourceFile) -> int | None:
    """The tab that the failure is about: where the parser stopped, or in the indentation of that
    line.
    """
    if file.text[failure.offset : failure.offset + 1] == "\t":
        return failure.offset
    start = file.text.rfind("\n", 0, failure.offset) + 1
    match = _LEADING_TAB.match(file.text, start)
    return match.end() - 1 if match is not None and match.end() <= failure.offset + 1 else None
