// ---- controls: a slider for each cost, the current one before the others

function slider(axis) {
  const made = make("div");
  made.className = "field budget";
  made.dataset.axis = axis.name;
  const name = make("label", axis.name === state.axis.name ? "Budget" : axis.label);
  const range = Object.assign(document.createElement("input"), { type: "range", id: `slider-${axis.name}` });
  const number = Object.assign(document.createElement("input"), { type: "number", step: "any", placeholder: "any", id: `budget-${axis.name}` });
  name.htmlFor = range.id;
  number.setAttribute("aria-label", `${axis.label}, at most, as a number`);
  const { low, high, step } = extent(axis);
  Object.assign(range, { step, min: low, max: high });
  range.addEventListener("input", () => move(axis, range.valueAsNumber >= high && axis !== state.axis ? null : range.valueAsNumber));
  number.addEventListener("input", () => move(axis, Number.isNaN(number.valueAsNumber) ? null : number.valueAsNumber));
  number.addEventListener("blur", setBudgets);
  made.append(name, range, number, make("span", axis.unit));
  return made;
}

/** The slider's ends in the page's unit, on round numbers. */
function extent(axis) {
  const costs = [...ofLayer(), whole()].filter(Boolean).map((point) => cost(point, axis)).filter((value) => value !== null);
  const [least, most] = [Math.min(...costs) / axis.divisor, Math.max(...costs) / axis.divisor];
  const step = 10 ** Math.floor(Math.log10((most - least || 1) / 100));
  return { low: Number((Math.floor(least / step) * step).toPrecision(6)), high: Number((Math.ceil(most / step) * step).toPrecision(6)), step };
}

function move(axis, value) {
  setBudget(axis, value === null ? null : value * axis.divisor);
  show();
  writeAddress();
}

/** Make the sliders anew: the layer or the cost has changed. */
function makeBudgets() {
  if (!axes().length) return;
  element("budgets").replaceChildren(slider(state.axis));
  element("more").replaceChildren(...axes().filter((axis) => axis !== state.axis).map(slider));
  const known = new Set(axes().map((axis) => axis.name));
  for (const option of element("axis").options) option.disabled = !known.has(option.value);
  element("axis").value = state.axis.name;
  element("error").value = state.error;
  for (const input of document.querySelectorAll("input[name=layer]")) input.checked = input.value === state.layer;
}

function setBudgets() {
  for (const axis of axes()) {
    const [range, number] = [element(`slider-${axis.name}`), element(`budget-${axis.name}`)];
    if (range === null) continue;
    const limit = state.budgets[axis.name];
    range.value = limit === undefined ? range.max : limit / axis.divisor;
    range.setAttribute("aria-valuetext", limit === undefined ? "no limit" : `${short(limit, axis)} ${axis.amount}`);
    if (document.activeElement !== number) number.value = limit === undefined ? "" : short(limit, axis);
  }
  const others = Object.keys(state.budgets).filter((name) => name !== state.axis.name).length;
  element("more-title").textContent = others ? `More budgets (${others} set)` : "More budgets";
}

// ---- tables

function showTables() {
  const name = picked()?.name;
  for (const body of element("models").tBodies) body.hidden = body.dataset.layer !== state.layer;
  for (const head of element("models").querySelectorAll("th[data-name]")) head.parentNode.classList.toggle("picked", head.dataset.name === name);
  for (const row of element("methods").tBodies[0].rows) {
    row.hidden = row.dataset.layer !== state.layer;
    row.querySelector("input").checked = !state.hidden.has(row.querySelector("input").value);
  }
}

function sortBy(column, header) {
  const up = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === "" || right === "") return (left === "") - (right === ""); // what is not known comes last
    const order = left - right || (Number.isNaN(left - right) ? left.localeCompare(right) : 0);
    return up ? order : -order;
  };
  for (const body of element("models").tBodies) {
    body.append(...[...body.rows].filter((row) => row.querySelector("[data-name]")).sort(compare));
  }
}

// ---- all of it

function show() {
  setBudgets();
  drawChart();
  showPanel();
  showSteps();
  showTables();
}

function change(update) {
  update();
  makeBudgets();
  show();
  drawKept();
  writeAddress();
}

function choose(name) {
  if (name !== undefined && named(name) !== null) location.hash = address(name);
}

function showOnly(methods) {
  state.hidden = new Set(methods);
  state.name = null;
  show();
}

function start() {
  element("axis").append(...facts.axes.map(({ name, label }) => new Option(label, name)));
  readAddress();
  makeBudgets();
  show();
  drawPlots();
  history.replaceState(null, "", address()); // so that one can come back to where one began
  element("axis").addEventListener("change", (event) => change(() => {
    setAxis(facts.axes.find((axis) => axis.name === event.target.value));
    state.name = null;
  }));
  element("error").addEventListener("change", (event) => change(() => { state.error = event.target.value; }));
  for (const input of document.querySelectorAll("input[name=layer]")) input.addEventListener("change", () => change(() => setLayer(input.value)));
  for (const [id, direction] of [["cheaper", -1], ["dearer", 1]]) element(id).addEventListener("click", () => choose(neighbour(direction)?.name));
  element("methods").addEventListener("change", (event) => {
    if (event.target.checked) state.hidden.delete(event.target.value);
    else state.hidden.add(event.target.value);
    showOnly(state.hidden);
  });
  element("all").addEventListener("click", () => showOnly([]));
  element("none").addEventListener("click", () => showOnly(facts.methods.map((one) => one.name)));
  for (const id of ["chart", "latency", "kept"]) element(id).on?.("plotly_click", ({ points: [{ customdata }] }) => choose(customdata));
  element("every").addEventListener("change", (event) => { state.all = event.target.checked; drawChart(); });
  element("csv").addEventListener("click", saveTable);
  element("png").addEventListener("click", saveChart);
  element("copy").addEventListener("click", copyCommand);
  [...element("models").tHead.rows[0].cells].forEach((header, i) => header.querySelector("button").addEventListener("click", () => sortBy(i, header)));
  addEventListener("hashchange", () => {
    if (location.hash === "#models-title") return;
    readAddress();
    makeBudgets();
    show();
    const stepping = ["cheaper", "dearer"].includes(document.activeElement?.id);
    if (state.name === null || stepping) return;
    element("explore").scrollIntoView();
    element("pick-title").focus({ preventScroll: true });
  });
  dark.addEventListener("change", () => { drawChart(); drawPlots(); });
}

start();
