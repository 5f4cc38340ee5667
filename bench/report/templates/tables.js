"use strict";
{
  const FEWEST_ROWS = 4; // fewer need no filter

  // Sorting: by the button in the head of a column, the best first where a column says which end that is. What is
  // missing stays below, and so do rows without rank: measured ones below the ranked, published figures below these.
  const valueIn = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();

  const compare = (left, right, up) => {
    if (left === "" || right === "") return (left === "") - (right === "");
    const order = isNaN(left) || isNaN(right) ? left.localeCompare(right, "en", { numeric: true }) : left - right;
    return up ? order : -order;
  };

  const blockOf = (row) => row.matches(".published") ? 2 : row.matches(".unranked") ? 1 : 0;

  const makeSortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      const up = sorted ? sorted !== "ascending" : head.dataset.first !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => blockOf(a) - blockOf(b) || compare(valueIn(a, column), valueIn(b, column), up));
      table.tBodies[0].append(...rows);
    }));
  };

  // Filtering: a row is shown if it fits every choice of the bar above it. Rows and tables carry what they are of.
  const fits = (row, choices) => choices.every(([name, wanted]) => {
    if (name === "text") {
      const names = [...row.querySelectorAll(".left")].map((cell) => cell.textContent.toLowerCase()).join(" ");
      return wanted.toLowerCase().split(/\s+/).every((word) => names.includes(word));
    }
    if (name === "ranked") return !row.matches(".unranked");
    return row.closest(`[data-${name}]`)?.dataset[name] === wanted;
  });

  const applyFilters = (bar, tables) => {
    const choices = [...new FormData(bar)].filter(([name, value]) => name !== "column" && value.trim() !== "");
    let shown = 0;
    let all = 0;
    for (const table of tables) {
      const rows = [...table.querySelectorAll("tbody tr")];
      rows.forEach((row) => { row.hidden = !fits(row, choices); });
      const left = rows.filter((row) => !row.hidden).length;
      table.hidden = left === 0;
      shown += left;
      all += rows.length;
    }
    const ranked = shown && tables.some((table) => table.querySelector("table.board")) ? "; ranks are among all rows of a table" : "";
    bar.querySelector("output").textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows${ranked}`;
    bar.classList.toggle("active", shown < all);
  };

  const applyColumns = (bar, tables) => {
    for (const box of bar.querySelectorAll('input[name="column"]')) {
      for (const table of tables) {
        for (const cell of table.querySelectorAll(`[data-column="${box.value}"]`)) cell.hidden = !box.checked;
      }
    }
  };

  // What lies over the tables goes away by Escape, and by a click elsewhere.
  const makeClosable = (details) => {
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open) return;
      details.open = false;
      details.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => { if (!details.contains(event.target)) details.open = false; });
  };

  const makeFilterable = (room) => {
    const bar = room.querySelector("form.filters");
    const tables = [...room.querySelectorAll(".table")];
    if (room.querySelectorAll(".table tbody tr").length < FEWEST_ROWS) return;
    const apply = () => { applyFilters(bar, tables); applyColumns(bar, tables); };
    bar.addEventListener("input", apply);
    bar.addEventListener("reset", () => setTimeout(apply));
    bar.addEventListener("submit", (event) => event.preventDefault());
    bar.querySelectorAll("details").forEach(makeClosable);
    bar.hidden = false;
    apply();
  };

  // The list of contents tells where the reader is.
  const followReader = (contents) => {
    const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
    const near = new Set();
    const observer = new IntersectionObserver((changes) => {
      for (const change of changes) near[change.isIntersecting ? "add" : "delete"](change.target.id);
      const first = [...links.keys()].find((id) => near.has(id));
      for (const [id, link] of links) {
        if (id === first) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }, { rootMargin: "-20% 0px -60% 0px" });
    for (const id of links.keys()) if (document.getElementById(id)) observer.observe(document.getElementById(id));
  };

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll(".filtered").forEach(makeFilterable);
  document.querySelectorAll("nav.contents").forEach(followReader);
}
