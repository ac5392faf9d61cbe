"""The plots of a run of one request or two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.simulate.processes import stalling_server

from tokenclock.metrics.series import run_series
from tokenclock.report.page import Plot
from tokenclock.report.run_figures import distribution_plots, time_plots


def plots_of(n: int) -> dict[str, Plot]:
    series = run_series(stalling_server(np.random.default_rng(0), n, n))
    return {plot.id: plot for plot in (*distribution_plots({"run": series}), *time_plots("r", series, None))}


def trace(plot: Plot) -> Any:
    (only,) = plot.traces
    return only


@pytest.mark.parametrize(("n", "mode"), [(1, "lines+markers"), (2, "lines")])
def test_one_value_is_a_point(n: int, mode: str) -> None:
    plots = plots_of(n)
    assert trace(plots["ecdf-ttft"])["mode"] == mode
    assert trace(plots["ecdf-tpot"])["mode"] == mode
    assert trace(plots["ecdf-itl"])["mode"] == "lines"


def test_one_request_is_said_as_one() -> None:
    plots = plots_of(1)
    assert plots["r-timeline"].caption == "One line, for the only request."
    assert plots["r-timeline"].layout["yaxis"]["dtick"] == 1
    assert plots["r-timeline"].layout["yaxis"]["range"] == [0.5, -0.5]
    assert plots_of(2)["r-timeline"].caption.startswith("One line for each of 2 requests")
    assert plots_of(40)["r-timeline"].layout["yaxis"]["autorange"] == "reversed"


def test_the_scale_of_gaps_begins_at_one() -> None:
    heat = trace(plots_of(1)["r-itl"])
    assert (heat["zmin"], heat["zmax"]) == (0, pytest.approx(np.log10(2)))
    assert heat["colorbar"]["ticktext"] == ["1"]
