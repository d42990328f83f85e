"""A stage over four platforms: the lab's estate `four`, a config repository, and the product's own command line in this process.

What a platform lets through is asked of the lab's own evaluator (the control verb `verdict`), which knows nothing of cloudsync.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudsync.cli.main import main
from cloudsync.lab import commands
from cloudsync.lab.server import Lab, running
from tests.oracle.campaign import Ran, environment

Json = Any
SITES = ("gcp", "azure", "f5")
OPEN = "max_removed_rules: 100%, max_affected_workloads: 100%, max_gone_workloads: 100%, open_to_internet: allow"
LABELS = """\
labels_from:
  - {tag: Role, label: role, lower: true}
  - {tag: role, label: role, lower: true}
  - {tag: app, label: app, lower: true}
  - {tag: Environment, label: env, lower: true, map: {production: prod}}
  - {tag: env, label: env, lower: true, map: {production: prod}}
"""
WORDS = """\
version: 1
labels:
  role: [web, app, db, cache, lb, jump]
  app: [ordering, payments, platform]
  env: [prod, dev, test]
iplists:
  office: [203.0.113.64/26]
  partner: [198.51.100.128/25]
"""
NSGS = "nsg-web-prod, nsg-app-prod, nsg-db-prod, nsg-ops-prod"


@dataclass
class Four:
    """One estate with one repository."""

    lab: Lab
    root: Path
    exports: dict[str, str]
    marks: dict[str, int] = field(default_factory=dict)

    def clear(self, estate: str = "four") -> None:
        """Build the estate again and empty the repository."""
        self.lab.control.reset(estate, 1)
        self.lab.control.ask("settings", {"retry_after": "none"}, site="azure")  # nobody waits for an operation that has ended
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.marks.clear()

    # --- the repository ----------------------------------------------------------------------------------------------

    def target(self, name: str, mode: str, **more: str) -> str:
        """Return a target's settings; `more` adds to them or replaces them, an empty text leaves one out."""
        made: dict[str, str] = {"name": name, "adapter": name, "mode": mode, **self._place(name)}
        made |= more
        return "  - {" + ", ".join(f"{key}: {value}" for key, value in made.items() if value) + "}\n"

    def _place(self, name: str) -> dict[str, str]:
        lab = self.lab.state.as_json()
        if name == "gcp":
            return {"project": lab["gcp"]["project"], "networks": "[prod]", "service_projects": "[acme-apps]",
                    "endpoint": lab["gcp"]["endpoint"]}  # fmt: skip
        if name == "azure":
            azure = lab["azure"]
            place = {"subscription": azure["subscription"], "resource_groups": f"[{azure['resource_group']}]", "nsgs": f"[{NSGS}]"}
            return place | {name: azure[name] for name in ("authority", "ca_file", "endpoint")} | {"settle": "0s"}
        if name == "f5":
            units = lab["f5"]
            addresses = ", ".join(f'{one["hostname"]}: "{one["endpoint"]}"' for one in units)
            return {"hosts": "[" + ", ".join(one["hostname"] for one in units) + "]", "device_group": units[0]["device_group"],
                    "addresses": "{" + addresses + "}", "ca_file": units[0]["ca_file"], "settle": "0s"}  # fmt: skip
        aws = lab["aws"]
        return {
            "account": f'"{aws["account"]}"',
            "regions": f"[{aws['region']}]",
            "vpcs": "all",
            "endpoint": aws["endpoint"],
            "settle": "0s",
        }

    def settings(self, *targets: str, guards: str = OPEN, more: str = "", owner: str = "examiner") -> None:
        """Write cloudsync.yaml."""
        text = f"owner: {owner}\ntargets:\n{''.join(targets)}{LABELS}schedule: {{every: 5m}}\n"
        text += f"guards: {{{guards}}}\n" if guards else ""
        (self.root / "cloudsync.yaml").write_text(text + more, encoding="utf-8")

    def policy(self, *rules: str, default: str = "visibility", enforced: str = "", words: str = WORDS, scope: str = "all") -> None:
        """Write the one policy file: its rules, and which mode holds where (`enforced`: flow mappings, one each line)."""
        text = f"{words}enforcement:\n  default: {default}\n"
        if enforced:
            text += "  rules:\n" + "".join(f"    - {line}\n" for line in enforced.splitlines())
        text += f"rulesets:\n  - name: r\n    scope: {scope}\n    owner: examiner\n    rules:\n"
        text += "".join(f"      - {rule}\n" for rule in rules)
        (self.root / "policy").mkdir(exist_ok=True)
        (self.root / "policy" / "all.yaml").write_text(text, encoding="utf-8")

    # --- the product -------------------------------------------------------------------------------------------------

    def run(self, *words: str, code: int | None = None, **variables: str) -> Ran:
        """Run one verb. `code`: what it must end with."""
        out, err = io.StringIO(), io.StringIO()
        wanted = {**self.exports, "NO_COLOR": "1", "COLUMNS": "200", **variables}
        with environment(**wanted), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended: object = main([words[0], "-C", str(self.root), *words[1:]])
            except SystemExit as leave:
                ended = leave.code
        ran = Ran(int(str(ended)), out.getvalue(), err.getvalue(), words)
        assert "Traceback (most recent call last)" not in ran.out + ran.err, str(ran)
        assert code is None or ran.code == code, f"wanted exit {code}\n{ran}"
        return ran

    def converge(self, *words: str) -> Ran:
        """Run `apply --yes`; where a guard asks, run the commands it prints and apply again."""
        ran = self.run("apply", "--yes", *words)
        for _ in range(4):
            asked = dict.fromkeys(re.findall(r"cloudsync approve [^\n]+", ran.out + ran.err))
            if ran.code != 4 or not asked:
                break
            for command in asked:
                split = shlex.split(command)[1:]
                if "-C" in split:
                    del split[split.index("-C") : split.index("-C") + 2]
                self.run(*split, code=0)
            ran = self.run("apply", "--yes", *words)
        assert ran.code == 0, str(ran)
        return ran

    def settled(self, *, drift: int = 0) -> None:
        """A second run must write nothing. `drift`: what `drift` ends with; 2 where foreign rules beside ours let in more."""
        self.forget()
        again = self.run("apply", "--yes", code=0)
        assert self.writes() == {}, f"{self.writes()}\n{again}"
        self.run("drift", code=drift)

    # --- the platforms -----------------------------------------------------------------------------------------------

    def passes(self, site: str, src: str, dst: str, protocol: str, port: int | None = None, **more: Json) -> bool:
        """Tell whether a packet gets through at a platform, as its own evaluator says."""
        said = self.lab.control.ask("verdict", {"src": src, "dst": dst, "protocol": protocol, "port": port, **more}, site=site)
        return bool(said["allowed"]) if site == "azure" else said["verdict"] == "allowed"

    def act(self, site: str, method: str, path: str, body: Json = None, **more: Json) -> Json:
        """One request of somebody else; it has to succeed."""
        answer = self.lab.control.ask("act", {"method": method, "path": path, "body": body, **more}, site=site)
        assert answer.get("ok", answer.get("status", 500) in (200, 201, 202, 204)), answer
        return answer["body"]

    def foreign(self, site: str) -> dict[str, str]:
        """Return everything of others where the product writes, as the platform shows it."""
        found: dict[str, Json] = {}
        if site == "gcp":
            for one in self.act(site, "GET", "/compute/v1/projects/acme-net/global/firewalls")["items"]:
                found[one["name"]] = one
        elif site == "azure":
            azure = self.lab.state.as_json()["azure"]
            groups = f"/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}/providers/Microsoft.Network"
            for nsg in self.act(site, "GET", f"{groups}/networkSecurityGroups")["value"]:
                for one in nsg["properties"]["securityRules"]:
                    # Plural fields that are empty are shown of rules that were written of late, not of old ones.
                    shown = {key: value for key, value in one["properties"].items() if key != "provisioningState" and value != []}
                    found[one["name"] if one["name"].startswith("cs-") else f"{nsg['name']}/{one['name']}"] = shown
        else:
            for kind in ("policy?expandSubcollections=true", "address-list", "port-list", "rule-list?expandSubcollections=true"):
                for one in self.act(site, "GET", f"/mgmt/tm/security/firewall/{kind}")["items"]:
                    found[one["name"]] = one
        return {name: json.dumps(one, sort_keys=True) for name, one in found.items() if not name.startswith(("cs-", "cs_"))}

    def forget(self) -> None:
        """Forget the calls so far."""
        for site in ("", *SITES):
            self.lab.control.calls(clear=True, site=site)
            seen = self.lab.control.log(site=site)
            self.marks[site] = max((int(one["sequence"]) for one in seen), default=0)

    def writes(self, *sites: str) -> dict[str, int]:
        """Return the mutating calls since `forget`, per operation."""
        found: dict[str, int] = {}
        for site in sites or ("", *SITES):
            for one in self.lab.control.log(after=self.marks.get(site, 0), site=site):
                name = one.get("action") or one["operation"]
                found[name] = found.get(name, 0) + 1
        return found

    def calls(self, site: str) -> dict[str, int]:
        """Return all calls since `forget`, per operation."""
        return self.lab.control.calls(site=site)


@contextlib.contextmanager
def on_stage(root: Path, estate: str = "four") -> Iterator[Four]:
    """Start a lab for the tests of one module."""
    with running(estate, seed=1) as lab:
        said: list[str] = []
        commands.env(lab.folder, say=said.append)
        yield Four(lab, root, dict(exported(said)))


def exported(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what `lab env` says a real client must set."""
    for line in lines:
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=", 1)
            yield name, shlex.split(value)[0] if value else ""
