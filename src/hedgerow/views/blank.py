"""An empty figure to draw on, and the one place that knows what to say where matplotlib, the extra `plots`, is missing.

Rule: no window and no global state: a figure with the Agg canvas, made by itself, may be drawn in any thread or process.
"""

from typing import Any

from hedgerow.errors import HostError


def blank(width_px: float, height_px: float, dpi: int) -> Any:
    """A white `matplotlib.figure.Figure` of this size. HostError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise HostError("pictures need matplotlib: pip install 'hedgerow[plots]'") from None
    figure = Figure(figsize=(width_px / dpi, height_px / dpi), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure
