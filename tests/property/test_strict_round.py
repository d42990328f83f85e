"""Whatever text is written into YAML by another program comes out of the strict loader as that text; junk never raises."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudsync.model.finding import Severity
from cloudsync.policy.strict import Mapping, Node, Scalar, Sequence, load_node

WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=0, max_size=12)
TREES = st.recursive(
    WORDS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(WORDS.filter(bool), below, max_size=3),
    max_leaves=8,
)


def shape(node: Node | None) -> object:
    match node:
        case Mapping(entries=entries):
            return {key.text: shape(value) for key, value in entries}
        case Sequence(items=items):
            return [shape(item) for item in items]
        case Scalar(text=text):
            return text
        case _:
            return None


@settings(max_examples=200)
@given(TREES.filter(lambda tree: tree != ""), st.booleans())
def test_text_survives(tree: object, flow: bool) -> None:
    text = yaml.safe_dump(tree, default_style='"', default_flow_style=flow, width=10_000)
    node, findings = load_node("f.yaml", text.encode())
    assert not findings
    assert shape(node) == tree


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text("ab:- #[]{}!&*'\"\n\t|>?,%@`<=.\u200b\u0435\x00", max_size=40).map(str.encode))
def test_junk_gives_a_tree_or_a_finding_but_never_raises(content: bytes) -> None:
    node, findings = load_node("f.yaml", content)
    assert all(finding.severity is Severity.ERROR and finding.where.line >= 1 and finding.where.col >= 1 for finding in findings)
    assert findings == load_node("f.yaml", content)[1]
    if not findings and node is not None:
        # What we accept silently, YAML reads with the same structure.
        assert _kind(yaml.compose(content, Loader=yaml.CSafeLoader)) is type(node)


def _kind(node: yaml.Node | None) -> type[Node]:
    return {yaml.MappingNode: Mapping, yaml.SequenceNode: Sequence, yaml.ScalarNode: Scalar}[type(node)]
