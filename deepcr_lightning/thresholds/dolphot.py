"""What DOLPHOT needs to measure exposures under each mask: masked copies, parameter files and a script."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.products import Provenance, write_dq_copy
from deepcr_lightning.models.model import Model
from deepcr_lightning.thresholds.catalogues import NO_MASK
from deepcr_lightning.thresholds.field_stars import masks_of

_DQ_BIT = 8192
# The values that DOLPHOT's manual recommends for WFC3/UVIS; exposures are corrected for their charge transfer.
_PARAMETERS = """\
img_shift = 0 0
img_xform = 1 0 0
img_RAper = 3
img_RChi = 2
img_RPSF = 13
img_RSky = 15 35
img_RSky2 = 4 10
img_apsky = 15 25
UseWCS = {wcs}
Align = 2
Rotate = 1
PSFPhot = 1
FitSky = 2
SkipSky = 2
SkySig = 2.25
SecondPass = 5
SigFind = 3.0
SigFindMult = 0.85
SigFinal = 3.5
MaxIT = 25
NoiseMult = 0.10
FSat = 0.999
ApCor = 1
RCentroid = 2
PosStep = 0.25
RCombine = 1.5
SigPSF = 5.0
PSFres = 1
Force1 = 1
WFC3useCTE = 0
FlagMask = 4
CombineChi = 0
InterpPSFlib = 1
"""
_SCRIPT = """\
#!/bin/sh
# Run DOLPHOT (with its WFC3 module on the PATH) under each mask; then: deepcr-lightning threshold catalogues={folder}
set -e
cd "$(dirname "$0")"
for level in {levels}; do
  (
    cd "$level"
    wfc3mask *.fits
    for image in *.fits; do splitgroups "$image"; done
    for chip in *.chip?.fits; do calcsky "${{chip%.fits}}" 15 35 4 2.25 2.00; done
    dolphot "../$level.phot" -pdolphot.param > dolphot.log
  )
done
"""


def write_dolphot(
    folder: Path,
    mapped: Iterable[tuple[Exposure, Sequence[NDArray[np.float32]]]],
    levels: Sequence[float],
    model: Model,
    reference: Path | None,
) -> int:
    """Write a folder for no mask and for each threshold, and ``run.sh``, which measures them all.

    Parameters
    ----------
    folder : Path
    mapped : iterable of (Exposure, sequence of ndarray of float32)
        Exposures of one field with the CR probability of their chips.
    levels : sequence of float
        Thresholds.
    model : Model
        That mapped them.
    reference : Path, optional
        A drizzled image of the field; exposures of one chip can do without.

    Returns
    -------
    int
        Number of exposures.

    Raises
    ------
    InputError
        If a file cannot be written, has no DQ or is not of WFC3, or a reference is needed.
    """
    names = [NO_MASK, *(f"{level:g}" for level in levels)]
    images: list[str] = []
    written = 0
    for exposure, maps in mapped:
        if exposure.instrument != "WFC3":
            raise InputError(f"{exposure.path}: comes from {exposure.instrument}; dolphot= supports WFC3 only")
        if len(exposure.chips) > 1 and reference is None:
            raise InputError(f"{exposure.path}: has two chips; name a drizzled image of the field with reference=")
        by_chip = [
            masks_of(probability, ~chip.unusable, levels)
            for chip, probability in zip(exposure.chips, maps, strict=True)
        ]
        for nth, name in enumerate(names):
            provenance = Provenance(model.path.name, model.sha256, levels[nth - 1] if nth else 1.0, 0)
            target = folder / name / f"{exposure.root}_flc.fits"
            write_dq_copy(target, exposure, [masks[nth] for masks in by_chip], _DQ_BIT, provenance)
        images += [f"{exposure.root}_flc.chip{number}" for number in range(1, len(exposure.chips) + 1)]
        written += 1
    first = images[0]
    if reference is not None:
        first = f"{reference.stem}.chip1"
        for name in names:
            write_atomically(folder / name / reference.name, partial(shutil.copyfile, reference))
    listed = "".join(f"img{number}_file = {image}\n" for number, image in enumerate(images, start=1))
    # A drizzled image is aligned by its WCS; exposures of a subarray are on nearly the same pixels.
    text = f"Nimg = {len(images)}\nimg0_file = {first}\n{listed}" + _PARAMETERS.format(
        wcs=0 if reference is None else 1
    )
    for name in names:
        write_atomically(folder / name / "dolphot.param", lambda place: place.write_text(text))
    script = _SCRIPT.format(folder=folder, levels=" ".join(names))
    write_atomically(folder / "run.sh", lambda place: place.write_text(script))
    return written
