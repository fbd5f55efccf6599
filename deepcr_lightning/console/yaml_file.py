"""YAML files that somebody else may have written, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from deepcr_lightning.errors import InputError

_LARGEST = 10_000_000


def load_yaml(path: Path) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DictConfig or ListConfig
        Its values; nothing is resolved.

    Raises
    ------
    InputError
        If it cannot be read, is larger than any config, nests too deep, or has aliases, by which a few lines unpack to
        more than any memory holds.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: of {path.stat().st_size / 1e6:.0f} MB, which no config has")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(f"{path}: has aliases (*name), which are not read; write their values out")
        return OmegaConf.create(text)
    except InputError:
        raise
    except Exception as error:  # the parser, OmegaConf and the file system raise a dozen kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from error
