"""A trained network for other programs, or to hand on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import torch

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY, card_of
from deepcr_lightning.models.deepcr_weights import deepcr_state
from deepcr_lightning.models.lean import lean_checkpoint
from deepcr_lightning.models.model import Model
from deepcr_lightning.models.model_file import description_of, sha256_of
from deepcr_lightning.models.onnx_graph import write_onnx
from deepcr_lightning.networks.choice import described
from deepcr_lightning.networks.unet import UNet

_LEVELS = {
    "stabilised": "levels: sky and noise of the chip, deepcr_lightning.exposures.sky.sky_and_noise(electrons)",
    "standard": "levels: mean and standard deviation of the chip",
    "electrons": "levels: none, give 0 and 1",
}


def hand_on(path: Path, out: Path) -> str:
    """Write a checkpoint of weights and card alone (`models.lean.lean_checkpoint`).

    Parameters
    ----------
    path : Path
        Checkpoint of a run.
    out : Path
        File to write.

    Returns
    -------
    str
        How to use it, in two lines.

    Raises
    ------
    InputError
        If the checkpoint cannot be read or the file cannot be written.
    """
    checkpoint = lean_checkpoint(path)
    write_atomically(out, lambda partial: torch.save(checkpoint, partial))
    *others, name = card_of(checkpoint, path).options.split()
    named = shlex.join([*others, f"{name}={out}"])
    use = f"deepcr-lightning predict {named} input=DIR output_dir=DIR"
    return f"{out}\n{out.stat().st_size / 1024:.0f} KiB; {use}"


def export(model: Model, out: Path) -> str:
    """Write a network for another program, and ``OUT.json``, which describes it.

    Parameters
    ----------
    model : Model
        A network that finds cosmic rays.
    out : Path
        File to write; it ends in ``.pth``, for the package deepCR, or in ``.onnx``.

    Returns
    -------
    str
        How to use it, in a few lines.

    Raises
    ------
    InputError
        If the ending is another, the network has no such form, or a file cannot be written.
    """
    levels = _LEVELS[model.card.normalisation.split("-")[0]]
    threshold = f"threshold on the probability: {model.threshold:g}"
    if out.suffix == ".pth":
        if not isinstance(model.net, UNet):
            raise InputError(f"{out}: deepCR has no network like {described(model.net)}; write ONNX instead")
        state = deepcr_state(model.net)
        write_atomically(out, lambda partial: torch.save(state, partial))
        usage = (
            f"deepCR(mask={str(out)!r}, hidden={model.net.hidden}).clean(image, threshold={model.threshold:g})\n"
            f"image: {_image_for_deepcr(model)}"
        )
    elif out.suffix == ".onnx":
        write_atomically(out, lambda partial: write_onnx(model.net, model.scale.apply, partial))
        usage = (
            "inputs, float32: electrons (B, 1, H, W), sky and noise (B, 1, 1, 1); output: probability (B, 1, H, W)\n"
            f"{levels}\ncut chips into tiles that overlap by {model.net.margin} pixels a side, at multiples of "
            f"{model.net.step}\n{threshold}"
        )
    else:
        raise InputError(f"{out}: the ending must be .pth (for deepCR), .onnx, or .ckpt (to hand on)")
    if model.card.makes_noise_even:
        usage += "\npredict makes the noise of a chip even first (deepcr_lightning.exposures.uneven_noise)"
    if model.card.prior is not None:
        usage += (
            f"\npredict lowers the map of a chip of which cosmic rays cover less than {model.card.prior:.2g} "
            "(deepcr_lightning.prediction.prior); this network alone does not"
        )
    told = {"usage": usage.splitlines(), "sha256": sha256_of(out), DESCRIPTION_KEY: model.card.to_plain()}
    text = json.dumps(told, indent=1) + "\n"
    write_atomically(description_of(out), lambda partial: partial.write_text(text))
    return f"{out}\n{usage}"


def _image_for_deepcr(model: Model) -> str:
    if model.card.normalisation == "electrons":
        return "in electrons"
    if model.card.normalisation == "standard":
        return "electrons minus their mean, over their standard deviation"
    return (
        "normalise(torch.from_numpy(electrons), *sky_and_noise(electrons)).numpy(), which deepCR cannot do itself;\n"
        "    from deepcr_lightning.networks.scale import normalise\n"
        "    from deepcr_lightning.exposures.sky import sky_and_noise"
    )
