"use strict";
{
  // Nothing is sent anywhere. The page knows the names of the pictures of its own session, which say nothing of what
  // they show, and of practice the right answers. Equal pictures have equal pixels all the same: see page.py.
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLUMNS = ["study", "participant", "session", "place", "trial", "answer", "response_ms", "exposure_ms",
    "second_exposure_ms", "showings", "hidden", "frame_ms", "window", "answered_utc", "check"];
  const [CROSS_MS, BETWEEN_MS, BREAK_AFTER] = [500, 600, 20];
  const KEYS = { ArrowLeft: 0, KeyF: 0, ArrowRight: 1, KeyJ: 1 };
  const element = (id) => document.getElementById(id);
  const pictures = [...document.querySelectorAll(".frame img")];
  const captions = [...document.querySelectorAll("figcaption")];
  const buttons = [...document.querySelectorAll("#answers button")];
  const state = { participant: "", rows: [], showings: {} };
  let wasHidden = false;
  let frame = 1000 / 60;
  const preloaded = new Map();

  // Answers.

  function crc32(text) {
    let sum = 0xffffffff;
    for (const byte of new TextEncoder().encode(text)) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
    }
    return ((sum ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
  }

  function addRow(cells) {
    const last = state.rows.length ? state.rows.at(-1).at(-1) : data.study;
    state.rows.push([...cells, crc32([last, ...cells].join("\t"))]);
  }

  function cellText(text) {
    const safe = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[,"\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  const csv = () => [COLUMNS, ...state.rows].map((cells) => cells.map(cellText).join(",") + "\n").join("");

  // What survives a reload; a browser may refuse to keep anything, and the study goes on without.

  const place = () => `colorbench-study:${data.study}:${data.session}:${state.participant}`;

  function keep() {
    try {
      localStorage.setItem(place(), JSON.stringify({ rows: state.rows, showings: state.showings }));
    } catch { /* a private window: a reload begins anew */ }
  }

  function kept() {
    try {
      const found = JSON.parse(localStorage.getItem(place()));
      return found && Array.isArray(found.rows) && found.rows.every((row) => row.length === COLUMNS.length) ? found : null;
    } catch {
      return null;
    }
  }

  // Participants.

  function cleanName(text) {
    const plain = text.normalize("NFC").replace(/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/gu, " ").trim();
    return Array.from(plain).slice(0, 60).join("");
  }

  // Time. What is changed after `nextFrame` is seen with that frame, whose time it returns.

  const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function setSeen(images, seen) {
    const time = await nextFrame();
    for (const image of images) image.classList.toggle("seen", seen);
    return time;
  }

  async function expose(images) {
    const start = await setSeen(images, true);
    let [now, before] = [start, start];
    do {
      before = now;
      now = await nextFrame();
      frame = now - before;
    } while (now - start + frame / 2 < 1000 * data.exposure);
    for (const image of images) image.classList.remove("seen");
    return { length: now - start, end: now };
  }

  // Pictures.

  function fetchPicture(name) {
    if (!preloaded.has(name)) {
      const image = new Image();
      image.src = `pictures/${name}.png`;
      preloaded.set(name, image);
    }
    return preloaded.get(name);
  }

  async function load(names) {
    await Promise.all(names.map(async (name, index) => {
      pictures[index].src = fetchPicture(name).src;
      await pictures[index].decode();
    }));
  }

  // Screens.

  function show(id) {
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
    window.scrollTo(0, 0);
  }

  function fail(text) {
    element("problem-text").textContent = text;
    show("problem");
  }

  function pressed(button) {
    return new Promise((resolve) => {
      button.addEventListener("click", resolve, { once: true });
      button.focus();
    });
  }

  function pause(title, text) {
    element("pause-title").textContent = title;
    element("pause-text").textContent = text;
    show("pause");
    return pressed(element("go-on"));
  }

  function chosen() {
    return new Promise((resolve) => {
      const done = (choice, time) => {
        document.removeEventListener("keydown", byKey);
        for (const button of buttons) {
          button.disabled = true;
          button.onclick = null;
        }
        resolve({ choice, time });
      };
      const byKey = (event) => {
        const choice = KEYS[event.code];
        if (choice === undefined || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        done(choice, event.timeStamp);
      };
      document.addEventListener("keydown", byKey);
      buttons.forEach((button, choice) => {
        button.disabled = false;
        button.onclick = (event) => done(choice, event.timeStamp);
      });
    });
  }

  // One trial: cross, pictures, blank, answer.

  async function ask(names) {
    show("trial");
    for (const caption of captions) caption.textContent = "";
    await load(names);
    wasHidden = document.hidden;
    element("cross").classList.add("seen");
    await wait(CROSS_MS);
    element("cross").classList.remove("seen");
    if (data.exposure === null) return askUnlimited();
    const first = await expose(data.turns ? pictures.slice(0, 1) : pictures);
    let [second, end] = ["", first.end];
    if (data.turns) {
      await wait(BETWEEN_MS);
      const other = await expose(pictures.slice(1));
      [second, end] = [other.length.toFixed(1), other.end];
    }
    const { choice, time } = await chosen();
    return { choice, response: Math.max(0, time - end), exposures: [first.length.toFixed(1), second] };
  }

  async function askUnlimited() {
    const start = await setSeen(pictures, true);
    const { choice, time } = await chosen();
    const end = await setSeen(pictures, false);
    return { choice, response: Math.max(0, time - start), exposures: [(end - start).toFixed(1), ""] };
  }

  async function practise([, ...rest], number) {
    const right = rest.pop();
    element("progress").textContent = `Practice ${number + 1} of ${data.practice.length}`;
    const { choice } = await ask(rest);
    const made = (answer) => `${answer === "real" ? "real" : "made"} colours`;
    const truths = data.paired ? data.answers.map((side) => (side === right ? "real" : "fake")) : [right];
    truths.forEach((truth, index) => { captions[index].textContent = made(truth); });
    const verdict = data.answers[choice] === right ? "That is right." : "That is not right.";
    element("verdict").textContent = data.paired
      ? `${verdict} The ${right} picture has the real colours.` : `${verdict} These are ${made(right)}.`;
    element("answers").hidden = true;
    element("feedback").hidden = false;
    await setSeen(pictures, true);
    await pressed(element("next"));
    await setSeen(pictures, false);
    element("feedback").hidden = true;
    element("answers").hidden = false;
  }

  async function record([trial, ...names], index, count) {
    element("progress").textContent = `${index + 1} of ${count}`;
    state.showings[trial] = (state.showings[trial] || 0) + 1;
    keep();
    const { choice, response, exposures } = await ask(names);
    const size = `${window.innerWidth}x${window.innerHeight}@${window.devicePixelRatio}`;
    addRow([data.study, state.participant, data.session, index + 1, trial, data.answers[choice],
      response.toFixed(1), ...exposures, state.showings[trial], wasHidden ? 1 : 0, frame.toFixed(2), size,
      new Date().toISOString()].map(String));
    keep();
  }

  async function run() {
    const trials = data.trials;
    const begun = state.rows.length;
    if (!begun && data.practice.length) {
      for (const [number, trial] of data.practice.entries()) await practise(trial, number);
      await pause("The practice is over", `Now come ${trials.length} trials. You are not told any more whether you are right.`);
    }
    for (let index = begun; index < trials.length; index++) {
      if (index > begun && index % BREAK_AFTER === 0) {
        await pause("A break", `${index} of ${trials.length} trials are done. Rest your eyes, and go on when you like.`);
      }
      for (const name of trials.slice(index + 1, index + 3).flatMap((trial) => trial.slice(1))) fetchPicture(name);
      await record(trials[index], index, trials.length);
    }
    element("csv").value = csv();
    show("done");
    element("save").focus();
  }

  // The beginning and the end.

  function begin(event) {
    event.preventDefault();
    state.participant = cleanName(element("participant").value);
    if (!state.participant) return;
    const found = kept();
    if (found) [state.rows, state.showings] = [found.rows, found.showings || {}];
    run().catch(() => fail("A picture of this study could not be shown. Keep index.html beside its folder of pictures, and reload this page: your answers are kept."));
  }

  function save() {
    const link = document.createElement("a");
    const file = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.href = file;
    link.download = `answers-${data.study}-${state.participant.replace(/[^A-Za-z0-9]+/g, "-")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(file), 10000);
  }

  async function copy() {
    element("csv").select();
    try {
      await navigator.clipboard.writeText(csv());
      element("copied").textContent = "Copied.";
    } catch {
      element("copied").textContent = "The text is marked: copy it by the keyboard or the menu.";
    }
  }

  function forget() {
    try {
      localStorage.removeItem(place());
      element("forgotten").textContent = "Deleted.";
    } catch {
      element("forgotten").textContent = "This browser keeps nothing of this page.";
    }
  }

  document.addEventListener("visibilitychange", () => { wasHidden ||= document.hidden; });
  element("participant").value = cleanName(new URLSearchParams(location.search).get("participant") || "");
  element("entry").addEventListener("submit", begin);
  element("save").addEventListener("click", save);
  element("copy").addEventListener("click", copy);
  element("forget").addEventListener("click", forget);
}
