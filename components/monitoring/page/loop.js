"use strict";
(() => {
  const story = JSON.parse(document.getElementById("story").textContent);
  const root = document.documentElement;
  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const windows = story.windows;
  const middle = (w) => new Date((Date.parse(w.start) + Date.parse(w.end)) / 2).toISOString();
  const day = (text) => new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const span = (w) => day(w.start) + " – " + day(w.end);
  // Long sentences in a hover box are broken into lines, since Plotly does not.
  const wrapped = (text, width = 58) => escaped(text).replace(new RegExp(`(.{1,${width}})(\\s+|$)`, "g"), "$1<br>").replace(/<br>$/, "");
  const range = [windows[0].start, windows[windows.length - 1].end];
  const reduced = window.innerWidth < 720;

  function layout(more) {
    const axis = { gridcolor: color("line"), linecolor: color("line"), zeroline: false, automargin: true, fixedrange: reduced };
    return Object.assign({
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("soft") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 44, r: 12, t: 30, b: 34 }, hovermode: "closest", dragmode: reduced ? false : "zoom",
      hoverlabel: { align: "left", bgcolor: color("card"), bordercolor: color("line"), font: { color: color("ink"), size: 13 } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: color("ink") } },
      xaxis: Object.assign({ range, type: "date", nticks: reduced ? 5 : 10, tickformat: "%-d %b" }, axis, { showgrid: false }), yaxis: axis,
    }, more);
  }

  /** One band for each stretch of windows that the same version answered. */
  function bands() {
    const found = [];
    windows.forEach((w) => {
      const last = found[found.length - 1];
      if (last && last.version === w.version) last.end = w.end;
      else found.push({ version: w.version, start: w.start, end: w.end });
    });
    return found;
  }

  function line(name, key, style) {
    return {
      name, legendrank: style.rank, x: windows.map(middle), y: windows.map((w) => w[key]), mode: "lines+markers", type: "scatter", connectgaps: false,
      line: Object.assign({ color: color(style.color), width: 2.5 }, style.line || {}),
      marker: { color: color(style.color), size: 7, symbol: style.symbol },
      customdata: windows.map((w) => [span(w), w.version, wrapped(w.reason), w.labelled.toLocaleString("en")]),
      hovertemplate: "<b>" + name + " %{y:.3f}</b><br>%{customdata[0]}<br>version %{customdata[1]}, %{customdata[3]} labels<br><br>%{customdata[2]}<extra></extra>",
    };
  }

  const MARKS = {
    promotion: { symbol: "triangle-up", color: "good", name: "promoted" },
    rejection: { symbol: "x", color: "bad", name: "not promoted" },
  };

  function events(kind, level) {
    const found = story.events.filter((e) => e.kind === kind && Date.parse(e.at) <= Date.parse(range[1]));
    const mark = MARKS[kind];
    return {
      name: mark.name, legendrank: 3, type: "scatter", mode: "markers", x: found.map((e) => e.at), y: found.map(() => level),
      marker: { symbol: mark.symbol, size: 12, color: color(mark.color), line: { color: color("card"), width: 1.5 } },
      customdata: found.map((e) => [e.version === null ? "" : " v" + e.version, day(e.at), wrapped(e.detail)]),
      hovertemplate: "<b>" + mark.name + "%{customdata[0]}</b><br>%{customdata[1]}<br><br>%{customdata[2]}<extra></extra>",
      showlegend: found.length > 0,
    };
  }

  function drawQuality() {
    const values = windows.flatMap((w) => [w.auc_loop, w.auc_static]).filter((v) => v !== null);
    const low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
    const pad = Math.max((high - low) * 0.12, 0.005);
    const floor = low - 2.2 * pad;
    const live = bands();
    const shapes = live.map((b, i) => ({ type: "rect", xref: "x", yref: "paper", x0: b.start, x1: b.end, y0: 0, y1: 1, line: { width: 0 }, layer: "below", fillcolor: color(i % 2 ? "band-b" : "band-a") }));
    live.slice(1).forEach((b) => shapes.push({ type: "line", xref: "x", yref: "paper", x0: b.start, x1: b.start, y0: 0, y1: 1, line: { color: color("good"), width: 1, dash: "dot" } }));
    const annotations = live.map((b) => ({ xref: "x", yref: "paper", x: b.start, y: 1, xanchor: "left", yanchor: "top", xshift: 2, text: b.version === null ? "" : "v" + b.version, showarrow: false, font: { size: 12, color: color("soft") } }));
    Plotly.react("quality-chart", [
      line("first version left alone", "auc_static", { rank: 2, color: "static", symbol: "square", line: { dash: "dash", width: 2 } }),
      line("the loop", "auc_loop", { rank: 1, color: "loop", symbol: "circle" }),
      events("promotion", floor + pad * 0.8), events("rejection", floor + pad * 0.8),
    ], layout({ shapes, annotations, yaxis: Object.assign({}, layout().yaxis, { range: [floor, high + 1.6 * pad], tickformat: ".2f" }) }), { displayModeBar: false, responsive: true });
  }

  function drawDrift() {
    const limit = story.drift_limit;
    const over = (w) => limit !== null && w.drift_share !== null && w.drift_share >= limit;
    const bars = (name, keep, fill, pattern) => ({
      name, type: "bar", x: windows.map(middle), y: windows.map((w) => (keep(w) ? w.drift_share : null)),
      width: windows.map((w) => (Date.parse(w.end) - Date.parse(w.start)) * 0.82),
      marker: { color: color(fill), pattern: { shape: pattern, fillmode: "overlay", fgcolor: color("card"), fgopacity: 0.55, size: 7, solidity: 0.3 } },
      customdata: windows.map((w) => [span(w), w.rows.toLocaleString("en"), wrapped(w.reason)]),
      hovertemplate: "<b>%{y:.0%} drifted</b><br>%{customdata[0]}<br>%{customdata[1]} rows<br><br>%{customdata[2]}<extra></extra>",
    });
    const shapes = limit === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: limit, y1: limit, line: { color: color("static"), width: 2, dash: "dash" } }];
    const annotations = limit === null ? [] : [{ xref: "paper", x: 1, y: limit, xanchor: "right", yanchor: "bottom", text: "limit " + Math.round(limit * 100) + "%", showarrow: false, font: { color: color("static") }, bgcolor: color("card") }];
    const most = Math.max(limit || 0, ...windows.map((w) => w.drift_share || 0), 0.1);
    Plotly.react("drift-chart", [bars("within the limit", (w) => !over(w), "bar", ""), bars("at or over it", over, "static", "/")],
      layout({ shapes, annotations, barmode: "overlay", showlegend: limit !== null, yaxis: Object.assign({}, layout().yaxis, { range: [0, Math.min(most * 1.2, 1.05)], tickformat: ".0%" }) }), { displayModeBar: false, responsive: true });
  }

  function draw() { drawQuality(); drawDrift(); }

  function useTheme(name) { root.dataset.theme = name; draw(); }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => useTheme(dark.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => useTheme(root.dataset.theme === "dark" ? "light" : "dark"));

  const table = document.getElementById("decision-table");
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

  useTheme(dark.matches ? "dark" : "light");
})();
