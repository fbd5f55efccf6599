"""What the network that fills gains over medians and biharmonic: pixels, and fluxes of stars that were hit.

Simulates exposures that trained nothing, fills their true cosmic-ray pixels in every way, those that come with
deepCR among them where it is installed, and compares with the exposure less its true cosmic-ray charge; and, as
Zhang & Bloom (2020) did, fills holes that have the shape of 1 to 9 exposures' cosmic rays, where there are none, so
that nothing of their faint rims is left around; all of them, and those more than 2 pixels from saturated ones, whose
charge spills along the columns and ends where nobody can tell. Fluxes are those in apertures of 3 pixels of radius, of
stars that a cosmic ray touches there and whose flux is at least 5 times its error. One process a core.
"""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from inpaint_picture import Cutout, draw
from numpy.typing import NDArray
from photutils.aperture import CircularAperture
from published_inpainting import published_fills
from report import Row, parser, publish
from scipy.ndimage import maximum_filter

from deepcr_lightning.exposures.dq import SATURATION
from deepcr_lightning.exposures.exposure import Chip, Exposure, read_exposure, root_of
from deepcr_lightning.exposures.instruments import Instrument, unusable_bits
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import field_type, find_truths, read_matching_truth, read_truth
from deepcr_lightning.inpainting.filler import load_filler
from deepcr_lightning.photometry.workers import start_workers
from deepcr_lightning.prediction.fill import FILLS, NETWORK, Fill
from deepcr_lightning.scores.intervals import interval, resampled
from deepcr_lightning.simulation.stars import FIELDS

SHAPE = ("--filters", "F275W", "F336W", "F606W", "F814W", "--size", "512", "512", "--chips", "1")
NUMBERS = ("--exposures", "32", "--darks", "4", "--seed", "111")
RADIUS, LEAST_SNR, HALF = 3.0, 5.0, 12
MOST_MASKS = 9
AWAY = 2
"""Pixels to a saturated one, along rows and columns: in clusters nearer ones have most of a mean square error."""
TRUE, EMPTY, CLEAR = "cosmic rays", "empty holes", " off saturated pixels"
KINDS = (TRUE, TRUE + CLEAR, EMPTY, EMPTY + CLEAR)
BEFORE, PERFECT = "before", "the pixel's own noise"
MAD_TO_SIGMA = 1.4826
Score = dict[str, object]
Image = NDArray[np.float32]


def simulate(folder: Path) -> None:
    """Make the exposures, unless they are there."""
    if not (folder / "simulation.json").exists():
        command = ["-m", "deepcr_lightning.simulation", folder, "--fields", *FIELDS, *SHAPE, *NUMBERS, "--quiet"]
        subprocess.run([sys.executable, *map(str, command)], check=True)


def fluxes(image: Image, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum an image in the aperture of each star."""
    return np.atleast_1d(CircularAperture(places, RADIUS).do_photometry(image.astype(np.float64))[0])


def hit_stars(stars: Table, seconds: float, cr: NDArray[np.bool_], bad: NDArray[np.bool_], local: Image) -> Table:
    """Choose the stars that count, and note their flux and its error in electrons."""
    rows, columns = cr.shape
    inside = (stars["x"] > HALF) & (stars["x"] < columns - HALF) & (stars["y"] > HALF) & (stars["y"] < rows - HALF)
    stars = stars[inside]
    places = np.column_stack([stars["x"], stars["y"]])
    stars["flux"], stars["error"] = stars["rate"] * seconds, np.sqrt(fluxes(local**2, places))
    touched = (fluxes(cr, places) > 0) & (fluxes(bad, places) == 0)
    return stars[touched & (stars["flux"] > LEAST_SNR * stars["error"])]


def empty_holes(masks: list[NDArray[np.bool_]], seed: int) -> NDArray[np.bool_]:
    """Join the masks of 1 to 9 exposures, each shifted."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(masks), size=rng.integers(1, MOST_MASKS + 1))
    rows, columns = masks[0].shape
    shifts = [(rng.integers(rows), rng.integers(columns)) for _ in chosen]
    return np.any([np.roll(masks[n], shift, (0, 1)) for n, shift in zip(chosen, shifts, strict=True)], axis=0)


def near_saturated(chip: Chip, instrument: Instrument) -> NDArray[np.bool_]:
    """Find the pixels near saturated ones."""
    return np.asarray(maximum_filter((chip.dq & unusable_bits(instrument, SATURATION)) != 0, 2 * AWAY + 1))


def add_errors(sums: dict[str, list[float]], errors: dict[str, Image], local: Image) -> None:
    """Add to the sum of square errors of each way, the same over the noise, and the number of pixels."""
    for way, error in errors.items():
        more = [float((error**2).sum(dtype=float)), float(((error / local) ** 2).sum(dtype=float)), error.size]
        sums[way] = np.add(sums.get(way, 0), more).tolist()


def score(
    exposure: Exposure, truth_file: Path, stars_file: Path, ways: dict[str, Fill], holes: NDArray[np.bool_]
) -> tuple[Score, Cutout | None]:
    """Fill an exposure in every way; return errors of pixels and stars, and the star that the median misses most."""
    known, found = read_matching_truth(truth_file, exposure), {way: [] for way in (BEFORE, *ways)}
    pixels: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    worst: tuple[float, Cutout] | None = None
    for chip in exposure.chips:
        truth = known[chip.extver]
        assert truth.charge is not None
        under = chip.electrons - truth.charge
        sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
        local = np.sqrt(noise**2 + np.maximum(under - sky, 0))
        good = ~chip.unusable
        mask = truth.cr & good  # as those of predict.py
        filled = {way: fill(chip.electrons, mask, good) for way, fill in ways.items()}
        more = {way: fill(chip.electrons, (truth.cr | holes) & good, good) for way, fill in ways.items()}
        empty = holes & ~truth.cr
        away = ~near_saturated(chip, exposure.row)
        for kind, images, where in (
            (TRUE, filled, truth.cr),
            (TRUE + CLEAR, filled, truth.cr & away),
            (EMPTY, more, empty),
            (EMPTY + CLEAR, more, empty & away),
        ):
            counted = where & ~truth.ignore & good
            errors = {way: (image - under)[counted] for way, image in images.items()} | {PERFECT: local[counted]}
            add_errors(pixels[kind], errors, local[counted])
        stars = Table.read(stars_file)
        stars = stars[stars["extver"] == chip.extver]
        bad = truth.ignore | chip.unusable
        stars = hit_stars(stars, exposure.exposure_time, truth.cr, bad, local)
        if not len(stars):
            continue
        places = np.column_stack([stars["x"], stars["y"]])
        right = fluxes(under, places)
        for way, image in {BEFORE: chip.electrons, **filled}.items():
            off = fluxes(image, places) - right
            found[way] += np.column_stack([off / stars["error"], off / stars["flux"]]).tolist()
        off = np.abs(fluxes(filled["median_5"], places) - right) / stars["error"]
        if worst is None or off.max() > worst[0]:
            x, y = (round(float(stars[axis][off.argmax()])) for axis in ("x", "y"))
            box = np.s_[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1]
            planes = {"before": chip.electrons, **filled, "truth": under}
            worst = float(off.max()), Cutout(sky, noise, mask[box], {name: p[box] for name, p in planes.items()})
    return {"field": field_type(truth_file), "pixels": pixels, "stars": found}, worst and worst[1]


def pixel_rows(scores: list[Score], ways: list[str], field: str) -> list[Row]:
    """Compare mean square errors with the best of the ways without a network."""
    rows = []
    scores = [score for score in scores if score["field"] == field]
    drawn = resampled(len(scores))
    for kind in KINDS:
        sums = {way: np.array([s["pixels"][kind][way] for s in scores]) for way in (*ways, PERFECT)}
        if kind.endswith(CLEAR):
            every = kind.removesuffix(CLEAR)
            some, all_ = (sum(s["pixels"][k][PERFECT][2] for s in scores) for k in (kind, every))
            rows.append(Row(f"{field}, {kind}, number", some, "pixels", every, all_, some / all_))
        for column, unit in ((0, "e2"), (1, "noise2")):
            total = {way: each.sum(0) for way, each in sums.items()}
            error = {way: float(all_[column] / all_[2]) for way, all_ in total.items()}
            best = min(FILLS, key=lambda way: error[way])
            rows += [
                Row(f"{field}, {kind}, mean square error, {way}", value, unit, best, error[best], error[best] / value)
                for way, value in error.items()
            ]
            every_draw = {way: drawn @ each[:, column] for way, each in sums.items()}
            least = np.min([every_draw[way] for way in FILLS], axis=0)
            for way in [way for way in ways if way not in FILLS]:
                low, high = interval(least / every_draw[way])
                name = f"{field}, {kind}, lower end of the interval of the gain, {way}"
                rows.append(Row(name, low, unit, "the upper end", high, error[best] / error[way]))
            for ours in [way for way in ways if way.startswith(NETWORK)]:
                for way in [way for way in ways if way not in FILLS and not way.startswith(NETWORK)]:
                    low, high = interval(every_draw[way] / every_draw[ours])
                    name = f"{field}, {kind}, lower end of the interval of the gain over {way}, {ours}"
                    rows.append(Row(name, low, unit, "the upper end", high, error[way] / error[ours]))
    return rows


def star_rows(scores: list[Score], ways: list[str], field: str) -> list[Row]:
    """Compare bias and scatter of fluxes with those by the default way."""
    rows = []
    off = {
        way: np.concatenate([np.reshape(s["stars"][way], (-1, 2)) for s in scores if s["field"] == field])
        for way in (BEFORE, *ways)
    }
    told: dict[str, dict[str, tuple[float, str]]] = {}
    for way, both in off.items():
        magnitude = -2.5 * np.log10(np.maximum(1 + both[:, 1], 0.01))
        told[way] = {
            name: (float(value), unit)
            for values, unit in ((both[:, 0], "error"), (magnitude, "mag"))
            for name, value in (
                (f"bias, {unit}", np.median(values)),
                (f"scatter, {unit}", MAD_TO_SIGMA * np.median(np.abs(values - np.median(values)))),
                (f"root mean square, {unit}", np.sqrt(np.mean(values**2))),
            )
        }
    for way, figures in told.items():
        for name, (value, unit) in figures.items():
            peer = told["median_5"][name][0]
            ratio = abs(peer / value) if value else float("inf")
            rows.append(Row(f"{field}, {len(off[way])} stars, {name}, {way}", value, unit, "median_5", peer, ratio))
    return rows


def names_of(paths: tuple[str, ...]) -> list[str]:
    """Name our networks: the first plainly, the others by the folders of their runs."""
    names = [NETWORK, *(f"{NETWORK} {Path(path).parent.parent.name}" for path in paths[1:])]
    if len(set(names)) < len(names):
        raise SystemExit(f"--fill-ckpt-path: two runs have a folder of the same name: {', '.join(names)}")
    return names


@lru_cache
def ways_to_fill(paths: tuple[str, ...]) -> dict[str, Fill]:
    """Load every way: those without a network, the published networks, and ours, the first of them as that."""
    torch.set_num_threads(1)  # there is a process for each core
    ours = {name: load_filler(path) for name, path in zip(names_of(paths), paths, strict=True)}
    return {**FILLS, **published_fills(), **ours}


def score_file(
    path: Path, truth: Path, paths: tuple[str, ...], holes: NDArray[np.bool_]
) -> tuple[Score, Cutout | None]:
    """Score the exposure of a file, with the stars beside its truth."""
    exposure = read_exposure(path)
    stars = path.parent.parent / "stars" / f"{exposure.root}_stars.ecsv"
    return score(exposure, truth, stars, ways_to_fill(paths), holes)


def main() -> None:
    """Simulate, fill, compare, print and draw."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="folder of the simulated exposures")
    options.add_argument(
        "--fill-ckpt-path", required=True, nargs="+", help="best.ckpt of runs of experiment=inpaint: the first is drawn"
    )
    options.add_argument("--picture", type=Path, help="figure to draw")
    chosen = options.parse_args()
    simulate(chosen.out)
    networks = tuple(chosen.fill_ckpt_path)
    names_of(networks)
    truths = find_truths("out", chosen.out / "truth")
    masks = [chip.cr for path in truths.values() for chip in read_truth(path).values()]
    files = sorted((chosen.out / "science").glob("*.fits"))
    with start_workers(None) as workers:
        tasks = [
            workers.submit(score_file, path, truths[root_of(path)], networks, empty_holes(masks, number))
            for number, path in enumerate(files)
        ]
        found = [task.result() for task in tasks]
    cutouts: dict[str, Cutout] = {}
    for made, cutout in found:
        if cutout is not None:
            cutouts.setdefault(str(made["field"]), cutout)
    scores = [made for made, _ in found]
    ways = [way for way in scores[0]["pixels"][TRUE] if way != PERFECT]
    rows = [row for field in FIELDS for make in (pixel_rows, star_rows) for row in make(scores, ways, field)]
    publish(rows, chosen.json)
    if chosen.picture:
        draw(chosen.picture, cutouts)


if __name__ == "__main__":
    main()
