"use strict";
// Draws the front and moves the pick. The state is in the address: #axis=latency_ms&budget=12.5, or #key=... for one point.

const element = (id) => document.getElementById(id);
addEventListener("error", () => { element("broken").hidden = false; });

const facts = JSON.parse(element("facts").textContent);
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross"];
const methods = [...new Set(facts.points.map((point) => point.method))].sort();
const state = { axis: facts.axes[0], budget: NaN, key: null };

// ---- which point

const cost = (point, axis = state.axis) => point.values[axis.name];
const usable = () => facts.points.filter((p) => p.values.error_selection !== null && cost(p) !== null);

/** The point with the lowest selection error within the budget; of equal ones the cheapest. */
function best() {
  return usable()
    .filter((point) => cost(point) <= state.budget)
    .reduce((a, b) => (a === null || better(b, a) ? b : a), null);
}

function better(a, b) {
  const [left, right] = [a.values.error_selection, b.values.error_selection];
  return left < right || (left === right && cost(a) < cost(b));
}

/** A point by its key; a mask that several methods found is shown as the front has it. */
function named(key) {
  const found = facts.points.filter((point) => point.key === key);
  return found.find((point) => point.on_front) ?? found[0] ?? null;
}

const picked = () => (state.key === null ? best() : named(state.key));

// ---- the address

let waiting = 0;

function readAddress() {
  clearTimeout(waiting);
  const given = new URLSearchParams(location.hash.slice(1));
  const axis = facts.axes.find((one) => one.name === given.get("axis")) ?? state.axis;
  const changed = axis !== state.axis;
  state.axis = axis;
  state.key = named(given.get("key"))?.key ?? null;
  const budget = parseFloat(given.get("budget"));
  if (Number.isFinite(budget)) state.budget = budget;
  else if (state.key !== null && cost(named(state.key)) !== null) state.budget = cost(named(state.key));
  else if (changed || Number.isNaN(state.budget)) state.budget = defaultBudget();
}

function writeAddress() {
  clearTimeout(waiting); // browsers refuse a page that writes its address all the time
  const choice = state.key === null ? `budget=${state.budget}` : `key=${state.key}`;
  waiting = setTimeout(() => history.replaceState(null, "", `#axis=${state.axis.name}&${choice}`), 200);
}

/** Half of what the full model costs, or the middle of what there is if nothing is as cheap as that. */
function defaultBudget() {
  const costs = usable().map((point) => cost(point)).sort((a, b) => a - b);
  const half = cost(facts.full) / 2;
  const budget = costs[0] <= half ? half : costs[Math.floor(costs.length / 2)] ?? 0;
  return Number((budget / state.axis.divisor).toPrecision(3)) * state.axis.divisor;
}

// ---- controls

const short = (value) => String(Number((value / state.axis.divisor).toPrecision(4)));

function setControls() {
  const { divisor } = state.axis;
  const costs = [...usable(), facts.full].map((point) => cost(point)).filter((value) => value !== null);
  const [low, high] = [Math.min(...costs) / divisor, Math.max(...costs) / divisor];
  const step = 10 ** Math.floor(Math.log10((high - low || 1) / 100));
  const slider = element("slider");
  slider.step = step;
  slider.min = (Math.floor(low / step) * step).toPrecision(6);
  slider.max = (Math.ceil(high / step) * step).toPrecision(6);
  slider.value = state.budget / divisor;
  slider.setAttribute("aria-valuetext", `${short(state.budget)} ${state.axis.unit}`);
  if (document.activeElement !== element("budget")) element("budget").value = short(state.budget);
  element("unit").textContent = state.axis.unit;
  element("axis").value = state.axis.name;
}

function moveBudget(value) {
  if (!Number.isFinite(value)) return;
  state.budget = value * state.axis.divisor;
  state.key = null;
  show();
  writeAddress();
}

// ---- the chart

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function hover(point) {
  const rows = (numbers) => numbers.flatMap((n, i) => (i && i % 6 === 0 ? ["<br>     ", n] : [n])).join(" "); // a phone's width
  const { shown } = point;
  return [
    point === facts.full ? "<b>full model</b>" : `<b>${plain(point.key)}</b>  ${plain(point.method)}`,
    `error ${shown.error_selection} selection, ${shown.error_report} report`,
    `parameters ${shown.encoder_parameters} encoder, ${shown.parameters} all`,
    `MACs ${shown.macs}`,
    `latency ${shown.latency_ms} ms predicted`,
    `measured ${shown.latency_measured_ms} ms`,
    `heads ${rows(point.heads)}`,
    `neurons ${rows(point.neurons)}`,
    point.hidden === facts.full.hidden ? "" : `width ${point.hidden}`,
  ].filter(Boolean).join("<br>");
}

function trace(points, error, name, marker, more = {}) {
  const { divisor } = state.axis;
  return {
    type: "scatter", mode: "markers", name, marker,
    x: points.map((point) => (cost(point) === null ? null : cost(point) / divisor)),
    y: points.map((point) => point.values[error]),
    text: points.map(hover), customdata: points.map((point) => point.key), hovertemplate: "%{text}<extra></extra>",
    ...more,
  };
}

/** The lowest selection error within each budget, as a staircase: one for each approach, where there are several. */
function staircases() {
  if (facts.approaches.length < 2) return [staircase(usable(), "best within a budget", "solid")];
  return facts.approaches.map(({ weights, title }, i) =>
    staircase(usable().filter((point) => point.weights === weights), `best within a budget, ${plain(title)}`, ["solid", "dash"][i % 2]));
}

function staircase(points, name, dash) {
  const sorted = points.sort((a, b) => cost(a) - cost(b) || a.values.error_selection - b.values.error_selection);
  const steps = [];
  for (const point of sorted) {
    if (!steps.length || point.values.error_selection < steps.at(-1).values.error_selection) steps.push(point);
  }
  const line = { color: colour("soft"), width: 1.5, shape: "hv", dash };
  return trace(steps, "error_selection", name, {}, { mode: "lines", line, hoverinfo: "skip", hovertemplate: null });
}

function traces() {
  const front = usable().filter((point) => point.on_front);
  const rest = usable().filter((point) => !point.on_front);
  const made = [];
  methods.forEach((method, i) => {
    const look = { color: colour(`method-${i % 5}`), symbol: SYMBOLS[i % SYMBOLS.length] };
    const of = (points) => points.filter((point) => point.method === method);
    if (of(rest).length) made.push(trace(of(rest), "error_selection", `evaluated, ${plain(method)}`, { ...look, size: 6, opacity: 0.35 }));
  });
  made.push(...staircases());
  const reported = front.filter((point) => point.values.error_report !== null);
  const open = { symbol: "diamond-open", color: colour("report"), size: 8, line: { width: 1.8 } };
  if (reported.length) made.push(trace(reported, "error_report", "front, report error", open));
  methods.forEach((method, i) => {
    const mine = front.filter((point) => point.method === method);
    const look = { color: colour(`method-${i % 5}`), symbol: SYMBOLS[i % SYMBOLS.length], size: 11 };
    const bars = state.axis.name === "latency_measured_ms" ? { error_x: quartiles(mine) } : {};
    if (mine.length) made.push(trace(mine, "error_selection", `front, ${plain(method)}`, { ...look, line: { color: colour("card"), width: 1 } }, bars));
  });
  const star = { symbol: "star", color: colour("ink"), size: 15 };
  if (cost(facts.full) !== null) {
    made.push(trace([facts.full], "error_selection", "full model", star));
    const openStar = { symbol: "star-open", color: colour("report"), size: 14, line: { width: 1.8 } };
    if (facts.full.values.error_report !== null) made.push(trace([facts.full], "error_report", "full model, report error", openStar));
  }
  const pick = picked();
  const ring = { symbol: "circle-open", color: colour("ink"), size: 22, line: { width: 3 } };
  made.push(trace(pick ? [pick] : [], "error_selection", "the pick", ring, { hoverinfo: "skip", hovertemplate: null }));
  return made;
}

function quartiles(points) {
  const beyond = (point, end) => Math.abs((point.values[end] ?? cost(point)) - cost(point));
  return {
    type: "data", symmetric: false, color: colour("soft"), thickness: 1.2, width: 3,
    array: points.map((point) => beyond(point, "latency_high_ms")),
    arrayminus: points.map((point) => beyond(point, "latency_low_ms")),
  };
}

function layout() {
  const { label, unit, divisor } = state.axis;
  const at = state.budget / divisor;
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") };
  const grid = { gridcolor: colour("line"), zeroline: false, linecolor: colour("soft"), ticks: "outside", tickcolor: colour("line") };
  const whole = { type: "rect", yref: "paper", y0: 0, y1: 1, layer: "below", line: { width: 0 } };
  const edge = Math.max(...[...usable(), facts.full].map((point) => cost(point) ?? 0), state.budget) / divisor;
  return {
    font, paper_bgcolor: "transparent", plot_bgcolor: "transparent", margin: { l: 62, r: 14, t: 30, b: 54 },
    xaxis: { ...grid, title: { text: unit ? `${label} (${unit})` : label, standoff: 10 }, automargin: true, range: [0, edge * 1.04] },
    yaxis: { ...grid, title: { text: `Error (1 − ${plain(facts.metric)})` }, automargin: true },
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { size: 12 } },
    modebar: { bgcolor: "transparent", color: colour("soft"), activecolor: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("soft"), font: { ...font, size: 11 }, align: "left" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    shapes: [
      { ...whole, x0: at, x1: edge * 2, fillcolor: colour("shade") },
      { ...whole, x0: at, x1: at, type: "line", line: { color: colour("ink"), width: 1.5, dash: "dash" }, layer: "above" },
    ],
    uirevision: state.axis.name, // a zoom lasts until the axis changes
  };
}

function drawChart() {
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  Plotly.react("chart", traces(), layout(), config);
}

// ---- the panel

const ROWS = [
  ["error_selection", "Error, selection"], ["error_report", "Error, report"], ["encoder_parameters", "Encoder parameters"],
  ["parameters", "All parameters"], ["macs", "MACs of one text"], ["latency_ms", "Latency, predicted (ms)"],
  ["latency_measured_ms", "Latency, measured (ms)"],
];

function make(tag, text, ...children) {
  const made = document.createElement(tag);
  made.append(...(text === null ? children : [text]));
  return made;
}

/** A number with its bracketed quartiles on a line of their own. */
function figure(text) {
  const [value, rest] = text.split(" (");
  return rest ? make("td", null, value, make("small", `(${rest}`)) : make("td", text);
}

function compared(name, point) {
  const [mine, whole] = [point.values[name], facts.full.values[name]];
  if (mine === null || whole === null || (whole === 0 && !name.startsWith("error"))) return "–";
  if (!name.startsWith("error")) return `${((100 * mine) / whole).toFixed(0)} %`;
  return `${mine < whole ? "−" : "+"}${Math.abs(mine - whole).toFixed(4)}`;
}

function bar(kept, whole) {
  const fill = document.createElement("b");
  fill.style.width = `${(100 * kept) / whole}%`;
  const made = make("div", null, make("span", kept.toLocaleString("en")), make("i", null, fill));
  made.className = kept ? "bar" : "bar dropped";
  made.title = `${kept} of ${whole}`;
  return make("td", null, made);
}

function heading(name) {
  const made = make("th", name);
  made.scope = "row";
  return made;
}

function note(pick) {
  if (state.key !== null) return pick.on_front ? "A point of the front, chosen by its key." : "An evaluated point that is not one of the front's.";
  const { name, unit } = state.axis;
  const measured = pick.values.latency_measured_ms;
  if (name === "latency_ms" && measured !== null && measured > state.budget) {
    return `Measured, it takes ${pick.shown.latency_measured_ms} ms, more than this budget: the budget is compared with the table's prediction.`;
  }
  if (pick.on_front) return "Lowest selection error within the budget.";
  return "Lowest selection error within the budget. It is not one of the points that the run reports.";
}

function showPanel() {
  const pick = picked();
  const amount = `${short(state.budget)} ${state.axis.amount}`.trim();
  element("pick").hidden = pick === null;
  if (pick === null) {
    const cheapest = usable().map((point) => cost(point)).reduce((a, b) => Math.min(a, b), Infinity);
    element("pick-title").textContent = `Nothing within ${amount}`;
    element("pick-note").textContent = Number.isFinite(cheapest) ? `The cheapest subnetwork needs ${short(cheapest)} ${state.axis.amount}.` : "No subnetwork has both numbers.";
    return;
  }
  element("pick-title").replaceChildren(state.key === null ? `Best within ${amount}: ` : "", make("code", pick.key));
  element("pick-note").textContent = note(pick);
  element("numbers").replaceChildren(...ROWS.map(([name, label]) => make("tr", null, heading(label), figure(pick.shown[name]), figure(facts.full.shown[name]), make("td", compared(name, pick)))));
  const layers = pick.heads.map((heads, i) => make("tr", null, heading(`${i + 1}`), bar(heads, facts.full.heads[i]), bar(pick.neurons[i], facts.full.neurons[i])));
  if (pick.hidden !== facts.full.hidden) layers.push(make("tr", null, heading("width"), bar(pick.hidden, facts.full.hidden)));
  element("architecture").replaceChildren(...layers);
  element("command").textContent = `${facts.command} ${pick.extract}`;
}

function markRow() {
  const key = picked()?.key;
  for (const row of element("front").tBodies[0].rows) {
    row.classList.toggle("picked", row.cells[0].textContent === key);
  }
}

// ---- the table

function sortBy(column, header) {
  const up = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = element("front").tBodies[0];
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === "" || right === "") return (left === "") - (right === ""); // what is not known comes last
    const order = left - right || (Number.isNaN(left - right) ? left.localeCompare(right) : 0);
    return up ? order : -order;
  };
  body.append(...[...body.rows].sort(compare));
}

// ---- all of it

function show() {
  setControls();
  drawChart();
  showPanel();
  markRow();
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(element("command").textContent);
    element("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(element("command"));
    element("copy").textContent = "Press Ctrl+C";
  }
  setTimeout(() => { element("copy").textContent = "Copy"; }, 2000);
}

function start() {
  element("axis").append(...facts.axes.map(({ name, label }) => new Option(label, name)));
  readAddress();
  show();
  element("slider").addEventListener("input", (event) => moveBudget(event.target.valueAsNumber));
  element("budget").addEventListener("input", (event) => moveBudget(event.target.valueAsNumber));
  element("budget").addEventListener("blur", setControls);
  element("axis").addEventListener("change", (event) => {
    state.axis = facts.axes.find((axis) => axis.name === event.target.value);
    state.budget = defaultBudget();
    state.key = null;
    show();
    writeAddress();
  });
  element("chart").on("plotly_click", ({ points: [{ customdata }] }) => {
    if (named(customdata) !== null) location.hash = `axis=${state.axis.name}&key=${customdata}`;
  });
  element("copy").addEventListener("click", copyCommand);
  [...element("front").tHead.rows[0].cells].forEach((header, i) => header.addEventListener("click", () => sortBy(i, header)));
  addEventListener("hashchange", () => {
    readAddress();
    show();
    if (state.key === null) return;
    element("explore").scrollIntoView();
    element("pick-title").focus({ preventScroll: true });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
}

start();
