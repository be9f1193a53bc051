"""What the stack's policy says holds for every resource that it means."""

from provisioner.core.diagnostics import Severity
from tests.lifecycle.scenario import STACK, Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, THROWAWAY_DISK, WEB


def policy(scenario: Scenario, text: str) -> None:
    scenario.write("stack.yaml", STACK.replace("spec: {}", f"spec: {{policy: {{{text}}}}}"))


def test_kinds_and_patterns_are_protected(scenario: Scenario) -> None:
    policy(scenario, 'protect: [Disk, "Network/l*"]')
    scenario.declare(LAN, POOL, THROWAWAY_DISK, WEB)
    scenario.apply()
    assert {
        "(delete Network/lan: it is protected (metadata.protect))",
        "(delete Disk/web-root: it is protected (metadata.protect))",
        "(delete StoragePool/pool: Disk/web-root, which is held, needs it)",
        "delete VirtualMachine/web",
    } == set(outline(scenario.plan_destroy()))


def test_a_pattern_that_means_nothing_is_told(scenario: Scenario) -> None:
    policy(scenario, 'protect: ["Disk/wbe*"]')
    scenario.declare(POOL, DISK)
    (warning,) = scenario.plan().warnings
    assert (Severity.WARNING, "PRV1431") == (warning.severity, warning.code)


def test_the_limit_is_that_of_the_policy_unless_the_caller_says_another(
    scenario: Scenario,
) -> None:
    policy(scenario, "maxImpact: replace")
    scenario.declare(LAN, POOL)
    scenario.apply()
    scenario.declare(POOL)
    assert () == scenario.plan().refused
    assert ["Network/lan"] == [step.id for step in scenario.plan(max_impact="live").refused]
