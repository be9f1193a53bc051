"""Random runbooks for property tests."""

from hypothesis import strategies as st

from provisioner.workflows.runbook import OnFailure, Runbook, Task

LANES = {"one": 1, "two": 2, "": 0}


@st.composite
def runbooks(draw: st.DrawFn, largest: int = 10) -> Runbook:
    """A runbook of up to ``largest`` tasks t0, t1 and so on, with lanes and policies; some need
    another one twice.
    """
    tasks: list[Task] = []
    for number in range(draw(st.integers(0, largest))):
        earlier = [task.id for task in tasks]
        awaits = draw(st.lists(st.sampled_from(earlier), max_size=4)) if tasks else []
        needed = draw(st.integers(0, len(awaits)))
        tasks.append(
            Task(
                f"t{number}",
                f"Task {number}",
                "act",
                needs=tuple(awaits[:needed]),
                after=tuple(awaits[needed:]),
                lane=draw(st.sampled_from(sorted(LANES))),
                on_failure=draw(st.sampled_from(OnFailure)),
            )
        )
    return Runbook("plan", "test", tuple(tasks), {lane: n for lane, n in LANES.items() if lane})
