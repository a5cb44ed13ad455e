// One Value: its data, its gradient and where that comes from, and what it was computed from.

const MOST_LINES = 12;

/** A Value by the tensor that has it and its place there. */
function nameOf(v) {
  const tensor = GRAPH.holder[v];
  const [height, width] = tensor.shape.slice(-2), k = tensor.values.indexOf(v);
  const head = tensor.shape.length > 2 ? `head ${Math.floor(k / (height * width))}` : "";
  const place = [head, labelOf(tensor, 2, Math.floor(k / width) % height), labelOf(tensor, 1, k % width)];
  return titleOf(tensor) + (place.some(Boolean) ? `[${place.filter(Boolean).join(", ")}]` : "");
}

function openValue(tensor, v) {
  openTensor(tensor, v);
  byId("value-title")?.focus();
}

function linkTo(v) {
  const follow = () => { view.trail.push([view.tensor, view.value]); openValue(GRAPH.holder[v], v); };
  return make("button", { act: follow }, nameOf(v));
}

function valueCard(v) {
  const big = (x, text) => make("div", {}, make("b", {}, num(x, 6)), text);
  const back = make("button", { act: () => openValue(...view.trail.pop()) }, "← back");
  return make("div", { class: "value" }, make("div", { class: "head" },
    make("h3", { class: "mono", id: "value-title", tabindex: -1 }, nameOf(v)),
    make("span", { class: "end" }, view.trail.length > 0 && back)),
  make("div", { class: "figures" }, big(GRAPH.data[v], "data"),
    big(GRAPH.grad[v], "gradient: change of the loss per unit of it")), gradientTable(v), originTable(v));
}

const values = (headings, rows) => make("div", { class: "scroll" }, table(headings, rows, "values"));

function gradientTable(v) {
  const { rows, sums, difference } = ledger(GRAPH, v);
  if (!rows.length) return make("p", { class: "note" }, v === GRAPH.loss
    ? "This is the loss: its gradient is 1, and all others are computed from it."
    : "Nothing that the loss depends on uses it, so its gradient is 0.");
  const top = Math.max(...rows.flatMap((row) => row.shares.map(Math.abs)));
  const power = Math.floor(Math.log10(top || 1)), inUnits = (x) => signed(x / 10 ** power);
  const line = (row) => [...(row.count ? [`${row.count} others`, "", ""]
    : [linkTo(row.child), num(row.slope), num(GRAPH.grad[row.child], 5)]),
  inUnits(row.share), ...row.shares.map((x) => shade(x, top, inUnits(x)))];
  const asks = FACTS.predictions.map((p, t) => `${FACTS.tokens[t]}→${p.came}`);
  const isExact = Math.abs(difference) <= 1e-12 * Math.max(1, Math.abs(GRAPH.grad[v]));
  return [make("h4", {}, "Where its gradient comes from ", make("small", {},
    "each use and each prediction, in units of 10", make("sup", {}, minus(String(power))))),
  values(["used in", "slope", "× gradient", "= share", ...asks], [
    ...largest(rows, "share", MOST_LINES).map(line),
    ["sum", "", "", inUnits(sums.share), ...sums.shares.map(inUnits)]]),
  make("p", { class: "note", id: "sum" }, `sum − gradient = ${num(difference)} `,
    isExact && make("span", { class: "adds-up" }, "✓ it adds up"))];
}

function originTable(v) {
  const parents = parentsOf(GRAPH, v), data = (p) => num(GRAPH.data[p], 4);
  if (!parents.length) return null;
  const { op, isProduct } = GRAPH.maker[v];
  if (!isProduct) {
    const line = ({ count, parent, slope, share }) => [...(count ? [`${count} others`, "", ""]
      : [linkTo(parent), data(parent), num(slope, 4)]), num(share, 6)];
    return [make("h4", {}, `Computed by ${op} from ${parents.length} numbers`), values(
      ["parent", "data", "local derivative", "× gradient"], largest(parents, "slope", MOST_LINES).map(line))];
  }
  const pairs = parents.filter((_, i) => i % 2 === 0).map((x, i) => ({ ...x, right: parents[2 * i + 1] }));
  const line = ({ count, parent, product, share, right }) => (count
    ? [`${count} others`, "", "", "", num(product, 4), "", ""]
    : [linkTo(parent), data(parent), linkTo(right.parent), data(right.parent), num(product, 4),
      num(share, 6), num(right.share, 6)]);
  const lines = [...largest(pairs, "product", MOST_LINES).map(line), ["sum", "", "", "", data(v), "", ""]];
  return [make("h4", {}, `Computed as a sum of ${pairs.length} products`),
    values(["left", "data", "right", "data", "product", "to left", "to right"], lines)];
}
