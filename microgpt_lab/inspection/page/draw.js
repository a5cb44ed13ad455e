// Elements, numbers as text, and grids of cells. Text from outside always becomes a text node, never HTML.

const byId = (id) => document.getElementById(id);

/** Make an element. Attributes: `tip` is a function that returns a text, `act` what a click does. */
function make(tag, attributes = {}, ...children) {
  const isSvg = ["svg", "text", "line", "polyline"].includes(tag);
  const namespace = isSvg ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "tip") element.tip = value;
    else if (name === "act") element.addEventListener("click", value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child || child === 0));
  return element;
}

/** Replace what a box holds; the focus stays on the element with the same number. */
function fill(id, ...children) {
  const box = byId(id), focusable = () => [...box.querySelectorAll("button, [tabindex]")];
  const at = focusable().indexOf(document.activeElement);
  box.replaceChildren(...children.flat(2).filter(Boolean));
  if (at >= 0) focusable()[at]?.focus({ preventScroll: true });
}

const minus = (text) => text.replace("-", "−");

/** A number with so many decimals, or in scientific notation if it is very small or large. */
function num(x, decimals = 3) {
  if (x === null || x === undefined) return "";
  if (!Number.isFinite(x)) return minus(String(x).replace("Infinity", "∞"));
  const size = Math.abs(x), digits = decimals > 4 ? 4 : 1;
  return minus(x === 0 ? "0" : size >= 1e-3 && size < 1e5 ? x.toFixed(decimals) : x.toExponential(digits));
}

const isZero = (x, decimals) => Math.abs(x) < 0.5 * 10 ** -decimals;
const signed = (x, decimals = 2) =>
  (isZero(x, decimals) ? "0" : (x > 0 ? "+" : "") + minus(x.toFixed(decimals)));

const percent = (p) => (p < 0.00095 ? "<0.1" : (p * 100).toFixed(p >= 0.0995 ? 0 : 1)) + "%";

/** A change of the loss, coloured: up is worse. */
function change(x, decimals = 2, none = "0") {
  return isZero(x, decimals) ? none : make("span", { class: x > 0 ? "up" : "down" }, signed(x, decimals));
}

/** A table with one row of headings. Rows are lists of cells: texts, elements. */
function table(headings, rows, kind) {
  const row = (tag) => (cells) => make("tr", { class: cells[0] === "sum" && "total" }, cells.map((cell) =>
    (cell instanceof HTMLTableCellElement ? cell : make(tag, {}, cell))));
  return make("table", { class: kind }, make("thead", {}, row("th")(headings)),
    make("tbody", {}, rows.map(row("td"))));
}

/** A cell of a table, coloured by a number's sign and its share of the largest. */
function shade(x, top, text) {
  const share = top ? (Math.min(1, Math.abs(x) / top) * 60).toFixed(0) + "%" : "0%";
  return make("td", { class: x < 0 ? "less" : "more", "--a": share }, text);
}

/**
 * A matrix as a grid of colours: blue is positive, orange negative; green where only the amount counts.
 * rows: null is no cell. Arrow keys move between cells; Enter picks one.
 * options: size [width, height], top (the darkest), amount, left(r) and above(c) are labels, on [r, c] those
 * that are bold, text(x), tip(r, c, x), mark(r, c), pick(r, c).
 */
function heat(rows, options) {
  const { size, left, above, on = [], tip, pick } = options;
  const top = options.top || Math.max(1e-300, ...rows.flat().filter(Number.isFinite).map(Math.abs));
  const label = (text, isOn, side) => make("b", { class: `${side} ${isOn ? "on" : ""}`, title: text }, text);
  const children = above ? [left && make("b")] : [];
  if (above) children.push(...rows[0].map((_, c) => label(above(c), on[1] === c, "")));
  rows.forEach((row, r) => {
    if (left) children.push(label(left(r), on[0] === r, "left"));
    row.forEach((x, c) => {
      if (x === null || x === undefined) return children.push(make("i", { class: "none" }));
      const share = Number.isFinite(x) ? Math.min(1, Math.abs(x) / top) : 0;
      const kind = options.amount ? "amount" : x < 0 ? "less" : "more";
      const marks = `${share > 0.6 ? " strong" : ""}${options.mark?.(r, c) ? " mark" : ""}`;
      children.push(make("i", {
        class: kind + marks, "--a": (share * 90).toFixed(0) + "%", "data-at": `${r},${c}`,
        tabindex: r || c ? -1 : 0, role: pick && "button", tip: () => tip(r, c, x),
        act: pick && (() => pick(r, c)) }, options.text?.(x)));
    });
  });
  return make("div", { class: `heat ${left ? "labelled" : ""}`, "data-group": true, "data-do": Boolean(pick),
    "--columns": rows[0].length, "--width": size[0] + "px", "--height": size[1] + "px" }, children);
}
