// The graph that the page was sent, and backward passes through it: the only numbers that the page computes.

const decode = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
const add = (numbers) => numbers.reduce((a, b) => a + b, 0);
const product = (numbers) => numbers.reduce((a, b) => a * b, 1);

/**
 * Unpack a graph, whose format is described in graph.py. A Value v is the place of its number in `data`.
 * `values` of a tensor are its Values. `holder[v]` is the tensor that v is named after, one with a name if it
 * has one; `maker[v]` is the tensor whose operation computed it.
 */
function unpack(sent) {
  const data = new Float64Array(decode(sent.data));
  const tensors = sent.tensors.map((tensor) => ({
    ...tensor, name: tensor.names[0] || "",
    values: typeof tensor.values === "string" ? new Uint32Array(decode(tensor.values))
      : Uint32Array.from({ length: product(tensor.shape) }, (_, k) => tensor.values + k),
    derivatives: tensor.derivatives?.map((x) => (typeof x === "string" ? new Float64Array(decode(x)) : x)),
    isProduct: tensor.parents.length > 0 && !tensor.derivatives && !tensor.is_view,
  }));
  const holder = new Array(data.length), maker = new Array(data.length);
  const first = (list, tensor) => tensor.values.forEach((v) => { list[v] ??= tensor; });
  [...tensors.filter((tensor) => tensor.name), ...tensors].forEach((tensor) => first(holder, tensor));
  tensors.filter((tensor) => !tensor.is_view).forEach((tensor) => first(maker, tensor));
  const graph = { ...sent, data, tensors, holder, maker };
  return { ...graph, grad: backward(graph, [sent.loss]) };
}

/** Call visit(value, parent, local derivative) for a tensor's Values. Factors of a product come in pairs. */
function visitEdges({ data, tensors }, tensor, visit) {
  const parents = tensor.is_view ? [] : tensor.parents.map((i) => tensors[i]), { values } = tensor;
  if (tensor.isProduct) {
    const [a, b] = parents, [height, inner] = a.shape.slice(-2), width = b.shape.at(-1);
    values.forEach((v, k) => {
      const row = Math.floor(k / width), matrix = b.shape.length > 2 ? Math.floor(row / height) : 0;
      for (let i = 0; i < inner; i++) {
        const left = a.values[row * inner + i], right = b.values[(matrix * inner + i) * width + (k % width)];
        visit(v, left, data[right]);
        visit(v, right, data[left]);
      }
    });
  } else parents.forEach((parent, p) => {
    const ratio = parent.values.length / values.length, size = Math.max(1, ratio);
    const derivatives = tensor.derivatives[p];
    values.forEach((v, k) => {
      for (let i = 0; i < size; i++) {
        const slope = typeof derivatives === "number" ? derivatives : derivatives[k * size + i];
        visit(v, parent.values[Math.floor(k * ratio) + i], slope);
      }
    });
  });
}

/** The gradients of some Values by each Value v: that of root t at v * roots.length + t. */
function backward(graph, roots) {
  const count = roots.length, grad = new Float64Array(count * graph.data.length);
  roots.forEach((v, t) => { grad[v * count + t] = 1; });
  for (const tensor of [...graph.tensors].reverse()) visitEdges(graph, tensor, (v, parent, slope) => {
    for (let t = 0; t < count; t++)
      if (grad[v * count + t]) grad[parent * count + t] += slope * grad[v * count + t];
  });
  return grad;
}

/** What a Value was computed from. An operation is a sum of products if `product` adds up to its number. */
function parentsOf(graph, value) {
  const rows = [], { data, grad, maker } = graph;
  if (maker[value]) visitEdges(graph, maker[value], (v, parent, slope) => {
    if (v === value) rows.push({ parent, slope, share: slope * grad[v], product: slope * data[parent] });
  });
  return rows;
}

/** Where the gradient of a Value comes from: its uses × the predictions, whose sums are equal to it. */
function ledger(graph, value) {
  const { grad, shares, tensors } = graph, rows = [];
  graph.each ??= backward(graph, shares);
  const isHolder = tensors.map((tensor) => tensor.values.includes(value));
  for (const tensor of tensors.filter(({ parents }) => parents.some((i) => isHolder[i])))
    visitEdges(graph, tensor, (child, parent, slope) => {
      if (parent === value) rows.push({ child, slope, share: slope * grad[child],
        shares: shares.map((_, t) => slope * graph.each[child * shares.length + t]) });
    });
  const sums = total(rows);
  return { rows, sums, difference: sums.share - grad[value] };
}

/** The sums of some rows. */
function total(rows) {
  const sum = (key) => add(rows.map((row) => row[key]));
  const shares = (rows[0]?.shares || []).map((_, t) => add(rows.map((row) => row.shares[t])));
  return { count: rows.length, share: sum("share"), product: sum("product"), shares };
}

/** The rows with the largest shares, and the sums of the others. */
function largest(rows, key, most) {
  const sorted = [...rows].sort((a, b) => Math.abs(b[key]) - Math.abs(a[key]));
  return rows.length > most ? [...sorted.slice(0, most - 1), total(sorted.slice(most - 1))] : rows;
}
