"""A change that needs a restart waits for one until it is allowed."""

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

EDITED = WEB.replace("max: 4", "max: 8")


def test_without_permission_it_is_written_and_pending(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    (step,) = scenario.plan().steps
    assert (Impact.LIVE, (("cpu", "max"),), False) == (step.impact, step.deferred, step.restart)

    assert "done" == scenario.apply().outcome

    plan = scenario.plan()
    assert [] == outline(plan)
    assert [(("cpu", "max"), 4, 8)] == [(n.path, n.running, n.configured) for n in plan.pending]
    assert [] == list(scenario.drift().drifted)


def test_a_field_that_is_spoken_of_no_more_still_waits(scenario: Scenario) -> None:
    """Its default is configured, and the guest has what it was started with until it restarts."""
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace(", max: 4", ""))
    scenario.apply()
    plan = scenario.plan()
    assert ([], [(("cpu", "max"), 8, None)]) == (
        outline(plan),
        [(note.path, note.running, note.configured) for note in plan.pending],
    )
    assert [] == list(scenario.drift().drifted)
    scenario.apply(max_impact="restart")
    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.pending)


def test_with_permission_it_is_carried_out_later(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()

    plan = scenario.plan(max_impact="restart")
    assert ["update VirtualMachine/web"] == outline(plan)
    assert (Impact.RESTART, True) == (plan.steps[0].impact, plan.steps[0].restart)
    scenario.apply(plan)

    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.pending)


def test_with_permission_it_is_carried_out_at_once(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply(max_impact="restart")
    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.pending)


def test_the_stack_may_allow_restarts(scenario: Scenario) -> None:
    scenario.write(
        "stack.yaml",
        """
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: test}
        spec: {policy: {maxImpact: restart}}
        """,
    )
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    assert Impact.RESTART == scenario.plan().steps[0].impact


def test_a_restart_by_somebody_else_is_noticed(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()
    machine = Address("VirtualMachine", "web")
    assert ("cpu.max",) == scenario.state().entries[machine].pending
    scenario.outside.restart("VirtualMachine", "web")
    scenario.apply()
    assert () == scenario.state().entries[machine].pending


def test_what_waits_goes_on_waiting_while_other_things_change(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED + "description: Shop\n")
    scenario.apply()
    assert ("cpu.max",) == scenario.state().entries[Address("VirtualMachine", "web")].pending
    assert () == scenario.drift().drifted


def test_a_value_taken_from_a_machine_turns_round_while_a_restart_waits(scenario: Scenario) -> None:
    """What was taken from the other machine is no reason to wait for it any more."""

    def machine(name: str, most: int, about: str) -> str:
        size = f"memory: {{size: 64MiB}}\ncpu: {{count: 1, max: {most}}}"
        return f"VirtualMachine/{name}\n{size}\ndescription: {about}\n"

    scenario.declare(machine("a", 2, "after ${VirtualMachine/b.uuid}"), machine("b", 2, "first"))
    scenario.apply()
    scenario.declare(machine("a", 4, "first"), machine("b", 2, "after ${VirtualMachine/a.uuid}"))
    scenario.apply()
    assert ["VirtualMachine/a"] == [str(note.address) for note in scenario.plan().pending]
    assert () == scenario.state().entries[Address("VirtualMachine", "a")].dependencies
    assert [] == outline(scenario.plan())
    assert {"delete VirtualMachine/a", "delete VirtualMachine/b"} == set(
        outline(scenario.plan_destroy())
    )
