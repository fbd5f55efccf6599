"""The tables of docs/studies/inpainting.md, from what benchmarks/inpaint.py wrote with --json."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

FIELDS = {"sparse": "sparse", "cluster": "clusters", "galaxy": "galaxies", "nebula": "nebulae"}
WITHOUT_NETWORK = ("median_3", "median_5", "biharmonic")
CLEAR = " off saturated pixels"
NETWORK = "network"
FIGURES = ("bias", "scatter", "root mean square")
_NOISE = "the pixel's own noise"
Cells = dict[tuple[str, str], tuple[float, float]]
"""Figure and that of its peer, by name and unit."""


def table(head: str, columns: list[str], lines: list[list[str]]) -> str:
    """Lay out a table in Markdown."""
    rows = [[head, *columns], ["---"] * (len(columns) + 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def called(way: str) -> str:
    """Name a way as the docs do."""
    if way == "median_5":
        return "`median_5` (default)"
    if way.startswith(f"{NETWORK} "):
        return f"`{NETWORK}`, {way.removeprefix(f'{NETWORK} ')}"
    return way if way == "before" or way.startswith("deepCR") else f"`{way}`"


def bold(values: dict[str, float], form: str) -> dict[str, str]:
    """Write values, that nearest 0 in bold."""
    best = min(map(abs, values.values()))
    return {way: f"**{value:{form}}**" if abs(value) == best else f"{value:{form}}" for way, value in values.items()}


def pixels(cells: Cells, ways: list[str], kind: str, unit: str, form: str) -> str:
    """Lay out mean square errors: of all pixels, and of those off saturated ones."""
    networks = [way for way in ways if way not in WITHOUT_NETWORK]
    ours = [way for way in networks if way.startswith(NETWORK)]
    pairs = [(one, other) for one in ours for other in networks if other not in ours]
    lines: dict[str, list[str]] = {way: [] for way in (*ways, _NOISE)}
    gains: dict[str, list[str]] = {way: [] for way in networks}
    ends: dict[str, list[str]] = {way: [] for way in ours}
    paired: dict[tuple[str, str], list[str]] = {pair: [] for pair in pairs}
    for field in FIELDS:
        both = (f"{field}, {kind}", f"{field}, {kind}{CLEAR}")
        errors = [{way: cells[f"{where}, mean square error, {way}", unit][0] for way in lines} for where in both]
        written = [bold({way: error[way] for way in ways}, form) for error in errors]
        for way in ways:
            lines[way].append(", ".join(each[way] for each in written))
        lines[_NOISE].append(", ".join(f"{error[_NOISE]:{form}}" for error in errors))
        for way, line in gains.items():
            line.append(", ".join(f"{min(map(error.get, WITHOUT_NETWORK)) / error[way]:.2f}" for error in errors))
        for way, line in ends.items():
            interval = (cells[f"{where}, lower end of the interval of the gain, {way}", unit] for where in both)
            line.append(", ".join(f"{low:.1f} to {high:.1f}" for low, high in interval))
        for (one, other), line in paired.items():
            over = (
                cells[f"{where}, lower end of the interval of the gain over {other}, {one}", unit] for where in both
            )
            ratios = (error[other] / error[one] for error in errors)
            line.append(
                ", ".join(f"{r:.1f} ({low:.1f} to {high:.1f})" for r, (low, high) in zip(ratios, over, strict=True))
            )
    made = [[called(way), *lines[way]] for way in ways]
    if unit == "e2":
        made.append(["the noise of the pixels themselves", *lines[_NOISE]])
    for way, line in gains.items():
        made.append([f"gain of {called(way)} over the first three", *line])
        if way in ends:
            made.append([f"interval of that of {called(way)}", *ends[way]])
    made += [[f"gain of {called(one)} over {called(other)}", *line] for (one, other), line in paired.items()]
    return table("`fill=`", list(FIELDS.values()), made)


def stars(cells: Cells, ways: list[str], unit: str, form: str) -> str:
    """Lay out bias, scatter and root mean square of the fluxes of stars that were hit."""
    titles, lines = [], {way: [called(way)] for way in ("before", *ways)}
    for field, several in list(FIELDS.items())[1:]:  # sparse fields have few
        number = next(name.split(", ")[1] for name, _ in cells if name.startswith(f"{field}, ") and " stars, " in name)
        titles.append(f"{several}, {number}")
        value = {
            figure: {way: cells[f"{field}, {number}, {figure}, {unit}, {way}", unit][0] for way in ways}
            for figure in FIGURES
        }
        before = (cells[f"{field}, {number}, {figure}, {unit}, before", unit][0] for figure in FIGURES)
        lines["before"].append(", ".join(f"{of_none:{form}}" for of_none in before))
        written = [bold(value[figure], form) for figure in FIGURES]
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
    print("\n\n".join(tables({(row["name"], row["unit"]): (row["value"], row["peer_value"]) for row in rows})))


if __name__ == "__main__":
    main()
