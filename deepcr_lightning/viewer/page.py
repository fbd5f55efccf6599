"""What stands on the page: the image with its layers, the list of exposures, and the controls."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.layouts import column, row
from bokeh.models import (
    BoxZoomTool,
    Button,
    CategoricalSlider,
    CDSView,
    CheckboxButtonGroup,
    ColumnDataSource,
    CustomJS,
    DataTable,
    Div,
    FixedTicker,
    FreehandDrawTool,
    GlyphRenderer,
    HTMLTemplateFormatter,
    LayoutDOM,
    LinearColorMapper,
    PanTool,
    RadioButtonGroup,
    Range1d,
    RangeSlider,
    ResetTool,
    Select,
    Slider,
    Span,
    Spinner,
    TableColumn,
    TextInput,
    WheelZoomTool,
)
from bokeh.palettes import Magma256
from bokeh.plotting import figure

from deepcr_lightning.viewer.pencil import MODES
from deepcr_lightning.viewer.picture import BRIGHTEST, DARKEST, STRETCHES, code_of, greys

LAYERS = ("image", "cleaned", "probability", "mask", "truth")
OVERLAYS = ("mask", "truth")
_CLEAR = "rgba(0,0,0,0)"
_RED, _BLUE = "rgba(230,40,40,0.6)", "rgba(40,140,255,0.55)"
_SIDE = 300
_HELP = (
    "<b>Keys</b> 1 to 5 layer, space back and forth, m mask, t truth; v look, p pencil, e eraser, a add event, d erase "
    "event; , and . threshold; n and b next and previous exposure; Ctrl+Z undo, Ctrl+S save.<br>"
    "Over the image: mask red, truth blue, both violet."
)
_FIT = """
// Square pixels: an image of another shape is shown whole, one of the same shape where the last one was.
const [columns, rows] = [image.data.dw[0], image.data.dh[0]];
const [width, height] = [figure.inner_width, figure.inner_height];
const [x, y] = [figure.x_range, figure.y_range];
if (width > 0 && height > 0 && columns * rows > 1) {
  const scale = Math.max(columns / width, rows / height);
  const other = figure.tags[0] !== columns || figure.tags[1] !== rows;
  [[x, columns, width], [y, rows, height]].forEach(([range, length, side]) => {
    range.reset_start = (length + 1 - scale * side) / 2;
    range.reset_end = (length + 1 + scale * side) / 2;
    if (other) [range.start, range.end] = [range.reset_start, range.reset_end];
  });
  if (!other) {
    const [half, centre] = [(x.end - x.start) * height / width / 2, (y.start + y.end) / 2];
    [y.start, y.end] = [centre - half, centre + half];
  }
  figure.tags = [columns, rows];
}
"""


def _source() -> ColumnDataSource:
    return ColumnDataSource(image_data(np.zeros((1, 1), np.uint8)))


def image_data(image: np.ndarray) -> dict[str, list[Any]]:
    """Make the data of an image, the centre of whose first pixel is at (1, 1), as in FITS."""
    rows, columns = image.shape
    return {"image": [image], "x": [0.5], "y": [0.5], "dw": [columns], "dh": [rows]}


@dataclass
class Page:
    """The parts of the page that change."""

    sources: dict[str, ColumnDataSource] = field(default_factory=lambda: {name: _source() for name in LAYERS})
    grey: LinearColorMapper = field(
        default_factory=lambda: LinearColorMapper(
            palette=greys("asinh", DARKEST, BRIGHTEST),
            low=float(code_of(DARKEST)),
            high=float(code_of(BRIGHTEST)),
        )
    )
    red: LinearColorMapper = field(
        default_factory=lambda: LinearColorMapper(palette=[_RED], low=0.5, high=256, low_color=_CLEAR)
    )
    white: LinearColorMapper = field(
        default_factory=lambda: LinearColorMapper(palette=["#ffffff"], low=0.5, high=256, low_color="#000000")
    )
    heat: LinearColorMapper = field(default_factory=lambda: LinearColorMapper(palette=Magma256, low=0, high=110))
    strokes: ColumnDataSource = field(default_factory=lambda: ColumnDataSource({"xs": [], "ys": []}))
    bars: ColumnDataSource = field(default_factory=lambda: ColumnDataSource({"rung": [], "count": []}))
    here: Span = field(default_factory=lambda: Span(dimension="height", location=0, line_color="#e62828"))
    exposures: ColumnDataSource = field(
        default_factory=lambda: ColumnDataSource({"picture": [], "file": [], "flagged": []})
    )
    layers: RadioButtonGroup = field(default_factory=lambda: RadioButtonGroup(labels=list(LAYERS), active=0))
    overlays: CheckboxButtonGroup = field(
        default_factory=lambda: CheckboxButtonGroup(labels=list(OVERLAYS), active=[0])
    )
    chips: RadioButtonGroup = field(default_factory=lambda: RadioButtonGroup(labels=["SCI,1"], active=0))
    mode: RadioButtonGroup = field(default_factory=lambda: RadioButtonGroup(labels=list(MODES), active=0))
    brush: Spinner = field(default_factory=lambda: Spinner(title="brush radius", low=0, high=20, value=0, width=110))
    stretch: Select = field(
        default_factory=lambda: Select(title="stretch", options=list(STRETCHES), value="asinh", width=110)
    )
    limits: RangeSlider = field(
        default_factory=lambda: RangeSlider(
            title="black, white (asinh of noise)", start=-8, end=14, step=0.05, value=(DARKEST, BRIGHTEST)
        )
    )
    threshold: CategoricalSlider = field(
        default_factory=lambda: CategoricalSlider(title="threshold", categories=["0.5"], value="0.5")
    )
    grow: Slider = field(default_factory=lambda: Slider(title="grow, rings of pixels", start=0, end=5, value=0))
    undo: Button = field(default_factory=lambda: Button(label="undo", width=80))
    save: Button = field(default_factory=lambda: Button(label="save mask", button_type="primary", width=110))
    anew: Button = field(default_factory=lambda: Button(label="search", width=80))
    apply: TextInput = field(default_factory=lambda: TextInput(title="for all exposures"))
    command: TextInput = field(default_factory=lambda: TextInput(visible=False))
    title: Div = field(default_factory=Div)
    share: Div = field(default_factory=Div)
    cursor: Div = field(default_factory=lambda: Div(text="&nbsp;"))
    status: Div = field(default_factory=Div)
    plot: Any = None

    def lay_out(self, document: Document) -> LayoutDOM:
        """Lay the parts out, and tie together what changes in the browser alone.

        Parameters
        ----------
        document : Document
            Gets the title and the keys.

        Returns
        -------
        LayoutDOM
            To add to the document after all handlers of events: Bokeh does not hear of those that come later.
        """
        for part in fields(self):
            model = getattr(self, part.name)
            if hasattr(model, "name") and part.name not in ("grey", "red", "white", "heat"):
                model.name = part.name
        self.plot, renderers, draw, pan = self._image()
        self.table = self._exposures_table()
        covers = [renderers["mask over image"], renderers["truth over image"]]
        # To colour eight million pixels takes a moment: what is not seen is coloured when it comes to be seen.
        masks = {"red": self.red, "white": self.white, "cover": covers[0], "layer": renderers["mask"]}
        self.layers.js_on_change(
            "active",
            CustomJS(
                args={"layers": [renderers[name] for name in LAYERS], "white": self.white, "here": self.here},
                code="if (cb_obj.active === 3) white.low = here.location + 0.5; "
                "layers.forEach((layer, n) => { layer.visible = n === cb_obj.active })",
            ),
        )
        cover = CustomJS(
            args={
                "covers": covers,
                "red": self.red,
                "here": self.here,
                "layers": self.layers,
                "overlays": self.overlays,
            },
            code="const seen = n => layers.active === 0 && overlays.active.includes(n); "
            "if (seen(0)) red.low = here.location + 0.5; covers.forEach((cover, n) => { cover.visible = seen(n) })",
        )
        self.layers.js_on_change("active", cover)
        self.overlays.js_on_change("active", cover)
        self.mode.js_on_change(
            "active",
            CustomJS(
                args={"draw": draw, "pan": pan},
                code="const drawing = cb_obj.active === 1 || cb_obj.active === 2; (drawing ? draw : pan).active = true",
            ),
        )
        self.threshold.js_on_change(
            "value",
            CustomJS(
                args={**masks, "here": self.here},
                code="const n = cb_obj.categories.indexOf(cb_obj.value); here.location = n; "
                "if (cover.visible) red.low = n + 0.5; if (layer.visible) white.low = n + 0.5",
            ),
        )
        fit = CustomJS(args={"figure": self.plot, "image": self.sources["image"]}, code=_FIT)
        self.sources["image"].js_on_change("data", fit)
        for side in ("inner_width", "inner_height"):
            self.plot.js_on_change(side, fit)
        copy = Button(label="copy", width=60)
        copy.js_on_click(CustomJS(args={"text": self.apply}, code="navigator.clipboard.writeText(text.value)"))
        keyed = ("layers", "overlays", "mode", "threshold", "command")
        document.js_on_event(
            DocumentReady,
            CustomJS(
                args={name: getattr(self, name) for name in keyed},
                code=Path(__file__).with_name("keys.js").read_text(encoding="utf-8"),
            ),
        )
        for wide in (self.limits, self.threshold, self.grow, self.apply, self.mode, self.share, self.status):
            wide.width = _SIDE
        self.mode.orientation = "vertical"
        left = column(self.table, self.command, width=_SIDE, sizing_mode="stretch_height")
        top = row(
            self.layers,
            Div(text="overlay", styles={"line-height": "32px"}),
            self.overlays,
            self.chips,
            sizing_mode="stretch_width",
        )
        middle = column(self.title, top, self.plot, self.cursor, sizing_mode="stretch_both")
        right = column(
            self.threshold, self.grow, self.share, self._histogram(), row(self.stretch, self.brush), self.limits,
            self.mode, row(self.undo, self.save, self.anew), self.status, row(self.apply), copy,
            Div(text=_HELP, width=_SIDE), width=_SIDE + 20,
        )  # fmt: skip
        document.title = "Cosmic rays"
        return row(left, middle, right, sizing_mode="stretch_both")

    def _image(self) -> tuple[Any, dict[str, GlyphRenderer], FreehandDrawTool, PanTool]:
        pan, wheel = PanTool(), WheelZoomTool()
        tools = [pan, wheel, BoxZoomTool(match_aspect=True), ResetTool()]
        plot = figure(
            x_range=Range1d(0, 1), y_range=Range1d(0, 1), tools=tools,
            active_scroll=wheel, active_drag=pan, sizing_mode="stretch_both", name="plot", toolbar_location="right",
            min_border=0, background_fill_color="#000000",
        )  # fmt: skip
        plot.grid.visible = False
        plot.toolbar.logo = None
        mappers = dict(zip(LAYERS, (self.grey, self.grey, self.heat, self.white, self.white), strict=True))
        found = {}
        for name in LAYERS:
            found[name] = plot.image(source=self.sources[name], color_mapper=mappers[name], visible=name == "image")
        blue = LinearColorMapper(palette=[_BLUE], low=0.5, high=256, low_color=_CLEAR)
        for name, mapper, visible in (("mask", self.red, True), ("truth", blue, False)):
            over = plot.image(source=self.sources[name], color_mapper=mapper, visible=visible)
            found[f"{name} over image"] = over
        pen = plot.multi_line("xs", "ys", source=self.strokes, line_color="#ffd000", line_width=2)
        draw = FreehandDrawTool(renderers=[pen])
        plot.add_tools(draw)
        return plot, found, draw, pan

    def _histogram(self) -> Any:
        plot = figure(
            height=120, width=_SIDE, y_axis_type="log", toolbar_location=None, tools="", min_border=0,
            y_axis_label="pixels", x_axis_label="probability",
        )  # fmt: skip
        plot.vbar(x="rung", top="count", bottom=0.5, width=0.9, source=self.bars, color="#888888")
        plot.add_layout(self.here)
        plot.xaxis.ticker = FixedTicker(ticks=[])
        self.histogram = plot
        return plot

    def _exposures_table(self) -> DataTable:
        picture = HTMLTemplateFormatter(template='<img alt="" src="<%= value %>">')
        columns = [
            TableColumn(field="picture", title="", formatter=picture, width=104, sortable=False),
            TableColumn(field="file", title="exposure", width=130),
            TableColumn(field="flagged", title="flagged", width=60),
        ]
        return DataTable(
            source=self.exposures, columns=columns, row_height=100, index_position=None, width=_SIDE,
            sizing_mode="stretch_height", view=CDSView(),
        )  # fmt: skip
