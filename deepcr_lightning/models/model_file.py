"""Files of models: found by path or by name, and read without executing anything."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deepcr_lightning.errors import InputError

FOLDER = "DEEPCR_LIGHTNING_MODELS"
"""The environment variable that names a folder of models known by their names."""
UNIVERSAL = "universal"
"""Name of the model that comes with the package."""
OF_HUBBLE = "universal-hst"
"""Name of its second part, for exposures of HST."""
SHIPPED = {name: Path(__file__).with_name(f"{name}.ckpt") for name in (UNIVERSAL, OF_HUBBLE)}
"""Their files."""
SHIPPED_FILLER = Path(__file__).with_name("filler.ckpt")
"""File of the network that fills which comes with the package."""
_PUBLISHED = ("ACS-WFC", "WFC3-UVIS", "decam", "example_model")
"""What deepCR 0.3.1 registers; other files in the package do not say in which units they want an image."""
_CODE = "GLOBAL"
"""In what PyTorch says of a file that wants to call something that is no plain value."""


def find_model_file(name: str | Path) -> Path:
    """Find the file of a model.

    Parameters
    ----------
    name : str or Path
        A path; or a bare name: ``universal`` is the model that comes with the package, ``universal-hst`` its part
        for exposures of HST, and others, such as
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
    found = {name: path for name, path in (SHIPPED | brought).items() if path.is_file()}
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
        if zipfile.is_zipfile(path):
            _require_sound(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        _require_real(values)
    except pickle.UnpicklingError as error:
        if _CODE not in str(error):
            raise InputError(f"{path}: not a PyTorch checkpoint, or damaged; give the best.ckpt of a run") from error
        raise InputError(
            f"{path}: holds pickled code, which is never executed for safety; give a file made by train.py"
        ) from error
    except InputError:
        raise
    except Exception as error:  # PyTorch and its unpickler raise a dozen kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a PyTorch checkpoint, or damaged ({reason}); give the best.ckpt of a run"
        ) from error
    return values


def _require_sound(path: Path) -> None:
    """Raise if a record of a checkpoint differs from its sum, or unpacks to more than what is in the file."""
    # PyTorch checks neither: a bit that flipped in a weight would pass, and a few bytes could fill the memory.
    with zipfile.ZipFile(path) as file:
        records = file.infolist()
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if packed or sum(record.file_size for record in records) > path.stat().st_size:
            raise ValueError("its records are packed, which those of PyTorch are not")
        damaged = file.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} differs from its checksum")


def _require_real(values: Any) -> None:
    """Raise if a tensor among plain values is larger than the numbers that the file holds for it."""
    left, seen = [values], set()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            left += value
        elif isinstance(value, torch.Tensor):
            plain = value.layout == torch.strided and not value.is_quantized and not value.is_nested
            if not plain or value.untyped_storage().nbytes() < value.numel() * value.element_size():
                raise ValueError("one of its tensors is larger than its numbers")


def description_of(path: Path) -> Path:
    """Name the file that describes an exported network."""
    return path.with_name(f"{path.name}.json")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
