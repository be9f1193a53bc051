"""What needs something that a held step does not bring is held, too: it could only fail."""

from tests.lifecycle.scenario import HOST, STACK, Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

THERE = HOST.replace("name: here", "name: there")
BOTH = STACK.replace("spec: {}", "spec: {defaults: {host: here}}")
MACHINE = """
VirtualMachine/web
metadata.protect: true
memory: {size: 256MiB}
placement: {host: here}
"""
SNAPSHOT = "Snapshot/before\nmachine: web\n"
DATA = "Disk/data\npool: pool\nsize: 1GiB\n"


def two_hosts(scenario: Scenario) -> None:
    scenario.write("stack.yaml", BOTH)
    scenario.write("there.yaml", THERE)


def test_a_snapshot_waits_for_a_machine_that_may_not_move(scenario: Scenario) -> None:
    two_hosts(scenario)
    scenario.declare(MACHINE)
    scenario.apply()
    scenario.declare(MACHINE.replace("host: here", "host: there"), SNAPSHOT)
    plan = scenario.plan(max_impact="replace")
    assert [
        "(create Snapshot/before: it needs VirtualMachine/web, which is held)",
        "(replace VirtualMachine/web: it is protected (metadata.protect))",
    ] == sorted(outline(plan))
    assert "done" == scenario.apply(plan).outcome
    assert ["VirtualMachine/web"] == scenario.objects()


def test_one_that_stays_where_it_is_goes_on(scenario: Scenario) -> None:
    scenario.declare(MACHINE.replace("placement: {host: here}\n", ""), POOL)
    scenario.apply()
    scenario.declare(MACHINE.replace("placement: {host: here}\n", ""), POOL, SNAPSHOT, DATA)
    scenario.apply()
    assert {"Snapshot/before", "Disk/data"} <= set(scenario.objects())


def test_nothing_is_made_with_what_maintenance_keeps_from_being_made(scenario: Scenario) -> None:
    """A text on one host waits for what a host in maintenance would tell."""
    two_hosts(scenario)
    scenario.write("there.yaml", THERE.replace("memory", "memory, maintenance: true"))
    network = "Network/lan\nhost: there\nmode: isolated\n"
    scenario.declare(
        network, MACHINE.strip() + "\ndescription: on ${Network/lan.bridge}\n", SNAPSHOT
    )
    assert [
        "(create Network/lan: Host/there is in maintenance)",
        "(create Snapshot/before: it needs VirtualMachine/web, which is held)",
        "(create VirtualMachine/web: it needs Network/lan, which is held)",
    ] == sorted(outline(scenario.plan()))


def test_what_stays_as_it_is_keeps_its_outputs(scenario: Scenario) -> None:
    """A replacement that is held makes nothing anew, so that nobody waits for it."""
    protected = POOL.replace("StoragePool/pool", "StoragePool/pool\nmetadata.protect: true")
    machine = "VirtualMachine/web\nmemory: {size: 256MiB}\ndescription: ${StoragePool/pool.path}\n"
    scenario.declare(protected, machine)
    scenario.apply()
    scenario.declare(protected.replace("/srv/pool", "/srv/other"), machine)
    assert [
        "(replace StoragePool/pool: it is protected (metadata.protect))",
    ] == outline(scenario.plan(max_impact="replace"))


def test_what_is_held_for_another_keeps_its_outputs(scenario: Scenario) -> None:
    """The pool under the disk of a protected machine stays, too, and is not waited for."""
    protected = WEB.replace("VirtualMachine/web", "VirtualMachine/web\nmetadata.protect: true")
    other = "VirtualMachine/other\nmemory: {size: 256MiB}\ndescription: ${StoragePool/pool.path}\n"
    scenario.declare(LAN, POOL, DISK, protected, other)
    scenario.apply()
    edited = protected.replace("memory:", "placement: {host: there}\nmemory:")
    two_hosts(scenario)
    scenario.declare(
        LAN.replace("mode:", "host: there\nmode:"),
        POOL.replace("type:", "host: there\ntype:"),
        DISK,
        edited,
        other,
    )
    plan = scenario.plan(max_impact="replace")
    assert [] == [step.id for step in plan.steps]
    assert "(replace StoragePool/pool: Disk/web-root, which is held, needs it)" in outline(plan)


def test_an_output_of_what_may_not_move_is_known(scenario: Scenario) -> None:
    """A text needs what an endpoint tells, and not that it is told from the same host."""
    two_hosts(scenario)
    protected = POOL.replace("StoragePool/pool", "StoragePool/pool\nmetadata.protect: true")
    machine = (
        "VirtualMachine/web\nmemory: {size: 256MiB}\nplacement: {host: there}\n"
        "description: ${StoragePool/pool.path}\n"
    )
    scenario.declare(protected)
    scenario.apply()
    scenario.declare(protected.replace("type:", "host: there\ntype:"), machine)
    plan = scenario.plan(max_impact="replace")
    assert [
        "create VirtualMachine/web",
        "(replace StoragePool/pool: it is protected (metadata.protect))",
    ] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
