"""What prediction can leave behind for an exposure, and how the files are named."""

from __future__ import annotations

STAMP = "DCRSOFT"
"""The keyword that every product has."""
PRODUCTS = {
    "mask": "{root}_crmask.fits",
    "dq_copy": "{name}",
    "clean": "{root}_crclean.fits",
    "preview": "{root}_crpreview.png",
    "regions": "{root}_crregions.reg",
}
"""Names of the files by the name that `products=` takes: ``root`` is the root name of the input, ``name`` its own."""


def product_name(product: str, root: str, name: str) -> str:
    """Name the file of a product, for an input of a root name and of a file name."""
    return PRODUCTS[product].format(root=root, name=name)


def is_product_name(stem: str) -> bool:
    """Tell whether a file name without its ending is that of a product; a DQ copy has the name of its input."""
    marks = (pattern.removeprefix("{root}").removesuffix(".fits") for pattern in PRODUCTS.values())
    return stem.endswith(tuple(mark for mark in marks if mark != "{name}"))
