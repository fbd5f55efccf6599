"""What a run was started with, read back to resume it: never with what could run somebody else's code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import ListConfig, OmegaConf

from deepcr_lightning.console.typed import PATHS
from deepcr_lightning.console.yaml_file import load_yaml
from deepcr_lightning.errors import InputError

_NAMES_OF_CODE = ("model.network", "model.loss", "model.optimiser")
_OURS = ("unet", "bce", "calibrated_bce", "adamw")
"""Networks, losses and optimisers of this package: the keys of its tables, whose import would bring PyTorch along."""


def saved_overrides(file: Path, typed: Iterable[str]) -> list[str]:
    """Read the overrides that a run keeps of itself.

    The folder of a run may come from somebody else, and Hydra builds whatever class a config names. So options that
    name code (``_target_`` and its like), configs outside the package, settings of Hydra itself and interpolations
    count only where the user types them.

    Parameters
    ----------
    file : Path
        ``overrides.yaml`` of a run.
    typed : iterable of str
        Names of the options that the user typed, which are left out.

    Returns
    -------
    list of str
        The overrides.

    Raises
    ------
    InputError
        If the file is damaged, or an option is one of those.
    """
    saved = load_yaml(file)
    # As they stand: an interpolation would be resolved by looking at it.
    texts = OmegaConf.to_container(saved, resolve=False) if isinstance(saved, ListConfig) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{file}: is not a list of options; remove it, and give those of the run yourself")
    known = set(typed)
    kept = [text for text in map(str, texts) if text.partition("=")[0] not in known]
    if harmful := [text for text in kept if not _is_harmless(text)]:
        raise InputError(
            f"{file}: has {', '.join(map(repr, harmful))}, which could run code of whoever wrote that file; if it is "
            "yours, type it again behind ckpt_path="
        )
    return kept


def _is_harmless(text: str) -> bool:
    try:
        return not text.startswith("-") and _harmless(OverridesParser.create().parse_override(text))
    except (HydraException, RecursionError):
        return False


def _harmless(override: Override) -> bool:
    name = override.get_key_element().lstrip("+~")
    parts = name.replace("@", ".").replace("/", ".").split(".")
    if name in _NAMES_OF_CODE and override.value() not in _OURS:
        return False
    if parts[0] == "hydra" or any(part.startswith("_") for part in parts):
        return False
    # What a name without a dot chooses is a file of configs/, or a path that is one by its name.
    chooses = "." not in name and name not in PATHS
    return _harmless_value(override.value(), chooses)


def _harmless_value(value: Any, chooses: bool) -> bool:
    if isinstance(value, Mapping):
        return all(
            not str(key).startswith("_") and "${" not in str(key) and _harmless_value(inner, chooses)
            for key, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return all(_harmless_value(inner, chooses) for inner in value)
    return "${" not in str(value) and not (chooses and ("/" in str(value) or ".." in str(value)))
