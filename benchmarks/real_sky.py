"""How models do on real images: every set of ../shared/data/real and the exposures of uvis_2013fy27.

MODEL: universal, a checkpoint, ACS-WFC or WFC3-UVIS (deepCR), lacosmic (astroscrappy at its usual settings),
lacosmic-best (at those of the highest F1 of each set, of 28; takes minutes), cosmic-conn-ground, cosmic-conn-hst
(Cosmic-CoNN, GPL-3, which brings its weights: pip install --no-deps --target FOLDER cosmic-conn, and PYTHONPATH=FOLDER
before the command).

AP       average precision; pixels that touch a true CR from outside count as neither, "strict" as none
C 0.1 %  completeness at a false-positive rate of 0.1 %
C, P, F1 completeness, purity and F1 of the mask at the model's own threshold
ECE      calibration error over the pixels that the map gives a chance of at least 1 in 100, with the same two rules
flagged  share of the pixels that are no CR, nor touch one, that the mask flags
stars    share of star peaks that the mask flags (star_peaks.py), and how many there are; none in spectra of slits
+-       half the width of the 95 % interval over drawings of the set's images; none where there is one image

Of the set marked * the catalogue is a reference, not a truth; it and the UVIS exposures are not in the means.
decam_legacypipe has five CRs: it is in the means as any other, and its interval is wide.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from real_sky_changes import binned, noisier, scaled, shifted
from real_sky_events import EVENTS, open_events, struck
from real_sky_methods import open_method
from real_sky_scores import CONTROLS, LOWER, MEAN, MEASURES, SHARES, Scores, Value, score_sets
from real_sky_sets import DATA, REFERENCE, Picture, read_sets
from report import Row

from deepcr_lightning.errors import InputError

PEER = "ACS-WFC"
TITLES = dict(
    zip(MEASURES, ("AP", "AP strict", "C 0.1 %", "C", "P", "F1", "ECE", "ECE strict", "flagged", "stars"), strict=True)
)
_LEAST = 1e-4


def lay_out(scores: Mapping[str, Scores], sets: Mapping[str, list[Picture]]) -> Iterator[str]:
    """Lay out the scores of a method, a row for each set.

    Parameters
    ----------
    scores : mapping of str to dict of str to Value
        From `score_sets`.
    sets : mapping of str to list of Picture
        For the number of images and of stars.

    Yields
    ------
    str
        Lines of a table in Markdown.
    """
    table = [["set", "images", *TITLES.values()]]
    for name, values in scores.items():
        pictures = sets.get(name, [])
        count = sum(rows.size for picture in pictures for rows, _ in picture.stars)
        cells = [cell(measure, values[measure]) for measure in MEASURES]
        cells[-1] += f" of {count}" if count else ""
        table.append([name + "*" * (name in REFERENCE), str(len(pictures) or ""), *cells])
    yield from _aligned(table)


def summary(scores: Mapping[str, Mapping[str, Scores]]) -> Iterator[str]:
    """Lay out the means of all methods: over sets with truth, then the shares of controls and transplants."""
    table = [["model", *TITLES.values(), *(f"{TITLES[measure]}, controls" for measure in SHARES)]]
    for name, by_set in scores.items():
        cells = [cell(measure, by_set[MEAN][measure]) for measure in MEASURES]
        table.append([name, *cells, *(cell(measure, by_set[CONTROLS][measure]) for measure in SHARES)])
    yield from _aligned(table)


def cell(measure: str, value: Value) -> str:
    """Write a score with half the width of its interval, shares in per cent."""
    if np.isnan(value.value):
        return "-"
    factor, digits = (100, 3 if measure == "flagged" else 1) if measure in SHARES else (1, 4)
    text = f"{factor * value.value:.{digits}f}"
    half = f"{factor * (value.high - value.low) / 2:.{max(1, digits - 1)}f}"
    return text + (f" +-{half}" if float(half) > 0 else "") + (" %" if measure in SHARES else "")


def _aligned(table: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for number, row in enumerate(table):
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def rows(scores: Mapping[str, Mapping[str, Scores]]) -> Iterator[Row]:
    """Set every figure of every model beside the peer's; where less is better, ratios are of shares plus 0.01 %."""
    for name, by_set in scores.items():
        for place, values in by_set.items():
            for measure, score in values.items():
                ours, peer = score.value, scores[PEER][place][measure].value
                if name == PEER or np.isnan(ours) or np.isnan(peer):
                    continue
                ratio = (peer + _LEAST) / (ours + _LEAST) if measure in LOWER else ours / max(peer, _LEAST)
                yield Row(f"{measure}, {place}, {name}", ours, "share", f"deepCR {PEER}", peer, ratio)


def main() -> None:
    """Score the models that are named."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", nargs="*", metavar="MODEL", help="universal, ACS-WFC and WFC3-UVIS by default")
    options.add_argument("--data", type=Path, default=DATA, help="folder with real, uvis_2013fy27 and weights")
    options.add_argument("--sets", nargs="+", metavar="SET", help="sets to score; all by default")
    changes = options.add_mutually_exclusive_group()
    changes.add_argument("--binned", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="pixels added up before")
    changes.add_argument(
        "--shifted", nargs=2, type=float, metavar=("Y", "X"), help="by so many pixels, by linear interpolation"
    )
    changes.add_argument("--scaled", type=float, metavar="FACTOR", help="as by a gain that is wrong by this factor")
    changes.add_argument("--noisier", type=float, metavar="FACTOR", help="the right half, by this factor")
    changes.add_argument("--struck", choices=EVENTS, help="by real CRs of that camera, in 1.5 %% of the pixels")
    options.add_argument(
        "--noise", type=float, default=1.0, metavar="FACTOR", help="tell our networks so many times the measured noise"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help=f"write all figures there, beside those of {PEER}")
    options.add_argument("--sheets", type=Path, metavar="DIR", help="draw worst false pixels and misses of every set")
    chosen = options.parse_args()
    names = list(dict.fromkeys(chosen.models or ("universal", PEER, "WFC3-UVIS")))
    scores: dict[str, dict[str, Scores]] = {}
    try:
        change = binned(tuple(chosen.binned)) if chosen.binned else None
        change = shifted(tuple(chosen.shifted)) if chosen.shifted else change
        change = scaled(chosen.scaled) if chosen.scaled else change
        change = noisier(chosen.noisier) if chosen.noisier else change
        change = struck(open_events(chosen.struck, chosen.data)) if chosen.struck else change
        sets = read_sets(chosen.data, chosen.sets, change)
        for name in names + [PEER] * (chosen.json is not None and PEER not in names):
            begun = time.monotonic()
            methods = open_method(name, chosen.data, chosen.noise)
            see = None
            if chosen.sheets and len(methods) == 1:
                from real_sky_sheets import sheets_of

                see = sheets_of(chosen.sheets, Path(name).stem)
            scores[name] = score_sets(methods, sets, see)
            print(f"\n{name} ({time.monotonic() - begun:.0f} s)\n", *lay_out(scores[name], sets), sep="\n", flush=True)
    except InputError as error:
        raise SystemExit(str(error)) from None
    print("\nMeans over sets\n", *summary(scores), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows(scores)], indent=1) + "\n")


if __name__ == "__main__":
    main()
