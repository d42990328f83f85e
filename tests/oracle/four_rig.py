"""One rig for campaigns over any set of platforms: grounds, a config repository, and the product's own command line in this process."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloudsync.cli.main import main
from tests.oracle.campaign import Ran, environment
from tests.oracle.four_ground import LABELS, Built, Estate, Json
from tests.oracle.four_grounds import Ground
from tests.oracle.language import Book

SETTINGS = """\
owner: oracle
policy: policy/
inventory: inventory/
targets:
{targets}
labels_from:
{labels}
{domains}schedule: {{every: 5m}}
guards: {{max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow}}
"""


@dataclass
class FourRig:
    """Everything a campaign works with. `grounds` are the platforms in play, by name."""

    grounds: Mapping[str, Ground]
    root: Path
    log: list[Ran] = field(default_factory=list)
    modes: dict[str, str] = field(default_factory=dict)

    # --- the platforms -------------------------------------------------------------------------------------------

    def fresh(self, seed: int, modes: Mapping[str, str]) -> Built:
        """Build random estates on the platforms that `modes` names, and forget everything of the product's."""
        self.log.clear()
        self.modes = dict(modes)
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
        whole = Built()
        for number, (name, mode) in enumerate(self.modes.items()):
            gate = self.grounds[name].gate
            if gate is not None:
                gate.seen = None
            built = self.grounds[name].build(seed * 4 + number, mode)
            whole.names += built.names
            whole.pool += built.pool
        whole.pool += [
            "203.0.113.0/24",
            "!203.0.113.7",
            "2001:db8:10::/48",
            "!2001:db8:10::/64",
            "198.51.100.0-198.51.100.77",
            "52.0.0.0/8",
        ]
        return whole

    def estates(self) -> dict[str, Estate]:
        """Read every platform in play, raw and over the wire."""
        return {name: self.grounds[name].read() for name in self.modes}

    def writes(self) -> dict[str, int]:
        """Return how many calls that change something every platform has seen from clients."""
        return {name: len(self.grounds[name].writes()) for name in self.modes}

    # --- the product ---------------------------------------------------------------------------------------------

    def write(self, book: Book, more: Mapping[str, Json] | None = None, domains: Mapping[str, Iterable[str]] | None = None) -> None:
        """Write the config repository. `more` are further keys of targets, `domains` routing domains with their members."""
        for folder in ("policy", "inventory"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        targets = []
        for name, mode in self.modes.items():
            options = self.grounds[name].target((more or {}).get(name, {}))
            targets.append(f"  - {json.dumps({'name': name, 'mode': mode, **options})}")
        labels = []
        for label, tags in LABELS.items():
            maps = ", map: {production: prod}" if label == "env" else ""
            labels += [f"  - {{tag: {tag}, label: {label}, lower: true{maps}}}" for tag in tags]
        said = ""
        if domains:
            lines = [json.dumps({"name": name, "members": list(members)}) for name, members in domains.items()]
            said = "routing_domains:\n" + "".join(f"  - {line}\n" for line in lines)
        text = SETTINGS.format(targets="\n".join(targets), labels="\n".join(labels), domains=said)
        (self.root / "cloudsync.yaml").write_text(text, encoding="utf-8")
        (self.root / "policy" / "drawn.yaml").write_text(book.yaml(), encoding="utf-8")

    def run(self, *words: str) -> Ran:
        """Run one verb in this process, as a shell would."""
        out, err = io.StringIO(), io.StringIO()
        wanted = {key: value for name in self.modes for key, value in self.grounds[name].environment().items()}
        around = environment(NO_COLOR="1", COLUMNS="200", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", **wanted)
        with around, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([words[0], "-C", str(self.root), *words[1:]])
            except SystemExit as leave:
                code = leave.code if isinstance(leave.code, int) else 1
        ran = Ran(int(code), out.getvalue(), err.getvalue(), words)
        self.log.append(ran)
        assert "Traceback (most recent call last)" not in ran.err, str(ran)
        return ran

    def converge(self, *, rounds: int = 4) -> Ran:
        """Run `apply --yes`; where a guard asks, run the approve commands it prints, exactly as printed, and try again."""
        ran = self.run("apply", "--yes")
        for _ in range(rounds):
            commands = list(dict.fromkeys(re.findall(r"cloudsync approve [^\n]+", ran.out + ran.err)))
            if ran.code != 4 or not commands or "G-PROOF" in ran.out:
                break
            for command in commands:
                words = shlex.split(command)[1:]
                if "-C" in words:
                    at = words.index("-C")
                    del words[at : at + 2]
                approved = self.run(*words)
                assert approved.code == 0, str(approved)
            ran = self.run("apply", "--yes")
        return ran

    def policy(self) -> str:
        """Return the text of the policy."""
        return (self.root / "policy" / "drawn.yaml").read_text(encoding="utf-8")
