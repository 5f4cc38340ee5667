// What all plots are drawn with: elements, scales, axes, the look of a series, and tables of the same numbers.
const drawing = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8;
  const DASHES = ["", "8 3", "2 3", "9 3 2 3"];
  const SHAPES = [
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.6,-3.6H3.6V3.6H-3.6Z",
    "M0,-4.8L4.6,3.4H-4.6Z",
    "M0,-5L5,0L0,5L-5,0Z",
    "M0,4.8L4.6,-3.4H-4.6Z",
    "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
    "M0,-5L4.8,-1.6L2.9,4H-2.9L-4.8,-1.6Z",
  ];

  const fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const html = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

  // Colour, dashes and shape of the series with a number; no two of the first 28 look the same without colour, either.
  const lookOf = (number) => ({
    tint: `tint${number % COLOURS}`,
    dash: DASHES[(number + Math.floor(number / COLOURS)) % DASHES.length],
    shape: SHAPES[number % SHAPES.length],
  });

  const markAt = (look, x, y, attributes = {}) =>
    svg("path", { d: look.shape, class: `mark ${look.tint}`, transform: `translate(${round(x)} ${round(y)})`, ...attributes });

  const swatch = (number) => {
    const look = lookOf(number);
    return svg("svg", { class: "swatch", viewBox: "0 0 30 12", width: 30, height: 12, "aria-hidden": "true" },
      svg("path", { d: "M0,6H30", class: `curve ${look.tint}`, "stroke-dasharray": look.dash || undefined }),
      markAt(look, 15, 6));
  };

  const round = (number) => Math.round(number * 10) / 10;

  // Numbers at round places between two ends, `count` of them or fewer.
  const ticksOf = (low, high, count) => {
    const rough = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) ticks.push(k * step);
    return { ticks, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  };

  const scaleOf = (low, high, from, to) => {
    const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
    scale.invert = (place) => low + ((place - from) / (to - from)) * (high - low);
    return Object.assign(scale, { low, high, from, to });
  };

  // The least and the greatest number with a little room at both ends; one value alone gets room as well.
  const domainOf = (values, room = 0.03) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return [0, 1];
    const more = (high - low || Math.abs(high) || 1) * room;
    return [low - more, high + more];
  };

  const canvas = (width, height, name) =>
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name });

  const axisX = (plot, scale, top, bottom, title, format) => {
    const { ticks, decimals } = ticksOf(scale.low, scale.high, Math.max(2, (scale.to - scale.from) / 72));
    for (const tick of ticks) {
      const x = round(scale(tick));
      plot.append(svg("path", { d: `M${x},${top}V${bottom}`, class: "grid" }));
      plot.append(svg("text", { x, y: bottom + 16, class: "tick middle" }, format ? format(tick) : tick.toFixed(decimals)));
    }
    plot.append(svg("path", { d: `M${scale.from},${bottom}H${scale.to}`, class: "axis" }));
    plot.append(svg("text", { x: scale.to, y: bottom + 34, class: "title end" }, title));
  };

  const axisY = (plot, scale, left, right, title, format) => {
    const { ticks, decimals } = ticksOf(scale.low, scale.high, Math.max(2, (scale.from - scale.to) / 48));
    for (const tick of ticks) {
      const y = round(scale(tick));
      plot.append(svg("path", { d: `M${left},${y}H${right}`, class: "grid" }));
      plot.append(svg("text", { x: left - 6, y: y + 4, class: "tick end" }, format ? format(tick) : tick.toFixed(decimals)));
    }
    plot.append(svg("text", { x: 0, y: scale.to - 12, class: "title" }, title));
  };

  const pathOf = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${round(x)},${round(y)}`).join("");

  // A table of what a plot shows, made when the reader opens it.
  const tableBelow = (sheet, rows) => {
    const details = sheet.querySelector("details");
    const make = () => {
      details.querySelector(".scroll")?.remove();
      if (!details.open) return;
      const [heads, ...lines] = rows();
      const cell = (text, place) => place ? html("td", {}, text) : html("th", { scope: "row", class: "left" }, text);
      details.append(html("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "The plot as a table" },
        html("table", {},
          html("thead", {}, html("tr", {}, ...heads.map((text, place) => html("th", { scope: "col", class: place ? "" : "left" }, text)))),
          html("tbody", {}, ...lines.map((line) => html("tr", {}, ...line.map(cell)))))));
    };
    details.ontoggle = make;
    make();
  };

  // A box beside the pointer; the lines of a tip are text, never markup.
  const tipOf = (room) => {
    const tip = room.querySelector(".tip") ?? room.appendChild(html("div", { class: "tip", hidden: true }));
    return {
      show: (x, y, lines) => {
        tip.replaceChildren(...lines.map((line) => html("div", {}, ...[line].flat())));
        tip.hidden = false;
        const left = x + 14 + tip.offsetWidth > room.clientWidth ? x - 14 - tip.offsetWidth : x + 14;
        tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, y - tip.offsetHeight / 2)}px)`;
      },
      hide: () => { tip.hidden = true; },
    };
  };

  const quantile = (sorted, share) => {
    const place = (sorted.length - 1) * share;
    const below = Math.floor(place);
    return sorted[below] + (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]) * (place - below);
  };

  return Object.freeze({
    html, svg, lookOf, markAt, swatch, round, ticksOf, scaleOf, domainOf, canvas, axisX, axisY, pathOf, tableBelow, tipOf, quantile,
  });
})();
