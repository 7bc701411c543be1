"use strict";
/* What a reader does with the page: light or dark, and finding decisions. */
(() => {
  const root = document.documentElement;

  function useTheme(name) { root.dataset.theme = name; charts.draw(); }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => useTheme(dark.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => useTheme(root.dataset.theme === "dark" ? "light" : "dark"));

  useTheme(dark.matches ? "dark" : "light");

  const table = document.getElementById("decision-table");
  if (!table) return; // nothing has been decided yet
  const body = table.tBodies[0];
  let verdict = "";
  const search = document.getElementById("search");
  function filter() {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of body.rows) {
      const fits = (!verdict || row.dataset.verdict === verdict) && row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      shown += fits;
    }
    document.getElementById("nothing").hidden = shown > 0;
  }
  search.addEventListener("input", filter);
  const chips = document.querySelectorAll(".chips button");
  chips.forEach((chip) => chip.addEventListener("click", () => {
    verdict = chip.dataset.verdict;
    chips.forEach((other) => other.setAttribute("aria-pressed", String(other === chip)));
    filter();
  }));

  function sort(column, heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value;
    const isNumber = heading.dataset.type === "number";
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (isNumber && (x === "" || y === "")) return (x === "") - (y === "");
      return (isNumber ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
    };
    body.append(...[...body.rows].sort(order));
  }
  table.querySelectorAll("th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(column, heading));
  });
})();
