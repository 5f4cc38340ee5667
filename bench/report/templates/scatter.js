// One method against another, a point for each picture or instance that both have a score for.
const scatter = (() => {
  const { html, svg, round, scaleOf, domainOf, canvas, axisX, axisY, tableBelow, tipOf } = drawing;
  const MOST_LISTED = 20;
  const LEADS = 5;
  const REACH = 14;

  // All pairs with how much better the second is; beyond the last digit that tables show, two scores are a tie.
  const pairsOf = (view, [one, two]) => {
    const sign = view.metric.direction === "lower" ? -1 : 1;
    const least = 0.5 * 10 ** -(view.metric.decimals + 2);
    const pairs = [];
    one.values.forEach((a, unit) => {
      const b = two.values[unit];
      if (a === null || b === null) return;
      const lead = sign * (b - a);
      pairs.push({ unit, a, b, lead: Math.abs(lead) < least ? 0 : lead });
    });
    return pairs.sort((first, second) => first.lead - second.lead || first.unit - second.unit);
  };

  const draw = (sheet, view, chosen, note) => {
    const room = sheet.querySelector(".canvas");
    const pairs = pairsOf(view, chosen);
    const [width, left, top] = [room.clientWidth, 52, 30];
    const side = Math.min(width - left - 10, 460);
    const [low, high] = domainOf(pairs.flatMap(({ a, b }) => [a, b]));
    const x = scaleOf(low, high, left, left + side);
    const y = scaleOf(low, high, top + side, top);
    const [one, two] = chosen;
    const plot = canvas(width, top + side + 44, `${two.label} against ${one.label}: ${view.metric.name}`);
    axisX(plot, x, top, top + side, `${one.label}, ${view.axis}`);
    axisY(plot, y, left, left + side, `${two.label}, ${view.axis}`);
    plot.append(svg("path", { d: `M${x.from},${y.from}L${x.to},${y.to}`, class: "diagonal" }));
    const radius = pairs.length > 2000 ? 2 : pairs.length > 300 ? 3 : 4.5;
    const dots = svg("g", { class: "dots", "fill-opacity": pairs.length > 2000 ? 0.35 : 0.6 });
    for (const { a, b, lead } of pairs) {
      const look = lead === 0 ? "tie" : drawing.lookOf((lead > 0 ? two : one).number).tint;
      dots.append(svg("circle", { cx: round(x(a)), cy: round(y(b)), r: radius, class: look }));
    }
    plot.append(dots);
    room.replaceChildren(plot);
    tell(sheet, view, chosen, pairs, note);
    listLeads(sheet, view, chosen, pairs);
    follow(sheet, plot, view, chosen, pairs.map((pair) => ({ ...pair, x: x(pair.a), y: y(pair.b) })), radius);
  };

  const counts = (pairs) => ({
    one: pairs.filter(({ lead }) => lead < 0).length,
    two: pairs.filter(({ lead }) => lead > 0).length,
    ties: pairs.filter(({ lead }) => lead === 0).length,
  });

  const tell = (sheet, view, [one, two], pairs, note) => {
    const { one: ones, two: twos, ties } = counts(pairs);
    const better = view.metric.direction === "truth" ? "higher" : "better";
    const part = (count) => `${count} (${Math.round((100 * count) / (pairs.length || 1))}\u00a0%)`;
    sheet.querySelector(".caption").replaceChildren(
      `${one.label} is ${better} on ${part(ones)}, ${two.label} on ${part(twos)} of ${pairs.length} ${view.units}`,
      ties ? `; ${ties} are equal` : "",
      `. ${view.metric.direction === "lower" ? "Below" : "Above"} the diagonal ${two.label} is ${better}. `,
      "Arrow keys go through the points from the one end to the other, Enter shows the picture. ",
      html("code", {}, "colorbench compare"), " tests the difference.", note,
    );
    const ends = pairs.length > 2 * MOST_LISTED ? [...pairs.slice(0, MOST_LISTED), ...pairs.slice(-MOST_LISTED)] : pairs;
    sheet.querySelector("summary").textContent = ends.length < pairs.length ? "The largest differences as a table" : "As a table";
    tableBelow(sheet, () => [
      [view.unit, one.label, two.label, "difference"],
      ...ends.map(({ unit, a, b }) => [linkTo(view, unit), view.format(a), view.format(b), view.format(b - a)]),
    ]);
  };

  // Where each of the two leads most: what to look at first.
  const listLeads = (sheet, view, [one, two], pairs) => {
    const better = view.metric.direction === "truth" ? "is higher" : "leads";
    const list = (method, found) => html("div", {}, html("h4", {}, `${method.label} ${better} most`),
      html("ol", {}, ...found.map(({ unit, a, b }) => html("li", {}, linkTo(view, unit), ` ${view.format(Math.abs(b - a))}`))));
    const ends = [[one, pairs.filter(({ lead }) => lead < 0).slice(0, LEADS)], [two, pairs.filter(({ lead }) => lead > 0).slice(-LEADS).reverse()]];
    const lists = ends.filter(([, found]) => found.length).map(([method, found]) => list(method, found));
    sheet.querySelector(".leads")?.remove();
    sheet.querySelector("details").before(html("div", { class: "leads" }, ...lists));
  };

  // A picture that the gallery holds can be gone to; it is a button, because the gallery may have to open first.
  const linkTo = (view, unit) => {
    if (!view.articleOf(unit)) return view.nameOf(unit);
    const button = html("button", { type: "button", class: "jump" }, view.nameOf(unit));
    button.onclick = () => view.goTo(unit);
    return button;
  };

  const nearest = (points, x, y) => {
    let found = -1;
    let least = REACH ** 2;
    points.forEach((point, place) => {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least) [found, least] = [place, distance];
    });
    return found;
  };

  const follow = (sheet, plot, view, [one, two], points, radius) => {
    const room = sheet.querySelector(".canvas");
    const told = sheet.querySelector("output");
    const tip = tipOf(room);
    const ring = svg("circle", { r: radius + 3, class: "ring", visibility: "hidden" });
    plot.append(ring);
    let at = -1;
    const show = (place) => {
      at = place;
      if (at < 0) { ring.setAttribute("visibility", "hidden"); tip.hide(); return; }
      const point = points[at];
      ring.setAttribute("cx", round(point.x));
      ring.setAttribute("cy", round(point.y));
      ring.setAttribute("visibility", "visible");
      const lines = [`${view.nameOf(point.unit)}`, `${view.format(point.a)} ${one.label}`, `${view.format(point.b)} ${two.label}`];
      tip.show(point.x, point.y, lines);
      room.style.cursor = view.articleOf(point.unit) ? "pointer" : "";
    };
    room.onpointermove = (event) => {
      const frame = plot.getBoundingClientRect();
      show(nearest(points, event.clientX - frame.left, event.clientY - frame.top));
    };
    room.onpointerleave = () => show(-1);
    room.onblur = () => show(-1);
    room.onclick = () => { if (at >= 0) view.goTo(points[at].unit); };
    room.onkeydown = (event) => {
      const last = points.length - 1;
      const start = at < 0 ? -1 : at;
      const next = { ArrowRight: start + 1, ArrowUp: start + 1, ArrowLeft: start - 1, ArrowDown: start - 1, Home: 0, End: last }[event.key];
      if (event.key === "Enter" && at >= 0) {
        event.preventDefault(); // else the key presses what has the focus next
        view.goTo(points[at].unit);
      }
      if (event.key === "Escape") show(-1);
      if (next === undefined || last < 0) return;
      event.preventDefault();
      show(Math.min(Math.max(next, 0), last));
      const { unit, a, b } = points[at];
      told.textContent = `${view.nameOf(unit)}: ${one.label} ${view.format(a)}, ${two.label} ${view.format(b)}`;
    };
  };

  return Object.freeze({ draw });
})();
