// The graph that the page was sent, and backward passes through it: the only numbers that the page computes.

const decode = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
const add = (numbers) => numbers.reduce((a, b) => a + b, 0);
const product = (numbers) => numbers.reduce((a, b) => a * b, 1);

/**
 * Unpack a graph, whose format is described in graph.py. A Value v is the place of its number in `data`.
 * A tensor's `values` are its Values. `holder` and `maker` of a Value are the tensor that shows it, which has a
 * name if there is one, and the tensor of the operation that made it.
 */
function unpack(sent) {
  const data = new Float64Array(decode(sent.data)), count = (tensor) => product(tensor.shape);
  const tensors = sent.tensors.map((tensor) => ({
    ...tensor, name: tensor.names[0] || "",
    values: typeof tensor.values === "string" ? new Uint32Array(decode(tensor.values))
      : Uint32Array.from({ length: count(tensor) }, (_, k) => tensor.values + k),
    derivatives: (tensor.derivatives || []).map((x) => (typeof x === "string" ? new Float64Array(decode(x)) : x)),
    isProduct: tensor.parents.length > 0 && !tensor.derivatives && !tensor.is_view,
  }));
  const holder = new Array(data.length), maker = new Array(data.length);
  for (const tensor of [...tensors.filter((t) => t.name), ...tensors]) for (const v of tensor.values) holder[v] ??= tensor;
  for (const tensor of tensors) if (!tensor.is_view) for (const v of tensor.values) maker[v] ??= tensor;
  const graph = { ...sent, data, tensors, holder, maker };
  graph.grad = backward(graph, sent.loss);
  graph.each = sent.shares.map((v) => backward(graph, v));
  return graph;
}

/** Call visit(value, parent, local derivative) for the Values of a tensor. Factors of a product come in pairs. */
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
    const derivatives = tensor.derivatives[p], ratio = parent.values.length / values.length, size = Math.max(1, ratio);
    values.forEach((v, k) => {
      for (let i = 0; i < size; i++) {
        const slope = typeof derivatives === "number" ? derivatives : derivatives[k * size + i];
        visit(v, parent.values[Math.floor(k * ratio) + i], slope);
      }
    });
  });
}

/** The gradient of one Value with respect to each. The Values of a tensor do not depend on each other. */
function backward(graph, root) {
  const grad = new Float64Array(graph.data.length);
  grad[root] = 1;
  for (const tensor of [...graph.tensors].reverse())
    visitEdges(graph, tensor, (v, parent, slope) => { if (grad[v]) grad[parent] += slope * grad[v]; });
  return grad;
}

/** What a Value was computed from: [parent, local derivative]. */
function parentsOf(graph, value) {
  const found = [];
  visitEdges(graph, graph.maker[value] || { is_view: true }, (v, parent, slope) => {
    if (v === value) found.push([parent, slope]);
  });
  return found;
}

/**
 * Where the gradient of a Value comes from: its uses × the predictions. A use's share is its local derivative
 * times its gradient, of the loss or of what one prediction adds to the loss.
 */
function ledger(graph, value) {
  const rows = [];
  for (const tensor of graph.tensors) visitEdges(graph, tensor, (child, parent, slope) => {
    const shares = () => graph.each.map((grad) => slope * grad[child]);
    if (parent === value) rows.push({ child, slope, share: slope * graph.grad[child], shares: shares() });
  });
  const sums = graph.each.map((_, t) => add(rows.map((row) => row.shares[t])));
  const sum = add(rows.map((row) => row.share));
  return { rows, sums, sum, difference: sum - graph.grad[value] };
}
