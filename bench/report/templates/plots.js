{
  // What the plots share: which dataset, level, score and methods are shown, and the sheets that they lie on.
  const { html, swatch } = drawing;
  const FIRST = 8;
  const UNITS = { image: ["image", "images"], instance: ["instance", "instances"] };
  const PARTS = { category: "category", size: "size", instances: "number of instances" };

  const data = JSON.parse(document.getElementById("scores-data")?.textContent ?? "null");
  const room = document.getElementById("plot-room");
  const labels = [...new Set((data?.sets ?? []).flatMap((set) => set.methods))];
  const hidden = new Set();
  const sheets = [];
  const choice = Object.fromEntries(["set", "level", "metric"].map((name) => [name, document.getElementById(`plot-${name}`)]));

  const makeSelect = (id, name) => html("span", { class: "pair" }, html("label", { for: id }, name), html("select", { id }));

  // Options are made anew; what was chosen stays chosen if it is still there.
  const setOptions = (control, options) => {
    const before = control.value;
    control.replaceChildren(...options.map(([value, text]) => html("option", { value }, text)));
    if (options.some(([value]) => value === before)) control.value = before;
    control.parentElement.hidden = options.length < 2;
  };

  // One plot with its heading, its own controls, room for the drawing, a word on how to read it, and a table.
  const addSheet = ({ id, title, caption, controls = [], focusable = "", draw, holds = () => true }) => {
    const canvas = html("div", { class: "canvas", ...(focusable && { tabindex: 0, role: "application", "aria-label": focusable }) });
    const sheet = html("section", { class: "sheet", id, "aria-labelledby": `${id}-title` },
      html("h3", { id: `${id}-title` }, title),
      ...(controls.length ? [html("div", { class: "filters" }, ...controls)] : []),
      canvas, html("output", { class: "told", "aria-live": "polite" }), html("p", { class: "caption" }, caption),
      html("details", {}, html("summary", {}, "As a table")));
    document.getElementById("plot-sheets").append(sheet);
    sheets.push({ sheet, draw, holds });
    return sheet;
  };

  const articles = () => new Map([...document.querySelectorAll("article[data-key]")].map((article) => [JSON.stringify([article.dataset.set, article.dataset.key]), article]));
  let shownArticles = null;

  const viewOf = () => {
    const set = data.sets[choice.set.value];
    const level = set.levels[choice.level.value];
    const metric = { id: choice.metric.value, ...data.metrics[choice.metric.value] };
    const [unit, units] = UNITS[choice.level.value];
    const format = (value) => value.toFixed(metric.decimals);
    const series = set.methods.map((label, place) => {
      const values = level.scores[metric.id]?.[place] ?? [];
      return { label, place, number: labels.indexOf(label), values, sorted: Float64Array.from(values.filter((value) => value !== null)).sort() };
    });
    const articleOf = (each) => (shownArticles ??= articles()).get(JSON.stringify([set.title, set.pictures[level.pictures[each]]]));
    return {
      set, level, metric, unit, units, format, truth: level.truths[metric.id] ?? null, groups: set.groups, articleOf,
      all: series.filter(({ sorted }) => sorted.length),
      series: series.filter(({ label, sorted }) => sorted.length && !hidden.has(label)),
      axis: `${metric.name}${metric.unit ? ` [${metric.unit}]` : ""} ${metric.arrow}`,
      errors: set.errors.filter((curves) => curves.level === choice.level.value && curves.metric === metric.id),
      hints: set.hints.filter((curves) => curves.level === choice.level.value && curves.metric === metric.id).flatMap(({ series }) => series),
      nameOf: (each) => set.pictures[level.pictures[each]] + (level.instances ? `, instance ${level.instances[each]}` : ""),
      goTo: (each) => goTo(set.title, set.pictures[level.pictures[each]]),
    };
  };

  // The gallery listens, and opens where the picture is.
  const goTo = (set, key) => document.dispatchEvent(new CustomEvent("show-picture", { detail: { set, key }, cancelable: true }));

  const redraw = () => {
    const view = viewOf();
    for (const { sheet, draw, holds } of sheets) {
      sheet.hidden = !holds(view);
      if (!sheet.hidden) draw(sheet, view);
    }
  };

  const chooseSet = () => {
    const set = data.sets[choice.set.value];
    setOptions(choice.level, Object.keys(set.levels).map((level) => [level, level === "image" ? "whole images" : "instances"]));
    setOptions(choice.metric, Object.keys(set.levels[choice.level.value].scores).map((id) => [id, data.metrics[id].name]));
    const entries = set.methods.map((label, place) => ({ label, number: labels.indexOf(label), note: set.notes[place] }));
    fillLegend(document.getElementById("plot-legend"), entries, hidden);
  };

  // Chips that show and hide series, each with what it is drawn with.
  const fillLegend = (legend, entries, hidden) => {
    const chips = entries.map(({ label, number, note }) => {
      const chip = html("button", { type: "button", class: "chip", "aria-pressed": String(!hidden.has(label)) }, swatch(number), label);
      if (note) chip.append(" ", html("small", {}, note));
      chip.onclick = () => {
        hidden[hidden.has(label) ? "delete" : "add"](label);
        chip.setAttribute("aria-pressed", String(!hidden.has(label)));
        redraw();
      };
      return chip;
    });
    legend.replaceChildren(...chips);
    if (entries.length > FIRST) legend.append(wholeChip(legend, entries, hidden));
  };

  // Many methods are shown or hidden at once.
  const wholeChip = (legend, entries, hidden) => {
    const all = entries.every(({ label }) => !hidden.has(label));
    const chip = html("button", { type: "button", class: "chip all" }, all ? `only the first ${FIRST}` : `show all ${entries.length}`);
    chip.onclick = () => {
      entries.forEach(({ label }, place) => hidden[all && place >= FIRST ? "add" : "delete"](label));
      fillLegend(legend, entries, hidden);
      legend.querySelector(".all").focus();
      redraw();
    };
    return chip;
  };

  const left = (view) => view.level.total > view.level.pictures.length ? ` ${view.level.pictures.length} of ${view.level.total} ${view.units}, evenly spread over their names, are drawn.` : "";

  const addSheets = () => {
    addSheet({
      id: "plot-density", title: "Distribution", caption: "", holds: (view) => view.series.length > 0,
      draw: (sheet, view) => {
        const hills = view.series.some(distributions.hasDensity) ? `Each hill holds one method's ${view.units}. Below it: the` : "The";
        sheet.querySelector(".caption").textContent = `${hills} middle half (bar), 5 to 95\u00a0% (line), the median (mark) and, where they are few, each of the ${view.units} (strokes).${left(view)}`;
        distributions.density(sheet, view);
      },
    });
    addSheet({
      id: "plot-curves", title: "Cumulative curves", caption: "", holds: (view) => view.series.length > 0,
      focusable: "Cumulative curves; the arrow keys read them",
      draw: (sheet, view) => {
        const better = view.metric.direction === "truth" ? "" : " The higher curve is better.";
        sheet.querySelector(".caption").textContent = `How many ${view.units} reach a score.${better} A mark stands at each median; pointer and arrow keys read all curves at one score.${left(view)}`;
        distributions.curves(sheet, view);
      },
    });
    addScatter();
    addBars();
    addErrors();
    addHints();
  };

  const addScatter = () => {
    const controls = [makeSelect("plot-one", "Method A"), makeSelect("plot-two", "Method B")];
    const [first, second] = controls.map((control) => control.lastChild);
    addSheet({
      id: "plot-scatter", title: "Method against method", caption: "", controls, holds: (view) => view.all.length > 1,
      focusable: "Scores of two methods; the arrow keys go from picture to picture, Enter shows it",
      draw: (sheet, view) => {
        const fresh = !first.value;
        for (const control of [first, second]) setOptions(control, view.all.map(({ label, place }) => [String(place), label]));
        if (fresh || first.value === second.value) [first.value, second.value] = [view.all[1].place, view.all[0].place];
        const chosen = [first, second].map((control) => view.all.find(({ place }) => String(place) === control.value));
        scatter.draw(sheet, view, chosen, left(view));
        first.onchange = second.onchange = redraw;
      },
    });
  };

  const addBars = () => {
    const control = makeSelect("plot-part", "By");
    const part = control.lastChild;
    const more = html("button", { type: "button", class: "whole", "aria-pressed": "false" });
    addSheet({
      id: "plot-bars", title: "Where methods differ", controls: [control, more],
      caption: "Marks are means, bars their 95\u00a0% intervals over images; the axis does not begin at zero.",
      holds: (view) => view.series.length > 0 && partsOf(view).length > 0,
      draw: (sheet, view) => {
        setOptions(part, partsOf(view).map((name) => [name, PARTS[name]]));
        part.onchange = redraw;
        more.onclick = () => { more.setAttribute("aria-pressed", String(more.getAttribute("aria-pressed") !== "true")); redraw(); };
        groups.bars(sheet, view, part.value);
      },
    });
  };

  // The curves over errors have series of their own: a method with its boxes at every size of the error is one.
  const addErrors = () => {
    const legend = html("div", { class: "legend", role: "group", "aria-label": "Methods that are shown" });
    const gone = new Set();
    addSheet({
      id: "plot-errors", title: "Detector errors", controls: [legend], holds: (view) => view.errors.length > 0,
      caption: "How far the score changes when boxes are left out, moved, doubled or added: the mean of the differences to the same method with boxes that nobody perturbed, image by image, with 95\u00a0% bootstrap intervals over images. The nearer to zero, the less a method hangs on the detector; one that looks at no boxes would stay at zero. A lone mark is a real detector. Marks of one place stand side by side. The table holds the scores themselves, too.",
      draw: (sheet, view) => {
        const names = [...new Set(view.set.errors.flatMap(groups.drawn).map(({ label }) => label))];
        const entries = names.map((label, number) => ({ label, number }));
        legend.hidden = !names.length;
        if (legend.dataset.of !== view.set.title) fillLegend(legend, entries, gone);
        legend.dataset.of = view.set.title;
        groups.errors(sheet, view, (label) => gone.has(label) ? -1 : names.indexOf(label));
      },
    });
  };

  // A curve over hints is a method with every number of them.
  const addHints = () => {
    const legend = html("div", { class: "legend", role: "group", "aria-label": "Methods that are shown" });
    const gone = new Set();
    addSheet({
      id: "plot-hints", title: "Hints", controls: [legend], holds: (view) => view.hints.length > 0,
      caption: "The score over the number of hints: squares of a picture whose mean true colour a method is given. With as many hints and the same seed all methods get the same squares, and the first ones stay where more are given. Lines span 95\u00a0% bootstrap intervals over images.",
      draw: (sheet, view) => {
        const names = [...new Set(view.set.hints.flatMap(({ series }) => series.map(({ label }) => label)))];
        const entries = names.map((label, number) => ({ label, number }));
        if (legend.dataset.of !== view.set.title) fillLegend(legend, entries, gone);
        legend.dataset.of = view.set.title;
        groups.hints(sheet, view, (label) => gone.has(label) ? -1 : names.indexOf(label));
      },
    });
  };

  const partsOf = (view) => Object.keys(PARTS).filter((name) => view.groups[name]?.names.length > 1 && view.groups[name].scores[view.metric.id]);

  // What is shown at first: runs with hints or with boxes made worse are no rivals of the others.
  const firstOf = (set) => {
    const rivals = set.methods.filter((_, place) => !set.apart[place]);
    return (rivals.length ? rivals : set.methods).slice(0, FIRST);
  };

  const start = () => {
    const first = new Set(data.sets.flatMap(firstOf));
    labels.filter((label) => !first.has(label)).forEach((label) => hidden.add(label));
    setOptions(choice.set, data.sets.map((set, place) => [String(place), set.title]));
    const sizes = data.sets.map((set) => set.pictures.length);
    choice.set.value = sizes.indexOf(Math.max(...sizes)); // the dataset that tells most
    chooseSet();
    room.hidden = false;
    addSheets();
    redraw();
    document.getElementById("plot-choice").addEventListener("input", () => { chooseSet(); redraw(); });
    let width = room.clientWidth;
    new ResizeObserver(() => { if (room.clientWidth !== width) { width = room.clientWidth; redraw(); } }).observe(room);
  };

  if (data) start();
}
