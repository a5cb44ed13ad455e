// What is selected, the keys, and the theme.

const FACTS = JSON.parse(byId("facts").textContent);
const view = { layer: FACTS.attention.heads[0]?.layer, value: null, trail: [], gradients: false };

/** Select a prediction, and one of the tokens that may come next: 0 is the likeliest. */
function select(t, candidate = FACTS.why[t].came) {
  Object.assign(view, { t, candidate });
  showExpected();
  showAttention();
  showWhy();
}

/** Arrow keys move within a grid of cells, and otherwise from prediction to prediction. */
function onKey(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const item = event.target.closest?.("[data-at]");
  if (item && (event.key === "Enter" || event.key === " ")) item.click();
  else if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  else if (item) {
    const [r, c] = item.dataset.at.split(",").map(Number);
    const next = item.closest("[data-group]").querySelector(`[data-at="${r + step[0]},${c + step[1]}"]`);
    next?.focus();
    if (next && item.closest("[data-follow]") && step[1]) next.click();
  } else if (step[1] && event.target === document.body) {
    select(Math.max(0, Math.min(FACTS.predictions.length - 1, view.t + step[1])));
  } else return;
  event.preventDefault();
}

/** Within a grid, Tab comes back to the cell that had the focus last. */
function onFocus(event) {
  const item = event.target.closest("[data-at]"), others = '[tabindex="0"]';
  item?.closest("[data-group]").querySelectorAll(others).forEach((other) => { other.tabIndex = -1; });
  if (item) item.tabIndex = 0;
  showTip(event);
}

function showTip(event) {
  let element = event.target;
  while (element && !element.tip) element = element.parentElement;
  const tip = byId("tip");
  tip.style.display = element ? "block" : "none";
  if (!element) return;
  tip.textContent = element.tip();
  if (element.tabIndex >= 0) element.setAttribute("aria-label", tip.textContent);
  const box = element.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + "px";
  const isBelow = box.bottom + tip.offsetHeight + 12 < innerHeight;
  tip.style.top = (isBelow ? box.bottom + 6 : box.top - tip.offsetHeight - 6) + "px";
}

function toggleTheme() {
  const { dataset } = document.documentElement, isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = (dataset.theme || (isDark ? "dark" : "light")) === "dark" ? "light" : "dark";
}

let GRAPH = null;

function openGraph() {
  byId("code").hidden = !FACTS.code.graph;
  if (!FACTS.code.graph) return;
  GRAPH = unpack(FACTS.code.graph);
  openTensor(GRAPH.tensors.find((t) => t.names.includes("layer0.attention.pattern")) || GRAPH.tensors[0]);
}

function open() {
  document.title = FACTS.title;
  for (const [id, text] of Object.entries(FACTS.texts)) byId(id).textContent = text;
  for (const id of ["against", "health", "embeddings", "ablation"]) {
    fill(id, (FACTS[id] || []).map(sentFigure));
    byId(`section-${id}`).hidden = byId(`to-${id}`).hidden = !FACTS[id];
  }
  document.addEventListener("keydown", onKey);
  document.addEventListener("focusin", onFocus);
  document.addEventListener("mouseover", showTip);
  byId("theme").addEventListener("click", toggleTheme);
  select(FACTS.start);
  openGraph();
}

open();
