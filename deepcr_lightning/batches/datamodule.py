"""The data of a label-free training run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from deepcr_lightning.batches.augment import Augmentation
from deepcr_lightning.batches.bank import CACHES, TileBank, choose_cache
from deepcr_lightning.batches.compose import compose_batch
from deepcr_lightning.batches.dataset import PairedTiles, TileDraws
from deepcr_lightning.batches.inventory import looks_of
from deepcr_lightning.batches.same_data import require_same_data
from deepcr_lightning.batches.selection import (
    check_balance,
    evenly_spaced,
    require_filters,
    tile_groups,
    tiles_of_filters,
)
from deepcr_lightning.batches.splits import split_store
from deepcr_lightning.console.counts import counted
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.truth import find_truths
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.models.card import LABEL_SNR, DataCard
from deepcr_lightning.networks.scale import OURS, SCALES
from deepcr_lightning.tiles.build import build_store
from deepcr_lightning.tiles.cr_rate import cr_share_rate
from deepcr_lightning.tiles.fingerprint import store_fingerprint
from deepcr_lightning.tiles.store import TileStore

log = logging.getLogger(__name__)

PathOption = str | Sequence[str] | None
_PLACES = {"device": "the accelerator", "memory": "memory", "disk": "the files"}


def _as_it_is(batch: Any) -> Any:
    return batch


class LabelFreeDataModule(pl.LightningDataModule):
    """Science tiles with dark CRs added, split by visit.

    Parameters
    ----------
    science, darks : str or list of str
        Directory, file, glob, or a list of these.
    truth : str or list of str, optional
        ``<root>_truth.fits`` with the true charge of every science exposure's CRs: all CRs are then labelled, and
        the network is the oracle that label-free ones are measured by. Darks may then be left out.
    filters : str or list of str, optional
        Filters to train on; all that the files have by default.
    tile_size : int
        Side of a tile in pixels.
    batch_size : int
        Tiles a batch on each device.
    tiles_per_epoch : int, optional
        Training tiles an epoch, each tile once by default. A number makes the time that a run takes
        independent of the size of the survey: the tiles take turns over the epochs.
    val_tiles : int, optional
        At most so many validation and so many test tiles, evenly spaced; all by default.
    balance : str or list of str, optional
        Any of camera, filter, exposure_time and crowding: each group is drawn equally often (`batches.selection`).
    label_snr : float
        Added charge is a CR from this many times the local noise (`batches.compose`).
    normalisation : str
        Scale on which the network sees an image (`networks.scale.SCALES`).
    augmentation : dict, optional
        Ranges of `batches.augment.Augmentation` for training.
    val_fraction, test_fraction : float
        Shares of visits.
    num_workers : int
        Loader processes.
    cache : {"auto", "device", "memory", "disk"}
        Where tiles and layers are kept (`batches.bank.choose_cache`).
    store_dir : str
        Folder of the tile stores, shared by all runs.
    seed : int
        Seed of the split and of all draws.
    units, gain, exposure_time, saturation, extensions, trim : optional
        What the user says of the files (`exposures.units.ReadSettings`).

    Raises
    ------
    InputError
        From `prepare_data` and `setup`, if files or filters are not there or do not fit.
    """

    def __init__(
        self,
        science: PathOption = None,
        darks: PathOption = None,
        truth: str | Sequence[str] | None = None,
        filters: str | Sequence[str] | None = None,
        tile_size: int = 256,
        batch_size: int = 16,
        tiles_per_epoch: int | None = None,
        val_tiles: int | None = None,
        balance: str | Sequence[str] = (),
        label_snr: float = LABEL_SNR,
        normalisation: str = OURS,
        augmentation: dict[str, Any] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        num_workers: int = 0,
        cache: str = "auto",
        store_dir: str = "outputs/tiles",
        seed: int = 1,
        units: str | None = None,
        gain: float | None = None,
        exposure_time: float | None = None,
        saturation: float | None = None,
        extensions: str | int | Sequence[str | int] | None = None,
        trim: bool = False,
    ) -> None:
        super().__init__()
        counts = {"tile_size": tile_size, "batch_size": batch_size, "val_tiles": val_tiles}
        for name, value in {**counts, "tiles_per_epoch": tiles_per_epoch, "label_snr": label_snr}.items():
            if value is not None and not value > 0:
                raise InputError(f"data.{name}={value}: must be positive")
        if num_workers < 0:
            raise InputError(f"data.num_workers={num_workers}: must be 0 or more")
        if tile_size % 16:
            raise InputError(
                f"data.tile_size={tile_size}: must be a multiple of 16, because the network halves the resolution"
            )
        if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1 or val_fraction == 0:
            raise InputError("data.val_fraction must be above 0, and its sum with data.test_fraction below 1")
        self.science, self.darks, self.truth = science, darks, truth
        self.filters = [filters] if isinstance(filters, str) else list(filters or [])
        self.tile_size, self.batch_size, self.tiles_per_epoch = tile_size, batch_size, tiles_per_epoch
        self.val_tiles = val_tiles
        self.balance, self.label_snr = check_balance(balance), label_snr
        if normalisation not in SCALES:
            raise InputError(f"data.normalisation={normalisation}: must be one of {', '.join(SCALES)}")
        self.normalisation = normalisation
        self.augmentation = Augmentation.from_config(augmentation)
        self.fractions = (val_fraction, test_fraction)
        self.num_workers, self.store_dir, self.seed = num_workers, store_dir, seed
        said = {"units": units, "gain": gain, "exposure_time": exposure_time, "saturation": saturation}
        self.read_settings = ReadSettings.of({**said, "extensions": extensions, "trim": trim})
        if cache not in CACHES:
            raise InputError(f"data.cache={cache}: must be one of {', '.join(CACHES)}")
        self.cache = cache
        self.store: TileStore | None = None
        self.bank: TileBank | None = None

    def prepare_data(self) -> None:
        """Build the tile store, or find it built."""
        require_filters(self._find("science"), self.filters)
        store_fingerprint(self._open_store())

    def _open_store(self) -> TileStore:
        science, darks, truths = self._files()
        return build_store(self.store_dir, science, darks, self.tile_size, self.read_settings, truths)

    def _files(self) -> tuple[list[Path], list[Path], Mapping[str, Path] | None]:
        """Find the science exposures, the darks and the truth files."""
        truths = None if self.truth is None else find_truths("data.truth", self.truth)
        return self._find("science"), [] if truths and not self.darks else self._find("darks"), truths

    def _find(self, option: str) -> list[Path]:
        return list(find_exposures(f"data.{option}", getattr(self, option)))

    def setup(self, stage: str | None = None) -> None:
        """Open the store, choose the filters and split tiles and layers."""
        if self.store is not None:
            return
        store = self._open_store()
        chosen = tiles_of_filters(store, self.filters)
        self.tiles, self.layers = split_store(store, chosen, self.fractions, self.seed)
        self.tiles |= {side: evenly_spaced(self.tiles[side], self.val_tiles) for side in ("val", "test")}
        self.store, self.bank, self.fingerprint = store, self._open_bank(store), store_fingerprint(store)
        self.cr_share_rate = cr_share_rate(store, self.layers["train"], self.tiles["train"])
        for side, tiles in self.tiles.items():
            exposures = len(np.unique(store.table["file"][tiles]))
            of = counted(exposures, "exposure"), counted(len(self.layers[side]), "CR layer")
            log.info("%s: %s of %s, %s", side, counted(len(tiles), "tile"), *of)

    def _open_bank(self, store: TileStore) -> TileBank:
        bank = TileBank(store)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        place = choose_cache(self.cache, bank.bytes, device, self.trainer.num_devices if self.trainer else 1)
        if place != "disk":
            bank.load(device if place == "device" else torch.device("cpu"))
        log.info("Tiles and CR layers (%.1f MiB) are read from %s", bank.bytes / 2**20, _PLACES[place])
        return bank

    def card(self) -> DataCard:
        """Return what a checkpoint keeps of its data."""
        if self.store is None:
            raise RuntimeError("card() needs setup() first")
        train, table = self.tiles["train"], self.store.table
        darks = sorted({self.store.layers[i].file for i in self.layers["train"]})
        return DataCard(
            filters=tuple(sorted(set(table["filter"][train].tolist()))),
            label_snr=float(self.label_snr),
            normalisation=self.normalisation,
            tile_size=int(self.tile_size),
            store=self.store.folder.name,
            fingerprint=self.fingerprint,
            science=tuple(sorted(set(table["file"][train].tolist()))),
            darks=tuple(darks),
            mean_dark_share=self.mean_dark_share(),
            cr_share_rate=self.cr_share_rate,
            **looks_of(table, train),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must share with this one, as plain values."""
        assert self.store is not None
        science, darks = set(self.store.table["file"].tolist()), {layer.file for layer in self.store.layers}
        return {
            "science": sorted(root_of(Path(file)) for file in science),
            "darks": sorted(root_of(Path(file)) for file in darks),
            "filters": sorted(self.filters),
            "tile_size": self.tile_size,
            "label_snr": self.label_snr,
            "normalisation": self.normalisation,
            "val_fraction": self.fractions[0],
            "test_fraction": self.fractions[1],
            "seed": self.seed,
            "truth": self.truth is not None,
            "fingerprint": self.fingerprint,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data: what trained would validate, or a label would mean something else."""
        require_same_data(state_dict, self.state_dict())

    def mean_dark_share(self) -> float:
        """Mean share of labelled CRs over the training tiles, at the middle of the range of layers."""
        assert self.store is not None
        if self.truth is not None:
            return 1.0
        layers = sum(self.augmentation.layers) / 2
        dark = layers * np.mean([self.store.layers[i].cr_time for i in self.layers["train"]])
        return float(np.mean(dark / (dark + self.store.table["cr_time"][self.tiles["train"]])))

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Load tiles in an order and with draws that change every epoch."""
        return self._loader("train", self.augmentation.layers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Load the same tiles with the same CRs every time."""
        return self._loader("val", Augmentation().layers)

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Load the same tiles with the same CRs every time."""
        return self._loader("test", Augmentation().layers)

    def _loader(self, side: str, layer_range: tuple[int, int]) -> DataLoader[dict[str, Tensor]]:
        assert self.store is not None
        training, tiles = side == "train", self.tiles[side]
        draws = TileDraws(
            tiles,
            seed=self.seed,
            count=self.tiles_per_epoch if training else None,
            groups=tile_groups(self.store.table, tiles, self.balance) if training and self.balance else None,
            shuffle=training,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        assert self.bank is not None
        at_hand = self.bank.device.type == "cpu"
        if not self.store.layers:
            layer_range = (0, 0)
        return DataLoader(
            PairedTiles(self.store, self.layers[side], layer_range, self.bank if at_hand else None),
            collate_fn=_as_it_is,
            batch_size=self.batch_size,
            sampler=draws,
            drop_last=training and len(draws) >= self.batch_size,
            num_workers=self.num_workers if at_hand else 0,
            persistent_workers=at_hand and self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Cut the batch, where that is still to do, and compose it on the device it came to."""
        if "tile" in batch:
            assert self.bank is not None
            batch = self.bank.cut(batch)
        training = bool(self.trainer and self.trainer.training)
        generator = torch.Generator(batch["electrons"].device).manual_seed(int(batch["seed"][0]))
        augmentation = self.augmentation if training else None
        return compose_batch(batch, generator, augmentation, self.label_snr, self.normalisation)
