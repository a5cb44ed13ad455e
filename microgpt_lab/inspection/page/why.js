// Why: the logit of one token as a sum over the parts of the model.

function showWhy() {
  const { candidates, came, parts, logits, sources } = FACTS.why[view.t], k = view.candidate;
  const name = (c) => candidates[c][0], chance = (c) => percent(candidates[c][1]);
  byId("why-title").textContent = `“${name(k)}” after “${FACTS.predictions[view.t].context}”`;
  byId("why-note").textContent = chance(k) + (k === came ? ", and it came" : `; ${name(came)} came`);
  const rows = [...parts.map((part) => part.adds), logits];
  const names = [...parts.map((part) => part.name), "= logit"];
  const all = heat(rows, {
    size: [19, 22], left: (r) => names[r], above: name, on: [undefined, k],
    mark: (_, c) => c === k, pick: (_, c) => select(view.t, c),
    tip: (r, c, x) => `${names[r]}: ${signed(x, 3)} for ${name(c)} (${chance(c)})`,
  });
  const sum = sumBars(parts.map((part) => [part.name, part.adds[k]]), logits[k]), count = candidates.length;
  fill("why", figure({ title: `What each part adds to the logits of ${count} tokens` }, all),
    figure({ title: `The logit of ${name(k)}, above the mean of all` }, sum, sourceGrid(sources, k)));
}

/** Each term of a sum as a bar that starts where the one before ended. */
function sumBars(terms, total) {
  const ends = [0];
  for (const [, x] of terms) ends.push(ends.at(-1) + x);
  const low = Math.min(...ends), span = Math.max(...ends) - low || 1, share = (x) => (x / span) * 100 + "%";
  const row = (name, from, to, x, kind) => [
    make("span", { class: kind }, name),
    make("span", { class: `bar ${kind}` }, make("i", { class: x < 0 ? "less" : "more",
      "--from": share(Math.min(from, to) - low), "--length": share(Math.abs(to - from)) })),
    make("span", { class: `number mono ${kind}` }, signed(x))];
  return make("div", { class: "bars" }, terms.map(([name, x], k) => row(name, ends[k], ends[k + 1], x, "")),
    row("logit", 0, ends.at(-1), total, "total"));
}

/** What each head adds, by the token that it looked at. */
function sourceGrid(heads, k) {
  if (!heads.length) return null;
  const label = (t) => FACTS.tokens[t], isWide = heads[0].adds[k].length > 8;
  const rows = heads.map((head) => head.adds[k]), title = "What the heads add, by token looked at";
  return [make("h4", {}, title), heat(rows, {
    size: [isWide ? 22 : 44, 22], left: (r) => heads[r].name, above: label,
    text: (x) => (isWide ? "" : signed(x)),
    tip: (r, c, x) => `${heads[r].name} looking at ${label(c)} (place ${c}): ${signed(x, 3)}`,
  })];
}
