// Tables, curves and maps of points, as the lab sent them.

const colour = (k) => {
  const hue = (k * 137.5 + 210) % 360;
  return `light-dark(hsl(${hue} 65% 40%), hsl(${hue} 65% 66%))`;
};

const figure = ({ title, note }, ...content) => make("div", { class: "card scroll" }, make("h3", {}, title),
  note && make("p", { class: "note" }, note), content);
const svg = (title, width, height, ...content) =>
  make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, content);

/** A table of texts and numbers: {title, note, headings, rows}. A cell {change: x} has a colour. */
function sentTable(sent) {
  const cell = (x) => (typeof x === "number" ? num(x) : x?.change === undefined ? x : change(x.change, 3));
  return figure(sent, table(sent.headings, sent.rows.map((row) => row.map((x) => cell(x ?? "")))));
}

const sentFigure = (sent) => (sent.series ? curves(sent) : sent.points ? map(sent) : sentTable(sent));

/** Curves over the steps of training: {title, note, series: [{name, points: [[step, y], ...]}]}. */
function curves(sent) {
  const [width, height, left, right, bottom] = [600, 260, 44, 160, 24], { series } = sent;
  const points = series.flatMap((one) => one.points), last = Math.max(...points.map((p) => p[0]));
  const low = Math.min(...points.map((p) => p[1])), span = Math.max(...points.map((p) => p[1])) - low || 1;
  const unit = 10 ** Math.floor(Math.log10(span / 5)), size = [1, 2, 5, 10].find((k) => k * unit * 5 >= span);
  const first = Math.ceil(low / unit / size), decimals = Math.max(0, -Math.floor(Math.log10(unit * size)));
  const x = (step) => left + (step / (last || 1)) * (width - left - right);
  const y = (value) => height - bottom - 6 - ((value - low) / span) * (height - bottom - 16);
  const ticks = [0, 1, 2, 3, 4, 5].map((i) => (first + i) * unit * size + 0);
  const axis = ticks.filter((value) => value <= low + span).map((value) => [
    make("line", { x1: left, x2: width - right, y1: y(value), y2: y(value) }),
    make("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, minus(value.toFixed(decimals)))]);
  const steps = [0, 0.5, 1].map((share) => Math.round(last * share)).map((step) =>
    make("text", { class: "middle", x: x(step), y: height - 4 }, step));
  const ends = series.map((one, k) => ({ ...one, colour: colour(k), y: y(one.points.at(-1)[1]) + 4 }));
  ends.sort((a, b) => a.y - b.y).forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 14); });
  ends.forEach((end, i) => { end.y = Math.min(end.y, height - bottom - 14 * (ends.length - 1 - i)); });
  const lines = ends.map((end) => [
    make("polyline", { "--colour": end.colour, tip: () => end.name,
      points: end.points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") }),
    make("text", { x: width - right + 8, y: end.y, "--colour": end.colour }, end.name)]);
  return figure(sent, svg(sent.title, width, height, axis, steps, lines));
}

/** Rows of a matrix in two dimensions: {title, note, points: [[x, y, label], ...]}. */
function map(sent) {
  const [width, height, edge] = [400, 320, 22];
  const scale = (k, from, to) => {
    const all = sent.points.map((p) => p[k]), low = Math.min(...all), span = Math.max(...all) - low || 1;
    return (v) => from + ((v - low) / span) * (to - from);
  };
  const line = (x1, x2, y1, y2) => make("line", { x1, x2, y1, y2 });
  const mark = ([a, b, label]) => make("text", { class: "glyph", x: x(a), y: y(b) + 5 }, label);
  const x = scale(0, edge, width - edge), y = scale(1, height - edge, edge);
  return figure(sent, svg(sent.title, width, height,
    line(0, width, y(0), y(0)), line(x(0), x(0), 0, height), sent.points.map(mark)));
}
