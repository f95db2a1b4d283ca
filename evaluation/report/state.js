"use strict";
// What is shown: one layer of models, a cost, budgets, and the pick. All of it is in the address.

const element = (id) => document.getElementById(id);
addEventListener("error", () => { element("broken").hidden = false; });

const facts = JSON.parse(element("facts").textContent);
const state = {
  layer: facts.layers[0]?.name ?? null,
  axis: facts.axes[0],
  error: "error_selection",
  budgets: {}, // by axis; what is not there has no limit
  untouched: null, // the axis whose budget is a first guess: it goes with the axis
  name: null, // of a model that was chosen by itself, not by budgets
  hidden: new Set(), // methods
  all: false, // errors of any size, not only those that people choose from
};

// ---- which models

const cost = (point, axis = state.axis) => point.values[axis.name];
const whole = () => facts.wholes[state.layer] ?? Object.values(facts.wholes)[0] ?? null;
const ofLayer = () => facts.points.filter((point) => point.layer === state.layer);
const visible = () => ofLayer().filter((point) => !state.hidden.has(point.method));
const usable = () => visible().filter((p) => p.values.error_selection !== null && cost(p) !== null);

/** The costs that models of this layer have; those with zeros have none but their share of weights. */
const axes = () => facts.axes.filter((axis) => ofLayer().some((point) => cost(point, axis) !== null));

function affordable(point) {
  return Object.entries(state.budgets).every(([name, limit]) => {
    const value = point.values[name];
    return value !== null && value <= limit * (1 + 1e-9);
  });
}

function better(a, b) {
  const [left, right] = [a.values.error_selection, b.values.error_selection];
  return left < right || (left === right && cost(a) < cost(b));
}

/** The model with the lowest selection error within all budgets; of equal ones the cheapest. */
const best = () => usable().filter(affordable).reduce((a, b) => (a === null || better(b, a) ? b : a), null);

/** A model by its name; one that several searchers found is shown as the front has it. */
function named(name) {
  const found = facts.points.filter((point) => point.name === name);
  return found.find((point) => point.on_front) ?? found[0] ?? null;
}

const picked = () => (state.name === null ? best() : named(state.name));

/** The lowest selection error within each budget, the cheapest first. */
function steps(points) {
  const found = [];
  for (const point of [...points].sort((a, b) => cost(a) - cost(b) || a.values.error_selection - b.values.error_selection)) {
    if (!found.length || point.values.error_selection < found.at(-1).values.error_selection) found.push(point);
  }
  return found;
}

// ---- changes

function setAxis(axis) {
  if (state.untouched !== null && state.untouched !== axis.name) delete state.budgets[state.untouched];
  state.axis = axis;
  state.budgets[axis.name] ??= guess();
  if (state.budgets[axis.name] === guess()) state.untouched = axis.name;
}

/** Half of what the whole model costs, or the middle of what there is if nothing is as cheap as that. */
function guess() {
  const costs = usable().map((point) => cost(point)).sort((a, b) => a - b);
  const half = (whole() === null ? null : cost(whole())) / 2;
  const budget = half && costs[0] <= half ? half : costs[Math.floor(costs.length / 2)] ?? 0;
  return Number((budget / state.axis.divisor).toPrecision(3)) * state.axis.divisor;
}

function setLayer(name) {
  state.layer = name;
  state.name = null;
  for (const budget of Object.keys(state.budgets)) {
    if (!axes().some((axis) => axis.name === budget)) delete state.budgets[budget];
  }
  setAxis(axes().includes(state.axis) ? state.axis : axes()[0] ?? state.axis);
}

/** Set a budget in the axis' own unit; null for no limit. */
function setBudget(axis, limit) {
  if (limit === null) delete state.budgets[axis.name];
  else state.budgets[axis.name] = limit;
  if (state.untouched === axis.name) state.untouched = null;
  state.name = null;
}

// ---- the address

let waiting = 0;

function readAddress() {
  clearTimeout(waiting);
  const given = new URLSearchParams(location.hash.slice(1));
  const point = named(given.get("key"));
  const layer = point?.layer ?? given.get("layer") ?? state.layer;
  if (facts.layers.some((one) => one.name === layer)) state.layer = layer;
  if ([...element("error").options].some((option) => option.value === given.get("error"))) state.error = given.get("error");
  if (point === null && given.size) state.budgets = {};
  for (const axis of facts.axes) {
    const limit = parseFloat(given.get(axis.name));
    if (Number.isFinite(limit)) setBudget(axis, limit);
  }
  const meant = axes().find((axis) => axis.name === given.get("axis")) ?? axes().find((axis) => given.has(axis.name));
  setAxis(meant ?? (axes().includes(state.axis) ? state.axis : axes()[0] ?? state.axis));
  state.name = point?.name ?? null;
  if (point !== null && cost(point) !== null) state.budgets[state.axis.name] = cost(point);
  if (point !== null) state.hidden.delete(point.method);
}

/** What the address says of the state, or of one model in it. */
function address(name = state.name) {
  const said = new URLSearchParams();
  if (facts.layers.length > 1) said.set("layer", state.layer);
  said.set("axis", state.axis.name);
  if (state.error !== "error_selection") said.set("error", state.error);
  if (name !== null) said.set("key", name);
  else for (const [budget, limit] of Object.entries(state.budgets)) said.set(budget, limit);
  return `#${said}`;
}

function writeAddress() {
  clearTimeout(waiting); // browsers refuse a page that writes its address all the time
  waiting = setTimeout(() => history.replaceState(null, "", address()), 200);
}
