// What the model expected: a column for each prediction, and below what it would have said after each part.

function showExpected() {
  const { predictions, lens } = FACTS, most = Math.max(...predictions.map((p) => p.nats));
  const cells = [make("div", { class: "row" }, "next token")];
  predictions.forEach((prediction, t) => cells.push(predictionColumn(prediction, t, most)));
  lens.places.forEach((place, k, { length }) => {
    cells.push(make("div", { class: "row" }, place.name));
    predictions.forEach(({ came }, t) => {
      const [label, probability] = place.likeliest[t], hit = label === came ? "hit" : "";
      const kind = `${hit} ${k + 1 < length ? "" : "last"} ${t === view.t ? "selected" : ""}`;
      cells.push(make("div", { class: `lens ${kind}` },
        make("span", {}, make("b", {}, label), ` ${percent(probability)}`),
        make("span", { class: "soft" }, hit ? "" : `${came} ${percent(place.came[t])}`)));
    });
  });
  fill("expected", make("div", { class: "expected", "data-group": true, "data-follow": true,
    "--columns": predictions.length }, cells));
}

function predictionColumn({ context, came, probability, nats, rank, likeliest }, t, most) {
  const isOpen = t === view.t;
  const guesses = likeliest.map(([guess, share], k) => make("div", {
    class: `guess ${guess === came ? "hit" : ""} ${isOpen && k === view.candidate ? "chosen" : ""}`,
    "--share": (share / likeliest[0][1]) * 100 + "%",
    "data-at": `${k + 1},${t}`, tabindex: -1, role: "button",
    tip: () => `${guess}: ${percent(share)}. Click, or press Enter: why?`,
    act: (event) => { event.stopPropagation(); select(t, k); },
  }, make("span", {}, guess), make("span", {}, percent(share))));
  return make("div", {
    class: `token ${isOpen ? "selected" : ""}`, "data-at": `0,${t}`, tabindex: isOpen ? 0 : -1,
    role: "button", "aria-pressed": String(isOpen), act: () => select(t),
    tip: () => `after ${context} came ${came}: ${percent(probability)}, rank ${rank}, ${num(nats)} nats`,
  },
  make("div", { class: "before" }, make("bdi", {}, `${context} →`)),
  make("div", { class: `came ${came.length > 2 ? "long" : ""}` }, came),
  make("div", { class: "nats" }, make("b", {}, percent(probability)), make("span", {}, num(nats, 2))),
  make("div", { class: "track" }, make("i", { "--length": (nats / most) * 100 + "%" })), guesses);
}
