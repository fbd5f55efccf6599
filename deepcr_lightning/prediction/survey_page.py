"""The previews of a survey on one page, sortable, for a browser and nothing else."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.prediction.summary import CLEANED, Row
from deepcr_lightning.report_style import page

INDEX = "index.html"
_TITLE = "Cosmic rays of"
_THUMBNAIL = (360, 184)
_COLUMNS = ("preview", "file", "filter", "seconds", "flagged", "expected", "oddity", "star width", "stars flagged")
_STYLE = """<style>
body { max-width: 78rem; }
th[data-sorts] { cursor: pointer; user-select: none; text-decoration: underline dotted; }
td, tbody th { vertical-align: middle; }
tr.odd td:nth-child(7) { color: #d62728; font-weight: bold; }
</style>"""
_SCRIPT = """<script>
const body = document.querySelector("tbody");
let sorted = -1, sign = 1;
document.querySelectorAll("th[data-sorts]").forEach((head, column) => head.addEventListener("click", () => {
  sign = column + 1 === sorted ? -sign : head.dataset.sorts === "number" ? -1 : 1;
  sorted = column + 1;
  const key = row => row.children[sorted].dataset.key;
  const rows = [...body.rows];
  rows.sort((a, b) => head.dataset.sorts === "number"
    ? (key(a) === "" ? 1 : key(b) === "" ? -1 : sign * (key(a) - key(b)))
    : sign * key(a).localeCompare(key(b)));
  body.append(...rows);
}));
</script>"""


def write_survey_page(path: Path, exposures: Iterable[tuple[Row, Path]]) -> None:
    """Write one page with a small picture of each exposure, its flagged share and how odd that is.

    Parameters
    ----------
    path : Path
        HTML file to write. The small pictures are in it; a click leads to the preview, in a file of its own below
        the same directory.
    exposures : iterable of (Row, Path)
        What is known of an exposure, and its preview, which need not be there. The oddest come first.

    Raises
    ------
    InputError
        If it cannot be written, or another page is there.
    """
    rows = sorted(exposures, key=lambda pair: (pair[0].status == CLEANED, -pair[0].oddity, pair[0].file))
    lines = "".join(_line(row, preview, path.parent) for row, preview in rows)
    head = "".join(
        f"<th>{name}</th>" if name == "preview" else f'<th data-sorts="{_kind(name)}">{name}</th>' for name in _COLUMNS
    )
    text = (
        "<p>Oddity is the factor between the flagged share of the pixels and the one expected from the exposure time. "
        "A click on the name of a column sorts by it, a click on a picture opens it.</p>"
    )
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    if path.exists() and _TITLE not in path.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{path}: was not written by this package; move it away or choose another output_dir")
    made = page(f"{_TITLE} {len(rows)} exposures", [("", _STYLE + text + table + _SCRIPT)])
    write_atomically(path, lambda partial: partial.write_text(made, encoding="utf-8", errors="xmlcharrefreplace"))


def _kind(name: str) -> str:
    return "text" if name in ("file", "filter") else "number"


def _line(row: Row, preview: Path, folder: Path) -> str:
    picture = ""
    if preview.exists() and (small := _thumbnail(preview)):
        link = quote(os.fsencode(preview.relative_to(folder).as_posix()))
        picture = f'<a href="{link}"><img alt="" src="data:image/jpeg;base64,{small}"></a>'
    name = Path(row.file).name
    if row.status != CLEANED:
        reason = f'<td data-key="{escape(name)}">{escape(name)}<br>not cleaned: {escape(row.status)}</td>'
        return f"<tr><td>{picture}</td>{reason}{'<td data-key></td>' * (len(_COLUMNS) - 2)}</tr>"
    odd = row.oddity if row.expected > 0 else math.nan
    cells = (
        (name, name),
        (row.filter, row.filter),
        (row.exposure_time, f"{row.exposure_time:g}"),
        (row.flagged, f"{row.flagged:.2%}"),
        (row.expected, f"{row.expected:.2%}"),
        (odd, f"{odd:.1f}"),
        (row.star_width, f"{row.star_width:.1f}"),
        (row.stars_flagged, f"{row.stars_flagged:.1%}"),
    )
    texts = "".join(_cell(key, text) for key, text in cells)
    return f"<tr{' class=odd' if odd > 2 else ''}><td>{picture}</td>{texts}</tr>"


def _cell(key: str | float, text: str) -> str:
    if isinstance(key, float) and math.isnan(key):
        return '<td data-key=""></td>'
    return f'<td data-key="{escape(str(key))}">{escape(text)}</td>'


def _thumbnail(preview: Path) -> str:
    try:
        with Image.open(preview) as picture:
            small = picture.convert("RGB")
    except Exception:  # of a dozen kinds; the page is of all exposures, and does without a picture that is damaged
        return ""
    small.thumbnail(_THUMBNAIL)
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=80)
    return base64.b64encode(packed.getvalue()).decode()
