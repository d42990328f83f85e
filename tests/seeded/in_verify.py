"""Defects in the checker of plan files: what it would wave through."""

from __future__ import annotations

from tests.seeded.planting import Defect

_MEANING = "tests/property/test_verify_meaning.py::test_every_packet_is_decided_as_the_language_says"
_COMMAND = "tests/cli/test_cli_verify.py::test_one_more_entry_is_refused_with_a_witness"

DEFECTS = (
    Defect(
        name="verify-forgets-never",
        file="cloudsync/verify/policy.py",
        old="Ruling(allow & ~never, (allow | loose) & ~never, never, deny)",
        new="Ruling(allow, allow | loose, never, deny)",
        breaks="A plan that opens what never rules forbid is accepted.",
        tests=(_MEANING,),
    ),
    Defect(
        name="verify-scopes-what-is-outside",
        file="cloudsync/verify/policy.py",
        old="if scope is not None and not end.outside:",
        new="if scope is not None:",
        breaks="`outside` frees no source: right plans are refused, and wrong ones may pass.",
        tests=(_MEANING,),
    ),
    Defect(
        name="verify-believes-the-end",
        file="cloudsync/verify/check.py",
        old='missing, excess = packets["least"][side] & ~passes, passes & ~packets["most"][side]',
        new='missing, excess = packets["least"][side] & ~passes, 0',
        breaks="What a plan opens beyond the policy is not told as such.",
        tests=(_COMMAND,),
    ),
    Defect(
        name="verify-believes-the-digest",
        file="cloudsync/verify/document.py",
        old='if digest(body) != top["content_digest"]:',
        new='if not top["content_digest"]:',
        breaks="A file that was changed after it was written is not told by its digest.",
        tests=(_COMMAND,),
    ),
)
