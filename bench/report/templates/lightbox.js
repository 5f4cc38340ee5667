{
  const box = document.getElementById("lightbox");
  const at = (id) => document.getElementById(`lightbox-${id}`);
  let now = null;

  const clamp = (number) => Math.min(100, Math.max(0, number));
  const cut = (percent) => {
    at("cut").value = clamp(percent);
    at("cut").setAttribute("aria-valuetext", `${at("cut").value} % of the left version`);
    at("stage").style.setProperty("--cut", `${at("cut").value}%`);
  };

  // One version of the picture, as large as the stage: its image, or why there is none.
  const side = (version, name) => {
    const figure = now.entry.figures[version];
    const image = figure.querySelector("img");
    if (!image) return now.make("p", figure.querySelector(".missing").textContent, { class: `side missing ${name}` });
    const copy = now.make("img", "", { class: `side ${name}`, alt: image.alt });
    copy.src = image.src;
    return copy;
  };

  // The names of the instances, at the upper left corners of their boxes.
  const names = (drawn) => {
    const { width, height } = drawn.viewBox.baseVal;
    const boxes = document.querySelector(drawn.firstElementChild.getAttribute("href")).children;
    return [...boxes].map((each) => {
      const name = now.make("span", each.textContent, { class: "name" });
      name.style.left = `${(100 * each.x.baseVal.value) / width}%`;
      name.style.top = `${(100 * each.y.baseVal.value) / height}%`;
      return name;
    });
  };

  const paint = () => {
    const sample = now.entry.article.querySelector("img");
    const parts = [side(now.right, "right"), side(now.left, "left"), now.make("div", "", { class: "line" })];
    const drawn = now.entry.article.querySelector(".frame svg");
    if (drawn) parts.splice(2, 0, drawn.cloneNode(true), ...names(drawn));
    at("stage").parentElement.style.setProperty("--aspect", sample.width / sample.height || 1);
    at("stage").replaceChildren(...parts);
  };

  const cells = (metric, scores) => {
    const truth = now.entry.picture.color;
    const pair = [now.left, now.right].map((place) => scores?.[place] ?? null);
    const [a, b] = pair.map((score) => now.goodness(metric, score, truth));
    const better = [a !== null && b !== null && a > b, a !== null && b !== null && b > a];
    return pair.map((score, index) => now.make("td", now.shown(metric, score), better[index] ? { class: "best" } : {}));
  };

  const line = (name, metric, scores) => {
    const row = now.make("tr");
    row.append(now.make("th", name, { scope: "row" }), ...cells(metric, scores));
    return row;
  };

  const tabulate = () => {
    const { picture, gallery } = now.entry;
    const head = now.make("thead");
    const names = [now.left, now.right].map((place) => now.make("th", gallery.versions[place], { scope: "col" }));
    head.append(now.make("tr"));
    head.rows[0].append(now.make("td"), ...names);
    const metrics = [...(document.getElementById("metric")?.options ?? [])].filter(({ value }) => picture.scores[value]);
    const whole = now.make("tbody");
    whole.append(...metrics.map(({ value, text }) => line(text.replaceAll(" ", "\u00a0"), value, picture.scores[value])));
    at("scores").replaceChildren(head, whole);
    const metric = document.getElementById("metric")?.value;
    const instances = picture.instances.filter(({ scores }) => scores[metric]);
    if (!instances.length) return;
    const parts = now.make("tbody");
    parts.append(now.make("tr"));
    const title = `Instances, ${now.metrics[metric].title}`;
    parts.rows[0].append(now.make("th", title, { scope: "rowgroup", colspan: "3" }));
    parts.append(...instances.map(({ name, scores }) => line(name, metric, scores[metric])));
    at("scores").append(parts);
  };

  const choices = (select, chosen) => {
    const { versions } = now.entry.gallery;
    select.replaceChildren(...versions.map((label, place) => now.make("option", label, { value: place })));
    select.value = chosen;
  };

  const draw = () => {
    const place = now.list.indexOf(now.entry);
    at("title").replaceChildren(...now.entry.article.querySelector("h4").cloneNode(true).childNodes);
    at("place").textContent = `${place + 1} of ${now.list.length}`;
    at("previous").disabled = place <= 0;
    at("next").disabled = place + 1 >= now.list.length;
    choices(at("left"), now.left);
    choices(at("right"), now.right);
    paint();
    tabulate();
    cut(Number(at("cut").value));
  };

  const turn = (step) => {
    const entry = now.list[now.list.indexOf(now.entry) + step];
    if (!entry) return;
    const held = document.activeElement;
    now.entry = entry;
    draw();
    if (held?.disabled) at("title").focus();
  };

  const swap = () => {
    [now.left, now.right] = [now.right, now.left];
    draw();
  };

  // What a version is compared with at first: the truth, or if it is the truth or there is none, the best method.
  const partner = ({ entry, version }) => {
    const last = entry.figures.length - 1;
    const hasTruth = !entry.gallery.methods.includes(last);
    return hasTruth && version !== last ? last : (entry.gallery.methods.find((place) => place !== version) ?? version);
  };

  const press = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.localName === "select") return;
    const slides = { ArrowLeft: -2, ArrowRight: 2 };
    const inTable = event.target.closest(".scroll");
    const acts = {
      n: () => turn(1), PageDown: () => turn(1), p: () => turn(-1), PageUp: () => turn(-1), x: swap,
      b: () => document.getElementById("boxes").click(),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act && !(inTable && event.key.startsWith("Page"))) act();
    else if (slides[event.key] && !inTable) cut(Number(at("cut").value) + slides[event.key]);
    else return;
    event.preventDefault();
  };

  const drag = (event) => {
    if (event.type === "pointerdown") at("stage").setPointerCapture(event.pointerId);
    else if (!at("stage").hasPointerCapture(event.pointerId)) return;
    const { left, width } = at("stage").getBoundingClientRect();
    cut(Math.round((100 * (event.clientX - left)) / width));
  };

  const listen = () => {
    at("previous").addEventListener("click", () => turn(-1));
    at("next").addEventListener("click", () => turn(1));
    at("swap").addEventListener("click", swap);
    at("close").addEventListener("click", () => box.close());
    box.addEventListener("click", (event) => event.target === box && box.close());
    box.addEventListener("keydown", press);
    box.addEventListener("close", () => at("stage").replaceChildren());
    at("cut").addEventListener("input", () => cut(Number(at("cut").value)));
    for (const type of ["pointerdown", "pointermove"]) at("stage").addEventListener(type, drag);
    for (const name of ["left", "right"]) {
      at(name).addEventListener("change", () => {
        now[name] = Number(at(name).value);
        draw();
      });
    }
    document.addEventListener("compare-versions", ({ detail }) => {
      now = { ...detail, left: detail.version, right: partner(detail) };
      box.showModal();
      draw();
      at("cut").focus();
    });
  };

  if (box) listen();
}
