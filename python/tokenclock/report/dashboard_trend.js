"use strict";
// The picture of one metric over time: runs, older means, the level between changes with its 95 % interval, changes.
const Trend = (() => {
  const H = History, MOST = 6;
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
  const LIGHTER = { "#0072B2": "#4ba3e3", "#D55E00": "#ff8a4c", "#009E73": "#3cc79c", "#56B4E9": "#F0E442" };
  const dark = matchMedia("(prefers-color-scheme: dark)"), narrow = matchMedia("(max-width: 760px)");
  const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shade = (colour) => (dark.matches && LIGHTER[colour]) || colour;
  const faint = (colour, alpha) => `rgba(${[1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)).join(",")},${alpha})`;

  function layout(words, shapes) {
    const axis = { gridcolor: colourOf("--grid"), linecolor: colourOf("--line"), zeroline: false, automargin: true,
      ticks: "outside", tickcolor: colourOf("--line") };
    const unit = words.unit ? ` (${words.unit})` : "";
    return { showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", shapes, hovermode: "closest",
      font: { color: colourOf("--ink"), size: narrow.matches ? 12 : 13, family: "system-ui, sans-serif" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colourOf("--soft"), activecolor: colourOf("--ink") },
      margin: { l: 10, r: 14, t: narrow.matches ? 8 : 30, b: 10 }, dragmode: narrow.matches ? false : "zoom",
      xaxis: { ...axis, type: "date", title: { text: "start of the run (UTC)", standoff: 8 } },
      yaxis: { ...axis, title: { text: narrow.matches ? words.unit : words.title + unit, standoff: 8 }, tickformat: ",~g" } };
  }

  function levels(one, colour) {
    const line = { x: [], y: [] }, band = { x: [], y: [] };
    for (const [start, end, mean, low, high] of one.levels) {
      const last = end > start ? end : start + 60;
      line.x.push(H.instant(start), H.instant(last), null);
      line.y.push(mean, mean, null);
      if (low === null) continue;
      band.x.push(H.instant(start), H.instant(last), H.instant(last), H.instant(start), H.instant(start), null);
      band.y.push(low, low, high, high, low, null);
    }
    return [
      { ...band, type: "scatter", mode: "lines", fill: "toself", fillcolor: faint(colour, 0.25), line: { width: 0 }, hoverinfo: "skip" },
      { ...line, type: "scatter", mode: "lines", line: { color: colour, width: 2.5 }, hoverinfo: "skip" },
    ];
  }

  function bars(high, low, value, colour) {
    return { type: "data", symmetric: false, array: high.map((x, i) => (x === null ? 0 : x - value[i])),
      arrayminus: low.map((x, i) => (x === null ? 0 : value[i] - x)), color: faint(colour, 0.45), thickness: 1, width: 0 };
  }

  function older(one, words, colour, withBars) {
    const rows = one.older, value = rows.map((row) => row[1]);
    return { type: "scatter", mode: "markers", x: rows.map((row) => H.instant(row[0])), y: value,
      ...(withBars ? { error_y: bars(rows.map((row) => row[3]), rows.map((row) => row[2]), value, colour) } : {}),
      marker: { symbol: "square-open", size: 6, color: colour }, text: rows.map((row) => `mean of ${row[4]} runs`),
      hovertemplate: `%{x}<br>%{y:,.6~g} ${words.unit}<br>%{text}<extra></extra>` };
  }

  function points(places, metric, words, colour, withBars) {
    const own = places.filter((place) => metric.value[place] !== null), value = own.map((place) => metric.value[place]);
    const states = own.map((place) => H.coded(H.runs.state, place));
    const trace = { type: "scatter", mode: "markers", x: own.map((place) => H.instant(H.runs.created[place])), y: value, customdata: own,
      text: states, hovertemplate: `%{x}<br>%{y:,.6~g} ${words.unit}<br>%{text}<extra></extra>`,
      marker: { size: own.length > 400 ? 4 : 6, color: colour, opacity: 0.75,
        symbol: states.map((state) => (H.counted.has(state) ? "circle" : "x-thin-open")) } };
    if (withBars && metric.low.length) {
      trace.error_y = bars(own.map((place) => metric.high[place]), own.map((place) => metric.low[place]), value, colour);
    }
    return trace;
  }

  function changes(one, words) {
    const rows = one.changes;
    return { type: "scatter", mode: "markers", x: rows.map((row) => H.instant(row.t)), y: rows.map((row) => row.after),
      customdata: rows.map((row) => H.placeOf.get(row.run) ?? null),
      marker: { size: 13, line: { width: 1, color: colourOf("--paper") },
        symbol: rows.map((row) => (row.after > row.before ? "triangle-up" : "triangle-down")),
        color: rows.map((row) => colourOf(row.verdict === "regression" ? "--bad" : "--good")) },
      text: rows.map((row) => `${row.verdict}: ${H.number(row.before)} to ${H.number(row.after)} ${words.unit} (${H.change(row.before, row.after)})`),
      hovertemplate: "%{x}<br>%{text}<extra></extra>" };
  }

  /** Draws the newest of the series; the places of their runs are given by key. Returns how they were coloured. */
  function draw(place, series, byKey, metric, words, onRun) {
    const newest = (one) => (one.levels.length ? one.levels[one.levels.length - 1][1] : 0);
    const shown = [...series].sort((a, b) => newest(b) - newest(a)).slice(0, MOST), traces = [], shapes = [];
    shown.forEach((one, i) => {
      const colour = shade(COLOURS[i]);
      if (one.older.length) traces.push(older(one, words, colour, shown.length <= 2));
      traces.push(points(byKey.get(H.idOf(one.key)) || [], metric, words, colour, shown.length === 1));
      traces.push(...levels(one, colour));
      if (one.changes.length) traces.push(changes(one, words));
      if (shown.length <= 2) {
        for (const row of one.changes) {
          shapes.push({ type: "line", x0: H.instant(row.t), x1: H.instant(row.t), yref: "paper", y0: 0, y1: 1,
            line: { dash: "dot", width: 1, color: colourOf("--soft") } });
        }
      }
    });
    Plotly.react(place, traces, layout(words, shapes), { responsive: true, displaylogo: false,
      displayModeBar: narrow.matches ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"] });
    if (!place.dataset.bound) {
      place.dataset.bound = "yes";
      place.on("plotly_click", (event) => {
        const run = event.points[0].customdata;
        if (run !== null && run !== undefined) onRun(run);
      });
    }
    return shown.map((one, i) => ({ one, colour: shade(COLOURS[i]) }));
  }
  return { draw, dark, narrow, MOST };
})();
