"""Secrets that somebody wrote into a manifest: refused, and shown nowhere."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.refused import diagnostics

SECRET = "hunter2"
STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {defaults: {host: here}}
"""
HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {{name: other}}
spec: {{provider: kvm, connection: {{{connection}}}}}
"""


@pytest.mark.parametrize(
    ("connection", "codes"),
    [
        (f"uri: 'qemu+ssh://root:{SECRET}@kvm1/system'", ["PRV1107"]),
        (f"uri: 'qemu:///system', credentials: {{password: {SECRET}}}", ["PRV1104"]),
        (
            f"uri: 'qemu+foo://x:{SECRET}@kvm1/system', credentials: {{password: 's{SECRET}'}}, "
            f"ssh: {{privateKey: 's{SECRET}'}}",
            ["PRV1107", "PRV1104", "PRV1104"],
        ),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",), ("--verbose",)])
def test_a_secret_in_a_manifest_is_not_repeated(
    applied: CommandLine, connection: str, codes: list[str], options: tuple[str, ...]
) -> None:
    (applied.root / "stack.yaml").write_text(STACK, encoding="utf-8")
    (applied.root / "more.yaml").write_text(HOST.format(connection=connection), encoding="utf-8")
    for command in (("validate",), ("plan",)):
        refused = applied(*command, *options)
        assert 1 == refused.code
        assert (SECRET in refused.out, SECRET in refused.err) == (False, False)
        if options == ("--json",):
            assert codes == [item["code"] for item in diagnostics(refused)]
