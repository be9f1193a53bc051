"""``--json``: results on the output, diagnostics on the error stream, nothing else."""

from tests.lifecycle.commandline import CommandLine


def test_apply_prints_an_event_a_line(shop: CommandLine) -> None:
    lines = shop("apply", "--yes", "--json").lines
    assert "plan" == lines[0]["event"]
    assert 4 == len(lines[0]["plan"]["steps"])
    finished = [line for line in lines if line["event"] == "step-finished"]
    assert 4 == len(finished)
    last = lines[-1]
    assert ("finished", "done", 0) == (last["event"], last["outcome"], last["exitCode"])
    assert sorted(last["done"]) == sorted(line["step"] for line in finished)


def test_failures_are_in_the_last_line(shop: CommandLine) -> None:
    shop.faults({"call": "create", "address": "Disk/*", "effect": "terminal", "times": 0})
    finished = shop("apply", "--yes", "--json")
    last = finished.lines[-1]
    assert (6, 6, "partial") == (finished.code, last["exitCode"], last["outcome"])
    assert ["PRV5902"] == [item["code"] for item in last["diagnostics"]]
    assert ["VirtualMachine/web"] == last["skipped"]


def test_errors_are_lines_on_the_error_stream(shop: CommandLine) -> None:
    shop.write("bad.yaml", "apiVersion: provisioner/v1\nkind: Netwrk\nmetadata: {name: a}\n")
    failed = shop("plan", "--json")
    assert (1, "") == (failed.code, failed.out)
    assert failed.codes


def test_validate_prints_its_diagnostics_as_the_result(shop: CommandLine) -> None:
    assert True is shop("validate", "--json").json["valid"]
    shop.write("bad.yaml", "apiVersion: provisioner/v1\nkind: Netwrk\nmetadata: {name: a}\n")
    failed = shop("validate", "--json")
    assert 1 == failed.code
    assert False is failed.json["valid"]
    (diagnostic,) = failed.json["diagnostics"]
    assert ("bad.yaml", 2) == (diagnostic["source"]["file"], diagnostic["source"]["line"])


def test_every_reading_command(shop: CommandLine) -> None:
    shop("apply", "--yes")
    for arguments in (
        ["plan"],
        ["drift"],
        ["graph"],
        ["show"],
        ["show", "VirtualMachine/web"],
        ["state", "list"],
        ["state", "show", "VirtualMachine/web"],
        ["state", "history"],
        ["state", "verify"],
        ["state", "unlock"],
        ["providers"],
        ["version"],
        ["schema"],
    ):
        finished = shop(*arguments, "--json")
        assert (0, "") == (finished.code, finished.err), arguments
        assert finished.json is not None
