"""Stars and scenes as they are simulated."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from conftest import reference

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.filters import FILTERS, get_filter
from deepcr_lightning.simulation.psf import PHASES, RADIUS, expected_fwhm, psf_stamps
from deepcr_lightning.simulation.scene import draw_scene, render_scene


class TestScene:
    @pytest.mark.parametrize("name", ["F275W", "F336W", "F475W", "F606W", "F814W"])
    def test_psf_width(self, name: str) -> None:
        # Interleave the sub-pixel positions: the PSF on a grid PHASES times finer.
        stamps = psf_stamps(name)
        side = stamps.shape[-1]
        fine = stamps[::-1, ::-1].transpose(2, 0, 3, 1).reshape(PHASES * side, PHASES * side)
        area = (fine > fine.max() / 2).sum() / PHASES**2
        # In quadrature without the pixel, whose square of side 1 has the width of 0.82 px.
        width = np.sqrt(4 * area / np.pi - 0.82**2)
        np.testing.assert_allclose(width, expected_fwhm(name), rtol=0.1)
        np.testing.assert_allclose(stamps.sum(axis=(2, 3)), 1, atol=0.005)

    def test_psf_lies_where_its_phase_says(self) -> None:
        stamps = psf_stamps("F606W")
        core = slice(RADIUS - 30, RADIUS + 31)
        reach = np.arange(-30, 31)
        for i in (0, PHASES // 2, PHASES - 1):
            profile = stamps[i, 3, core, core].sum(axis=1)
            centroid = (profile * reach).sum() / profile.sum()
            np.testing.assert_allclose(centroid, (i + 0.5) / PHASES - 0.5, atol=0.02)

    @pytest.mark.parametrize("name", ["f336w", "f475w", "f814w"])
    def test_psf_wings_are_near_those_of_tinytim(self, name: str) -> None:
        model = fits.getdata(reference(f"psf/wfc3_uvis_{name}.fits"))
        middle = psf_stamps(name.upper())[3:5, 3:5].mean(axis=(0, 1))
        for radius in (4, 8, 16):
            enclosed = []
            for image in (model, middle):
                centre = image.shape[0] // 2
                y, x = np.indices(image.shape) - centre
                enclosed.append(image[np.hypot(y, x) < radius].sum() / image.sum())
            np.testing.assert_allclose(enclosed[1], enclosed[0], atol=0.07)

    def test_unknown_names(self) -> None:
        with pytest.raises(InputError, match="F225W, F275W, F336W, F350LP"):
            get_filter("F658N")
        with pytest.raises(InputError, match="sparse, cluster, galaxy"):
            draw_scene("void", (64, 64), np.random.default_rng(0))

    def test_filters_know_their_zeropoint(self) -> None:
        for entry in FILTERS.values():
            np.testing.assert_allclose(entry.count_rate(entry.zeropoint), 1)
            assert entry.sky > 0

    def test_fields_differ_and_dithers_shift(self) -> None:
        shape = (256, 256)
        counts = {}
        for field in ("sparse", "cluster", "galaxy"):
            scene = draw_scene(field, shape, np.random.default_rng(1))
            image, stars = render_scene(scene, "F606W", shape)
            shifted, _ = render_scene(scene, "F606W", shape, (2.0, -1.0))
            counts[field] = len(stars)
            inner = (slice(40, -40), slice(40, -40))
            moved = np.roll(image, (-2, 1), axis=(0, 1))
            np.testing.assert_allclose(shifted[inner], moved[inner], rtol=0.05, atol=0.02)
        assert counts["sparse"] < 0.1 * counts["cluster"]
        assert counts["galaxy"] > 150

    def test_light_is_conserved(self) -> None:
        shape = (300, 300)
        scene = draw_scene("sparse", shape, np.random.default_rng(8))
        image, stars = render_scene(scene, "F606W", shape)
        edge = 30
        inside = (stars["x"] > edge) & (stars["x"] < 270) & (stars["y"] > edge) & (stars["y"] < 270)
        star = stars[inside][np.argmax(stars["rate"][inside])]
        row, column = round(star["y"]), round(star["x"])
        box = image[row - 30 : row + 31, column - 30 : column + 31]
        light = (box - np.median(image)).sum()
        assert 0.85 * star["rate"] < light < 1.3 * star["rate"]
