"""What all campaigns share: their options, the table that they print and the rows that they write."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from watched import Outcome


@dataclass
class Tally:
    """Cases by kind and outcome, and what those that did not survive said.

    Attributes
    ----------
    counts : Counter of (str, str)
        By the name of the kind and that of the outcome.
    faults : list of str
        One line each.
    slowest : float
        Seconds of the slowest case; 0 if they are not measured.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, kind: str, case: str, outcome: Outcome, times: int = 1) -> None:
        """Count a case, or what was done in it so many times; `case` tells how to make it again."""
        self.counts[kind, outcome.kind] += times
        self.slowest = max(self.slowest, outcome.seconds)
        if not outcome.survived:
            self.faults.append(f"{kind}, {case}: {outcome.kind}: {outcome.words}")

    def publish(self, file: Path | None) -> int:
        """Print the table and write the rows; give the number of cases that did not survive."""
        outcomes = list(dict.fromkeys(outcome for _, outcome in self.counts))
        kinds = list(dict.fromkeys(kind for kind, _ in self.counts))
        width = max(map(len, kinds), default=0)
        print(f"{'':{width}}  {'tried':>7}" + "".join(f"  {outcome:>17}" for outcome in outcomes))
        for kind in kinds:
            tried = sum(self.counts[kind, outcome] for outcome in outcomes)
            counts = "".join(f"  {self.counts[kind, outcome]:17}" for outcome in outcomes)
            print(f"{kind:{width}}  {tried:7}{counts}")
        if self.slowest > 0:
            print(f"slowest case: {self.slowest:.2f} s")
        for fault in self.faults:
            print(f"FAULT {fault}")
        if file is not None:
            file.write_text(json.dumps(list(self._rows(kinds, outcomes)), indent=1) + "\n")
        return len(self.faults)

    def _rows(self, kinds: Iterable[str], outcomes: list[str]) -> Iterable[dict[str, object]]:
        for kind in kinds:
            tried = sum(self.counts[kind, outcome] for outcome in outcomes)
            for outcome in outcomes:
                count = self.counts[kind, outcome]
                yield {
                    "name": f"{kind}, {outcome}",
                    "value": count,
                    "unit": "cases",
                    "peer": "tried",
                    "peer_value": tried,
                    "ratio": count / tried,
                }


def options(description: str | None, count: int | None = None) -> argparse.ArgumentParser:
    """Make the command line of a campaign.

    Parameters
    ----------
    description : str, optional
        Description of the campaign.
    count : int, optional
        Cases by default, of a campaign that draws them.

    Returns
    -------
    argparse.ArgumentParser
        With ``--json`` and, if cases are drawn, ``--count``, ``--seed`` and ``--minutes``.
    """
    made = argparse.ArgumentParser(description=description)
    if count is not None:
        made.add_argument("--count", type=int, default=count, help="cases to try (default: %(default)s)")
        made.add_argument("--seed", type=int, default=1, help="of what is drawn (default: %(default)s)")
        made.add_argument("--minutes", type=float, default=10.0, help="no case begins later (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    return made


def until(minutes: float, count: int) -> Iterable[int]:
    """Give the numbers of the cases, as long as there is time."""
    end = time.monotonic() + 60 * minutes
    for number in range(count):
        if time.monotonic() > end:
            print(f"out of time after {number} of {count} cases")
            return
        yield number
