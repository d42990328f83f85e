"""PUBLIC: one contract that every adapter keeps, as a suite of tests. It needs pytest, and is imported by tests alone.

    class TestWall(AdapterContract):
        @pytest.fixture
        def stage(self) -> Iterator[Stage]:
            yield WallStage(...)

`Stage` is what an author writes for a platform; docs/writing-an-adapter.md tells how.
"""

from __future__ import annotations

from cloudsync.testing.contract.laws import Laws
from cloudsync.testing.contract.meaning import Meaning
from cloudsync.testing.contract.ownership import Ownership
from cloudsync.testing.contract.packaging import Packaging
from cloudsync.testing.contract.reading import Reading
from cloudsync.testing.contract.shielding import Shielding
from cloudsync.testing.contract.stage import Facts, Hole, Passes, Stage, WriteFault
from cloudsync.testing.contract.staging import Staging
from cloudsync.testing.contract.walking import Walking
from cloudsync.testing.contract.writing import Writing


class AdapterContract(Staging, Meaning, Reading, Writing, Walking, Laws, Shielding, Ownership, Packaging):
    """Every case of the contract; subclass it in a test module and give it a fixture `stage`."""


__all__ = ["AdapterContract", "Facts", "Hole", "Passes", "Stage", "WriteFault"]
