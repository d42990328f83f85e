"""Size, names and exceptions are counted, and the count is bounded."""

import re

from tests.tidy import tree

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
# Budgets, not goals: lower them when you can, and say in the commit why if you must raise one.
NOQA_MAX = 40
TYPE_IGNORE_MAX = 20
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|data|info|misc|common|stuff)(_|$)")


def comments(pattern: str) -> list[str]:
    marker = re.compile(r"#\s*" + pattern)
    return [
        f"{file}:{number}"
        for file in tree.python_files(*tree.EVERYTHING)
        for number, line in enumerate((tree.ROOT / file).read_text(encoding="utf-8").splitlines(), 1)
        if marker.search(line)
    ]


def test_no_function_is_longer_than_a_screen() -> None:
    long = [str(one) for one in tree.functions(*tree.EVERYTHING) if one.lines > FUNCTION_LINES_MAX]
    assert not long, "\n".join(long)


def test_no_file_holds_more_than_one_idea() -> None:
    long = [
        f"{file} ({tree.line_count(file)} lines)" for file in tree.python_files(*tree.EVERYTHING) if tree.line_count(file) > FILE_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_every_module_is_a_noun_of_the_domain() -> None:
    empty = [
        str(file) for file in tree.python_files(*tree.EVERYTHING) if any(EMPTY_NAMES.search(part) for part in file.with_suffix("").parts)
    ]
    assert not empty, empty


def test_exceptions_to_the_checkers_are_few() -> None:
    quiet, untyped = comments("noqa"), comments(r"type:\s*ignore")
    assert len(quiet) <= NOQA_MAX, quiet
    assert len(untyped) <= TYPE_IGNORE_MAX, untyped


def test_an_exception_names_what_it_silences() -> None:
    blanket = comments(r"noqa(?!:)") + comments(r"type:\s*ignore(?!\[)") + comments(r"ruff:\s*noqa")
    assert not blanket, blanket


def test_figures() -> None:
    """Print the figures of the product beside those of its tests; `make check` shows them."""
    rows = []
    for title, folders in (("product", tree.PRODUCT), ("tests", ("tests",))):
        sizes = [one.lines for one in tree.functions(*folders)]
        files = [tree.line_count(file) for file in tree.python_files(*folders)]
        rows.append(
            (title, len(files), sum(files), tree.percentile(files, 0.95), max(files), len(sizes), tree.percentile(sizes, 0.95), max(sizes))
        )
    print()
    print(f"{'':10}{'files':>7}{'lines':>8}{'p95':>6}{'max':>6}{'functions':>11}{'p95':>6}{'max':>6}")
    for title, *figures in rows:
        print(f"{title:10}" + "".join(f"{figure:>{width}}" for figure, width in zip(figures, (7, 8, 6, 6, 11, 6, 6), strict=True)))
    ratio = rows[1][2] / rows[0][2]
    silenced = f"noqa {len(comments('noqa'))} of {NOQA_MAX} · type: ignore {len(comments('type:'))} of {TYPE_IGNORE_MAX}"
    print(f"test:code {ratio:.2f} · mocks 0 · {silenced}")
    assert all(row[1] > 0 for row in rows)
