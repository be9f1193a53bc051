"""Plain scalars mean what YAML 1.2 and common sense say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.manifest.scalars import needs_quotes, resolve

TEXT = [
    "52:54:00:12:34:56", "1:30", "190:20:30", "no", "No", "NO", "on", "off", "yes", "y", "n",
    "0755", "0o8", "1_000", "0b1010", "2024-01-01", "2001-12-14t21:59:43.10-05:00", "1.2.3",
    "10.20.0.0/24", "4GiB", ".5GB", "+", "-", ".", "..", "1e", "0x", "0xg", "12e03x", "nUll",
    "tRUE", "00", "-01", "01.5", "+.inf.x", "<<x", "=", "1,000", "٣", "²",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_stays_text(text):
    assert text == resolve(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None),
        ("true", True), ("True", True), ("TRUE", True),
        ("false", False), ("False", False), ("FALSE", False),
        ("0", 0), ("-0", 0), ("+7", 7), ("-19", -19), ("12345", 12345),
        ("0o17", 15), ("0x1F", 31), ("0xff", 255),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
        ("1.5", 1.5), ("-.5", -0.5), (".25e2", 25), ("1e3", 1000), ("2.0", 2), ("1.", 1),
        ("12e-1", 1.2), ("1E+2", 100), ("1e300", 1e300),
    ],
)  # fmt: skip
def test_is_a_value(text, value):
    assert value == resolve(text)
    assert type(value) is type(resolve(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (".inf", "not finite"), ("-.Inf", "not finite"), (".NaN", "not finite"),
        ("1e999", "too large"), ("9" * 401 + ".5", "too large"),
        ("9223372036854775808", "64 bits"), ("0x" + "f" * 17, "64 bits"), ("9" * 5000, "64 bits"),
    ],
)  # fmt: skip
def test_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        resolve(text)


@given(st.one_of(st.sampled_from([*TEXT, "true", "1", "1.5", "~", "4GiB"]), st.text()))
def test_what_needs_no_quotes_stays_text(text):
    if not needs_quotes(text):
        assert text == resolve(text)
