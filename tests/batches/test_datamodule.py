"""The data module: sides, draws, places of the tiles, balance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_hst
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import observe, star_field

from deepcr_lightning.batches.bank import TileBank
from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.batches.dataset import PairedTiles, distinct, uniform_of
from deepcr_lightning.batches.selection import tile_groups
from deepcr_lightning.errors import InputError
from deepcr_lightning.tiles.build import build_store


def datamodule(survey: Path, tmp_path: Path, **settings: object) -> LabelFreeDataModule:
    data = LabelFreeDataModule(
        str(survey / "science"),
        str(survey / "darks"),
        tile_size=32,
        batch_size=4,
        store_dir=str(tmp_path),
        **settings,  # type: ignore[arg-type]
    )
    data.prepare_data()
    data.setup()
    return data


def test_sides_share_neither_visits_nor_darks(survey: Path, tmp_path: Path) -> None:
    data = datamodule(survey, tmp_path)
    assert data.store is not None
    visits = [set(data.store.table["visit"][index]) for index in data.tiles.values()]
    assert all(len(side) == 1 for side in visits)
    assert len(set.union(*visits)) == 3
    darks = [{data.store.layers[i].visit for i in index} for index in data.layers.values()]
    assert sum(len(side) for side in darks) == len(set.union(*darks)) == 4


def test_a_filter_that_no_file_has_is_said_before_tiles_are_cut(survey: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no science file has the filter F999W; the files have F336W, F814W"):
        datamodule(survey, tmp_path / "store", filters=["f336w", "F999W"])
    assert not (tmp_path / "store").exists()


def test_validation_is_the_same_every_time_and_training_is_not(survey: Path, tmp_path: Path) -> None:
    data = datamodule(survey, tmp_path, augmentation={"turns": True, "layers": [1, 3]})

    def charges(loader: torch.utils.data.DataLoader) -> torch.Tensor:
        return torch.cat([batch["charge"].sum(1) for batch in loader])

    torch.testing.assert_close(charges(data.val_dataloader()), charges(data.val_dataloader()))
    loader = data.train_dataloader()
    first = charges(loader)
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert not torch.equal(first, charges(loader))


def test_filters_are_selected_and_unknown_ones_named(survey: Path, tmp_path: Path) -> None:
    data = datamodule(survey, tmp_path, filters=["f814w"])
    assert data.card().filters == ("F814W",)
    with pytest.raises(InputError, match=r"data.filters: .*F999X; the files have F336W, F814W"):
        datamodule(survey, tmp_path, filters="F999X")


@pytest.mark.parametrize(
    "settings",
    [
        {"tile_size": 20},
        {"batch_size": 0},
        {"label_snr": -1.0},
        {"val_fraction": 0.0},
        {"test_fraction": 0.95},
        {"val_tiles": 0},
        {"tiles_per_epoch": -3},
        {"num_workers": -1},
        {"cache": "gpu"},
    ],
)
def test_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        LabelFreeDataModule("x", "y", **settings)  # type: ignore[arg-type]


def test_val_tiles_are_thinned_evenly(survey: Path, tmp_path: Path) -> None:
    everything, few = datamodule(survey, tmp_path), datamodule(survey, tmp_path, val_tiles=3)
    assert len(few.tiles["val"]) == len(few.tiles["test"]) == 3
    assert few.tiles["val"][0] == everything.tiles["val"][0]
    assert few.tiles["val"][-1] == everything.tiles["val"][-1]
    assert len(few.tiles["train"]) == len(everything.tiles["train"])


def test_dark_share_of_the_set(survey: Path, tmp_path: Path) -> None:
    assert datamodule(survey, tmp_path).mean_dark_share() == pytest.approx(900 / 1400, abs=1e-3)


def test_what_the_exposures_looked_like_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for n in range(6):
        light = np.broadcast_to(1000 * (rng.random(320) < 0.1), (320, 320)) if n == 5 else star_field(2.0, 40, rng)
        write_hst(tmp_path / "science" / f"ivis0{n + 1}a0q_flc.fits", [observe(light, rng)])
        write_hst(tmp_path / "darks" / f"idrk0{n + 1}a0q_flc.fits", [rng.normal(0, 3, (320, 320))], IMAGETYP="DARK")
    data = datamodule(tmp_path, tmp_path / "tiles", val_fraction=0.2, test_fraction=0)
    low, high = data.card().star_widths
    assert 1.8 < low <= high < 2.2
    spectra = {name for name in data.card().science if "ivis06" in name}
    assert data.card().spectra == pytest.approx(len(spectra) / len(data.card().science), abs=1e-3)
    assert data.card().trailed == 0


def test_stars_too_few_to_measure_are_of_no_width(survey: Path, tmp_path: Path) -> None:
    assert datamodule(survey, tmp_path).card().star_widths is None


def test_what_a_tile_gets_depends_on_its_draw_alone(survey: Path, tmp_path: Path) -> None:
    data = datamodule(survey, tmp_path)
    assert data.store is not None
    pairs = PairedTiles(data.store, np.arange(4), (1, 3), TileBank(data.store))
    draws = [(n % 36, 7 * n + 2**61) for n in range(12)]
    together, alone = pairs.__getitems__(draws), [pairs.__getitems__([draw]) for draw in draws]
    for name, values in together.items():
        torch.testing.assert_close(values, torch.cat([batch[name] for batch in alone]), rtol=0, atol=0)
    counts = (together["dark_time"] > 0).sum(1)
    assert set(counts.tolist()) == {1, 2, 3}
    assert not together["charge"][together["dark_time"] == 0].any()
    for n, (tile, _) in enumerate(draws):
        np.testing.assert_array_equal(together["electrons"][n], data.store.electrons[tile])
        cut = together["charge"][n, 0].numpy()
        layers = [np.asarray(data.store.charge(layer)) for layer in range(4)]
        assert any(holds(layer, cut) for layer in layers), "a piece of a dark, as it is"


def holds(layer: np.ndarray, cut: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(layer, cut.shape)
    return bool((windows == cut).all(axis=(2, 3)).any())


def test_layers_of_different_shapes_are_cut_alike(survey: Path, tmp_path: Path) -> None:
    """Darks of two widths in one store: each window lies in its own layer."""
    rng = np.random.default_rng(0)
    darks = []
    for n, columns in enumerate((40, 70, 70)):
        cards = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0 + columns}
        image = rng.normal(2, 3, (50, columns))
        image[rng.random(image.shape) < 0.02] += 500
        darks.append(write_hst(tmp_path / f"idrk0{n}d1q_flt.fits", [image], **cards))
    store = build_store(tmp_path / "s", sorted((survey / "science").iterdir()), darks, 32)
    batch = PairedTiles(store, np.arange(3), (2, 2), TileBank(store)).__getitems__([(0, n) for n in range(20)])
    found = set()
    for charge, seconds in zip(batch["charge"].flatten(0, 1), batch["dark_time"].flatten().tolist(), strict=True):
        of_time = [n for n, layer in enumerate(store.layers) if layer.cr_time == pytest.approx(seconds, abs=0.1)]
        assert any(holds(np.asarray(store.charge(n)), charge.numpy()) for n in of_time)
        found |= {store.layers[n].columns for n in of_time}
    assert found == {40, 70}


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**62))
def test_choices_are_distinct_and_even(wanted: int, count: int, seed: int) -> None:
    seeds = np.random.default_rng(seed).integers(0, 2**62, 3000)
    chosen = distinct(uniform_of(seeds, wanted).T, count)
    assert chosen.min() >= 0
    assert chosen.max() < count
    if wanted <= count:
        assert all(len(set(row)) == wanted for row in chosen.tolist())
    shares = np.bincount(chosen.ravel(), minlength=count) / chosen.size
    np.testing.assert_allclose(shares, 1 / count, atol=0.05)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_every_place_gives_the_same_batches(survey: Path, tmp_path: Path, cache: str) -> None:
    usual = datamodule(survey, tmp_path)
    other = datamodule(survey, tmp_path, cache=cache)
    for ours, theirs in zip(usual.train_dataloader(), other.train_dataloader(), strict=True):
        for name, values in ours.items():
            torch.testing.assert_close(values, theirs[name], rtol=0, atol=0)


def test_a_batch_may_be_cut_where_it_is_composed(survey: Path, tmp_path: Path) -> None:
    """As on an accelerator: the loader only says which pixels, and the data module cuts them."""
    data = datamodule(survey, tmp_path)
    assert data.store is not None
    cut = next(iter(data.val_dataloader()))
    draws = list(zip(data.tiles["val"].tolist()[:4], cut["seed"].tolist(), strict=True))
    where = PairedTiles(data.store, data.layers["val"], (1, 1)).__getitems__(draws)
    assert "charge" not in where
    for name, values in data.on_after_batch_transfer(cut, 0).items():
        torch.testing.assert_close(values, data.on_after_batch_transfer(where, 0)[name], rtol=0, atol=0)


def test_groups_are_drawn_equally_often_whatever_they_hold(survey: Path, tmp_path: Path) -> None:
    data = datamodule(survey, tmp_path, balance=["filter", "crowding"], tiles_per_epoch=2000)
    assert data.store is not None
    crowding = data.store.table["crowding"]
    assert 0 <= crowding.min() < crowding.max() < 0.5
    data.store.table["crowding"] = np.resize([0.0, 0.1, 0.3], len(crowding))
    groups = tile_groups(data.store.table, data.tiles["train"], data.balance)
    assert len(set(groups)) > 3
    of_tile = dict(zip(data.tiles["train"].tolist(), groups.tolist(), strict=True))
    count = Counter(of_tile[index] for index, _ in data.train_dataloader().sampler)  # type: ignore[union-attr]
    assert len(count) == len(set(groups))
    assert min(count.values()) > 0.75 * max(count.values())


def test_classes_of_time_and_crowding() -> None:
    table = {
        "filter": np.array(["F336W", "F336W", "F814W", "F814W"]),
        "exposure_time": np.array([30.0, 350.0, 900.0, 900.0]),
        "crowding": np.array([0.01, 0.1, 0.3, 0.01]),
    }
    groups = tile_groups(table, np.array([3, 0, 1, 2]), ["filter", "exposure_time", "crowding"])
    assert groups.tolist() == ["F814W 2 0", "F336W 0 0", "F336W 1 1", "F814W 2 2"]


def test_unknown_balance_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.balance: weather"):
        LabelFreeDataModule(balance=["weather"])


def test_cameras_train_together_each_with_its_own_darks(survey: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    science, darks = [str(survey / "science")], [str(survey / "darks")]
    for n in range(4):
        other = {"INSTRUME": "ACS", "DETECTOR": "WFC"}
        noise = rng.normal(50, 5, (64, 96)).astype(np.float32)
        write_hst(tmp_path / "science" / f"jvis0{n}a1q_flc.fits", [noise], FILTER="F606W", **other)
        write_hst(tmp_path / "darks" / f"jdrk0{n}a1q_flc.fits", [noise - 45], IMAGETYP="DARK", TARGNAME="DARK", **other)
    data = LabelFreeDataModule(
        [*science, str(tmp_path / "science")],
        [*darks, str(tmp_path / "darks")],
        tile_size=32,
        batch_size=4,
        store_dir=str(tmp_path / "tiles"),
        test_fraction=0.0,
        balance=["camera"],
    )
    data.prepare_data()
    data.setup()
    assert data.store is not None
    cameras = {"WFC3 UVIS 1x1", "ACS WFC 1x1"}
    for side in ("train", "val"):
        assert set(data.store.table["camera"][data.tiles[side]]) == cameras
        assert {data.store.layers[i].camera for i in data.layers[side]} == cameras
        dataset = PairedTiles(data.store, data.layers[side], (1, 2))
        layers = [data.store.layers[i] for i in data.layers[side]]
        for tile in data.tiles[side].tolist():
            chosen, *_ = dataset._pairs(dataset._kind[[tile] * 8], np.arange(8))
            assert {layers[n].camera for n in chosen.ravel()} == {data.store.table["camera"][tile]}


def test_science_of_a_camera_without_darks_is_refused(survey: Path, tmp_path: Path) -> None:
    write_hst(tmp_path / "jvis01a1q_flc.fits", [np.ones((64, 96))], FILTER="F606W", INSTRUME="ACS", DETECTOR="WFC")
    data = LabelFreeDataModule(
        [str(survey / "science"), str(tmp_path)], str(survey / "darks"), tile_size=32, store_dir=str(tmp_path / "tiles")
    )
    with pytest.raises(InputError, match=r"jvis01a1q_flc.fits of ACS WFC 1x1.*needs darks of the same"):
        data.prepare_data()
