"""The frame of every HTML page: one file without network, light and dark, drawn by plotly.js. Needs plotly."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock.atomic_file import atomic_write

__all__ = ["Plot", "document", "figure", "floats", "table", "term", "with_plots", "write"]

# nothing may be fetched; plotly's WebGL part compiles its own functions
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


@dataclass(frozen=True)
class Plot:
    """One figure of a page.

    Args:
        id: of its element, unique on the page.
        title: heading.
        caption: what is to be seen, in a sentence.
        traces: of plotly; each with a ``name`` gets a button (one for all of a ``legendgroup``), with ``mark`` as its
            colour; ``svg`` holds what replaces its data where there is no WebGL.
        layout: of plotly; colours and fonts are the page's.
        wide: over the whole width.
        height_px: in place of the usual height.
        together: plots of one name share their time axis: zooming one zooms all.
    """

    id: str
    title: str
    caption: str
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)
    wide: bool = False
    height_px: int | None = None
    together: str = ""


def floats(values: npt.ArrayLike, dtype: str = "f4") -> dict[str, Any]:
    """Numbers as plotly.js reads them from base64: a third of their text, and no digits lost to it (f4: seven)."""
    array = np.ascontiguousarray(values, dtype=f"<{dtype}")
    coded = {"dtype": dtype, "bdata": base64.b64encode(array.tobytes()).decode("ascii")}
    return coded if array.ndim == 1 else {**coded, "shape": ", ".join(map(str, array.shape))}


def term(text: str, definition: str) -> str:
    """Words whose definition is shown on hover, on focus and on touch."""
    return f'<span class="term" tabindex="0" data-tip="{escape(definition, quote=True)}">{escape(text)}</span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int] = (), label: str) -> str:
    """A table that scrolls sideways where it is too wide; cells are HTML already.

    On a phone each row of one with more than two columns stands as a block: its first cell, and below it a line for
    each other cell behind its column's heading. So nothing is cut.

    Args:
        words: columns to be set to the left; the first always is.
        label: what it holds, for screen readers.
    """

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{' class=word' if i in words else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))

    def named(cells: Sequence[str]) -> str:
        return "".join(
            f'<td{" class=word" if i in words else ""} data-head="{escape(_text(head[i]), quote=True)}">{cell}</td>'
            for i, cell in enumerate(cells)
        )

    first = escape(_text(head[0]), quote=True)
    many = f' class="table many" data-first="{first}"' if len(head) > 2 else ' class="table"'
    body = "".join(f"<tr>{named(row)}</tr>" for row in rows)
    return (
        f'<div{many} tabindex="0" role="region" aria-label="{escape(label, quote=True)}">'
        f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(cell: str) -> str:
    """What a cell of HTML reads."""
    return unescape(re.sub(r"<[^>]*>", "", cell))


def figure(plot: Plot) -> str:
    """The element that a plot is drawn into."""
    name = escape(plot.id, quote=True)
    said = escape(f"{plot.title}. {plot.caption}", quote=True)
    height = f' style="height: {plot.height_px}px"' if plot.height_px is not None else ""
    return (
        f"<figure{' class=wide' if plot.wide else ''}><h3>{escape(plot.title)}</h3>"
        f'<div class="legend" id="{name}-legend" role="group" aria-label="{escape(plot.title, quote=True)}"></div>'
        f'<div class="plot" id="{name}"{height} role="img" aria-label="{said}">'
        f"</div><figcaption>{escape(plot.caption)}</figcaption></figure>"
    )


def write(path: str | os.PathLike[str], title: str, body: str, plots: Sequence[Plot]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        title: of the window.
        body: HTML, with a `figure` for each plot.
        plots: what is drawn.

    Raises:
        ImportError: no plotly.
        OSError: it cannot be written.
    """
    parts = with_plots(title, body, plots)
    with atomic_write(path) as file:
        file.writelines(parts)


def with_plots(title: str, body: str, plots: Sequence[Plot]) -> list[bytes]:
    """The same page in pieces, in their order. Raises ImportError where there is no plotly."""
    specs = [
        {"id": plot.id, "traces": list(plot.traces), "layout": dict(plot.layout), "together": plot.together}
        for plot in plots
    ]
    return document(title, body, specs)


def document(
    title: str,
    body: str,
    data: Any,
    *,
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("page.js",),
    asks_server: bool = False,
) -> list[bytes]:
    """The page in pieces, in their order.

    Args:
        title: of the window.
        body: HTML.
        data: JSON-ready; the scripts find it in the element ``figures``.
        styles, scripts: files beside this one, put in as they stand, in their order, behind plotly.js.
        asks_server: the page may ask the server it came from, and no other.

    Raises:
        ImportError: no plotly.
        ValueError: the data holds what JSON cannot.
    """
    import plotly  # its wheel brings plotly.js; the Python part is not used

    library = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    own = resources.files("tokenclock.report")
    style = "".join(own.joinpath(name).read_text(encoding="utf-8") for name in styles)
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    policy = _POLICY + ("; connect-src 'self'" if asks_server else "")
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<style>\n{style}</style></head>\n<body>\n{body}\n"
        f'<script type="application/json" id="figures">{text}</script>\n<script>'
    )
    drawing = [own.joinpath(name).read_text(encoding="utf-8") for name in scripts]
    ends = [f"</script>\n<script>\n{part}".encode() for part in drawing]
    return [head.encode(), library.replace(b"</script", b"<\\/script"), *ends, b"</script>\n</body></html>\n"]
