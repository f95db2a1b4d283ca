// ---- what each layer keeps, as a picture: its heads one by one, its neurons as a bar

const ROW = 22; // pixels of a layer
const HEADS = { x: 34, width: 132 };
const NEURONS = { x: 204, width: 90 };

function shape(tag, attributes, ...children) {
  const made = document.createElementNS(element("architecture").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const words = (x, y, text, anchor = "start") => shape("text", { x, y, "text-anchor": anchor }, text);

/** A row of squares, filled as far as heads are kept. */
function heads(y, kept, all) {
  const pitch = Math.min(12, HEADS.width / all);
  const size = pitch - Math.min(2.5, pitch / 4);
  return Array.from({ length: all }, (_, i) => shape("rect", {
    class: i < kept ? "kept" : "gone", x: HEADS.x + i * pitch, y: y - size / 2, width: size, height: size, rx: 1.5,
  }));
}

function bar(y, x, width, kept, all) {
  const made = [shape("rect", { class: "gone", x, y: y - 5, width, height: 10, rx: 1.5 })];
  if (kept) made.push(shape("rect", { class: "kept", x, y: y - 5, width: Math.max(1, (width * kept) / all), height: 10, rx: 1.5 }));
  return made;
}

/** A layer; a block that keeps nothing is passed by, which its line shows. */
function layerRow(point, full, i) {
  const y = ROW * (i + 1.5);
  const numbers = [words(HEADS.x + HEADS.width + 28, y + 4, String(point.heads[i]), "end"), words(NEURONS.x + NEURONS.width + 42, y + 4, point.neurons[i].toLocaleString("en"), "end")];
  const blocks = [
    point.heads[i] ? heads(y, point.heads[i], full.heads[i]) : passed(y, HEADS, "no attention"),
    point.neurons[i] ? bar(y, NEURONS.x, NEURONS.width, point.neurons[i], full.neurons[i]) : passed(y, NEURONS, "no FFN"),
  ];
  return shape("g", {}, words(14, y + 4, String(i + 1), "end"), ...blocks.flat(), ...numbers);
}

function passed(y, { x, width }, text) {
  return [shape("line", { class: "passed", x1: x, x2: x + width, y1: y, y2: y }), shape("text", { class: "passed", x: x + width / 2, y: y + 3.5, "text-anchor": "middle" }, text)];
}

function sentence(point, full) {
  const layers = point.heads.map((count, i) => `layer ${i + 1}: ${count} of ${full.heads[i]} heads, ${point.neurons[i]} of ${full.neurons[i]} neurons`);
  const width = point.hidden === full.hidden ? [] : [`width ${point.hidden} of ${full.hidden}`];
  const tokens = point.tokens === null ? [] : [`${point.tokens} tokens`];
  return [...layers, ...width, ...tokens].join("; ");
}

function drawArchitecture(point, full) {
  const extra = point.hidden === full.hidden ? 0 : 1;
  const title = [words(14, 14, "layer", "middle"), words(HEADS.x + 10, 14, "heads"), words(NEURONS.x, 14, "neurons")];
  const rows = point.heads.map((_, i) => layerRow(point, full, i));
  if (extra) {
    const y = ROW * (point.heads.length + 1.5);
    const [end, width] = [NEURONS.x + NEURONS.width, NEURONS.x + NEURONS.width - HEADS.x];
    rows.push(shape("g", {}, words(0, y + 4, "width"), ...bar(y, HEADS.x, width, point.hidden, full.hidden), words(end + 42, y + 4, String(point.hidden), "end")));
  }
  const drawing = element("architecture");
  drawing.setAttribute("viewBox", `0 0 340 ${ROW * (point.heads.length + 1 + extra) + 6}`);
  drawing.setAttribute("aria-label", sentence(point, full));
  drawing.replaceChildren(shape("g", { class: "titles" }, ...title), ...rows);
}
