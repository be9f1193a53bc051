"""Known secrets are found in the forms in which others write them."""

import base64
import html
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from provisioner.core.diagnostics import error, quoted, shortened
from provisioner.core.redaction import Redactor
from provisioner.core.values import Secret

HARD = 'pa\'ss "w\u00f6rd" <&/+>\\$x'
LONG = "0123456789abcdef" * 20
LINES = "#cloud-config\npassword: 'hunter2-0f4c'\nuser: a\n"
KEY = "file://key"


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.learn(Secret(value, KEY))
    return redactor


FORMS: dict[str, Callable[[str], str]] = {
    "itself": str,
    "repr": repr,
    "repr of bytes": lambda value: repr(value.encode()),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "URL": lambda value: quote(value, safe=""),
    "path": quote,
    "form": quote_plus,
    "XML": html.escape,
    "XML text": lambda value: html.escape(value, quote=False),
    "shell": shlex.quote,
    "hexadecimal": lambda value: value.encode().hex(),
    "quoted": quoted,
    "shortened": shortened,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [HARD, LINES, LONG], ids=["hard", "lines", "long"])
def test_a_form_is_replaced(form: str, value: str) -> None:
    said = FORMS[form](value)
    cleaned = knowing(value).text(f"<<{said}>>")
    assert "(secret file://key)" in cleaned
    assert len(cleaned) <= len("<<''(secret file://key)''>>") + 1


@pytest.mark.parametrize("user", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("value", [HARD, "\u00ff?>" * 7, "abcdefgh"])
def test_base64_is_found_wherever_the_secret_begins(
    user: str, encode: Callable[[bytes], bytes], value: str
) -> None:
    whole = encode(f"{user}{value}".encode()).decode()
    cleaned = knowing(value).text(whole)
    assert "(secret file://key)" in cleaned
    # What is left are characters that hold something else, too, and padding.
    left = cleaned.replace("(secret file://key)", "").rstrip("=")
    assert len(left) <= len(encode(user.encode()).decode().rstrip("=")) + 2


def test_each_line_of_a_secret_is_one() -> None:
    redactor = knowing(LINES)
    assert "line 2: (secret file://key)!" == redactor.text("line 2: password: 'hunter2-0f4c'!")
    assert "user: a" == redactor.text("user: a")


def test_a_secret_that_holds_another_goes_first() -> None:
    redactor = knowing("inner-one")
    redactor.learn(Secret("<inner-one>", "env://OUTER"))
    assert "(secret env://OUTER) (secret file://key)" == redactor.text("<inner-one> inner-one")


def test_what_is_short_is_left_alone_and_longer_in_data() -> None:
    redactor = knowing("abc", "root", "hunter2-0f4c")
    assert "abc (secret file://key)" == redactor.text("abc root")
    assert "root (secret file://key)" == redactor.data("root hunter2-0f4c")


def test_a_diagnostic_is_cleaned_in_all_its_words() -> None:
    item = error("PRV1", "s root", detail="d root", hint="h root", address="Host/root")
    said = "(secret file://key)"
    assert error(
        "PRV1", f"s {said}", detail=f"d {said}", hint=f"h {said}", address="Host/root"
    ) == knowing("root").diagnostic(item)


def test_nothing_is_done_where_nothing_is_known() -> None:
    item = error("PRV1", "s root")
    assert item is Redactor().diagnostic(item)
    assert (True, False) == (Redactor().is_idle, knowing("root").is_idle)


@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("quoted", "shortened")])
@pytest.mark.parametrize("value", [HARD, LINES, LONG], ids=["hard", "lines", "long"])
def test_a_secret_in_data_is_noticed(form: str, value: str) -> None:
    data = FORMS[form](value).encode()
    assert knowing(value).is_in(b"\xff\x00" + data + b"\x00\xff")


def test_data_without_a_secret_hold_none() -> None:
    assert not knowing(HARD).is_in(HARD[:-1].encode())
    assert not knowing("hunter2").is_in(b"hunter2"), "short words stand everywhere by chance"
    assert not Redactor().is_in(HARD.encode())
