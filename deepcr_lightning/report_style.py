"""A plain HTML page: one file, without scripts or external resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid #8886; padding-bottom: 0.2rem; }
p { max-width: 46rem; margin: 0.5rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 1.2rem 0.2rem 0; vertical-align: top; }
thead th { border-bottom: 1px solid #8886; }
tbody th { font-weight: normal; opacity: 0.75; }
pre { background: #8882; padding: 0.6rem; border-radius: 4px; font-size: 0.85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; font-size: 0.85rem; }
img { display: block; max-width: 100%; height: auto; background: white; border-radius: 4px; }
summary { cursor: pointer; }
"""


def page(title: str, sections: Sequence[tuple[str, str]], refresh: int | None = None) -> str:
    """Put sections together.

    Parameters
    ----------
    title : str
        Plain text.
    sections : sequence of (str, str)
        Title, plain text, may be empty; and body, HTML.
    refresh : int, optional
        Seconds after which a browser loads the page again.

    Returns
    -------
    str
        HTML.
    """
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    body = "\n".join((f"<h2>{escape(name)}</h2>\n" if name else "") + text for name, text in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{again}
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Make a table; the first cell of each row names it.

    Parameters
    ----------
    rows : iterable of sequences
        Anything; shown as plain text.
    head : sequence of str
        Names of the columns, if they have any.

    Returns
    -------
    str
        HTML.
    """
    top = f"<thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead>" if head else ""
    lines = "".join(
        f"<tr><th>{escape(str(first))}</th>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"
        for first, *cells in rows
    )
    return f'<div class="wide"><table>{top}<tbody>{lines}</tbody></table></div>'
