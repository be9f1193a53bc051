"""Secrets that commands print: run as the user's own configuration allows, once, and only if
needed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

VALUE = "hunter2-0f4c"
SECRET = WEB + "cloudInit:\n  userData: {secretRef: '%s'}\n"


class User:
    """Somebody's home, with a configuration and programs on PATH. ``ran`` is what was run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.configuration = home / ".config" / "provisioner" / "config.yaml"
        self.programs = home / "bin"
        self.log = home / "ran"
        self.configuration.parent.mkdir(parents=True)
        self.programs.mkdir()

    def allow(self, text: str) -> None:
        self.configuration.write_text(text)

    def program(self, name: str, body: str, folder: Path | None = None) -> Path:
        """A program of a few lines of Python, which notes that it was run, and with what."""
        path = (folder or self.programs) / name
        path.write_text(
            f"#!{sys.executable}\nimport os, sys, time\n"
            f"open({str(self.log)!r}, 'a').write(repr(sys.argv[1:]) + '\\n')\n{body}\n"
        )
        path.chmod(0o700)
        return path

    @property
    def ran(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> User:
    user = User(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("HOME", str(user.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", str(user.programs))
    user.program("vault", f"print({VALUE!r})")
    user.allow("secrets: {commands: {vault: {run: [vault, get]}}}")
    return user


def stack_with(shop: CommandLine, reference: str) -> None:
    shop.declare(LAN, POOL, DISK, SECRET % reference)


def refusal(shop: CommandLine, reference: str = "command://vault") -> str:
    """What a plan says that finds the reference wrong, on one line."""
    stack_with(shop, reference)
    refused = shop("plan")
    assert 1 == refused.code
    return " ".join(refused.err.split())


def failure(shop: CommandLine) -> str:
    """What an apply says that finds that the command fails; nothing is made."""
    stack_with(shop, "command://vault")
    failed = shop("apply", "--yes")
    assert (1, []) == (failed.code, shop.objects())
    assert VALUE not in failed.out + failed.err
    return " ".join(failed.err.split())


def test_a_command_is_run_once_and_when_it_is_needed(shop: CommandLine, user: User) -> None:
    other = SECRET.replace("VirtualMachine/web", "VirtualMachine/other")
    shop.declare(
        LAN,
        POOL,
        *(
            text.replace("disks: [{disk: web-root}]\n", "") % "command://vault"
            for text in (SECRET, other)
        ),
    )
    assert [0, 0] == [shop("validate").code, shop("plan", "-o", "first.plan").code]
    assert [] == user.ran
    assert 0 == shop("apply", "first.plan").code
    assert ["['get']"] == user.ran
    assert 0 == shop("apply", "--yes").code
    assert ["['get']"] == user.ran


def test_a_secret_of_a_connection_is_asked_for_by_whoever_connects(
    shop: CommandLine, user: User
) -> None:
    shop.secret("command://vault")
    assert (0, 1) == (shop("plan").code, len(user.ran))
    assert (0, 1) == (shop("validate").code, len(user.ran))
    # Its plan connects, the check before the first step asks, and the steps connect again.
    assert (0, 2) == (shop("apply", "--yes").code, len(user.ran))


def test_an_argument_comes_last_and_as_it_is(shop: CommandLine, user: User) -> None:
    user.allow("secrets: {commands: {vault: {run: [vault, get], argument: '[a-z/ $;]+'}}}")
    stack_with(shop, "command://vault/a/b; $c")
    assert 0 == shop("apply", "--yes").code
    assert ["['get', 'a/b; $c']"] == user.ran


@pytest.mark.parametrize(
    ("argument", "reference", "reason"),
    [
        (None, "command://vault/a", "it allows no argument here"),
        ("[a-z-]+", "command://vault", "it asks for an argument"),
        ("[a-z-]+", "command://vault/a1", "the argument 'a1' does not match '[a-z-]+'"),
        ("[a-z-]+", "command://vault/-a", "may not begin with '-'"),
        (".*", "command://vault/" + "a" * 5000, "at most 4096 characters"),
        ("a|b", "command://vault/ab", "does not match"),
    ],
)
def test_an_argument_that_is_not_allowed(
    shop: CommandLine, user: User, argument: str | None, reference: str, reason: str
) -> None:
    entry = "" if argument is None else f", argument: '{argument}'"
    user.allow(f"secrets: {{commands: {{vault: {{run: [vault]{entry}}}}}}}")
    told = refusal(shop, reference)
    assert "error[PRV1501]: VirtualMachine/web: the secret command://vault" in told
    assert reason in told
    assert [] == user.ran


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "config.yaml does not exist."),
        ("", "config.yaml allows none."),
        ("secrets: {}", "config.yaml allows none."),
        ("secrets: {commands: {pass: {run: [pass]}}}", "config.yaml allows pass."),
    ],
)
def test_who_allows_nothing_learns_what_to_write_where(
    shop: CommandLine, user: User, text: str | None, found: str
) -> None:
    user.configuration.unlink()
    if text is not None:
        user.allow(text)
    told = refusal(shop)
    assert "PRV1501" in told
    assert found in told
    assert "secrets: {commands: {vault: {run: [PROGRAM, ARGUMENT, ...]}}}" in told
    assert "argument: 'PATTERN'}}}" in refusal(shop, "command://vault/web")


def test_the_configuration_is_where_the_environment_says(
    shop: CommandLine, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = user.home / "elsewhere"
    user.configuration.parent.parent.rename(elsewhere)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(elsewhere))
    stack_with(shop, "command://vault")
    assert 0 == shop("apply", "--yes").code
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME")
    assert "the environment names no home" in refusal(shop)


def test_what_validate_can_tell_is_a_warning(shop: CommandLine, user: User) -> None:
    stack_with(shop, "command://other")
    checked = shop("validate")
    assert (0, True) == (checked.code, "warning[PRV1501]" in checked.err)


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_configuration_that_others_may_write_is_refused(
    shop: CommandLine, user: User, place: str
) -> None:
    path = user.configuration if place == "file" else user.configuration.parent
    path.chmod(path.stat().st_mode | 0o020)
    told = refusal(shop)
    assert "PRV1502" in told
    assert f"others may write {path}" in told
    assert f"chmod go-w {path}" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_configuration_of_somebody_else_is_refused(shop: CommandLine, user: User) -> None:
    os.chown(user.configuration, 4711, -1)
    assert "belongs to somebody else (user 4711)" in refusal(shop)


@pytest.mark.parametrize("linked", [False, True])
def test_a_configuration_in_the_stack_is_refused(
    shop: CommandLine, user: User, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    brought = shop.root / ".config" / "provisioner"
    brought.mkdir(parents=True)
    user.configuration.rename(brought / "config.yaml")
    if linked:
        user.configuration.symlink_to(brought / "config.yaml")
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(brought.parent))
    told = refusal(shop)
    assert "PRV1502" in told
    assert "it lies in the folder of the stack" in told


def test_mistakes_in_the_configuration_are_told_once_and_at_their_place(
    shop: CommandLine, user: User
) -> None:
    user.allow("secrets:\n  commands:\n    vault: {runs: [vault]}\n    pass: {run: [./pass]}\n")
    other = SECRET.replace("VirtualMachine/web", "VirtualMachine/other")
    other = other.replace("disks: [{disk: web-root}]\n", "")
    shop.declare(LAN, POOL, DISK, SECRET % "command://vault", other % "command://pass")
    refused = shop("plan", "--json")
    assert ["PRV1103"] == refused.codes
    assert f"{user.configuration}:3:13" in " ".join(shop("plan").err.split())


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("secrets: [", "PRV1010", ""),
        ("secrets: {}\nsecrets: {}\n", "PRV1012", ""),
        ("--- {}\n--- {}\n", "PRV1100", "second document"),
        ("[]", "PRV1104", "a mapping"),
        ("secrets: {commands: {'a/b': {run: [x]}}}", "PRV1107", "letters"),
        ("secrets: {commands: {a: {run: []}}}", "PRV1109", "at least 1"),
        ("secrets: {commands: {a: {run: vault}}}", "PRV1104", "a list"),
        ("secrets: {commands: {a: {run: [bin/vault]}}}", "PRV1107", "absolute path"),
        ("secrets: {commands: {a: {run: [../vault]}}}", "PRV1107", "absolute path"),
        ("secrets: {commands: {a: {run: [x], argument: '['}}}", "PRV1107", "regular expression"),
        ("secrets: {commands: {a: {run: [x], timeout: 10}}}", "PRV1108", "10s"),
        ("secrets: {commands: {a: {run: [x], timeout: 1h}}}", "PRV1109", "at most 10m"),
    ],
)
def test_what_no_configuration_may_say(
    shop: CommandLine, user: User, text: str, code: str, words: str
) -> None:
    user.allow(text)
    told = refusal(shop)
    assert f"error[{code}]" in told
    assert words in told


def test_a_relative_folder_on_path_is_passed_over(
    shop: CommandLine, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.program("vault", "print('brought')", shop.root)
    (user.programs / "vault").unlink()
    monkeypatch.setenv("PATH", f".::{user.programs}")
    assert "There is no program 'vault' on PATH" in refusal(shop)


def test_a_program_of_the_stack_is_not_run(
    shop: CommandLine, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.program("vault", "print('brought')", shop.root)
    monkeypatch.setenv("PATH", str(shop.root))
    assert "which lies in the folder of the stack" in refusal(shop)
    user.allow(f"secrets: {{commands: {{vault: {{run: ['{shop.root}/vault']}}}}}}")
    assert "which lies in the folder of the stack" in refusal(shop)
    assert [] == user.ran


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"print({VALUE!r}); print({VALUE!r}, file=sys.stderr); sys.exit(3)", "exit code is 3"),
        ("os.kill(os.getpid(), 15)", "ended by SIGTERM"),
        (f"sys.stdout.write({VALUE!r} * 100_000)", "more than 1048576 bytes"),
        (f"sys.stdout.buffer.write({VALUE.encode()!r} + b'\\xff')", "is not UTF-8"),
        ("sys.stdin.read() or sys.exit(7)", "exit code is 7"),
    ],
)
def test_a_command_that_fails_is_told_without_what_it_wrote(
    shop: CommandLine, user: User, body: str, reason: str
) -> None:
    program = user.program("vault", body)
    told = failure(shop)
    assert "error[PRV1503]: VirtualMachine/web" in told
    assert reason in told
    assert f"Run it by hand to see why: {program} get" in told


def test_a_program_that_cannot_be_started(shop: CommandLine, user: User) -> None:
    (user.programs / "vault").write_text("#!/no/such/interpreter\n")
    assert "cannot be started: No such file" in failure(shop)


def test_a_command_starts_with_the_environment_of_the_caller_beside_the_configuration(
    shop: CommandLine, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://here")
    user.program(
        "vault",
        "sys.exit((os.environ['VAULT_ADDR'], os.getcwd()) != "
        + repr(("http://here", str(user.configuration.parent)))
        + ")",
    )
    stack_with(shop, "command://vault")
    assert 0 == shop("apply", "--yes").code


SLEEPS = "import subprocess\n" + (
    "sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "open({pids!r} + '.new', 'w').write(f'{{os.getpid()}} {{sleeper.pid}}')\n"
    "os.rename({pids!r} + '.new', {pids!r})\n"
    "time.sleep(60)"
)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    assert condition()


def pids_in(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


def test_a_command_that_takes_too_long_is_ended_with_all_it_has_started(
    shop: CommandLine, user: User
) -> None:
    pids = user.home / "pids"
    user.program("vault", SLEEPS.format(pids=str(pids)))
    user.allow("secrets: {commands: {vault: {run: [vault], timeout: 1s}}}")
    assert "was ended after 1 s (its timeout)" in failure(shop)
    wait_for(lambda: not any(map(is_running, pids_in(pids))))


@pytest.mark.parametrize("needed", ["by a machine", "by a connection"])
def test_ctrl_c_ends_a_command_with_all_it_has_started(
    shop: CommandLine, user: User, needed: str
) -> None:
    pids = user.home / "pids"
    user.program("vault", SLEEPS.format(pids=str(pids)))
    if needed == "by a machine":
        stack_with(shop, "command://vault")
    else:
        shop.secret("command://vault")
    run = shop.start("apply", "--yes")
    try:
        wait_for(pids.exists)
        run.send_signal(signal.SIGINT)
        assert 130 == run.wait(30)
        wait_for(lambda: not any(map(is_running, pids_in(pids))))
    finally:
        run.kill()
        run.communicate()


def test_a_command_has_no_terminal_to_ask_on(shop: CommandLine, user: User) -> None:
    user.program(
        "vault",
        "if os.isatty(0): sys.exit(8)\ntry: os.open('/dev/tty', 2)\nexcept OSError: sys.exit(9)",
    )
    stack_with(shop, "command://vault")
    terminal, side = os.openpty()
    program = subprocess.Popen(
        shop.start_arguments("apply", "--yes"),
        cwd=shop.root,
        stdin=side,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(side)
    _, err = program.communicate(timeout=60)
    os.close(terminal)
    assert b"Its exit code is 9" in err
