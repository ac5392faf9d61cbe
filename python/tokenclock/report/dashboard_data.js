"use strict";
// What the page holds, and what it asks its server for: metrics, runs, names, numbers as text.
const History = (() => {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const { base, metrics, loaded, served } = data;
  const runs = base.runs, count = runs.id.length;
  const placeOf = new Map(runs.id.map((id, place) => [id, place]));
  const words = new Map(metrics.map((metric) => [metric.name, metric]));
  const counted = new Set(base.counted);
  const coded = (column, place) => column.values[column.at[place]];
  const PREFIX = { concurrency: "concurrency ", batch_size: "batch ", gpu_count: "GPUs ", isl: "ISL ", osl: "OSL " };
  const SUFFIX = { request_rate: " req/s" };
  const LABEL = { model: "Model", gpu: "GPU", label: "Label", test: "Test", concurrency: "Concurrency", kind: "Kind",
    request_rate: "Request rate", batch_size: "Batch size", tool: "Tool", tool_version: "Version", backend: "Backend",
    streaming: "Streaming", host: "Host", gpu_count: "GPUs", isl: "ISL (tokens)", osl: "OSL (tokens)", source: "File",
    hash: "Hash", tags: "Tags", state: "State" };

  async function ask(address) {
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    if (answer.status === 409) location.reload();  // runs were added: the page's state is in its address
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
    return answer.json();
  }

  async function metric(name) {
    if (!loaded[name] && served) loaded[name] = await ask(`api/metric?name=${encodeURIComponent(name)}&stamp=${data.stamp}`);
    return loaded[name];
  }

  /** name -> [value, low, high] of a run, in shown units. */
  async function metricsOf(place) {
    const found = new Map();
    if (served) {
      const told = (await ask("api/run?id=" + runs.id[place])).metrics;
      for (const { name } of metrics) {
        const value = told[name], factor = words.get(name).factor;
        if (value) found.set(name, [value.value, value.low, value.high].map((x) => (x === null ? null : x * factor)));
      }
    } else {
      for (const { name } of metrics) {
        const held = loaded[name];
        if (held && held.value[place] !== null) {
          found.set(name, [held.value[place], held.low[place] ?? null, held.high[place] ?? null]);
        }
      }
    }
    return found;
  }

  const keyOf = (place) => base.by.map((column) => coded(runs.key[column], place));
  /** A series in words, without what `asked` fixes already and what all runs have in common; a model that is not
   *  told is said, else the name of a series would be blank or another's. */
  function nameOf(key, asked = {}) {
    const shown = [], untold = [];
    base.by.forEach((column, i) => {
      if (!key[i] && !(column in asked) && base.keys[column].length > 1) untold.push(column);
      if (!key[i] || column in asked || base.keys[column].length < 2 || (column === "test" && shown.includes(key[i])) || (column === "request_rate" && key[i] === "inf")) return;
      shown.push((PREFIX[column] || "") + key[i] + (SUFFIX[column] || ""));
    });
    const lacking = untold.includes("model") ? "model" : shown.length ? "" : untold[0];
    if (lacking) shown.unshift(`${lacking === "model" ? lacking : LABEL[lacking] || lacking} not told`);
    return shown.join(" · ");
  }
  const idOf = (key) => JSON.stringify(key);
  const matches = (key, asked) => base.by.every((column, i) => !(column in asked) || asked[column] === key[i]);

  function number(value) {
    if (value === null || value === undefined) return "n/a";
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(4)));
  }
  const change = (before, after) => (before ? `${after >= before ? "+" : "−"}${Math.abs((after / before - 1) * 100).toFixed(1)} %` : "n/a");
  /** For people, in minutes; and for axes, in seconds. */
  const time = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const instant = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  /** Whether a step from one to the other is for the better; null where it is no step. */
  const isBetter = (name, before, after) => (before === after ? null : (after < before) === (words.get(name).better === "lower"));
  return { data, base, runs, count, metrics, words, served, counted, coded, LABEL, ask, metric, metricsOf, keyOf, nameOf, idOf,
    matches, number, change, time, instant, isBetter, placeOf };
})();
