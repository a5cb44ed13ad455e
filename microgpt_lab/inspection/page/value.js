// One Value: its data, its gradient and where that comes from, and what it was computed from.

const MOST_ROWS = 12;

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
  const follow = () => {
    view.trail.push([view.tensor, view.value]);
    openValue(GRAPH.holder[v], v);
  };
  return make("button", { act: follow }, nameOf(v));
}

function valueCard(v) {
  const gradient = GRAPH.grad[v], figure = (x, text) => make("div", {}, make("b", {}, x), text);
  const back = make("button", { act: () => openValue(...view.trail.pop()) }, "← back");
  return make("div", { class: "value" }, make("div", { class: "head" },
    make("h3", { class: "mono", id: "value-title", tabindex: -1 }, nameOf(v)),
    make("span", { class: "end" }, view.trail.length > 0 && back)),
  make("div", { class: "figures" }, figure(num(GRAPH.data[v], 5), "data"), figure(num(gradient, 6), "gradient"),
    make("div", {}, "0.01 more of it changes", make("br"), `the loss by about ${num(gradient * 0.01, 6)}`)),
  gradientTable(v), originTable(v));
}

/** The largest rows as lines of a table, and the others as one. */
function largest(rows, size, line, others) {
  if (rows.length <= MOST_ROWS + 2) return rows.map(line);
  const sorted = [...rows].sort((a, b) => Math.abs(size(b)) - Math.abs(size(a))), rest = sorted.slice(MOST_ROWS);
  return [...sorted.slice(0, MOST_ROWS).map(line), [`${rest.length} others`, ...others(rest)]];
}

const values = (headings, rows) => make("div", { class: "scroll" }, table(headings, rows, "values"));
const total = (cells) => Object.assign(cells, { isTotal: true });

function gradientTable(v) {
  const { rows, sums, sum, difference } = ledger(GRAPH, v);
  if (!rows.length) return make("p", { class: "note" }, v === GRAPH.loss
    ? "This is the loss: its gradient is 1, and all others are computed from it."
    : "Nothing that the loss depends on uses it, so its gradient is 0.");
  const top = Math.max(...rows.flatMap((row) => row.shares.map(Math.abs)));
  const power = Math.floor(Math.log10(top || 1)), inUnits = (x) => signed(x / 10 ** power);
  const cells = (shares) => shares.map((x) => shade(x, top, inUnits(x)));
  const line = (row) => [linkTo(row.child), num(row.slope), num(GRAPH.grad[row.child], 5), inUnits(row.share),
    ...cells(row.shares)];
  const others = (rest) => ["", "", inUnits(add(rest.map((row) => row.share))),
    ...cells(sums.map((_, t) => add(rest.map((row) => row.shares[t]))))];
  const asks = FACTS.predictions.map((p, t) => `${FACTS.tokens[t]}→${p.came}`);
  const isExact = Math.abs(difference) <= 1e-12 * Math.max(1, Math.abs(GRAPH.grad[v]));
  return [make("h4", {}, "Where its gradient comes from ", make("small", {},
    "each use and each prediction, in units of 10", make("sup", {}, minus(String(power))))),
  values(["used in", "slope", "× gradient", "= share", ...asks], [
    ...largest(rows, (row) => row.share, line, others), total(["sum", "", "", inUnits(sum), ...sums.map(inUnits)])]),
  make("p", { class: "note", id: "sum" }, `sum − gradient = ${minus(difference.toExponential(1))} `,
    isExact && make("span", { class: "adds-up" }, "✓ it adds up"))];
}

function originTable(v) {
  const parents = parentsOf(GRAPH, v), gradient = GRAPH.grad[v], data = (p) => num(GRAPH.data[p], 4);
  const count = parents.length;
  if (!count) return null;
  const { op, isProduct } = GRAPH.maker[v];
  if (!isProduct) {
    const line = ([p, slope]) => [linkTo(p), data(p), num(slope, 4), num(slope * gradient, 6)];
    return [make("h4", {}, `Computed by ${op} from ${count} number${count > 1 ? "s" : ""}`),
      values(["parent", "data", "local derivative", "× gradient"],
        largest(parents, ([, slope]) => slope, line, () => ["", "", ""]))];
  }
  const half = count / 2, pairs = Array.from({ length: half }, (_, i) => [parents[2 * i][0], parents[2 * i + 1][0]]);
  const times = ([a, b]) => GRAPH.data[a] * GRAPH.data[b], sum = (all) => num(add(all.map(times)), 4);
  const line = ([a, b]) => [linkTo(a), data(a), linkTo(b), data(b), num(times([a, b]), 4),
    num(GRAPH.data[b] * gradient, 6), num(GRAPH.data[a] * gradient, 6)];
  return [make("h4", {}, `Computed as a dot product of ${half} pairs`),
    values(["left", "data", "right", "data", "product", "to left", "to right"], [
      ...largest(pairs, times, line, (rest) => ["", "", "", sum(rest), "", ""]),
      total(["sum = data", "", "", "", sum(pairs), "", ""])])];
}
