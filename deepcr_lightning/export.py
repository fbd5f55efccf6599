"""Command line: ``python -m deepcr_lightning.export CKPT OUT.pth``, ``OUT.onnx`` or ``OUT.ckpt``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.deepcr_weights import deepcr_state
from deepcr_lightning.networks.onnx_graph import write_onnx
from deepcr_lightning.training.checkpoint import (
    DESCRIPTION_KEY,
    FILLER,
    Model,
    kind_of,
    load_model,
    read_checkpoint,
)
from deepcr_lightning.training.fill_checkpoint import FillModel, load_fill_model
from deepcr_lightning.training.lean import lean_checkpoint
from deepcr_lightning.training.model_file import description_of, sha256_of

_LEVELS = {
    "stabilised": "levels: sky and noise of the chip, deepcr_lightning.exposures.sky.sky_and_noise(electrons)",
    "standard": "levels: mean and standard deviation of the chip",
    "electrons": "levels: none, give 0 and 1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error, of which one line stands on stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deepcr_lightning.export",
        description="Write a trained network for other programs: OUT.pth for the package deepCR (depth 2 only), or "
        "OUT.onnx, from electrons to probability; a file with .json at its end says how it was trained and is used. "
        "Or to hand it on: OUT.ckpt holds weights and description alone, and no paths.",
    )
    parser.add_argument("ckpt_path", help="best.ckpt of a run, a .pth of deepCR, or the name of one of these")
    parser.add_argument("out", type=Path, help="file to write; its ending says in what form")
    options = parser.parse_args(arguments)
    try:
        print(export(_load(options.ckpt_path), options.out))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export(model: Model | FillModel, out: Path) -> str:
    """Write a network for another program, or to hand it on.

    Parameters
    ----------
    model : Model or FillModel
        The latter can be handed on only.
    out : Path
        Ends in ``.pth`` or ``.onnx``, and ``OUT.pth.json`` or ``OUT.onnx.json`` describes the network; or in
        ``.ckpt`` (`training.lean.lean_checkpoint`).

    Returns
    -------
    str
        How to use it, in a few lines.

    Raises
    ------
    InputError
        If the ending is another, the network has no such form, or a file cannot be written.
    """
    if out.suffix == ".ckpt":
        checkpoint = lean_checkpoint(model.path)
        write_atomically(out, lambda partial: torch.save(checkpoint, partial))
        use = "fill=network fill_ckpt_path" if isinstance(model, FillModel) else "ckpt_path"
        return f"{out}\n{out.stat().st_size / 1024:.0f} KiB; python predict.py {use}={out} input=DIR output_dir=DIR"
    if isinstance(model, FillModel):
        raise InputError(f"{out}: a network that fills has no such form; the ending must be .ckpt")
    levels = _LEVELS[model.description["normalisation"].split("-")[0]]
    threshold = f"threshold on the probability: {model.threshold:g}"
    if out.suffix == ".pth":
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
    told = {"usage": usage.splitlines(), "sha256": sha256_of(out), DESCRIPTION_KEY: model.description}
    text = json.dumps(told, indent=1) + "\n"
    write_atomically(description_of(out), lambda partial: partial.write_text(text))
    return f"{out}\n{usage}"


def _load(path: str) -> Model | FillModel:
    file = Path(path).expanduser()
    fills = file.suffix == ".ckpt" and file.is_file() and kind_of(read_checkpoint(file)[DESCRIPTION_KEY]) == FILLER
    return load_fill_model(file) if fills else load_model(path)


def _image_for_deepcr(model: Model) -> str:
    if model.description["normalisation"] == "electrons":
        return "in electrons"
    if model.description["normalisation"] == "standard":
        return "electrons minus their mean, over their standard deviation"
    return (
        "normalise(torch.from_numpy(electrons), *sky_and_noise(electrons)).numpy(), which deepCR cannot do itself;\n"
        "    from deepcr_lightning.networks.scale import normalise\n"
        "    from deepcr_lightning.exposures.sky import sky_and_noise"
    )


if __name__ == "__main__":
    sys.exit(main())
