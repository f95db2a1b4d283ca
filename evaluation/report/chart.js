// ---- the chart: error against cost, a trace for each method

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

const look = (method) => facts.methods.find((one) => one.name === method);
const shade = (method) => look(method)[dark.matches ? "dark" : "light"];
const tint = (point) => (point.constant ? colour("soft") : shade(point.method));
const hollow = (symbol) => (symbol.endsWith("-open") ? symbol : `${symbol}-open`);

function hover(point) {
  const rows = (numbers) => numbers.flatMap((n, i) => (i && i % 6 === 0 ? ["<br>     ", n] : [n])).join(" "); // a phone's width
  const { shown } = point;
  const density = point.density === null || point.density === undefined ? "" : ` at ${point.density}`;
  const costs = facts.axes.filter(({ name }) => !["latency_ms", "latency_measured_ms"].includes(name) && point.values[name] !== null);
  return [
    point === whole() ? "<b>whole model</b>" : `<b>${plain(point.method)}</b>${density}  ${point.key}`,
    `error ${shown.error_selection} selection, ${shown.error_report} report`,
    point.constant ? "no better than a constant answer" : "",
    ...costs.map(({ name, label, unit }) => `${label.toLowerCase()} ${shown[name]}${unit === "MB" ? " MB" : ""}`),
    `latency ${shown.latency_ms} ms predicted`,
    `measured ${shown.latency_measured_ms} ms`,
    `heads ${rows(point.heads)}`,
    `neurons ${rows(point.neurons)}`,
    point.hidden === whole()?.hidden ? "" : `width ${point.hidden}`,
    point.tokens === null ? "" : `${point.tokens} tokens`,
  ].filter(Boolean).join("<br>");
}

function trace(points, name, more) {
  return {
    type: "scatter", mode: "markers", name,
    x: points.map((point) => (cost(point) === null ? null : cost(point) / state.axis.divisor)),
    y: points.map((point) => point.values[state.error]),
    text: points.map(hover), customdata: points.map((point) => point.name), hovertemplate: "%{text}<extra></extra>",
    ...more,
  };
}

/** A method's models: those of its own front large, what the budgets leave out faint. */
function models(method, points, front) {
  const best = new Set(front);
  const bars = state.axis.name === "latency_measured_ms" ? { error_x: quartiles(points) } : {};
  const { symbol } = look(method);
  return trace(points, plain(method), {
    marker: {
      color: points.map(tint),
      symbol: points.map((point) => (point.zeros ? hollow(symbol) : symbol)),
      size: points.map((point) => (best.has(point) ? 11 : 6)),
      opacity: points.map((point) => (best.has(point) ? 1 : 0.4) * (affordable(point) ? 1 : 0.5)),
      line: { color: points.map((point) => (point.zeros ? tint(point) : colour("card"))), width: points.map((point) => (point.zeros ? 1.8 : best.has(point) ? 0.8 : 0)) },
    },
    ...bars, error_y: intervals(points.map((point) => (best.has(point) ? point : null)), shade(method)),
  });
}

function line(method, front) {
  const reported = front.filter((point) => point.values[state.error] !== null);
  return trace(reported, plain(method), {
    mode: "lines", line: { color: shade(method), width: 1.3, shape: "hv", dash: front.some((point) => point.zeros) ? "dash" : "solid" },
    opacity: 0.65, hoverinfo: "skip", hovertemplate: null,
  });
}

function quartiles(points) {
  const beyond = (point, end) => Math.abs((point.values[end] ?? cost(point)) - cost(point));
  return {
    type: "data", symmetric: false, color: colour("soft"), thickness: 1, width: 2,
    array: points.map((point) => beyond(point, "latency_high_ms")), arrayminus: points.map((point) => beyond(point, "latency_low_ms")),
  };
}

/** Error bars of the report split, where the metric has intervals. */
function intervals(points, color) {
  const beyond = (end) => points.map((point) => {
    const interval = point?.intervals[state.error];
    return interval ? Math.abs(interval[end] - point.values[state.error]) : NaN; // 0 or null would draw a stub
  });
  const [arrayminus, array] = [beyond(0), beyond(1)];
  return { type: "data", symmetric: false, array, arrayminus, color, thickness: 1, width: 3, visible: array.some(Number.isFinite) };
}

/** Models whose error is beyond the chart, at its edge. */
function outside(points) {
  const top = errorRange().range[1];
  const beyond = points.filter((point) => point.values[state.error] > top);
  return {
    ...trace(beyond, "beyond the chart", { mode: "text", textfont: { size: 18, color: beyond.map(tint) }, textposition: "bottom center" }),
    y: beyond.map(() => top), text: beyond.map(() => "↑"), hovertext: beyond.map(hover), hovertemplate: "%{hovertext}<extra></extra>",
  };
}

function traces() {
  const points = usable();
  const methods = [...new Set(points.map((point) => point.method))];
  const fronts = new Map(methods.map((method) => [method, steps(points.filter((point) => point.method === method))]));
  const made = methods.map((method) => line(method, fronts.get(method)));
  for (const method of methods) made.push(models(method, points.filter((point) => point.method === method), fronts.get(method)));
  if (whole() !== null && cost(whole()) !== null) {
    made.push(trace([whole()], "whole model", { marker: { symbol: "star", color: colour("ink"), size: 16, line: { color: colour("card"), width: 1 } } }));
  }
  const beyond = outside(points);
  if (beyond.x.length) made.push(beyond);
  const pick = picked();
  const ring = { symbol: "circle-open", color: colour("ink"), size: 24, line: { width: 3 } };
  made.push(trace(pick ? [pick] : [], "the pick", { marker: ring, hoverinfo: "skip", hovertemplate: null }));
  return made;
}

/** The same for all layers, so that changing them compares them: up to what people choose from, or all. */
function errorRange() {
  const shown = [...facts.points, ...Object.values(facts.wholes)].filter((point) => cost(point) !== null);
  const errors = shown.map((point) => point.values[state.error]).filter((error) => error !== null);
  const low = Math.min(...errors, facts.tops[state.error]);
  const high = state.all ? Math.max(...errors) : facts.tops[state.error];
  const pad = (high - low || 0.1) * 0.08;
  return { range: [low - pad, high + pad] };
}

function frame(x, y) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") };
  const grid = { gridcolor: colour("line"), zeroline: false, linecolor: colour("soft"), ticks: "outside", tickcolor: colour("line") };
  return {
    font, paper_bgcolor: "transparent", plot_bgcolor: "transparent", margin: { l: 62, r: 14, t: 30, b: 54 },
    xaxis: { ...grid, title: { text: x, standoff: 10 }, automargin: true },
    yaxis: { ...grid, title: { text: y, standoff: 8 }, automargin: true },
    modebar: { bgcolor: "transparent", color: colour("soft"), activecolor: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("soft"), font: { ...font, size: 11 }, align: "left" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
  };
}

function layout() {
  const { label, unit, divisor, name } = state.axis;
  const limit = state.budgets[name];
  const costs = [...ofLayer(), ...Object.values(facts.wholes)].map((point) => cost(point) ?? 0);
  const edge = Math.max(...costs, limit ?? 0) / divisor;
  const split = { error_selection: "selection split", error_report: "report split", error_int8: "report split, int8" }[state.error];
  const made = frame(unit ? `${label} (${unit})` : label, `Error, ${split} (1 − ${plain(facts.metric)})`);
  const box = { type: "rect", yref: "paper", y0: 0, y1: 1, layer: "below", line: { width: 0 } };
  const shapes = limit === undefined ? [] : [
    { ...box, x0: limit / divisor, x1: edge * 2, fillcolor: colour("shade") },
    { ...box, x0: limit / divisor, x1: limit / divisor, type: "line", line: { color: colour("ink"), width: 1.5, dash: "dash" }, layer: "above" },
  ];
  const level = whole()?.values[state.error] ?? null;
  const constant = facts.constant[state.error];
  const annotations = [];
  if (constant !== null) {
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: constant, y1: constant, line: { color: colour("soft"), width: 1, dash: "dashdot" } });
    if (constant <= errorRange().range[1]) annotations.push({ xref: "paper", x: 1, y: constant, text: "constant answer", showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 11, color: colour("soft") } });
  }
  if (level !== null) shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: level, y1: level, line: { color: colour("soft"), width: 1, dash: "dot" } });
  return {
    ...made, shapes, annotations, showlegend: false,
    xaxis: { ...made.xaxis, range: [0, edge * 1.04] }, yaxis: { ...made.yaxis, ...errorRange() },
    uirevision: `${name} ${state.error}`, // a zoom lasts until one of them changes
  };
}

/** Below the chart: what is not on it. */
function caption() {
  const [top, points] = [errorRange().range[1], usable()];
  const beyond = points.filter((point) => point.values[state.error] > top).length;
  const lacking = visible().length - points.filter((point) => point.values[state.error] !== null).length;
  const said = [
    beyond ? `${beyond} with an error above ${Number(top.toPrecision(2))} at the upper edge (↑).` : "",
    lacking ? `${lacking} of ${visible().length} models lack one of the two numbers.` : "",
    visible().some((point) => point.constant) ? "Grey: no better than a constant answer." : "",
  ];
  return said.filter(Boolean).join(" ");
}

function drawChart() {
  element("caption").textContent = caption();
  Plotly.react("chart", traces(), layout(), config);
}

// ---- to take away

function save(name, url) {
  Object.assign(document.createElement("a"), { download: name, href: url }).click();
}

/** All models of the page with their exact numbers; texts between quotes. */
function table() {
  const numbers = Object.keys(facts.points[0]?.values ?? {});
  const text = (value) => `"${String(value).replaceAll('"', '""')}"`;
  const ends = ["error_report_low", "error_report_high"];
  const row = (point) => [
    ...[point.key, point.method, point.layer].map(text), point.density ?? "", ...numbers.map((name) => point.values[name] ?? ""),
    ...(point.intervals.error_report ?? ["", ""]), point.on_front, point.constant, ...[point.heads.join(" "), point.neurons.join(" ")].map(text), point.hidden, point.tokens ?? "",
  ];
  const names = ["key", "method", "layer", "density", ...numbers, ...ends, "on_front", "constant", "heads", "neurons", "hidden", "tokens"];
  return [names, ...facts.points.map(row)].map((cells) => cells.join(",")).join("\n") + "\n";
}

function saveTable() {
  const url = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  save("models.csv", url);
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const saveChart = async () => save("chart.png", await Plotly.toImage("chart", { format: "png", width: 1200, height: 800, scale: 2 }));
