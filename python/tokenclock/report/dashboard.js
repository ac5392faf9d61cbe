"use strict";
// The page: filters, trend, changes, runs, one run's facts, two runs side by side. Its state is in the address.
(() => {
  const H = History, PAGE = 20;
  const $ = (id) => document.getElementById(id);
  const state = { metric: H.metrics.length ? H.metrics[0].name : "", asked: {}, a: null, b: null, all: false };
  let runsAt = 0, changesAt = 0, turn = 0;

  function make(tag, attributes = {}, ...children) {
    const found = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) found.setAttribute(name, value === true ? "" : value);
    }
    found.append(...children.filter((child) => child !== null && child !== undefined));
    return found;
  }
  const button = (text, onclick, more = {}) => make("button", { type: "button", class: "plain", onclick, ...more }, text);
  const nameOf = (key) => H.nameOf(key, state.asked);
  const say = (text) => { $("status").textContent = text; };

  function table(head, rows, label) {
    const cell = (tag, { text, node, cls }) => make(tag, { class: cls || null }, node || text);
    const line = (cells, tag) => make("tr", {}, ...cells.map((one) => cell(tag, typeof one === "string" ? { text: one } : one)));
    return make("div", { class: "table", tabindex: "0", role: "region", "aria-label": label },
      make("table", {}, make("thead", {}, line(head, "th")), make("tbody", {}, ...rows.map((row) => line(row, "td")))));
  }

  /** A value, and its interval where it has one. */
  function spread([value, low, high]) {
    const found = make("span", {}, H.number(value));
    if (low !== null && high !== null) found.append(make("span", { class: "spread" }, ` [${H.number(low)}, ${H.number(high)}]`));
    return found;
  }

  function pager(at, total, go, what) {
    if (total <= PAGE) return null;
    const to = Math.min(at + PAGE, total);
    return make("div", { class: "bar" }, button("newer", () => go(at - PAGE), { disabled: at === 0, "aria-label": `newer ${what}` }),
      `${at + 1} to ${to} of ${total.toLocaleString("en")}`,
      button("older", () => go(at + PAGE), { disabled: to >= total, "aria-label": `older ${what}` }));
  }

  // ---- filters ------------------------------------------------------------------------------------------------------
  const columns = H.base.by.filter((name) => ["model", "gpu", "label"].includes(name) || H.base.keys[name].length > 1);
  const selects = new Map();
  function filters() {
    const metric = make("select", { id: "metric", onchange: (event) => set({ metric: event.target.value }) },
      ...H.metrics.map((one) => make("option", { value: one.name }, one.title + (one.unit ? ` (${one.unit})` : "") + (one.trend ? "" : ", newest runs only"))));
    selects.set("metric", metric);
    $("filters").append(make("label", {}, "Metric", metric));
    for (const name of columns) {
      const values = [...H.base.keys[name]].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const select = make("select", { id: "filter-" + name, onchange: (event) => {
        const asked = { ...state.asked };
        if (event.target.value === "*") delete asked[name];
        else asked[name] = event.target.value.slice(1);
        set({ asked });
      } }, make("option", { value: "*" }, `all (${values.length})`),
        ...values.map((value) => make("option", { value: "=" + value }, value || "(not told)")));
      selects.set(name, select);
      $("filters").append(make("label", {}, H.LABEL[name] || name, select));
    }
    $("filters").append(button("Show all", () => set({ asked: {} }), { class: "plain reset", id: "reset" }));
  }

  // ---- state in the address -------------------------------------------------------------------------------------------
  function set(change) {
    Object.assign(state, change);
    if ("asked" in change || "metric" in change) runsAt = changesAt = 0;
    const told = new URLSearchParams();
    told.set("metric", state.metric);
    for (const [name, value] of Object.entries(state.asked)) told.set("by." + name, value);
    if (state.a !== null) told.set("a", H.runs.id[state.a]);
    if (state.b !== null) told.set("b", H.runs.id[state.b]);
    history.replaceState(null, "", "#" + told);
    show();
  }
  function fromAddress() {
    const told = new URLSearchParams(location.hash.slice(1));
    if (H.words.has(told.get("metric"))) state.metric = told.get("metric");
    state.asked = Object.fromEntries([...told].filter(([name]) => name.startsWith("by.") && H.base.by.includes(name.slice(3)))
      .map(([name, value]) => [name.slice(3), value]));
    for (const side of ["a", "b"]) state[side] = H.placeOf.get(Number(told.get(side))) ?? null;
  }

  // ---- what is shown ------------------------------------------------------------------------------------------------
  async function show() {
    const mine = ++turn, words = H.words.get(state.metric);
    for (const [name, select] of selects) select.value = name === "metric" ? state.metric : name in state.asked ? "=" + state.asked[name] : "*";
    if (!words) return say("The history holds no numbers yet.");
    if (H.served && !H.data.loaded[state.metric]) say(`reading ${words.title} ...`);
    let metric;
    try { metric = await H.metric(state.metric); } catch (error) { return say(`The server did not answer: ${error.message}`); }
    if (mine !== turn) return;
    say("");
    const places = [], byKey = new Map();
    for (let place = 0; place < H.count; place++) {
      const key = H.keyOf(place);
      if (!H.matches(key, state.asked)) continue;
      places.push(place);
      const name = H.idOf(key);
      if (!byKey.has(name)) byKey.set(name, []);
      byKey.get(name).push(place);
    }
    let series = metric.series.filter((one) => H.matches(one.key, state.asked));
    if (!words.trend) {
      series = [...byKey].filter(([, own]) => own.some((place) => metric.value[place] !== null))
        .map(([, own]) => ({ key: H.keyOf(own[0]), older: [], changes: [], levels: [[H.runs.created[own[0]], H.runs.created[own[0]], null, null, null, 0]] }));
    }
    $("trend-title").textContent = `${words.title}${words.unit ? ` (${words.unit})` : ""}, ${words.better} is better`;
    const drawn = Trend.draw($("trend"), series, byKey, metric, words, openRun);
    $("trend-legend").replaceChildren(...drawn.map(({ one, colour }) => make("button", { type: "button", style: `--mark:${colour}`,
      title: "show this series alone", onclick: () => narrowTo(one.key) }, nameOf(one.key) || H.nameOf(one.key) || "all runs")));
    const days = metric.bucket_s ? Math.round(metric.bucket_s / 86400) : 0;
    $("trend-note").textContent = (series.length ? series.length > drawn.length ? `The ${drawn.length} series with the newest runs of ${series.length}: choose above to see others. ` : "" : "No run has this metric. ")
      + "Dots: runs, a cross where its numbers do not count; line and band: mean between changes and its 95 % interval; triangles: changes"
      + (series.some((one) => one.older.length) ? `; squares: means of ${days === 1 ? "a day" : `${days} days`} of older runs` : "")
      + ". A click on a dot opens the run; the same runs are in the table below.";
    showChanges(series);
    showRuns(places, metric, words);
    showPair();
  }
  function narrowTo(key) {
    set({ asked: Object.fromEntries(H.base.by.map((name, i) => [name, key[i]])) });
    $("trend").scrollIntoView({ block: "nearest" });
  }

  // ---- changes --------------------------------------------------------------------------------------------------------
  function showChanges(series) {
    const rows = [];
    const add = (name, list) => { for (const one of list) for (const row of one.changes) rows.push({ ...row, key: one.key, name }); };
    if (state.all) {
      for (const { name } of H.metrics) if (H.data.loaded[name]) add(name, H.data.loaded[name].series.filter((one) => H.matches(one.key, state.asked)));
    } else add(state.metric, series);
    rows.sort((a, b) => b.t - a.t);
    const named = rows.some((row) => nameOf(row.key));
    const cells = rows.slice(changesAt, changesAt + PAGE).map((row) => {
      const words = H.words.get(row.name), name = nameOf(row.key), cls = row.verdict === "regression" ? "worse" : "better";
      return [H.time(row.t), { cls: "picks word", node: button("show", () => { state.metric = row.name; narrowTo(row.key); }, { "aria-label": `show ${words.title} of ${name}` }) },
        { text: row.verdict, cls: "word " + cls }, ...(state.all ? [{ text: words.title, cls: "word" }] : []), ...(named ? [{ text: name, cls: "series" }] : []),
        `${H.number(row.before)} ${words.unit}`, `${H.number(row.after)} ${words.unit}`, { text: H.change(row.before, row.after), cls }, String(row.p),
        `${row.n}${row.current ? "" : ", undone since"}`];
    });
    const all = make("input", { type: "checkbox", id: "all-metrics", onchange: async (event) => {
      state.all = event.target.checked;
      changesAt = 0;
      for (const one of H.metrics) {
        if (!state.all || !one.trend || H.data.loaded[one.name]) continue;
        say(`reading ${one.title} ...`);
        try { await H.metric(one.name); } catch (error) { return say(`The server did not answer: ${error.message}`); }
      }
      await show();
      $("all-metrics").focus();
    } });
    all.checked = state.all;
    const head = ["first run", "", { text: "what", cls: "word" }, ...(state.all ? [{ text: "metric", cls: "word" }] : []), ...(named ? [{ text: "series", cls: "word" }] : []), "before", "after", "change", "p", "runs since"];
    $("changes").replaceChildren(make("div", { class: "bar" }, make("label", {}, all, " of all metrics")),
      rows.length ? table(head, cells, "Changes") : make("p", { class: "soft" }, "No change of level is shown in these series."),
      pager(changesAt, rows.length, (at) => { changesAt = at; showChanges(series); }, "changes") || "");
  }

  // ---- runs -----------------------------------------------------------------------------------------------------------
  function picks(place) {
    const pick = (side) => button(side.toUpperCase(), () => set({ [side]: state[side] === place ? null : place }),
      { "aria-pressed": String(state[side] === place), "aria-label": `run ${H.runs.id[place]} as side ${side.toUpperCase()}` });
    return [pick("a"), pick("b")];
  }
  function showRuns(places, metric, words) {
    const named = places.some((place) => nameOf(H.keyOf(place)));
    const cells = places.slice(runsAt, runsAt + PAGE).map((place) => {
      const told = H.coded(H.runs.state, place);
      return [H.time(H.runs.created[place]), { cls: "picks word", node: make("span", {},
        button("open", () => openRun(place), { "aria-label": `open run ${H.runs.id[place]}` }), " ", ...picks(place)) }, ...(named ? [{ text: nameOf(H.keyOf(place)), cls: "series" }] : []), { text: told, cls: "word state-" + told },
        { node: spread([metric.value[place], metric.low[place] ?? null, metric.high[place] ?? null]) }];
    });
    $("runs").replaceChildren(places.length ? table(["started (UTC)", "", ...(named ? [{ text: "series", cls: "word" }] : []), { text: "state", cls: "word" }, words.unit || "value"], cells, "Runs")
      : make("p", { class: "soft" }, "None of the newest runs is one of these series; older ones are in the means above."),
      pager(runsAt, places.length, (at) => { runsAt = at; showRuns(places, metric, words); }, "runs") || "");
  }

  // ---- one run, two runs ----------------------------------------------------------------------------------------------
  function factsOf(place) {
    const found = H.base.by.map((name) => [H.LABEL[name] || name, H.coded(H.runs.key[name], place)]);
    found.push(["State", H.coded(H.runs.state, place)]);
    for (const [name, column] of Object.entries(H.runs.facts)) {
      const label = H.LABEL[name] || name;
      if (!found.some(([known]) => known === label)) found.push([label, H.coded(column, place)]);
    }
    return found.filter(([, value]) => value !== "");
  }
  async function openRun(place) {
    let values;
    try { values = await H.metricsOf(place); } catch (error) { return say(`The server did not answer: ${error.message}`); }
    const dialog = $("run"), id = H.runs.id[place];
    const rows = [...values].map(([name, value]) => [H.words.get(name).title + (H.words.get(name).unit ? ` (${H.words.get(name).unit})` : ""), { node: spread(value) }]);
    const close = () => dialog.close();
    dialog.replaceChildren(make("h2", { id: "run-title" }, `Run ${id}, ${H.time(H.runs.created[place])} UTC`),
      make("div", { class: "bar" },
        H.served ? make("a", { class: "plain", href: "run/" + id, target: "_blank", rel: "noopener" }, "its own page") : null,
        button("as A", () => { close(); set({ a: place }); }), button("as B", () => { close(); set({ b: place }); }), button("close", close)),
      make("dl", { class: "facts" }, ...factsOf(place).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      H.served || !H.runs.stored[place] ? "" : make("p", { class: "soft" }, `Its own page: tokenclock history show ${id} --html run-${id}.html`),
      rows.length ? table(["metric", "value [95 %]"], rows, "Numbers of the run") : make("p", { class: "soft" }, "No numbers."));
    dialog.showModal();
    dialog.scrollTop = 0;
  }
  async function showPair() {
    const place = $("pair"), { a, b } = state, mine = turn;
    if (a === null || b === null) {
      const missing = a === null && b === null ? "two runs" : a === null ? "side A" : "side B";
      return place.replaceChildren(make("p", { class: "soft" }, `Choose ${missing} with the buttons A and B of the runs above.`));
    }
    let sides;
    try { sides = await Promise.all([H.metricsOf(a), H.metricsOf(b)]); } catch (error) { return say(`The server did not answer: ${error.message}`); }
    if (mine !== turn) return undefined;
    const none = [null, null, null];
    const rows = H.metrics.filter(({ name }) => sides[0].has(name) || sides[1].has(name)).map(({ name, title, unit }) => {
      const [one, other] = sides.map((side) => side.get(name) || none), known = one[0] !== null && other[0] !== null;
      const better = known ? H.isBetter(name, one[0], other[0]) : null;
      const apart = known && one[1] !== null && other[1] !== null && (other[1] > one[2] || other[2] < one[1]);
      return [title + (unit ? ` (${unit})` : ""), { node: spread(one) }, { node: spread(other) }, { text: known ? H.change(one[0], other[0]) : "n/a",
        cls: apart && better !== null ? (better ? "better" : "worse") : "" }];
    });
    const facts = [factsOf(a), factsOf(b)].map((list) => new Map(list));
    const names = [...new Set([...facts[0].keys(), ...facts[1].keys()])].filter((name) => facts[0].get(name) !== facts[1].get(name));
    const differing = names.map((name) => [name, ...facts.map((side) => ({ text: side.get(name) || "-", cls: "series" }))]);
    place.replaceChildren(
      make("div", { class: "bar" }, ...[["A", a], ["B", b]].map(([side, at]) => button(`${side}: run ${H.runs.id[at]}, ${H.time(H.runs.created[at])}`, () => openRun(at))),
        button("swap", () => set({ a: b, b: a })), button("clear", () => set({ a: null, b: null }))),
      table(["metric", "A [95 %]", "B [95 %]", "A to B"], rows, "Numbers of two runs"),
      make("p", { class: "soft" }, "Coloured where the two intervals have nothing in common. tokenclock compare says how sure a difference is."),
      differing.length ? table(["differs", { text: "A", cls: "word" }, { text: "B", cls: "word" }], differing, "What differs") : "");
    return undefined;
  }

  filters();
  fromAddress();
  addEventListener("hashchange", () => { fromAddress(); show(); });
  Trend.dark.addEventListener("change", show);
  Trend.narrow.addEventListener("change", show);
  show();
})();
