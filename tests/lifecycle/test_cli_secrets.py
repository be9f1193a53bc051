"""Secrets: missing ones are found before anything is done, and no value is ever shown or stored."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

VALUE = "hunter2-0f4c"
SECRET = WEB + "cloudInit:\n  userData: {secretRef: '%s'}\n"


def stack_with(shop: CommandLine, reference: str) -> None:
    shop.declare(LAN, POOL, DISK, SECRET % reference)


def test_a_missing_secret_stops_a_plan_at_its_place(shop: CommandLine) -> None:
    stack_with(shop, "env://NO_SUCH_SECRET")
    for command in ("plan", "apply"):
        failed = shop(command)
        assert 1 == failed.code
        assert "error[PRV1501]: VirtualMachine/web: the secret env://NO_SUCH_SECRET" in failed.err
        assert "resources.yaml:" in failed.err
        assert "userData: {secretRef:" in failed.err
    assert [] == shop.objects()


def test_a_missing_secret_is_a_warning_for_validate(shop: CommandLine) -> None:
    stack_with(shop, "env://NO_SUCH_SECRET")
    checked = shop("validate")
    assert 0 == checked.code
    assert "warning[PRV1501]" in checked.err


@pytest.mark.parametrize("where", ["env", "file"])
def test_no_value_is_shown_or_stored(
    shop: CommandLine, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_DATA", VALUE)
    shop.write("secret.txt", VALUE)
    stack_with(shop, "env://USER_DATA" if where == "env" else "file://secret.txt")
    runs = [
        shop("plan", "-o", "first.plan"),
        shop("plan", "--json", "--verbose"),
        shop("apply", "--yes", "--json"),
        shop("show", "VirtualMachine/web"),
        shop("state", "show", "VirtualMachine/web", "--json"),
        shop("drift", "--json"),
    ]
    assert [0] * 6 == [run.code for run in runs]
    assert [] == [run for run in runs if VALUE in run.out + run.err]
    files = [path for path in shop.root.rglob("*") if path.is_file() and path.name != "secret.txt"]
    assert shop.root / ".provisioner" / "default" / "state.db" in files
    assert [] == [path for path in files if VALUE.encode() in path.read_bytes()]


def test_a_plan_file_is_not_begun_without_its_secrets(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER_DATA", VALUE)
    stack_with(shop, "env://USER_DATA")
    shop("plan", "-o", "first.plan")
    monkeypatch.delenv("USER_DATA")
    failed = shop("apply", "first.plan", "--json")
    assert (1, ["PRV1501"]) == (failed.code, failed.codes)
    assert [] == shop.objects()
    monkeypatch.setenv("USER_DATA", VALUE)
    assert 0 == shop("apply", "first.plan").code


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\xff\xfe", "not UTF-8"), (None, "No such file")]
)
def test_a_file_that_cannot_be_read(shop: CommandLine, content: bytes | None, reason: str) -> None:
    if content is not None:
        (shop.root / "secret.txt").write_bytes(content)
    stack_with(shop, "file://secret.txt")
    failed = shop("plan")
    assert (1, True) == (failed.code, reason in failed.err)


def test_every_missing_secret_is_reported(shop: CommandLine) -> None:
    other = SECRET.replace("VirtualMachine/web", "VirtualMachine/other")
    shop.declare(
        LAN,
        POOL,
        SECRET.replace("disks: [{disk: web-root}]\n", "") % "env://FIRST",
        other.replace("disks: [{disk: web-root}]\n", "") % "env://SECOND",
    )
    failed = shop("plan", "--json")
    assert ["PRV1501", "PRV1501"] == failed.codes
