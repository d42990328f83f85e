"""The small world of tests/service, by the command line: platforms in memory, machine's time, a repository in git."""

from __future__ import annotations

from tests.cli.shell import Ran, Repository
from tests.service.small_world import ANYBODY, World

OFFICE = ("192.0.2.0/24", "6/22-22")


class Small:
    """One world and its repository."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.repository = Repository(world.root)
        self.before: dict[str, tuple[dict[str, tuple[str, ...]], dict[str, frozenset[object]]]] = {}
        """What stood there before us, by target."""

    def run(self, verb: str, *words: str, code: int | None = None) -> Ran:
        """Run a verb. `code`: what it must end with."""
        ran = self.repository.run(verb, *words)
        assert code is None or ran.code == code, str(ran)
        return ran

    def insist(self, verb: str, *words: str) -> Ran:
        """Run a verb that writes; where a guard asks, run the commands it prints and the verb again."""
        ran = self.run(verb, *words, "--yes", "--json")
        for target in ran.document["targets"] if ran.code == 4 else ():
            for refusal in target["refusals"]:
                assert self.repository.printed(refusal["approve"]).code == 0
        return self.run(verb, *words, "--yes", "--json", code=0) if ran.code == 4 else ran

    def guards(self, old: str, new: str) -> None:
        """Change the guards of the settings."""
        text = (self.world.root / "cloudsync.yaml").read_text(encoding="utf-8")
        assert old in text
        self.world.write("cloudsync.yaml", text.replace(old, new))

    def commit(self, policy: str, subject: str) -> str:
        """Write the policy and commit it; return the commit."""
        self.world.write("policy/all.yaml", policy)
        return self.world.commit(subject)

    def applied(self, policy: str, subject: str) -> str:
        """Commit a policy and apply it."""
        commit = self.commit(policy, subject)
        self.run("apply", "--yes", code=0)
        return commit

    def office(self, target: str = "one") -> bool:
        """Tell whether the office may ssh to the db machine of a target: what MORE adds."""
        return self.lets(f"{target}-db", *OFFICE, target=target)

    def anybody(self, name: str = "one-db", target: str = "one") -> bool:
        """Tell whether anybody may ssh to a machine, as before us."""
        return self.lets(name, ANYBODY.peer, ANYBODY.service, target=target)

    def lets(self, name: str, peer: str, service: str, *, target: str = "one") -> bool:
        """Tell whether a group that a machine carries holds a rule."""
        found = self.world.platforms[target]
        (spot,) = [one for key, one in found.spots.items() if key.endswith(name)]
        return any((rule.peer, rule.service) == (peer, service) for key in spot.groups for rule in found.groups[key].rules)

    def carried(self, target: str = "one") -> dict[str, tuple[str, ...]]:
        """Return the groups that every machine carries."""
        return {key: tuple(spot.groups) for key, spot in self.world.platforms[target].spots.items()}

    def foreign(self, target: str = "one") -> dict[str, frozenset[object]]:
        """Return the rules of every group that is not ours."""
        return {key: frozenset(one.rules) for key, one in self.world.platforms[target].groups.items() if one.owner != "small"}
