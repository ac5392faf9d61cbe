"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 760px)");
  const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hasWebGL = (() => {
    try { return !!document.createElement("canvas").getContext("webgl"); } catch { return false; }
  })();

  function themed(layout) {
    const axis = { gridcolor: colourOf("--grid"), linecolor: colourOf("--line"), zerolinecolor: colourOf("--line"),
      automargin: true, ticks: "outside", tickcolor: colourOf("--line"), title: { standoff: 8 } };
    const found = { ...layout, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colourOf("--ink"), size: narrow.matches ? 12 : 13, family: "system-ui, sans-serif" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colourOf("--soft"), activecolor: colourOf("--ink") },
      margin: { l: 10, r: 12, t: narrow.matches ? 8 : 30, b: 10, ...(layout.margin || {}) }, hovermode: layout.hovermode || "closest",
      dragmode: narrow.matches ? false : "zoom" };
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
      const own = layout[key];
      found[key] = { ...axis, ...own, title: { ...axis.title, ...(own.title || {}) } };
    }
    return found;
  }

  // Lines that are dark on white are lightened on black.
  const LIGHTER = { "#0072B2": "#4ba3e3", "#D55E00": "#ff8a4c", "#666666": "#a8b1bb" };
  const shade = (colour) => (dark.matches && LIGHTER[colour]) || colour;
  // Counts stand out from the page the more the higher they are: dark on white, bright on black.
  const BRIGHTER = [[0, "#43578a"], [0.5, "#918f7c"], [1, "#fee838"]];
  const counts = () => (dark.matches ? { colorscale: BRIGHTER, reversescale: false } : { colorscale: "Cividis", reversescale: true });
  function shaded(trace) {
    const found = { ...trace };
    if (trace.type === "heatmap") Object.assign(found, counts());
    if (trace.line) found.line = { ...trace.line, color: shade(trace.line.color) };
    if (trace.marker && trace.marker.color) found.marker = { ...trace.marker, color: shade(trace.marker.color) };
    return found;
  }

  // Without WebGL the same lines are drawn as SVG; the page thins what would be too many of them.
  function drawable(trace) {
    if (hasWebGL || trace.type !== "scattergl") return trace;
    return { ...trace, ...(trace.svg || {}), type: "scatter" };
  }

  function draw(figure) {
    const place = document.getElementById(figure.id);
    if (place.dataset.drawn) return;
    place.dataset.drawn = "yes";
    const traces = figure.traces.map(drawable).map(({ svg, mark, ...trace }) => shaded(trace));
    Plotly.newPlot(place, traces, themed(figure.layout),
      { responsive: true, displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"] });
    if (figure.together) place.on("plotly_relayout", (change) => follow(figure, change));
  }

  // Plots of one run share their time axis: where one is zoomed, the others follow.
  let following = false;
  function follow(figure, change) {
    const touched = Object.keys(change).some((name) => name.startsWith("xaxis."));
    if (following || !touched) return;
    const range = document.getElementById(figure.id).layout.xaxis.range.slice();
    following = true;
    const others = figures.filter((other) => other.together === figure.together && other !== figure)
      .map((other) => {
        other.layout.xaxis.range = range;
        const place = document.getElementById(other.id);
        return place.dataset.drawn ? Plotly.relayout(place, { "xaxis.range": range }) : null;
      });
    Promise.all(others).finally(() => { following = false; });
  }

  function legend(figure) {
    const place = document.getElementById(figure.id + "-legend");
    if (!place) return;
    const groups = new Map();
    figure.traces.forEach((trace, index) => {
      if (!trace.name) return;
      const key = trace.legendgroup || trace.name;
      if (!groups.has(key)) groups.set(key, { name: trace.name, mark: trace.mark, indices: [], on: true });
      const group = groups.get(key);
      group.indices.push(index);
      if (trace.visible === false) group.on = false;
    });
    for (const group of groups.values()) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = group.name;
      button.style.setProperty("--mark", shade(group.mark) || "#888");
      button.dataset.mark = group.mark || "";
      button.setAttribute("aria-pressed", String(group.on));
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        draw(figure);
        Plotly.restyle(document.getElementById(figure.id), { visible: on }, group.indices);
      });
      place.append(button);
    }
  }

  function tips() {
    let tip = null;
    const hide = () => { if (tip) tip.remove(); tip = null; };
    const show = (event) => {
      const term = event.target.closest && event.target.closest(".term");
      if (!term) return;
      hide();
      tip = document.createElement("div");
      tip.className = "tip";
      tip.setAttribute("role", "tooltip");
      tip.textContent = term.dataset.tip;
      document.body.append(tip);
      const box = term.getBoundingClientRect(), own = tip.getBoundingClientRect();
      tip.style.left = Math.max(6, Math.min(box.left, innerWidth - own.width - 6)) + "px";
      tip.style.top = (box.bottom + own.height + 8 > innerHeight ? box.top - own.height - 6 : box.bottom + 6) + "px";
    };
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("pointerout", hide);
    document.addEventListener("focusout", hide);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    document.addEventListener("scroll", hide, true);
  }

  figures.forEach(legend);
  tips();
  const byId = new Map(figures.map((figure) => [figure.id, figure]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(byId.get(entry.target.id));
    }
  }, { rootMargin: "300px" });
  figures.forEach((figure) => watcher.observe(document.getElementById(figure.id)));
  // On paper every plot has the size that page.css gives it there.
  addEventListener("beforeprint", () => figures.forEach((figure) => {
    draw(figure);
    const place = document.getElementById(figure.id);
    Plotly.relayout(place, { autosize: false, width: 660, height: parseInt(place.style.height) || 280 });
  }));
  addEventListener("afterprint", () => figures.forEach((figure) => {
    const place = document.getElementById(figure.id);
    Plotly.relayout(place, { autosize: true, width: null, height: null }).then(() => Plotly.Plots.resize(place));
  }));
  dark.addEventListener("change", () => figures.forEach((figure) => {
    const place = document.getElementById(figure.id);
    if (place.dataset.drawn) {
      figure.traces.forEach((trace, index) => {
        const own = shaded(trace), change = {};
        if (own.line) change["line.color"] = own.line.color;
        if (own.marker && own.marker.color) change["marker.color"] = own.marker.color;
        if (own.type === "heatmap") Object.assign(change, { colorscale: [own.colorscale], reversescale: own.reversescale });
        if (Object.keys(change).length) Plotly.restyle(place, change, [index]);
      });
      Plotly.relayout(place, themed(figure.layout));
    }
    for (const button of document.querySelectorAll(".legend button")) {
      button.style.setProperty("--mark", shade(button.dataset.mark));
    }
  }));
})();
