"""The one place where matplotlib is imported: a figure of its own, without pyplot."""

from __future__ import annotations

import math
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from mixeff.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ink: points and lines differ in lightness, not only in hue, so that they part in grey print too.
POINT = "#2b6ca3"
LINE = "#b3401d"
GREY = "#8a8a8a"
STRIP = "#e9e4da"
DPI = 150
_WIDE = 4.0


@cache
def _figure_class() -> type[Figure]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError(
            "A picture needs matplotlib, which is not installed: pip install matplotlib."
        ) from error

    class Picture(Figure):
        """A figure that a notebook shows although pyplot does not know it."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            FigureCanvasAgg(self)

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return Picture


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty figure, ``width`` by ``height`` inches."""
    layout: Literal["constrained"] | None = "constrained" if constrained else None
    return _figure_class()(figsize=(width, height), dpi=DPI, layout=layout)


def tidy_axes(axes: Axes) -> None:
    """A light grid behind the data, thin frame, small ticks."""
    axes.set_axisbelow(True)
    axes.grid(color="#ececec", linewidth=0.7)
    axes.tick_params(labelsize=8, length=3, color=GREY)
    for side in axes.spines.values():
        side.set_color(GREY)
        side.set_linewidth(0.7)


def ratio_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic x axis with plain numbers: a half lies as far from one as two does.

    ``low`` and ``high`` are the ends of what is drawn.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set_xscale("log")
    wide = high > _WIDE * low  # else 1, 2 and 5 leave less than three of them in sight
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def strip(axes: Axes, label: str, share: float) -> None:
    """A label in a shaded strip on top of a panel, ``share`` of the panel's height."""
    from matplotlib.patches import Rectangle

    box = Rectangle((0, 1), 1, share, transform=axes.transAxes, clip_on=False)
    box.set(facecolor=STRIP, edgecolor=GREY, linewidth=0.7)
    axes.add_patch(box)
    middle = 1 + share / 2
    axes.text(0.5, middle, label, transform=axes.transAxes, ha="center", va="center", fontsize=8)


def panel_grid(count: int, height: float, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of panels, three in a row, and all of them; those beyond ``count`` are hidden.

    Parameters
    ----------
    count : int, panels needed
    height : float, of a row, in inches
    """
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = new_figure(max(3.6, 2.7 * columns), 0.3 + height * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel())
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels
