"use strict";
// Draws a chart for each layer; all that is in them was computed before.

addEventListener("error", () => { document.getElementById("broken").hidden = false; });

const facts = JSON.parse(document.getElementById("facts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function trace({ name, x, y, deviation, text, look, hollow, whole }) {
  const shade = whole ? colour("ink") : look[dark.matches ? "dark" : "light"];
  const symbol = whole ? "star" : hollow && !look.symbol.endsWith("-open") ? `${look.symbol}-open` : look.symbol;
  return {
    type: "scatter", mode: whole ? "markers" : "lines+markers", name, x, y, text, hovertemplate: "%{text}<extra></extra>",
    line: { color: shade, width: 1.2, dash: hollow ? "dash" : "solid" },
    marker: { color: shade, symbol, size: whole ? 15 : 10, line: { color: hollow ? shade : colour("card"), width: hollow ? 1.8 : 0.8 } },
    error_y: { type: "data", array: deviation, visible: deviation.some(Boolean), color: shade, thickness: 1, width: 3 },
  };
}

function layout({ axis, whole }) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") };
  const grid = { gridcolor: colour("line"), zeroline: false, linecolor: colour("soft"), ticks: "outside", tickcolor: colour("line") };
  const level = { type: "line", xref: "paper", x0: 0, x1: 1, y0: whole, y1: whole, line: { color: colour("ink"), width: 1, dash: "dash" } };
  return {
    font, paper_bgcolor: "transparent", plot_bgcolor: "transparent", margin: { l: 62, r: 14, t: 14, b: 54 },
    xaxis: { ...grid, title: { text: axis, standoff: 10 }, automargin: true },
    yaxis: { ...grid, title: { text: facts.error }, automargin: true },
    legend: { font: { size: 12 }, ...(innerWidth < 900 ? { orientation: "h", y: -0.2 } : {}) },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("soft"), font: { ...font, size: 11 }, align: "left" },
    modebar: { bgcolor: "transparent", color: colour("soft"), activecolor: colour("ink") },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    shapes: whole === null ? [] : [level],
  };
}

function draw() {
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  for (const layer of facts.layers) Plotly.react(`chart-${layer.name}`, layer.traces.map(trace), layout(layer), config);
}

draw();
dark.addEventListener("change", draw);
