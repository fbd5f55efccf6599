"""The table and the JSON that every benchmark leaves."""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Row:
    """One figure and that of a peer, measured in the same run; a ratio above 1 is ahead of the peer."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the command line that all benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    return made


def publish(rows: list[Row], file: Path | None) -> None:
    """Print the rows and write them as a list of objects."""
    width = max(len(row.name) for row in rows)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    for row in rows:
        figures = f"{row.value:9.2f} {row.unit:8}  {row.peer_value:9.2f} {row.unit:8}"
        print(f"{row.name:{width}}  {figures}  x {row.ratio:.2f}   against {row.peer}")
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
