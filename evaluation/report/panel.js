// ---- the panel: the pick beside the whole model

const short = (value, axis = state.axis) => String(Number((value / axis.divisor).toPrecision(4)));

function make(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

/** A number with its bracketed quartiles on a line of their own. */
function figure(text) {
  const [value, rest] = text.split(" (");
  return rest ? make("td", value, make("small", `(${rest}`)) : make("td", text);
}

function versus(name, point) {
  const [mine, other] = [point.values[name], whole().values[name]];
  if (mine === null || other === null || (other === 0 && !name.startsWith("error"))) return "–";
  if (!name.startsWith("error")) return `${((100 * mine) / other).toFixed(0)} %`;
  return `${mine < other ? "−" : "+"}${Math.abs(mine - other).toFixed(4)}`;
}

function rows(pick) {
  const costs = facts.axes.map(({ name, label, unit }) => [name, unit === "ms" || unit === "MB" ? `${label} (${unit})` : label]);
  const all = [["error_selection", "Error, selection"], ["error_report", "Error, report"], ["error_int8", "Error, report, in int8"], ...costs];
  return all.filter(([name]) => pick.values[name] !== null || whole().values[name] !== null).map(([name, label]) => {
    const heading = make("th", label);
    heading.scope = "row";
    return make("tr", heading, figure(pick.shown[name]), figure(whole().shown[name]), make("td", versus(name, pick)));
  });
}

const limits = () => Object.entries(state.budgets).map(([name, limit]) => {
  const axis = facts.axes.find((one) => one.name === name);
  return `${short(limit, axis)} ${axis.amount}`.trim();
});

function note(pick) {
  const by = `${pick.method}${typeof pick.density === "number" ? ` at ${pick.density}` : ""}`;
  if (state.name !== null) return pick.on_front ? `Found by ${by}, on the front.` : `Made by ${by}.`;
  const limit = state.budgets.latency_ms;
  if (limit !== undefined && pick.values.latency_measured_ms > limit) {
    return `By ${by}. Measured, it takes ${pick.shown.latency_measured_ms} ms, more than this budget: the budget is compared with the table's prediction.`;
  }
  return `The lowest selection error within the budget, by ${by}.${pick.values.error_report === null ? " It was not scored on the report split." : ""}`;
}

function showPanel() {
  const pick = picked();
  element("pick").hidden = pick === null;
  const within = limits().join(", ");
  if (pick === null) {
    const cheapest = usable().map((point) => cost(point)).reduce((a, b) => Math.min(a, b), Infinity);
    element("pick-title").textContent = `Nothing within ${within}`;
    element("pick-note").textContent = Number.isFinite(cheapest) ? `The cheapest model needs ${short(cheapest)} ${state.axis.amount}.` : "No model that is shown has both numbers.";
    return;
  }
  const but = pick.constant ? ", but no better than a constant answer" : "";
  const lead = state.name !== null ? "" : within ? `Best within ${within}${but}: ` : `Best of all${but}: `;
  element("pick-title").replaceChildren(lead, make("code", pick.key));
  element("pick-note").textContent = note(pick) + (pick.constant ? " It is no better than a constant answer." : "");
  element("numbers").replaceChildren(...rows(pick));
  drawArchitecture(pick, whole());
  element("command").textContent = `${facts.command} ${pick.extract}`;
}

/** The next model of the front in a direction, -1 for cheaper; null where it ends. */
function neighbour(direction) {
  const pick = picked();
  const front = steps(usable()).filter((point) => point !== pick && point.values.error_selection !== null);
  const at = pick === null ? state.budgets[state.axis.name] ?? Infinity : cost(pick) ?? 0;
  return direction < 0 ? front.filter((point) => cost(point) < at).at(-1) ?? null : front.find((point) => cost(point) > at) ?? null;
}

function showSteps() {
  element("cheaper").disabled = neighbour(-1) === null;
  element("dearer").disabled = neighbour(1) === null;
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
