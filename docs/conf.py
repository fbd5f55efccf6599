"""How the site is built: make docs."""

from __future__ import annotations

from logging import getLogger

import deepcr_lightning

project = "deepcr-lightning"
author = "the deepcr-lightning founders"
release = version = deepcr_lightning.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
# Lists of pages end with a pattern that takes up pages to come; no warning where there is none.
getLogger("sphinx.sphinx.directives.other").addFilter(lambda record: "toctree glob pattern" not in record.msg)

myst_heading_anchors = 3
# Notebooks show what they were committed with; a test runs them.
nb_execution_mode = "off"

default_role = "py:obj"  # `name` in a docstring is a link where there is such a name
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "deepcr-lightning"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
}
copyright = "2026, the deepcr-lightning founders; BSD-3-Clause"
