"""What an error of libvirt means."""

import errno
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner_plugins._libvirt.errors import NOT_FOUND, RULES, code_of, translate  # noqa: E402


def problem(number: int, message: str = "it says so", more: int = 0) -> Any:
    """An error as libvirt-python raises it: code, domain, message, level, three texts, two
    numbers.
    """
    found = libvirt.libvirtError("raised")
    found.err = (number, 0, message, 2, message, None, None, more, 0)
    return found


TABLE: list[Any] = [
    # number, number of the system, message, our code, whether it may work later
    ("NO_DOMAIN", 0, "", "PRV5115", False),
    ("NO_STORAGE_VOL", 0, "", "PRV5115", False),
    ("AUTH_FAILED", 0, "", "PRV5102", False),
    ("GNUTLS_ERROR", 0, "", "PRV5102", False),
    ("ACCESS_DENIED", 0, "", "PRV5104", False),
    ("OPERATION_DENIED", 0, "", "PRV5104", False),
    ("SYSTEM_ERROR", errno.ECONNREFUSED, "", "PRV5101", True),
    ("SYSTEM_ERROR", errno.ENOENT, "Failed to connect socket to '/x'", "PRV5101", True),
    ("SYSTEM_ERROR", errno.EACCES, "", "PRV5104", False),
    (
        "SYSTEM_ERROR",
        errno.EACCES,
        "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied",
        "PRV5104",
        False,
    ),
    ("SYSTEM_ERROR", errno.ENOENT, "unable to stat: /x: No such file", "PRV5125", False),
    ("SYSTEM_ERROR", errno.ENODEV, "Cannot get interface MTU on 'br9'", "PRV5125", False),
    ("SYSTEM_ERROR", errno.ENOSPC, "", "PRV5114", False),
    ("SYSTEM_ERROR", errno.EDQUOT, "", "PRV5114", False),
    ("SYSTEM_ERROR", errno.EPIPE, "", "PRV5107", True),
    ("SYSTEM_ERROR", errno.EIO, "End of file while reading data: x", "PRV5107", True),
    ("SYSTEM_ERROR", errno.EIO, "", "PRV5117", False),
    ("SYSTEM_ERROR", errno.ECONNRESET, "", "PRV5107", True),
    ("SYSTEM_ERROR", errno.ECONNRESET, "Unable to read from monitor: reset", "PRV5126", False),
    ("INTERNAL_ERROR", 0, "client socket is closed", "PRV5107", True),
    ("INTERNAL_ERROR", 0, "qemu-img: x: No space left on device", "PRV5114", False),
    ("INTERNAL_ERROR", 0, "Network is already in use by interface eth0", "PRV5122", False),
    (
        "INTERNAL_ERROR",
        0,
        "dnsmasq: failed to create listening socket for 10.20.0.1: Address already in use",
        "PRV5122",
        False,
    ),
    ("INTERNAL_ERROR", 0, "pool 'p' has asynchronous jobs running.", "PRV5112", True),
    ("INTERNAL_ERROR", 0, 'blockdev-add: Failed to get "write" lock', "PRV5129", False),
    ("INTERNAL_ERROR", 0, 'Failed to get shared "consistent read" lock', "PRV5129", False),
    ("INTERNAL_ERROR", 0, "qemu: cannot open '/x': No such file or directory", "PRV5125", False),
    ("INTERNAL_ERROR", 0, "something else", "PRV5117", False),
    ("INVALID_CONN", 0, "", "PRV5107", True),
    ("RPC", 0, "Cannot recv data: Permission denied (publickey)", "PRV5102", False),
    ("RPC", 0, "Cannot recv data: Host key verification failed.", "PRV5102", False),
    ("RPC", 0, "", "PRV5107", True),
    ("OPERATION_TIMEOUT", 0, "", "PRV5112", True),
    ("RESOURCE_BUSY", 0, "", "PRV5112", True),
    ("OPERATION_INVALID", 0, "domain is not running", "PRV5116", False),
    ("OPERATION_FAILED", 0, "network 'a' already exists with uuid x", "PRV5118", False),
    ("OPERATION_FAILED", 0, "Storage source conflict with pool: 'p'", "PRV5127", False),
    ("STORAGE_VOL_EXIST", 0, "", "PRV5118", False),
    ("XML_ERROR", 0, "", "PRV5113", False),
    ("CONFIG_UNSUPPORTED", 0, "", "PRV5111", False),
    ("NO_SUPPORT", 0, "", "PRV5111", False),
    ("UNKNOWN_HOST", 0, "", "PRV5101", True),
    ("SYSTEM_ERROR", errno.ENOENT, "Cannot read CA certificate '/x'", "PRV5110", False),
]


@pytest.mark.parametrize(("name", "number", "message", "code", "later"), TABLE)
def test_every_error_has_a_meaning(
    name: str, number: int, message: str, code: str, later: bool
) -> None:
    found = problem(getattr(libvirt, f"VIR_ERR_{name}"), message, number)
    failure = translate(found, "define network lan")
    assert later == isinstance(failure, Retryable)
    assert isinstance(failure, Retryable | Terminal)
    assert code == failure.diagnostic.code
    assert failure.diagnostic.summary.startswith("define network lan: ")
    assert message in failure.diagnostic.detail


def test_a_definition_is_not_quoted_as_a_whole() -> None:
    quoted = "<domain>" + "x" * 1200 + "</domain>"
    text = f"(domain_definition):1: PCDATA invalid Char value 7\n{quoted}\n{'-' * 1200}^"
    failure = translate(problem(libvirt.VIR_ERR_XML_DETAIL, text), "define machine web")
    assert isinstance(failure, Terminal)
    assert "libvirt says: (domain_definition):1: PCDATA invalid Char value 7" == (
        failure.diagnostic.detail
    )


def test_nobody_is_sent_to_another_version_where_the_definition_is_wrong() -> None:
    text = "unsupported configuration: boot order 1 is already used by another device"
    failure = translate(problem(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, text), "define machine web")
    assert isinstance(failure, Terminal)
    assert "newer" not in failure.diagnostic.hint
    assert failure.diagnostic.hint.startswith("Change the field that the message is about.")


def test_the_daemon_of_the_system_does_not_start_by_itself() -> None:
    text = "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory"
    failure = translate(problem(libvirt.VIR_ERR_SYSTEM_ERROR, text, errno.ENOENT), "connect")
    assert isinstance(failure, Retryable)
    assert failure.diagnostic.hint.startswith("This is the system's daemon: start it")


def test_what_is_not_found_is_never_worth_a_retry() -> None:
    assert all(RULES[number].after is None for number in NOT_FOUND)


def test_the_number_behind_a_translated_error() -> None:
    origin = problem(libvirt.VIR_ERR_NO_DOMAIN)
    with pytest.raises(Terminal) as caught:
        raise translate(origin, "x") from origin
    assert libvirt.VIR_ERR_NO_DOMAIN == code_of(caught.value)
    assert libvirt.VIR_ERR_NO_DOMAIN == code_of(origin)
    assert code_of(ValueError()) is None


def test_an_error_whose_reason_was_lost_is_worth_a_retry() -> None:
    lost = libvirt.libvirtError("virStorageVolLookupByName() failed")
    lost.err = None
    failure = translate(lost, "find volume a")
    assert isinstance(failure, Retryable)
    assert "PRV5128" == failure.diagnostic.code
