"""Files of models: found by path or by name, and read without executing anything."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from deepcr_lightning.errors import InputError

FOLDER = "DEEPCR_LIGHTNING_MODELS"
"""The environment variable that names a folder of models known by their names."""
UNIVERSAL = "universal"
"""Name of the model that comes with the package."""
SHIPPED = Path(__file__).with_name(f"{UNIVERSAL}.ckpt")
"""Its file."""
SHIPPED_FILLER = Path(__file__).with_name("filler.ckpt")
"""File of the network that fills which comes with the package."""
_PUBLISHED = ("ACS-WFC", "WFC3-UVIS", "decam", "example_model")
"""What deepCR 0.3.1 registers; other files in the package do not say in which units they want an image."""


def find_model_file(name: str | Path) -> Path:
    """Find the file of a model.

    Parameters
    ----------
    name : str or Path
        A path; or a bare name: ``universal`` is the model that comes with the package, and others, such as
        ``WFC3-UVIS``, are those of ``NAME.ckpt`` or ``NAME.pth`` in the folder that the environment variable `FOLDER`
        names, or of weights that an installed deepCR package brings.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is no such file; the known names are listed.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = known_models()
    if str(name) in known:
        return known[str(name)]
    raise InputError(
        f"ckpt_path={name}: no such file; give the best.ckpt of outputs/.../checkpoints/, or one of "
        f"{', '.join(sorted(known))}"
    )


def known_models() -> dict[str, Path]:
    """List the models that have a name (`find_model_file`), and their files."""
    package = importlib.util.find_spec("learned_models")
    places = package.submodule_search_locations if package is not None else None
    brought = {name: Path(places[0]) / "mask" / f"{name}.pth" for name in _PUBLISHED} if places else {}
    found = {name: path for name, path in {UNIVERSAL: SHIPPED, **brought}.items() if path.is_file()}
    if os.environ.get(FOLDER):
        files = sorted(Path(os.environ[FOLDER]).expanduser().glob("*"))
        found |= {path.stem: path for path in files if path.suffix in (".ckpt", ".pth")}
    return found


def read_plain(path: Path) -> Any:
    """Read a file of PyTorch as plain values: nothing in it is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object

    Raises
    ------
    InputError
        If it is no such file, or holds anything but plain values.
    """
    if not path.is_file():
        raise InputError(f"ckpt_path={path}: no such file; a run keeps its checkpoints in outputs/.../checkpoints/")
    # Published weights are of the older format of PyTorch, which is no zip file.
    if path.suffix != ".pth" and not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a PyTorch checkpoint, or truncated; give the best.ckpt of a run")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds pickled code, which is never executed for safety; give a file made by train.py"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a PyTorch checkpoint; give the best.ckpt of a run") from error


def description_of(path: Path) -> Path:
    """Name the file that describes an exported network."""
    return path.with_name(f"{path.name}.json")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
