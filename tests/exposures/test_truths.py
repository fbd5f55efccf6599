"""Where truth files are found: in folders and those linked in them, by name, glob and list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write_truth

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.truth import find_truths

MASK = np.zeros((4, 5), bool)


def truth(path: Path) -> Path:
    return write_truth(path, MASK)


def test_linked_folders_are_searched(tmp_path: Path) -> None:
    file = truth(tmp_path / "far" / "deep" / "a_truth.fits")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "one").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "far" / "back").symlink_to(tmp_path / "near", target_is_directory=True)
    assert find_truths("truth", tmp_path / "far") == {"a": file}
    assert find_truths("truth", tmp_path / "near") == {"a": tmp_path / "near" / "one" / "deep" / "a_truth.fits"}


def test_truth_is_named_as_exposures_are(tmp_path: Path) -> None:
    files = {name: truth(tmp_path / folder / f"{name}_truth.fits") for folder, name in (("x", "a"), ("y [1]", "b"))}
    assert find_truths("truth", files["a"]) == {"a": files["a"]}
    assert find_truths("truth", [str(tmp_path / "x"), tmp_path / "y [1]"]) == files
    assert find_truths("truth", f"{tmp_path}/*/*_truth.fits") == files
    assert find_truths("truth", f"{tmp_path}/y [1]/*.fits") == {"b": files["b"]}
    for nothing in (tmp_path / "nowhere", [], f"{tmp_path}/*.txt"):
        with pytest.raises(InputError, match=r"no <root>_truth\.fits there"):
            find_truths("truth", nothing)


def test_two_truths_of_one_root_are_refused(tmp_path: Path) -> None:
    truth(tmp_path / "x" / "a_truth.fits")
    truth(tmp_path / "y" / "a_truth.fits")
    with pytest.raises(InputError, match="have the same root; give only one of them"):
        find_truths("truth", tmp_path)
