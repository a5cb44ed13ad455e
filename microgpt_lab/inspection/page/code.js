// The source lines that ran, the tensors that each made, and the numbers of one tensor.

const MOST_ROWS = 256;  // of a tensor that is shown
const shapeOf = (tensor) => tensor.shape.join("×");
const titleOf = (tensor) => tensor.name || tensor.op + (tensor.path ? ` in ${tensor.path}` : "");

function showListing() {
  const at = Map.groupBy(GRAPH.tensors.filter((tensor) => tensor.line), (tensor) => tensor.line.join(":"));
  const section = (title, ...rest) => make("div", { class: "function" },
    make("div", { class: "file" }, title), rest);
  const line = (f, [number, text]) => make("div", { class: "line" }, make("span", {}, number),
    make("pre", {}, text), madeHere(at.get(`${f.index}:${number}`)));
  const weights = GRAPH.tensors.filter((tensor) => tensor.op === "");
  fill("listing", section("weights", make("div", { class: "made" }, weights.map(chip))),
    FACTS.code.source.map((f) => section(`${f.file}, ${f.name}`, f.lines.map((each) => line(f, each)))));
}

/** The tensors that a line made, by the part of the model if there are several. */
function madeHere(tensors = []) {
  const paths = Map.groupBy(tensors, (tensor) => tensor.path);
  const group = ([path, made]) => [paths.size > 1 && make("em", {}, path), ...made.map(chip)];
  return tensors.length ? make("div", { class: "made" }, [...paths].map(group)) : null;
}

function chip(tensor) {
  return make("button", {
    class: `chip ${tensor.name ? "named" : ""}`, "aria-pressed": String(tensor === view.tensor),
    act: () => { view.trail = []; openTensor(tensor); },
  }, tensor.name || tensor.op, make("span", { class: "soft" }, ` ${shapeOf(tensor)}`));
}

function openTensor(tensor, value = null) {
  Object.assign(view, { tensor, value });
  showListing();
  showTensor();
}

/** The label of index i of an axis, counted from the last: 1 are columns, 2 rows. */
function labelOf(tensor, axis, i) {
  const kind = tensor.axes.at(-axis), isRow = axis === 2;
  if (kind === "vocabulary") return FACTS.labels[i];
  if (kind === "token") return isRow ? `${i} ${FACTS.tokens[i]}` : FACTS.tokens[i];
  return tensor.shape.at(-axis) === 1 ? "" : String(i);
}

function showTensor() {
  const tensor = view.tensor, numbers = view.gradients ? GRAPH.grad : GRAPH.data;
  const button = (text, gradients) => make("button", { "aria-pressed": String(view.gradients === gradients),
    act: () => { view.gradients = gradients; showTensor(); } }, text);
  const all = Array.from(tensor.values, (v) => numbers[v]).filter(Number.isFinite);
  const top = Math.max(...all.map(Math.abs)), size = product(tensor.shape.slice(-2));
  const grids = Array.from({ length: tensor.values.length / size }, (_, head) => make("div", {},
    tensor.shape.length > 2 && make("div", { class: "note" }, `head ${head}`),
    tensorGrid(tensor, numbers, head * size, top)));
  const more = tensor.shape.at(-2) > MOST_ROWS ? `; the first ${MOST_ROWS} rows` : "";
  fill("panel", make("div", { class: "head" }, make("h3", { class: "mono" }, titleOf(tensor)),
    make("span", { class: "note" }, `${shapeOf(tensor)} = ${tensor.values.length} Values`),
    make("span", { class: "end" }, button("data", false), button("gradients", true))),
  make("p", { class: "note" }, `from ${num(Math.min(...all), 4)} to ${num(Math.max(...all), 4)}, ` +
    `${all.filter((x) => x === 0).length} zeros${more}; click a number`));
  fill("grids", grids);
  fill("value", view.value === null ? [] : valueCard(view.value));
}

function tensorGrid(tensor, numbers, first, top) {
  const [height, width] = tensor.shape.slice(-2), count = (n, f) => Array.from({ length: n }, (_, i) => f(i));
  const value = (r, c) => tensor.values[first + r * width + c];
  const row = (r) => labelOf(tensor, 2, r), column = (c) => labelOf(tensor, 1, c);
  const side = Math.max(8, Math.min(30, Math.floor(480 / width)));
  return heat(count(Math.min(height, MOST_ROWS), (r) => count(width, (c) => numbers[value(r, c)])), {
    size: [side, Math.max(10, Math.min(side, 22))], top, left: row, above: side > 14 ? column : undefined,
    text: (x) => (side > 25 ? num(Math.round(x * 10) / 10, 1) : ""),
    mark: (r, c) => value(r, c) === view.value,
    tip: (r, c) => `[${[row(r), column(c)].filter(Boolean).join(", ")}]\n` +
      `data ${num(GRAPH.data[value(r, c)], 5)}\ngradient ${num(GRAPH.grad[value(r, c)], 6)}`,
    pick: (r, c) => {
      Object.assign(view, { trail: [], value: value(r, c) });
      showTensor();
      document.querySelectorAll("#grids .mark,#value").forEach((x) => x.scrollIntoView({ block: "nearest" }));
    },
  });
}
