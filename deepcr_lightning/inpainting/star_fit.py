"""Fits of a star to the pixels around a hole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcr_lightning.inpainting.holes import HIGHEST, LOWEST
from deepcr_lightning.networks.scale import denormalise, normalise

PLANES = 3
"""Planes that `StarFit` gives of an image with holes."""
# Pixels to each side that a fit looks at.
_REACH = 3
# A shape is tabulated at so many places to the pixel on each axis, and a star may lie at twice as many, up to so many
# of the latter from the pixel that is filled.
_TABLED, _PHASES, _AWAY = 4, 8, 12
# Full widths at half maximum, in pixels, and exponent of the Moffat profiles.
_WIDTHS, _BETA = (1.3, 1.6, 1.9, 2.3, 2.8, 3.4, 4.1, 5.0, 6.2, 7.8), 2.5
# How the weight of pixels falls with their distance, in pixels; what a shape may be off by; how flat a plane should be.
_SIGMA, _MISFIT, _FLAT = 2.5, 0.07, 0.03
# Stars of twice the flux are rarer by two to this power.
_RARER = 2.0
_LIKELIEST = 8
# Holes with a known pixel of 5 times the noise within 2 pixels are near a star.
_LIT, _LIT_REACH = 5.0, 2
_LEAST = 1e-12
# Hole pixels whose scores of all stars stay in the cache of a core, or fill a GPU; and those of which all else is held.
_SCORED_AT_ONCE, _SCORED_ON_GPU, _FITTED_AT_ONCE = 128, 4096, 16384


class StarFit(nn.Module):
    """Fits of one star, on a plane of background, to the pixels around each pixel of a hole.

    A star may be at any of 25 x 25 places within one and a half pixels of the hole's pixel, and have any of some
    shapes, each of which is a table: a point-spread function (PSF). Ten Moffat profiles of 1.3 to 7.8 pixels are what
    the shapes of an image are made from (`inpainting.star_shapes`). Flux and plane are least squares; the eight
    likeliest stars are averaged by how likely they are.

    References
    ----------
    Anderson & King 2000, PASP 112, 1360 (the effective PSF, tabulated at four places to the pixel).
    """

    table: Tensor
    finer: Tensor
    plane: Tensor
    nearness: Tensor
    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        extent = _REACH * _PHASES + _AWAY
        tabled = torch.arange(-extent // 2, extent // 2 + 1) / _TABLED
        radius = torch.hypot(tabled[:, None], tabled)
        core = torch.tensor(_WIDTHS).view(-1, 1, 1) / (2 * math.sqrt(2 ** (1 / _BETA) - 1))
        near = torch.arange(-_REACH, _REACH + 1)
        # Cubic interpolation of a table along an axis.
        rough = torch.eye(len(tabled))[None, None]
        finer = F.interpolate(rough, size=(2 * extent + 1, len(tabled)), mode="bicubic", align_corners=True)[0, 0]
        rows, columns = torch.meshgrid(near / _REACH, near / _REACH, indexing="ij")
        plane = torch.stack([torch.ones_like(rows), rows, columns]).flatten(1)
        along = _PHASES * near - torch.arange(-_AWAY, _AWAY + 1).view(-1, 1) + extent  # (place, pixel)
        places = along[:, None, :, None] * (2 * extent + 1) + along[None, :, None, :]
        nearness = torch.exp(-(near[:, None] ** 2 + near**2).flatten() / (2 * _SIGMA**2))
        self.register_buffer("table", -_BETA * torch.log1p((radius / core) ** 2), persistent=False)
        self.register_buffer("finer", finer, persistent=False)
        self.register_buffer("plane", plane, persistent=False)
        self.register_buffer("nearness", nearness, persistent=False)
        self.register_buffer("places", places.flatten(0, 1).flatten(1), persistent=False)

    @torch.no_grad()
    def forward(
        self,
        bridged: Tensor,
        known: Tensor,
        saturated: Tensor,
        noise: Tensor | float,
        tables: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Fit stars to the holes that are near one.

        Parameters
        ----------
        bridged : Tensor of float32, shape (B, 1, H, W)
            Normalised image, with bridges over its holes (`inpainting.holes.bridge`).
        known, saturated : Tensor of bool, shape (B, 1, H, W)
            Pixels with a meaning, and those that stars have saturated (`inpainting.holes.saturated_by_stars`): these
            are not fitted, for nobody fills them, and in crowded fields they are many.
        noise : Tensor of float32, shape (B, 1, 1, 1), or float
            Noise of the sky in electrons.
        tables : sequence of Tensor of float32, shape (n, 37, 37), length B, optional
            Logarithms of the shapes of the stars of each image; those of the attribute `table` by default.

        Returns
        -------
        Tensor of float32, shape (B, 3, H, W)
            For each pixel that was fitted: its value by the fit less that of the bridge, normalised; how far the
            likeliest stars differ in it, normalised; and the share of the variance around it that they leave.
            Elsewhere 0, 0 and 1. No gradient comes of it.
        """
        lit = F.max_pool2d((known & (bridged > _LIT)).float(), 2 * _LIT_REACH + 1, stride=1, padding=_LIT_REACH) > 0.5
        wanted = torch.nonzero(lit & ~known & ~saturated)
        tile, _, y, x = wanted.unbind(1)
        fitted = []
        for image, table in enumerate(tables or [self.table] * len(bridged)):
            stars = self._stars(table)
            around = surroundings(bridged, known, wanted[tile == image], noise)
            fitted += [self._fit(*some, stars) for some in around]
        values, spread, unexplained = torch.cat(fitted).unbind(1)
        made = torch.stack([values - bridged[tile, 0, y, x], spread, unexplained], 1)
        nothing = torch.tensor([0, 0, 1], dtype=made.dtype, device=made.device)
        planes = nothing.expand(len(bridged), *bridged.shape[2:], PLANES)
        return planes.index_put((tile, y, x), made).permute(0, 3, 1, 2)

    @torch.no_grad()
    def residuals(
        self, table: Tensor, light: Tensor, known: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fit the likeliest star to what lies around pixels, and say what it leaves.

        Parameters
        ----------
        table : Tensor of float32, shape (k, 37, 37)
            Logarithms of shapes, as the attribute `table`.
        light, known, noise
            From `surroundings`.

        Returns
        -------
        shape : Tensor of int64, shape (n,)
            Which of the shapes it has.
        cells : Tensor of int64, shape (n, 49)
            Cell of the table at eighths of a pixel, of 73 x 73, that each pixel is at.
        left : Tensor of float32, shape (n, 49)
            What is left of each pixel, over the flux of the star.
        weight : Tensor of float32, shape (n, 49)
            Inverse of the variance of the former; 0 where a pixel is not known.
        """
        found, weight, plane, _, likely, flux, left, *_ = self._likely_stars(light, known, noise, self._stars(table))
        flux = flux[:, :1].clamp(min=_LEAST)
        model = flux * likely[:, 0] + (left[:, 0, :, None] * plane).sum(1)
        shape, place = found[:, 0].div(len(self.places), rounding_mode="floor"), found[:, 0] % len(self.places)
        return shape, self.places[place], (light - model) / flux, weight * flux**2

    def _stars(self, table: Tensor) -> Tensor:
        """Give all stars, (star, pixel)."""
        return self._shapes(table).flatten(1)[:, self.places].flatten(0, 1)

    def _shapes(self, table: Tensor) -> Tensor:
        """Give the shapes at eighths of a pixel, shape (k, 73, 73)."""
        table = table - table.flatten(1).logsumexp(1)[:, None, None]
        return (self.finer @ table @ self.finer.T).exp()

    def _fit(self, light: Tensor, known: Tensor, noise: Tensor, stars: Tensor) -> Tensor:
        _, weight, plane, behind, likely, flux, left, score, explained = self._likely_stars(light, known, noise, stars)
        middle = likely.shape[2] // 2
        value = flux * likely[..., middle] + (left * plane[:, None, :, middle]).sum(2)
        value = normalise(value, 0.0, noise).clamp(LOWEST, HIGHEST)
        share = score.softmax(1)
        mean = (share * value).sum(1)
        spread = (share * (value - mean[:, None]) ** 2).sum(1).clamp(min=1e-4).sqrt()
        variance = (weight * light**2).sum(1) - (behind**2).sum(1)
        unexplained = 1 - (share * explained).sum(1) / (variance + 1e-6)
        return torch.stack([mean, spread, unexplained.clamp(0, 1)], 1)

    def _likely_stars(self, light: Tensor, known: Tensor, noise: Tensor, stars: Tensor) -> tuple[Tensor, ...]:
        """Fit the likeliest stars, n of each pixel, the likeliest first.

        Returns their indices; the weights of the pixels around; the parts of a plane, orthonormal under these, and how
        much of each is in the light; the stars, their fluxes, what is left of the plane beside each, (n, 3), and their
        scores, with how much of chi squared they explain.
        """
        weight = known * self.nearness / (noise**2 + light.clamp(min=0) + (_MISFIT * light) ** 2)
        plane = self._orthonormal_plane(weight)
        # What the parts of the plane, the light, and 1 are multiplied by, to be summed over the pixels around.
        weights = torch.cat([plane * weight[:, None], (weight * light)[:, None], weight[:, None]], 1)
        behind = (weights[:, :3] * light[:, None]).sum(2)
        found = self._likeliest(weights, behind, noise, stars)
        likely = stars[found]  # (hole pixel, star, pixel)
        onto = (likely @ weights[:, :4].transpose(1, 2)).unbind(2)
        square = (likely**2 @ weight[..., None])[..., 0]
        score, flux, explained = self._score(onto, square, behind, noise)
        left = behind[:, None] - flux[..., None] * torch.stack(onto[:3], 2)
        return found, weight, plane, behind, likely, flux, left, score, explained

    def _orthonormal_plane(self, weight: Tensor) -> Tensor:
        """Make the parts of a plane orthonormal under weights, and less so the steeper ones: (hole pixel, 3, pixel)."""
        total = weight.sum(1)[:, None, None] + _LEAST
        level = torch.diag(torch.tensor([1e-6, _FLAT, _FLAT], dtype=weight.dtype, device=weight.device))
        products = (weight[:, None] * self.plane) @ self.plane.T + total * level
        root = torch.linalg.cholesky_ex(products)[0]  # what is no number stays none, and raises nothing
        return torch.linalg.solve_triangular(root, self.plane.expand(len(root), -1, -1), upper=False)

    @torch.no_grad()
    def _likeliest(self, weights: Tensor, behind: Tensor, noise: Tensor, stars: Tensor) -> Tensor:
        """Index the stars that have the highest scores, shape (hole pixel, 8): of these alone gradients are taken."""
        squares, stars = (stars**2).T, stars.T
        count = _SCORED_AT_ONCE if stars.device.type == "cpu" else _SCORED_ON_GPU
        best = []
        for some, level, floor in zip(*(part.split(count) for part in (weights, behind, noise)), strict=True):
            onto = [some[:, part] @ stars for part in range(4)]
            score, *_ = self._score(onto, some[:, 4] @ squares, level, floor)
            best.append(score.topk(_LIKELIEST, dim=1).indices)
        return torch.cat(best)

    def _score(
        self, onto: Sequence[Tensor], square: Tensor, behind: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score stars by their sums with the plane and the light, and with themselves, all of (hole pixel, star).

        Returns the logarithm of how likely each is, its flux, and how much of chi squared it explains.
        """
        square = square * (1 + 1e-4) + _LEAST  # of a star that is no different from background: no flux
        product = onto[3]
        for part, level in zip(onto, behind.split(1, dim=1), strict=False):
            square, product = square - part**2, product - part * level
        product = product.clamp(min=0)
        flux = product / square
        explained = flux * product
        return 0.5 * explained - _RARER * torch.log1p(flux / noise), flux, explained


def surroundings(
    image: Tensor, known: Tensor, places: Tensor, noise: Tensor | float
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Cut what lies around pixels of normalised images, some thousands of pixels at a time.

    Parameters
    ----------
    image : Tensor of float32, shape (B, 1, H, W)
    known : Tensor of bool, shape (B, 1, H, W)
        Pixels with a meaning.
    places : Tensor of int64, shape (n, 4)
        Indices of the pixels.
    noise : Tensor of float32, shape (B, 1, 1, 1), or float
        Noise of the sky in electrons.

    Yields
    ------
    light, known : Tensor of float32, shape (n, 49)
        The 7 x 7 pixels around each, row by row: electrons above the sky, and 1 where they are known; both 0 where
        they are not, as beyond the edges.
    noise : Tensor of float32, shape (n, 1)
    """
    floor = torch.as_tensor(noise, dtype=image.dtype, device=image.device).expand(len(image), 1, 1, 1)
    light = torch.where(known, denormalise(image, 0.0, floor), 0)
    padded = F.pad(torch.cat([light, known.to(light.dtype)], 1), (_REACH,) * 4)
    near = torch.arange(2 * _REACH + 1, device=image.device)
    for tile, _, y, x in (some.unbind(1) for some in places.split(_FITTED_AT_ONCE)):
        around = padded[tile[:, None, None], :, y[:, None, None] + near[:, None], x[:, None, None] + near]
        light, there = around.flatten(1, 2).unbind(2)
        yield light, there, floor[tile, 0, 0]
