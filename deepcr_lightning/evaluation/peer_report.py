"""The table and the figure of a network and its peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from deepcr_lightning.evaluation.difference import COMPARED
from deepcr_lightning.evaluation.exposure_scores import ExposureScores, group, summed
from deepcr_lightning.evaluation.map_peer import LOWEST_RATE, draw_map
from deepcr_lightning.evaluation.peers import Peers
from deepcr_lightning.evaluation.score_record import COLUMNS, score_cell
from deepcr_lightning.figures import as_it_is, save_figure

_HIGHEST_RATE = 5
_GREY = "#7f7f7f"


def show_comparison(comparison: Mapping[str, Any]) -> str:
    """Lay a network and its peers out as a table, all exposures together.

    Parameters
    ----------
    comparison : mapping
        From `evaluation.comparison.compare`.

    Returns
    -------
    str
        Values with half of their intervals; differences with their intervals, which pair the exposures.
    """
    rows, reference = comparison["groups"]["all"], comparison["reference"]
    width = max(map(len, rows))
    lines = [
        "Methods on the same pixels: completeness at false-positive rates, and of each mask at its own threshold",
        f"{'':{width}}  " + "".join(f"{text:>14}" for text in COLUMNS.values()),
    ]
    for name, row in rows.items():
        cells = (score_cell(key, row[key]) if key in row else "-" for key in COLUMNS)
        lines.append(f"{name:{width}}  " + "".join(f"{cell:>14}" for cell in cells))
    lines += [
        f"Difference to {reference}, with the interval of 95 in 100 draws of the exposures",
        f"{'':{width}}  " + "".join(f"{COLUMNS[key]:>28}" for key in COMPARED),
    ]
    for name, row in rows.items():
        if "difference" in row:
            cells = (_difference_cell(key, row["difference"].get(key)) for key in COMPARED)
            lines.append(f"{name:{width}}  " + "".join(f"{cell:>28}" for cell in cells))
    return "\n".join(lines)


def _difference_cell(key: str, entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return "-"
    factor, digits = (1, 4) if key == "average_precision" else (100, 1)
    # Adding 0 takes the sign from what rounds to nothing.
    value, *ends = (
        f"{round(factor * v, digits) + 0.0:+.{digits}f}" for v in (entry["value"], *(entry["interval"] or ()))
    )
    return f"{value} ({ends[0]} to {ends[1]})" if ends else value


def plot_peers(path: Path, scored: Sequence[ExposureScores], peers: Peers, threshold: float) -> None:
    """Plot completeness against false-positive rate, a line a method, for all exposures and each field type.

    Parameters
    ----------
    path : Path
        PNG to write.
    scored : sequence of ExposureScores
        Those without counts of peers are left out.
    peers : Peers
    threshold : float
        Threshold of the network's mask on the probability.
    """
    known = [s for s in scored if s.counts and s.peers]
    fields = {s.field for s in known}
    panels = {name: members for name, members in group(known).items() if name == "all" or name in fields}
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    size = (6.4, 5.6) if len(panels) == 1 else (4.3 * columns, 3.6 * lines + 1.1)
    figure, cells = plt.subplots(
        lines, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    handles: list[Line2D] = []
    for cell, (name, members) in zip(cells.flat, panels.items(), strict=False):
        handles = _draw_panel(cell, members, peers, threshold)
        cell.set_title(f"{as_it_is(name)}, {len(members)} exposure{'s' * (len(members) > 1)}", fontsize="medium")
    for cell in cells.flat[len(panels) :]:
        cell.set_axis_off()
    for cell in cells.flat[max(0, len(panels) - columns) : len(panels)]:
        cell.set_xlabel("false-positive rate [% of pixels]")
        cell.tick_params(labelbottom=True)
    for cell in cells[:, 0]:
        cell.set_ylabel("completeness [% of CR pixels]")
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns == 1 else 3, fontsize="small")
    figure.suptitle(
        "Methods on the same pixels; pixels that touch a true cosmic ray are not counted", fontsize="medium"
    )
    save_figure(figure, path)


def _draw_panel(cell: Axes, members: Sequence[ExposureScores], peers: Peers, threshold: float) -> list[Line2D]:
    ours = summed(members, None)
    handles = draw_map(cell, ours, peers.reference, threshold, color="black", linewidth=2.2, zorder=3)
    for peer in peers.methods:
        handles += peer.draw(cell, summed(members, peer.name))
    handles += cell.plot([], [], "o", color=_GREY, label="mask at the method's own threshold")
    cell.set_xscale("log")
    cell.xaxis.set_major_formatter("{x:g}")
    cell.set(xlim=(LOWEST_RATE, _HIGHEST_RATE), ylim=(0, 102))
    cell.grid(alpha=0.3)
    return handles
