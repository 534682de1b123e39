"""Which runs of a plan are meant: some titles, or one of several equal shares."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from emergecast.errors import OptionError
from emergecast.lab.experiment import Run
from emergecast.lab.ledger import Failure


class Shard(NamedTuple):
    """One of several shares of the runs."""

    number: int = 1
    """Which, from 1."""
    of: int = 1
    """How many there are."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The share that "2/4" names.

        Raises:
            OptionError: it names none.
        """
        found = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.of:
            raise OptionError(f'there is no share "{text}". Give one like 2/4, the second of four.')
        return shard


ALL_OF_THEM: Final = Shard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which runs are meant; by default all of them."""

    only: tuple[str, ...] = ()
    """Patterns of run titles, like "*/S-108 finetuned*", of which one must fit; all if empty."""
    shard: Shard = ALL_OF_THEM
    """A share of them by their keys, so that it stays the same when runs are added."""

    def takes(self, run: Run | Failure) -> bool:
        """Whether a run is meant."""
        mine = int(run.key[:16], 16) % self.shard.of == self.shard.number - 1
        return mine and self.title_fits(run)

    def title_fits(self, run: Run | Failure) -> bool:
        """Whether a run is meant by its title, in whichever share it is."""
        return not self.only or any(fnmatch.fnmatchcase(run.title, each) for each in self.only)

    def __str__(self) -> str:
        """In words, like "--only '*lora*', share 1 of 4"; empty where all runs are meant."""
        parts = [f"--only '{each}'" for each in self.only]
        if self.shard.of > 1:
            parts.append(f"share {self.shard.number} of {self.shard.of}")
        return ", ".join(parts)
