// Means with their intervals: by category, size and number of instances, over the errors of detectors and over hints.
const groups = (() => {
  const { html, svg, lookOf, markAt, round, scaleOf, domainOf, canvas, axisX, axisY, pathOf, tableBelow, tipOf } = drawing;
  const FIRST = 10;
  const LANE = 9;

  const inBrackets = (view, [mean, low, high]) => `${view.format(mean)}${low === null ? "" : ` [${view.format(low)}, ${view.format(high)}]`}`;

  // Bars span the interval, marks are means: an axis that need not begin at zero shows what differs.
  const drawRow = (plot, row, x, y, lines) => {
    lines.forEach(({ series, ends }, lane) => {
      const look = lookOf(series.number);
      const [mean, low, high] = ends;
      const place = y + LANE * (lane + 0.5);
      if (low !== null) {
        plot.append(svg("rect", { x: round(x(low)), y: place - 3, width: Math.max(1, round(x(high) - x(low))), height: 6, rx: 3, class: `interval ${look.tint}` }));
      }
      plot.append(markAt(look, x(mean), place, { transform: `translate(${round(x(mean))} ${place}) scale(0.85)` }));
    });
  };

  const bars = (sheet, view, group) => {
    const room = sheet.querySelector(".canvas");
    const found = view.groups[group];
    const scores = found.scores[view.metric.id];
    const order = found.names.map((_, place) => place).filter((place) => scores.some((line) => line[place]));
    if (group === "category") order.sort((a, b) => found.instances[b] - found.instances[a] || a - b);
    const all = sheet.querySelector("button.whole");
    const whole = all.getAttribute("aria-pressed") === "true";
    const shown = whole ? order : order.slice(0, FIRST);
    all.hidden = order.length <= FIRST;
    all.textContent = whole ? `only the ${FIRST} most frequent` : `all ${order.length}`;
    const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
    const count = (place) => group === "instances" ? plural(found.images[place], "image") : plural(found.instances[place], "instance");
    const linesOf = (place) => view.series.map((series) => ({ series, ends: scores[series.place][place] })).filter(({ ends }) => ends);
    const wide = room.clientWidth > 460;
    const [width, top, left] = [room.clientWidth, 4, wide ? 112 : 2];
    const heights = shown.map((place) => Math.max(LANE * linesOf(place).length, wide ? 34 : 0) + (wide ? 12 : 30));
    const bottom = top + heights.reduce((sum, height) => sum + height, 0);
    const values = shown.flatMap((place) => linesOf(place).flatMap(({ ends }) => ends)).filter((end) => end !== null);
    const x = scaleOf(...domainOf(values, 0.04), left, width - 10);
    const plot = canvas(width, bottom + 40, `${view.metric.name} by ${group}`);
    axisX(plot, x, top, bottom, view.axis);
    let y = top;
    const strips = [];
    shown.forEach((place, index) => {
      if (index) plot.append(svg("path", { d: `M0,${y}H${width}`, class: "rule" }));
      const name = svg("text", { x: 2, y: y + 18, class: "name" }, group === "instances" ? `${found.names[place]} per image` : found.names[place]);
      const number = wide ? svg("text", { x: 2, y: y + 34, class: "tick" }, count(place)) : svg("text", { x: width - 10, y: y + 18, class: "tick end" }, count(place));
      plot.append(name, number);
      drawRow(plot, found, x, y + (wide ? 6 : 25), linesOf(place));
      strips.push({ place, from: y, to: (y += heights[index]) });
    });
    room.replaceChildren(plot);
    const tip = tipOf(room);
    room.onpointermove = (event) => {
      const [left, height] = [event.clientX, event.clientY].map((at, k) => at - plot.getBoundingClientRect()[k ? "top" : "left"]);
      const strip = strips.find(({ from, to }) => height >= from && height < to);
      if (!strip) { tip.hide(); return; }
      tip.show(left, height, [found.names[strip.place], ...linesOf(strip.place).map(({ series, ends }) => [drawing.swatch(series.number), ` ${inBrackets(view, ends)} ${series.label}`])]);
    };
    room.onpointerleave = tip.hide;
    tableBelow(sheet, () => [
      [group === "instances" ? "instances per image" : group, "images", "instances", ...view.series.map((series) => series.label)],
      ...order.map((place) => [
        found.names[place], `${found.images[place]}`, `${found.instances[place]}`,
        ...view.series.map((series) => scores[series.place][place] ? inBrackets(view, scores[series.place][place]) : "—"),
      ]),
    ]);
  };

  const FACETS = { drop: "Boxes left out", jitter: "Boxes moved", duplicate: "Boxes doubled", add: "Boxes added" };

  // A point is where it stands, mean, low and high, then the change to unperturbed boxes with its low and high.
  const CHANGE = 4;
  const known = (series) => series.points.filter((point) => point[CHANGE] !== null);
  const drawn = (curves) => curves.series.filter((series) => known(series).length);
  const DODGE = 7;

  // `numberOf` tells the look of a series by its label, and is negative for one that is not shown. What would lie one
  // over the other stands side by side: points of one place are moved apart by a few px.
  const drawError = (view, curves, numberOf, width) => {
    const [height, top, left] = [300, 30, 54];
    const shown = drawn(curves).filter(({ label }) => numberOf(label) >= 0);
    const lines = shown.map((series, place) => ({
      kind: series.kind, look: lookOf(numberOf(series.label)), dodge: DODGE * (place - (shown.length - 1) / 2),
      points: known(series).map((point) => [point[0], ...point.slice(CHANGE)]),
    }));
    const values = lines.flatMap(({ points }) => points.flatMap(([, ...ends]) => ends)).filter((end) => end !== null);
    const x = scaleOf(...domainOf(lines.flatMap(({ points }) => points.map(([at]) => at)), 0.06), left, width - 10);
    const y = scaleOf(...domainOf([0, ...values], 0.05), height - 42, top);
    const plot = canvas(width, height, `Change in ${view.metric.name} over ${curves.title}`);
    axisX(plot, x, top, height - 42, curves.title);
    axisY(plot, y, left, width - 10, `change in ${view.axis}`);
    plot.append(svg("path", { d: `M${left},${round(y(0))}H${width - 10}`, class: "axis zero" }));
    for (const { points, look, kind, dodge } of lines) {
      const places = points.map(([at, mean]) => [x(at) + dodge, y(mean)]);
      const spread = points.map(([, , low, high], k) => low === null ? "" : `M${round(places[k][0])},${round(y(low))}V${round(y(high))}`).join("");
      if (spread) plot.append(svg("path", { d: spread, class: `whisker ${look.tint}` }));
      plot.append(svg("path", { d: pathOf(places), class: `curve ${kind} ${look.tint}`, "stroke-dasharray": look.dash || undefined }));
      plot.append(...places.map(([across, up]) => markAt(look, across, up, { class: `mark ringed ${look.tint}` })));
    }
    return plot;
  };

  // A change is small beside its score: it gets one digit more, and its sign.
  const changeInBrackets = (view, ends) => {
    const format = (value) => `${value > 0 ? "+" : ""}${value.toFixed(view.metric.decimals + 1)}`;
    return ends[0] === null ? "—" : inBrackets({ format }, ends);
  };

  const errors = (sheet, view, numberOf) => {
    const room = sheet.querySelector(".canvas");
    const shown = view.errors.filter((curves) => drawn(curves).length);
    const across = room.clientWidth > 720 && shown.length > 1 ? 2 : 1;
    const width = Math.floor((room.clientWidth - 24 * (across - 1)) / across);
    room.replaceChildren(...shown.map((curves) =>
      html("div", { class: "facet", style: `width: ${width}px` }, html("h4", {}, FACETS[curves.error]), drawError(view, curves, numberOf, width),
        ...(curves.note ? [html("p", { class: "caption" }, curves.note)] : []))));
    if (!shown.length) room.append(html("p", {}, "The changes are not known: no run with the boxes as they were, or no table of single pictures, is there. The means stand below."));
    tableBelow(sheet, () => [
      ["method", "error", "size", view.axis, `change in ${view.axis}`],
      ...view.errors.flatMap((curves) => curves.series.flatMap((series) => series.points.map((point) =>
        [series.label, curves.title, `${point[0]}`, inBrackets(view, point.slice(1, CHANGE)), changeInBrackets(view, point.slice(CHANGE))]))),
    ]);
  };

  // A point is a number of hints, mean, low and high. Numbers stand at equal steps, as a reader counts them.
  const hints = (sheet, view, numberOf) => {
    const room = sheet.querySelector(".canvas");
    const [width, height, top, left] = [room.clientWidth, 300, 30, 54];
    const shown = view.hints.filter(({ label }) => numberOf(label) >= 0);
    const counts = [...new Set(view.hints.flatMap(({ points }) => points.map(([count]) => count)))].sort((a, b) => a - b);
    const values = shown.flatMap(({ points }) => points.flatMap(([, ...ends]) => ends)).filter((end) => end !== null);
    const x = scaleOf(-0.3, counts.length - 0.7, left, width - 10);
    const y = scaleOf(...domainOf(values, 0.05), height - 42, top);
    const plot = canvas(width, height, `${view.metric.name} over the number of hints`);
    axisX(plot, x, top, height - 42, "hints", (place) => `${counts[place]}`);
    axisY(plot, y, left, width - 10, view.axis);
    for (const { label, points } of shown) {
      const look = lookOf(numberOf(label));
      const places = points.map(([count, mean]) => [x(counts.indexOf(count)), y(mean)]);
      const spread = points.map(([, , low, high], k) => low === null ? "" : `M${round(places[k][0])},${round(y(low))}V${round(y(high))}`).join("");
      if (spread) plot.append(svg("path", { d: spread, class: `whisker ${look.tint}` }));
      plot.append(svg("path", { d: pathOf(places), class: `curve ${look.tint}`, "stroke-dasharray": look.dash || undefined }));
      plot.append(...places.map(([across, up]) => markAt(look, across, up, { class: `mark ringed ${look.tint}` })));
    }
    room.replaceChildren(plot);
    const cellOf = (points, count) => points.filter(([at]) => at === count).map(([, ...ends]) => inBrackets(view, ends))[0] ?? "—";
    tableBelow(sheet, () => [
      ["hints", ...view.hints.map(({ label }) => label)],
      ...counts.map((count) => [`${count}`, ...view.hints.map(({ points }) => cellOf(points, count))]),
    ]);
  };

  return Object.freeze({ bars, drawn, errors, hints });
})();
