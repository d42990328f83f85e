"""Verbs that only read or write files of the config repository: init, validate, test, fmt, schema. Nothing is contacted."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cloudsync.cli.exits import Exit
from cloudsync.cli.output import Output
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Severity, Where

SCHEMAS = ("settings", "policy", "inventory", "acknowledged")


def options(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add a verb's options."""
    match verb:
        case "init":
            parser.add_argument("directory", nargs="?", type=Path, default=None, help="where to write it (default: the current folder)")
        case "fmt":
            parser.add_argument("--check", action="store_true", help="write nothing; exit 3 when something is not canonical")
        case "schema":
            parser.add_argument("name", nargs="?", choices=SCHEMAS, help="print this one")
            parser.add_argument("--write", type=Path, metavar="DIR", help="write all of them into a folder")
        case "test":
            parser.add_argument("--offline", action="store_true", help="contact nothing: static inventory and what runs verified")
        case _:
            parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def run(chosen: argparse.Namespace, output: Output) -> int:
    """Run one of the verbs."""
    match chosen.verb:
        case "init":
            return _init(chosen.directory or Path(chosen.repository), output)
        case "validate":
            return _validate(Path(chosen.repository), output, strict=chosen.strict)
        case "test":
            return _test(Path(chosen.repository), output, offline=chosen.offline)
        case "fmt":
            return _fmt(Path(chosen.repository), output, check=chosen.check)
        case _:
            return _schema(chosen.name, chosen.write, output)


def _init(folder: Path, output: Output) -> int:
    from cloudsync import starter
    from cloudsync.app.whole import writing

    files = starter.files()
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        hint = "nothing was written; choose an empty folder"
        raise InputError([Finding(Where(str(folder / name)), "EXISTS", "is already there", hint) for name in taken])
    for name, text in files.items():
        path = folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        output.line(f"wrote {path}")
    output.document("init", files=[str(folder / name) for name in files])
    output.line(f"next: put your account into {folder / 'cloudsync.yaml'}, then: cloudsync validate")
    return Exit.OK


def _findings(root: Path) -> tuple[list[Finding], str]:
    from cloudsync.app.repository import read_repository
    from cloudsync.policy.acknowledged import lint as lint_acknowledged
    from cloudsync.policy.lint import lint

    found = read_repository(root)
    findings = [*found.findings, *lint_acknowledged(found.acknowledged, found.targets, _now())]
    rules = 0
    if found.policy is not None:
        rules = len(found.policy.rules)
        findings += lint(found.policy, _now(), schedule_known=bool(found.settings and found.settings.schedule))
    errors = sum(one.severity is Severity.ERROR for one in findings)
    warnings = sum(one.severity is Severity.WARNING for one in findings)
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')} in {_count(found.files, 'file')}, {_count(rules, 'rule')}"
    return findings, counts


def _validate(root: Path, output: Output, *, strict: bool) -> int:
    findings, summary = _findings(root)
    output.findings(findings, summary)
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return Exit.INVALID if any(one.severity in bad for one in findings) else Exit.OK


def _test(root: Path, output: Output, *, offline: bool) -> int:
    from cloudsync.app.known import world_for_tests
    from cloudsync.compile import check

    policy, scene, source = world_for_tests(root, offline=offline)
    verdicts = check.run(scene.compiler, policy.tests)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in verdicts:
        state = "ok  " if verdict.passed else "FAIL"
        line = f"{state} {verdict.test.where} {verdict.test.text}"
        output.line(line + (f": {verdict.reason}" if verdict.reason else ""), *(() if verdict.passed else ("red",)))
    counted = f"on {_count(len(scene.inventory.workloads), 'workload')} ({source})"
    summary = f"{len(verdicts) - len(failed)} passed, {len(failed)} failed {counted}"
    output.line(summary)
    tests = [{"where": str(one.test.where), "test": one.test.text, "passed": one.passed, "reason": one.reason} for one in verdicts]
    output.document("test", tests=tests, inventory=source, summary=summary)
    return Exit.INVALID if failed else Exit.OK


def _fmt(root: Path, output: Output, *, check: bool) -> int:
    from cloudsync.app.repository import read_repository
    from cloudsync.app.whole import write_whole
    from cloudsync.policy.fmt import format_files

    found = read_repository(root)
    if found.errors or found.settings is None:
        raise InputError(found.errors)
    before = found.snapshot.policy
    changed = [(name, new) for (name, old), (_, new) in zip(before, format_files(before), strict=True) if new != old]
    for name, new in changed:
        if not check:
            write_whole(root / name, new, (root / name).stat().st_mode & 0o777)
        output.line(f"{'not canonical' if check else 'rewrote'}: {name}")
    output.document("fmt", changed=[name for name, _ in changed], check=check)
    if not changed:
        output.line("every sentence is canonical")
    return Exit.INVALID if check and changed else Exit.OK


def _schema(name: str | None, folder: Path | None, output: Output) -> int:
    if folder is not None:
        from cloudsync.app.whole import writing
        from cloudsync.settings.generate import write

        with writing(folder):
            write(folder)
        output.line(f"wrote the JSON Schemas into {folder}")
        output.document("schema", files=[str(folder / f"{one}.schema.json") for one in SCHEMAS])
        return Exit.OK
    import json

    from cloudsync.settings import packaged_schema

    names: Iterable[str] = (name,) if name else SCHEMAS
    found = {one: packaged_schema(one) for one in names}
    output.raw(json.dumps(found[name] if name else found, indent=2) + "\n")
    return Exit.OK


def _now() -> datetime:
    from datetime import UTC

    from cloudsync.clock import SystemClock

    return datetime.fromtimestamp(SystemClock().now(), UTC)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
