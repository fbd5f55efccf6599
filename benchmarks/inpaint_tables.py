"""The tables of docs/inpainting.md, from what benchmarks/inpaint.py wrote with --json."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

FIELDS = {"sparse": "sparse", "cluster": "clusters", "galaxy": "galaxies", "nebula": "nebulae"}
WITHOUT_NETWORK = ("median_3", "median_5", "biharmonic")
CLEAR = " off saturated pixels"
FIGURES = ("bias", "scatter", "root mean square")
_NOISE = "the pixel's own noise"
Cells = dict[tuple[str, str], float]
"""By name and unit."""


def table(head: str, columns: list[str], lines: list[list[str]]) -> str:
    """Lay out a table in Markdown."""
    rows = [[head, *columns], ["---"] * (len(columns) + 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def called(way: str) -> str:
    """Name a way as the docs do."""
    named = {"median_5": "`median_5` (default)", "deepCR": "deepCR, published", "before": "before"}
    return named.get(way, f"`{way}`")


def bold(values: dict[str, float], form: str, least: Callable[[float], float]) -> dict[str, str]:
    """Write values, those least by some measure in bold."""
    best = min(map(least, values.values()))
    return {way: f"**{value:{form}}**" if least(value) == best else f"{value:{form}}" for way, value in values.items()}


def pixels(cells: Cells, ways: list[str], kind: str, unit: str, form: str) -> str:
    """Lay out mean square errors: of all pixels, and of those off saturated ones."""
    lines: dict[str, list[str]] = {way: [] for way in ways}
    gains: dict[str, list[str]] = {way: [] for way in ways if way not in WITHOUT_NETWORK}
    noise = []
    for field in FIELDS:
        both = []
        for where in (kind, kind + CLEAR):
            error = {way: cells[f"{field}, {where}, mean square error, {way}", unit] for way in ways}
            both.append((error, bold(error, form, abs), min(error[way] for way in WITHOUT_NETWORK)))
        for way, line in lines.items():
            line.append(", ".join(written[way] for _, written, _ in both))
        for way, line in gains.items():
            line.append(", ".join(f"{best / error[way]:.2f}" for error, _, best in both))
        noises = (cells[f"{field}, {where}, mean square error, {_NOISE}", unit] for where in (kind, kind + CLEAR))
        noise.append(", ".join(f"{value:{form}}" for value in noises))
    made = [[called(way), *line] for way, line in lines.items()]
    if unit == "e2":
        made.append(["the noise of the pixels themselves", *noise])
    made += [[f"gain of {called(way)} over the best without a network", *line] for way, line in gains.items()]
    return table("`fill=`", list(FIELDS.values()), made)


def stars(cells: Cells, ways: list[str], unit: str, form: str) -> str:
    """Lay out bias, scatter and root mean square of the fluxes of stars that were hit."""
    titles, lines = [], {way: [called(way)] for way in ("before", *ways)}
    for field, several in list(FIELDS.items())[1:]:  # sparse fields have few
        number = next(name.split(", ")[1] for name, _ in cells if name.startswith(f"{field}, ") and " stars, " in name)
        titles.append(f"{several}, {number}")
        value = {
            figure: {way: cells[f"{field}, {number}, {figure}, {unit}, {way}", unit] for way in ways}
            for figure in FIGURES
        }
        before = (cells[f"{field}, {number}, {figure}, {unit}, before", unit] for figure in FIGURES)
        lines["before"].append(", ".join(f"{of_none:{form}}" for of_none in before))
        written = [bold(value[figure], form, abs) for figure in FIGURES]
        for way in ways:
            lines[way].append(", ".join(figure[way] for figure in written))
    return table("", titles, list(lines.values()))


def tables(cells: Cells) -> Iterator[str]:
    """Lay out every table, each below its title."""
    start = "sparse, cosmic rays, mean square error, "
    ways = [name.removeprefix(start) for name, unit in cells if name.startswith(start) and unit == "e2"]
    ways.remove(_NOISE)
    for kind in ("empty holes", "cosmic rays"):
        yield f"{kind}, electrons squared\n\n" + pixels(cells, ways, kind, "e2", ".0f")
        yield f"{kind}, units of the noise squared\n\n" + pixels(cells, ways, kind, "noise2", ".2f")
    yield "stars, units of the error\n\n" + stars(cells, ways, "error", ".2f")
    yield "stars, magnitudes\n\n" + stars(cells, ways, "mag", ".3f")


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("json", type=Path, help="what benchmarks/inpaint.py wrote")
    rows = json.loads(options.parse_args().json.read_text())
    print("\n\n".join(tables({(row["name"], row["unit"]): row["value"] for row in rows})))


if __name__ == "__main__":
    main()
