// How the scores of single pictures or instances lie: a density with its quantiles for each method, and cumulative curves.
const distributions = (() => {
  const { svg, lookOf, markAt, round, scaleOf, domainOf, canvas, axisX, axisY, pathOf, tableBelow, tipOf, quantile } = drawing;
  const BINS = 256;
  const ROW = 58;
  const FEWEST_FOR_DENSITY = 20;
  const MOST_TICKS = 100;
  const SHARES = [0.05, 0.25, 0.5, 0.75, 0.95];
  const percent = (share) => `${Math.round(share * 100)}\u00a0%`;

  const hasDensity = (series) => series.sorted.length >= FEWEST_FOR_DENSITY;

  // Gaussian kernels by Silverman's rule, over counts in narrow bins: n scores cost n steps, whatever n is.
  const densityOf = (sorted, low, high) => {
    const n = sorted.length;
    const mean = sorted.reduce((sum, value) => sum + value, 0) / n;
    const deviation = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
    const spread = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.349;
    const step = (high - low) / BINS;
    const kernel = Math.max(0.9 * Math.min(deviation, spread || deviation) * n ** -0.2, step);
    const counts = new Float64Array(BINS + 1);
    for (const value of sorted) counts[Math.round((value - low) / step)] += 1;
    const reach = Math.ceil((3.5 * kernel) / step);
    const weights = Array.from({ length: reach + 1 }, (_, k) => Math.exp(-0.5 * ((k * step) / kernel) ** 2));
    return Array.from({ length: BINS + 1 }, (_, bin) => {
      let sum = 0;
      for (let k = -reach; k <= reach; k += 1) sum += (counts[bin + k] ?? 0) * weights[Math.abs(k)];
      return [low + bin * step, sum / (n * kernel * Math.sqrt(2 * Math.PI))];
    });
  };

  const drawStrip = (plot, series, x, y) => {
    const look = lookOf(series.number);
    const [least, low, middle, high, most] = SHARES.map((share) => x(quantile(series.sorted, share)));
    plot.append(
      svg("path", { d: `M${round(least)},${y}H${round(most)}`, class: `whisker ${look.tint}` }),
      svg("path", { d: `M${round(low)},${y}H${round(high)}`, class: `box ${look.tint}` }),
      markAt(look, middle, y, { class: `mark ringed ${look.tint}` }),
    );
    if (series.sorted.length > MOST_TICKS) return;
    const d = Array.from(series.sorted, (value) => `M${round(x(value))},${y + 7}v6`).join("");
    plot.append(svg("path", { d, class: `rug ${look.tint}` }));
  };

  // Where the truth lies, for a score that is best there.
  const drawTruth = (plot, view, x, top, bottom) => {
    if (view.truth === null) return;
    const at = round(x(view.truth));
    plot.append(svg("path", { d: `M${at},${top}V${bottom}`, class: "truth" }));
    plot.append(svg("text", { x: at + 4, y: top + 10, class: "tick" }, `truth, mean ${view.format(view.truth)}`));
  };

  const endsOf = (view) => [...view.series.flatMap((series) => [series.sorted[0], series.sorted.at(-1)]), ...(view.truth === null ? [] : [view.truth])];

  const density = (sheet, view) => {
    const room = sheet.querySelector(".canvas");
    const [width, top] = [room.clientWidth, 8];
    const bottom = top + ROW * view.series.length;
    const [low, high] = domainOf(endsOf(view), 0.06);
    const x = scaleOf(low, high, 2, width - 8);
    const plot = canvas(width, bottom + 40, `Distribution of ${view.metric.name} for each method`);
    axisX(plot, x, top, bottom, view.axis);
    drawTruth(plot, view, x, top, bottom);
    const curves = view.series.map((series) => hasDensity(series) ? densityOf(series.sorted, low, high) : []);
    const peak = Math.max(...curves.flat().map(([, share]) => share), 0);
    view.series.forEach((series, place) => {
      const base = top + ROW * (place + 1) - 18;
      if (curves[place].length) {
        const points = curves[place].map(([value, share]) => [x(value), base - (share / peak) * (ROW - 24)]);
        plot.append(svg("path", { d: `${pathOf([[x.from, base], ...points, [x.to, base]])}Z`, class: `area ${lookOf(series.number).tint}` }));
      }
      drawStrip(plot, series, x, base + 3);
      plot.append(svg("text", { x: 4, y: base - ROW + 36, class: "name" }, series.label));
    });
    room.replaceChildren(plot);
    tableBelow(sheet, () => [
      ["method", "n", "mean", ...SHARES.map((share) => share === 0.5 ? "median" : percent(share))],
      ...view.series.map((series) => [
        series.label, `${series.sorted.length}`, view.format(series.sorted.reduce((sum, value) => sum + value, 0) / series.sorted.length),
        ...SHARES.map((share) => view.format(quantile(series.sorted, share))),
      ]),
    ]);
  };

  // The share of scores that are at least as good as a threshold; that of a plain number for one best where the truth is.
  const shareAt = (sorted, threshold, higher) => {
    let [below, above] = [0, sorted.length];
    while (below < above) {
      const middle = (below + above) >> 1;
      if (higher ? sorted[middle] < threshold : sorted[middle] <= threshold) below = middle + 1;
      else above = middle;
    }
    return (higher ? sorted.length - below : below) / sorted.length;
  };

  const stepsOf = (sorted, x, y, higher) => {
    const n = sorted.length;
    const every = Math.max(1, Math.floor(n / 600));
    const points = [[x.from, y(higher ? 1 : 0)]];
    for (let k = 0; k < n; k += every) {
      const [before, after] = higher ? [1 - k / n, 1 - Math.min(k + every, n) / n] : [k / n, Math.min(k + every, n) / n];
      points.push([x(sorted[k]), y(before)], [x(sorted[k]), y(after)]);
    }
    points.push([x.to, y(higher ? 0 : 1)]);
    return points;
  };

  const curves = (sheet, view) => {
    const room = sheet.querySelector(".canvas");
    const higher = view.metric.direction === "higher";
    const [width, top, left] = [room.clientWidth, 30, 46];
    const height = Math.min(Math.max(340, ROW * view.series.length + 48), 460);
    const [low, high] = domainOf(endsOf(view));
    const x = scaleOf(low, high, left, width - 10);
    const y = scaleOf(0, 1, height - 42, top);
    const plot = canvas(width, height, `Share of ${view.units} by ${view.metric.name}`);
    axisX(plot, x, top, height - 42, view.axis);
    axisY(plot, y, left, width - 10, `share of ${view.units} with ${higher ? "at least" : "at most"} so much`, percent);
    drawTruth(plot, view, x, top, height - 42);
    for (const series of view.series) {
      const look = lookOf(series.number);
      plot.append(svg("path", { d: pathOf(stepsOf(series.sorted, x, y, higher)), class: `curve ${look.tint}`, "stroke-dasharray": look.dash || undefined }));
      plot.append(markAt(look, x(quantile(series.sorted, 0.5)), y(0.5), { class: `mark ringed ${look.tint}` }));
    }
    room.replaceChildren(plot);
    probe(sheet, plot, view, x, [top, height - 42], higher);
    const { ticks } = drawing.ticksOf(low, high, 8);
    tableBelow(sheet, () => [
      ["method", ...ticks.map((tick) => `${higher ? "≥" : "≤"} ${view.format(tick)}`)],
      ...view.series.map((series) => [series.label, ...ticks.map((tick) => percent(shareAt(series.sorted, tick, higher)))]),
    ]);
  };

  // A line that the pointer, or the arrow keys, move over the curves: it reads all of them.
  const probe = (sheet, plot, view, x, [top, bottom], higher) => {
    const room = sheet.querySelector(".canvas");
    const tip = tipOf(room);
    const line = svg("path", { class: "probe", visibility: "hidden" });
    plot.append(line);
    let at = x((x.low + x.high) / 2);
    const read = (place) => {
      at = Math.min(Math.max(place, x.from), x.to);
      line.setAttribute("d", `M${round(at)},${top}V${bottom}`);
      line.setAttribute("visibility", "visible");
      const threshold = x.invert(at);
      const heading = `${higher ? "at least" : "at most"} ${view.format(threshold)} ${view.metric.unit}`.trim();
      const shares = view.series.map((series) => [series, shareAt(series.sorted, threshold, higher)]);
      shares.sort((a, b) => b[1] - a[1]);
      tip.show(at, (top + bottom) / 2, [
        heading,
        ...shares.map(([series, share]) => [drawing.swatch(series.number), ` ${percent(share)} ${series.label}`]),
      ]);
      return `${heading}: ${shares.map(([series, share]) => `${series.label} ${percent(share)}`).join(", ")}`;
    };
    const leave = () => { line.setAttribute("visibility", "hidden"); tip.hide(); };
    room.onpointermove = (event) => read(event.clientX - plot.getBoundingClientRect().left);
    room.onpointerleave = leave;
    room.onblur = leave;
    room.onkeydown = (event) => {
      const step = { ArrowLeft: -8, ArrowRight: 8, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") leave();
      if (step === undefined) return;
      event.preventDefault();
      sheet.querySelector("output").textContent = read(at + step);
    };
  };

  return Object.freeze({ density, curves, hasDensity });
})();
