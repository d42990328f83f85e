"""State files outside the repository under the daemon: read by every run, and no version of the repository is bad because of them."""

from __future__ import annotations

from tests.service.simulated import Simulated
from tests.service.small_world import MORE, POLICY, World
from tests.service.test_daemon_versions import opened, troubles

EMPTY = '{"version": 4, "resources": []}'


def test_a_state_that_is_broken_for_a_while_bars_writes_and_heals_by_itself(world: World) -> None:
    state = world.root.parent / "net.tfstate"
    state.write_text(EMPTY, encoding="utf-8")
    world.settings(more=f"terraform: [{{name: net, state: {state}}}]\n")
    world.commit("start")
    day = Simulated(world)
    day.after(310, lambda: state.write_text(EMPTY[:20], encoding="utf-8"))

    def news() -> None:
        world.write("policy/all.yaml", POLICY + MORE)
        world.commit("office may ssh to db")

    day.after(400, news)
    seen: list[bool] = []
    day.after(900, lambda: seen.append(opened(world)))
    day.after(910, lambda: state.write_text(EMPTY, encoding="utf-8"))
    day.run(1500)
    assert seen == [False], "nobody knows what Terraform owns, so nothing is written"
    assert opened(world), "the commit that came meanwhile was good all the time"
    assert not day.events("config.broken")
    assert ("failed", "runs") in troubles(day)
    assert ("recovered", "runs") in troubles(day)
    [barred] = {event["why"] for event in day.events("run.barred")}
    assert "terraform state net: read failed" in barred
    assert "STATE-FORMAT" in barred
