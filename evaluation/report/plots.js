// ---- how the search went, and how good the latency table is

function drawGrowth() {
  element("growth-card").hidden = !facts.curves.length;
  if (!facts.curves.length) return;
  const made = facts.curves.map(({ method, evaluations, hypervolumes }) => ({
    type: "scatter", name: plain(method), x: evaluations, y: hypervolumes, mode: "lines+markers",
    line: { color: shade(method), shape: "hv", width: 1.8 },
    marker: { color: shade(method), symbol: look(method).symbol, size: evaluations.map((_, i) => (i === evaluations.length - 1 ? 10 : 0)) },
    hovertemplate: `<b>${plain(method)}</b><br>%{y:.4f} after %{x}<extra></extra>`,
  }));
  const base = frame("Evaluations asked for", "Hypervolume");
  Plotly.react("growth", made, { ...base, showlegend: false, margin: { ...base.margin, t: 12 }, xaxis: { ...base.xaxis, rangemode: "tozero" } }, config);
}

function drawLatency() {
  const both = facts.points.filter((point) => point.values.latency_ms !== null && point.values.latency_measured_ms !== null);
  element("latency").hidden = !both.length;
  if (!both.length) return;
  const edge = 1.06 * Math.max(...both.flatMap((point) => [point.values.latency_ms, point.values.latency_high_ms ?? 0]));
  const beyond = (end) => both.map((point) => Math.abs((point.values[end] ?? point.values.latency_measured_ms) - point.values.latency_measured_ms));
  const points = {
    type: "scatter", mode: "markers", x: both.map((p) => p.values.latency_ms), y: both.map((p) => p.values.latency_measured_ms),
    marker: { color: both.map((p) => shade(p.method)), symbol: both.map((p) => look(p.method).symbol), size: 8, line: { color: colour("card"), width: 0.6 } },
    error_y: { type: "data", symmetric: false, array: beyond("latency_high_ms"), arrayminus: beyond("latency_low_ms"), color: colour("soft"), thickness: 1, width: 2 },
    text: both.map((p) => `<b>${plain(p.method)}</b>  ${p.key}<br>predicted ${p.shown.latency_ms} ms, measured ${p.shown.latency_measured_ms} ms`),
    customdata: both.map((p) => p.name), hovertemplate: "%{text}<extra></extra>",
  };
  const off = facts.table_error ?? 0;
  const edges = { x0: 0, y0: 0, x1: edge, type: "line", layer: "below" };
  const shapes = [
    { type: "path", path: `M0,0 L${edge},${edge * (1 + off)} L${edge},${edge * (1 - off)} Z`, fillcolor: colour("shade"), line: { width: 0 }, layer: "below" },
    { ...edges, y1: edge, line: { color: colour("ink"), width: 1, dash: "dash" } },
  ];
  const base = frame("Predicted by the table (ms)", "Measured end to end (ms)");
  const axis = { range: [0, edge] };
  Plotly.react("latency", [points], { ...base, shapes, margin: { ...base.margin, t: 12 }, xaxis: { ...base.xaxis, ...axis }, yaxis: { ...base.yaxis, ...axis } }, config);
}

/** Heads and neurons that each model of the front keeps, a row each, the smallest first; one below the other on a phone. */
function drawKept() {
  const front = [...new Map(ofLayer().filter((point) => point.on_front).map((point) => [point.name, point])).values()];
  front.sort((a, b) => b.values.kept - a.values.kept);
  element("kept-card").hidden = !front.length;
  if (!front.length) return;
  const narrow = matchMedia("(max-width: 34rem)").matches;
  const base = frame("Layer", "Encoder kept (%)");
  const shared = { ...base.yaxis, tickvals: front.map((_, i) => i), ticktext: front.map((point) => (100 * point.values.kept).toFixed(0)), showgrid: false, ticks: "" };
  const made = ["heads", "neurons"].map((unit, i) => ({
    type: "heatmap", zmin: 0, zmax: 1, xgap: 1, ygap: 1, xaxis: `x${i + 1}`, yaxis: `y${i + 1}`,
    x: whole()[unit].map((_, layer) => layer + 1), y: front.map((_, row) => row),
    z: front.map((point) => point[unit].map((count, layer) => count / whole()[unit][layer])),
    customdata: front.map((point) => point[unit].map(() => point.name)),
    text: front.map((point) => point[unit].map((count, layer) => `<b>${plain(point.method)}</b>  ${point.key}<br>layer ${layer + 1}: ${count} of ${whole()[unit][layer]} ${unit}`)),
    hovertemplate: "%{text}<extra></extra>", colorscale: [[0, colour("page")], [1, colour("kept")]], showscale: i === 0,
    colorbar: { title: { text: "kept" }, tickformat: ".0%", thickness: 10, outlinewidth: 0 },
  }));
  const titles = ["Heads", "Neurons"].map((text, i) => ({ text, xref: `x${i + 1} domain`, yref: `y${i + 1} domain`, x: 0, y: 1, xanchor: "left", yanchor: "bottom", showarrow: false }));
  const x = { ...base.xaxis, dtick: 1, showgrid: false, ticks: "" };
  const height = Math.max(12 * front.length, 90) + 90;
  Plotly.react("kept", made, {
    ...base, annotations: titles, height: narrow ? 2 * height : height, margin: { ...base.margin, t: 24 },
    grid: { rows: narrow ? 2 : 1, columns: narrow ? 1 : 2, pattern: "independent", ygap: 0.25, xgap: 0.1 },
    xaxis: x, xaxis2: x, yaxis: shared, yaxis2: { ...shared, title: narrow ? shared.title : {} },
  }, config);
}

const drawPlots = () => { drawGrowth(); drawLatency(); drawKept(); };
