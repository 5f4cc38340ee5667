{
  const island = document.getElementById("gallery-data");
  const STEP = 24;
  const { metrics, galleries } = island ? JSON.parse(island.textContent) : { metrics: {}, galleries: [] };
  const at = (id) => document.getElementById(id);
  const value = (id) => at(id)?.value ?? "";
  const make = (name, text = "", attributes = {}) => {
    const element = document.createElement(name);
    element.textContent = text;
    for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
    return element;
  };
  const visible = (text) => String(text).replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

  // How good a score is, the higher, the better; null without a score.
  const goodness = (metric, score, truth) => {
    if (score === null || score === undefined) return null;
    const { direction } = metrics[metric];
    if (direction === "truth") return truth === null ? null : -Math.abs(score - truth);
    return direction === "higher" ? score : -score;
  };
  const goods = (gallery, picture, metric) =>
    gallery.methods.map((place) => goodness(metric, picture.scores[metric]?.[place], picture.color));
  const mean = (values) => (values.length ? values.reduce((sum, each) => sum + each, 0) / values.length : null);
  const shown = (metric, score) => (score === null || score === undefined ? "—" : score.toFixed(metrics[metric].decimals));

  // What an order goes by, the highest first; null for a picture that has no place in it.
  const rank = (gallery, picture, order, metric, judge) => {
    if (order === "color") return picture.color;
    if (!picture.ranked || !metric) return null;
    const all = goods(gallery, picture, metric);
    const known = all.filter((good) => good !== null);
    if (order === "spread") return known.length > 1 ? Math.max(...known) - Math.min(...known) : null;
    const place = judge === "" ? -1 : gallery.methods.findIndex((each) => gallery.versions[each] === judge);
    const good = judge === "" ? mean(known) : all[place] ?? null;
    return good === null ? null : order === "worst" ? -good : good;
  };

  const sections = [...document.querySelectorAll("#pictures .gallery")].map((root, place) => {
    const gallery = galleries[place];
    const entries = [...root.querySelectorAll("article")].map((article, index) => {
      const picture = gallery.pictures[index];
      const figures = [...article.querySelectorAll("figure")];
      return { article, picture, gallery, place: index, key: article.dataset.key, figures };
    });
    return { root, gallery, entries, list: entries, limit: STEP, place };
  });

  const arrange = (section) => {
    const [order, metric, judge, category] = ["order", "metric", "judge", "category"].map(value);
    const only = value("only-dataset");
    section.root.hidden = only !== "" && Number(only) !== section.place;
    const list = section.entries.filter(
      ({ picture }) => category === "" || picture.instances.some((each) => each.category === category),
    );
    if (order !== "name") {
      const ranks = new Map(list.map((entry) => [entry, rank(section.gallery, entry.picture, order, metric, judge)]));
      list.sort((a, b) => {
        const [left, right] = [ranks.get(a), ranks.get(b)];
        if (left === null || right === null) return (left === null) - (right === null) || a.place - b.place;
        return right - left || a.place - b.place;
      });
    }
    section.list = list;
    const kept = new Set(list);
    const parent = section.root.querySelector(".pictures");
    parent.append(...[...list, ...section.entries.filter((entry) => !kept.has(entry))].map(({ article }) => article));
    reveal(section);
  };

  const reveal = (section) => {
    const open = new Set(section.list.slice(0, section.limit));
    for (const entry of section.entries) entry.article.hidden = !open.has(entry);
    const left = section.list.length - open.size;
    const more = section.root.querySelector(".more");
    more.hidden = left === 0;
    more.querySelector(".next").textContent = `Show ${Math.min(STEP, left)} more of ${left}`;
    more.querySelector(".all").textContent = `Show all ${section.list.length}`;
  };

  const tell = () => {
    const open = sections.filter(({ root }) => !root.hidden);
    const count = open.reduce((sum, { list }) => sum + list.length, 0);
    const of = open.reduce((sum, { entries }) => sum + entries.length, 0);
    const why = {
      worst: "The worst score comes first: of the method chosen, or in the mean over all.",
      best: "The best score comes first: of the method chosen, or in the mean over all.",
      spread: "The picture whose highest and lowest score lie farthest apart comes first.",
      color: "The picture whose truth is most colourful comes first.",
    };
    at("gallery-note").textContent = [count < of ? `${count} of ${of} pictures.` : "", why[value("order")] ?? ""].join(" ").trim();
  };

  const arrangeAll = () => {
    for (const section of sections) {
      section.limit = STEP;
      arrange(section);
    }
    tell();
  };

  // Put the scores of another metric below the pictures.
  const caption = () => {
    const metric = value("metric");
    for (const { gallery, entries } of sections) {
      for (const { picture, figures } of entries) {
        const each = goods(gallery, picture, metric);
        const rivals = each.map((good, index) => (gallery.hinted.includes(gallery.methods[index]) ? null : good));
        const highest = Math.max(...rivals.filter((good) => good !== null));
        gallery.methods.forEach((place, index) => {
          const score = picture.scores[metric]?.[place] ?? null;
          const text = figures[place].querySelector("figcaption");
          const number = text.querySelector("b") ?? text.insertBefore(make("b"), text.querySelector("i"));
          number.textContent = score === null ? "" : ` ${shown(metric, score)}`;
          figures[place].classList.toggle("best", rivals[index] !== null && rivals[index] === highest);
        });
      }
    }
  };

  const fill = () => {
    const labels = new Set(galleries.flatMap(({ versions, methods }) => methods.map((place) => versions[place])));
    const names = galleries.flatMap(({ pictures }) => pictures.flatMap(({ instances }) => instances.map(({ category }) => category)));
    for (const label of labels) at("judge").append(make("option", label, { value: label }));
    for (const name of [...new Set(names)].sort()) at("category").append(make("option", name, { value: name }));
    at("category").parentElement.hidden = names.length === 0;
    const first = galleries[0].metric;
    if (at("metric") && metrics[first]) at("metric").value = first;
    document.querySelector(".choices").hidden = false;
  };

  const listen = () => {
    for (const id of ["order", "judge", "category", "only-dataset"]) at(id)?.addEventListener("change", arrangeAll);
    at("metric")?.addEventListener("change", () => {
      caption();
      arrangeAll();
    });
    for (const section of sections) {
      const grow = (limit) => {
        const first = section.list[section.limit];
        section.limit = limit;
        reveal(section);
        first?.article.querySelector(".frame")?.focus();
      };
      section.root.querySelector(".next").addEventListener("click", () => grow(section.limit + STEP));
      section.root.querySelector(".all").addEventListener("click", () => grow(Infinity));
    }
    document.addEventListener("show-picture", (event) => {
      if (jump(visible(event.detail.set), visible(event.detail.key))) event.preventDefault();
    });
  };

  // Bring a picture to view, whatever hides it; false where the page does not have it.
  const jump = (title, key) => {
    const section = sections.find(({ gallery }) => gallery.title === title);
    const entry = section?.entries.find((each) => each.key === key);
    if (!entry) return false;
    for (const id of ["category", "only-dataset"]) if (at(id)) at(id).value = "";
    arrangeAll();
    section.limit = Math.max(STEP, section.list.indexOf(entry) + 1);
    reveal(section);
    document.querySelector("#pictures .found")?.classList.remove("found");
    entry.article.classList.add("found");
    entry.article.scrollIntoView({ block: "center" });
    entry.article.querySelector(".frame")?.focus({ preventScroll: true });
    return true;
  };

  // One stop for the tab key in each picture; arrow keys go to its other versions.
  const rove = (entry) => {
    const buttons = [...entry.article.querySelectorAll(".frame")];
    buttons.forEach((button, index) => (button.tabIndex = index === 0 ? 0 : -1));
    entry.article.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const target = buttons[buttons.indexOf(document.activeElement) + step];
      if (!target || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      for (const button of buttons) button.tabIndex = button === target ? 0 : -1;
      target.focus();
    });
  };

  const open = (section, entry, version) => {
    const detail = { list: section.list, entry, version, metrics, goodness, shown, make };
    document.dispatchEvent(new CustomEvent("compare-versions", { detail }));
  };

  if (island) {
    document.getElementById("pictures").classList.add("live");
    fill();
    listen();
    for (const section of sections) {
      for (const entry of section.entries) {
        rove(entry);
        entry.figures.forEach((figure, version) =>
          figure.querySelector(".frame")?.addEventListener("click", () => open(section, entry, version)),
        );
      }
    }
    arrangeAll();
  }
}
