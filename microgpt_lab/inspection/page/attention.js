// Attention: where each head looks, and what each look did to the logit of the token that came.

const cellSize = () => (FACTS.tokens.length > 24 ? 9 : FACTS.tokens.length > 12 ? 15 : 20);

function showAttention() {
  const { heads } = FACTS.attention, layers = [...new Set(heads.map((head) => head.layer))];
  const button = (layer) => make("button", { "aria-pressed": String(layer === view.layer),
    act: () => { view.layer = layer; showAttention(); } }, `layer ${layer}`);
  fill("layers", layers.length > 1 ? layers.map(button) : []);
  byId("attention").style.setProperty("--width", cellSize() * FACTS.tokens.length * 2 + 76 + "px");
  fill("attention", heads.filter((head) => head.layer === view.layer).map(headCard));
}

function headCard(head) {
  const { tokens, predictions } = FACTS, cell = cellSize(), label = (t) => tokens[t];
  const shared = { size: [cell, cell], left: label, above: cell > 9 ? label : undefined, on: [view.t],
    mark: (r) => r === view.t, pick: (r) => select(r) };
  const title = make("h3", {}, head.name,
    head.without !== null && make("small", {}, " without it: loss ", change(head.without, 2, "unchanged")));
  if (!head.pattern) return make("div", { class: "card" }, title);
  const pattern = heat(head.pattern, { ...shared, amount: true, top: 1,
    text: (x) => (cell > 19 && x >= 0.005 ? Math.round(x * 100) : ""),
    tip: (r, c, x) => `${label(r)} (place ${r}) looks at ${label(c)} (place ${c}): ${percent(x)}` });
  const adds = head.adds && heat(head.adds, { ...shared, top: FACTS.attention.top,
    tip: (r, c, x) => `looking at ${label(c)} (place ${c}) adds ${signed(x, 3)} ` +
      `to the logit of ${predictions[r].came}` });
  const column = (text, grid) => make("div", {}, make("div", { class: "note" }, text), grid);
  return make("div", { class: "card" }, title, make("div", { class: "flow scroll" },
    column("looks at", pattern), adds && column("adds", adds)));
}
