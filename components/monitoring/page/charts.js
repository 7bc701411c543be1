"use strict";
/* The charts of the page. Each is drawn only where the page has a place for it: what there is nothing of has a sentence. */
const charts = (() => {
  const story = JSON.parse(document.getElementById("story").textContent);
  const root = document.documentElement;
  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const windows = story.windows;
  const middle = (w) => new Date((Date.parse(w.start) + Date.parse(w.end)) / 2).toISOString();
  const day = (text) => new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const span = (w) => day(w.start) + " – " + day(w.end);
  const said = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));
  const counted = (value) => (value === null ? "–" : value.toLocaleString("en"));
  // Long sentences in a hover box are broken into lines, since Plotly does not.
  const wrapped = (text, width = 58) => escaped(text).replace(new RegExp(`(.{1,${width}})(\\s+|$)`, "g"), "$1<br>").replace(/<br>$/, "");
  const range = windows.length ? [windows[0].start, windows[windows.length - 1].end] : [];
  const reduced = window.innerWidth < 720;
  const known = (key) => windows.some((w) => w[key] !== null && w[key] !== undefined);

  function layout(more) {
    const axis = { gridcolor: color("line"), linecolor: color("line"), zeroline: false, automargin: true, fixedrange: reduced };
    return Object.assign({
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("soft") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 44, r: 12, t: more && more.showlegend === false ? 10 : 30, b: 34 }, hovermode: "closest", dragmode: reduced ? false : "zoom",
      hoverlabel: { align: "left", bgcolor: color("card"), bordercolor: color("line"), font: { color: color("ink"), size: 13 } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: color("ink") } },
      xaxis: Object.assign({ range, type: "date", nticks: reduced ? 5 : 10, tickformat: "%-d %b" }, axis, { showgrid: false }), yaxis: axis,
    }, more);
  }

  function put(id, traces, more) {
    const yaxis = Object.assign({}, layout().yaxis, more.yaxis || {});
    Plotly.react(id, traces, layout(Object.assign({}, more, { yaxis })), { displayModeBar: false, responsive: true });
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
      name, legendrank: style.rank, x: windows.map(middle), y: windows.map((w) => w[key]), mode: style.mode || "lines+markers", type: "scatter", connectgaps: false,
      line: Object.assign({ color: color(style.color), width: 2.5 }, style.line || {}),
      marker: { color: color(style.color), size: windows.length > 60 ? 4 : 7, symbol: style.symbol },
      customdata: windows.map((w) => [span(w), w.version, wrapped(w.reason), counted(w.labelled), known_then(w)]),
      hovertemplate: "<b>" + name + " %{y:.3f}</b><br>%{customdata[0]}<br>version %{customdata[1]}, %{customdata[3]} labels%{customdata[4]}<br><br>%{customdata[2]}<extra></extra>",
    };
  }

  /** What was known when it was decided, where more labels have come since. */
  function known_then(w) {
    if (w.labelled_then === null || w.labelled_then === w.labelled) return "";
    return "<br>when decided: " + said(w.then) + " on " + counted(w.labelled_then) + " labels";
  }

  /** The 95 % interval as an area, one for each run of windows that have one. */
  function interval(low, high, fill) {
    const x = [], y = [];
    let open = [];
    const close = () => {
      if (open.length) {
        x.push(...open.map(middle), ...[...open].reverse().map(middle), null);
        y.push(...open.map((w) => w[high]), ...[...open].reverse().map((w) => w[low]), null);
      }
      open = [];
    };
    windows.forEach((w) => (w[low] === null || w[high] === null ? close() : open.push(w)));
    close();
    return { x, y, type: "scatter", mode: "lines", fill: "toself", fillcolor: color(fill), line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  }

  const MARKS = {
    promotion: { symbol: "triangle-up", color: "good", name: "promoted" },
    rejection: { symbol: "x", color: "bad", name: "not promoted" },
    rollback: { symbol: "triangle-left", color: "bad", name: "rolled back" },
  };

  function events(kind, level) {
    const inside = (e) => Date.parse(e.at) <= Date.parse(range[1]) && Date.parse(e.at) >= Date.parse(range[0]);
    const found = story.events.filter((e) => e.kind === kind && inside(e));
    const mark = MARKS[kind];
    return {
      name: mark.name, legendrank: 5, type: "scatter", mode: "markers", x: found.map((e) => e.at), y: found.map(() => level),
      marker: { symbol: mark.symbol, size: 12, color: color(mark.color), line: { color: color("card"), width: 1.5 } },
      customdata: found.map((e) => [e.version === null ? "" : " v" + e.version, day(e.at), wrapped(e.detail)]),
      hovertemplate: "<b>" + mark.name + "%{customdata[0]}</b><br>%{customdata[1]}<br><br>%{customdata[2]}<extra></extra>",
      showlegend: found.length > 0,
    };
  }

  function drawQuality(id) {
    const keys = ["auc_loop", "auc_static", "expected", "low", "high", "expected_low", "expected_high", "reference"];
    const values = windows.flatMap((w) => keys.map((key) => w[key])).filter((v) => v !== null);
    const low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
    const pad = Math.max((high - low) * 0.12, 0.005);
    const floor = low - 2.2 * pad;
    const live = bands();
    const shapes = live.map((b, i) => ({ type: "rect", xref: "x", yref: "paper", x0: b.start, x1: b.end, y0: 0, y1: 1, line: { width: 0 }, layer: "below", fillcolor: color(i % 2 ? "band-b" : "band-a") }));
    live.slice(1).forEach((b) => shapes.push({ type: "line", xref: "x", yref: "paper", x0: b.start, x1: b.start, y0: 0, y1: 1, line: { color: color("good"), width: 1, dash: "dot" } }));
    const annotations = live.map((b) => ({ xref: "x", yref: "paper", x: b.start, y: 1, xanchor: "left", yanchor: "top", xshift: 2, text: b.version === null ? "" : "v" + b.version, showarrow: false, font: { size: 12, color: color("soft") } }));
    const loop = known("auc_static") ? "the loop" : story.metric;
    const traces = [];
    if (known("expected_low")) traces.push(interval("expected_low", "expected_high", "expected-area"));
    if (known("low")) traces.push(interval("low", "high", "loop-area"));
    if (known("reference")) traces.push(line("at registration", "reference", { rank: 4, color: "calm", mode: "lines", line: { dash: "dot", width: 1.5, shape: "hvh" } }));
    if (known("auc_static")) traces.push(line("first version left alone", "auc_static", { rank: 2, color: "static", symbol: "square", line: { dash: "dash", width: 2 } }));
    if (known("expected")) traces.push(line("expected", "expected", { rank: 3, color: "expected", symbol: "diamond", line: { dash: "dash", width: 2 } }));
    if (known("auc_loop")) traces.push(line(loop, "auc_loop", { rank: 1, color: "loop", symbol: "circle" }));
    traces.push(events("promotion", floor + pad * 0.8), events("rejection", floor + pad * 0.8));
    if (story.events.some((e) => e.kind === "rollback")) traces.push(events("rollback", floor + pad * 0.8));
    put(id, traces, { shapes, annotations, yaxis: { range: [floor, high + 1.6 * pad], tickformat: high > 100 ? ",.0f" : ".2f" } });
  }

  function drawDrift(id) {
    const limit = story.drift_limit;
    const over = (w) => limit !== null && w.drift_share !== null && w.drift_share >= limit;
    const bars = (name, keep, fill, pattern) => ({
      name, type: "bar", x: windows.map(middle), y: windows.map((w) => (keep(w) ? w.drift_share : null)), width: windows.map(breadth),
      marker: { color: color(fill), pattern: { shape: pattern, fillmode: "overlay", fgcolor: color("card"), fgopacity: 0.55, size: 7, solidity: 0.3 } },
      customdata: windows.map((w) => [span(w), counted(w.rows), wrapped(w.reason)]),
      hovertemplate: "<b>%{y:.0%} drifted</b><br>%{customdata[0]}<br>%{customdata[1]} rows<br><br>%{customdata[2]}<extra></extra>",
    });
    const shapes = limit === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: limit, y1: limit, line: { color: color("static"), width: 2, dash: "dash" } }];
    const annotations = limit === null ? [] : [{ xref: "paper", x: 1, y: limit, xanchor: "right", yanchor: "bottom", text: "limit " + Math.round(limit * 100) + "%", showarrow: false, font: { color: color("static") }, bgcolor: color("card") }];
    const most = Math.max(limit || 0, ...windows.map((w) => Math.max(w.drift_share || 0, w.weighted_drift || 0)), 0.1);
    const traces = [bars(limit === null ? "drifted" : "within the limit", (w) => !over(w), "bar", ""), bars("at or over it", over, "static", "/")];
    if (limit === null) traces.pop();
    if (known("weighted_drift")) traces.push(plain("weighted by importance", "weighted_drift", ".0%", { color: "loop" }));
    put(id, traces, { shapes, annotations, barmode: "overlay", showlegend: traces.length > 1, yaxis: { range: [0, Math.min(most * 1.2, 1.05)], tickformat: ".0%" } });
  }

  const breadth = (w) => (Date.parse(w.end) - Date.parse(w.start)) * 0.82;

  function plain(name, key, form, style) {
    return {
      name, type: style.bar ? "bar" : "scatter", mode: "lines+markers", x: windows.map(middle), y: windows.map((w) => w[key]), connectgaps: false,
      ...(style.bar ? { width: windows.map((w) => breadth(w) * (style.bar === true ? 1 : style.bar)) } : { line: { color: color(style.color), width: 2, dash: style.dash || "solid" } }),
      marker: { color: color(style.color), size: windows.length > 60 ? 4 : 6 },
      customdata: windows.map((w) => [span(w), counted(w.rows), style.more ? style.more(w) : ""]),
      hovertemplate: "<b>" + name + " %{y:" + form + "}</b><br>%{customdata[0]}<br>%{customdata[1]} rows%{customdata[2]}<extra></extra>",
    };
  }

  const late = (w) => (w.delay_hours === null ? "" : "<br>half of them within " + w.delay_hours.toFixed(1) + " h");
  const coverage = (w) => (w.rows ? w.labelled / w.rows : null);

  function drawLabels(id) {
    const bar = plain("with a label", "labelled", ".0%", { color: "bar", bar: true, more: late });
    bar.y = windows.map(coverage);
    put(id, [bar], { showlegend: false, yaxis: { range: [0, 1.05], tickformat: ".0%" } });
  }

  function drawLatency(id) {
    put(id, [plain("p99", "p99_ms", ".1f", { color: "static", dash: "dash" }), plain("p50", "p50_ms", ".1f", { color: "loop" })], { yaxis: { rangemode: "tozero", ticksuffix: " ms" } });
  }

  function drawErrors(id) {
    const bar = plain("failed", "failed", ",d", { color: "static", bar: true, more: (w) => "<br>of " + counted(w.requests) + " requests" });
    const most = Math.max(1, ...windows.map((w) => w.failed || 0));
    const none = windows.some((w) => w.failed) ? [] : [{ xref: "paper", yref: "paper", x: 0.5, y: 0.5, text: "none failed", showarrow: false, font: { color: color("good"), size: 15 } }];
    put(id, [bar], { showlegend: false, annotations: none, yaxis: { range: [0, most * 1.15], tickformat: ",d", nticks: Math.min(most + 1, 6) } });
  }

  function drawCost(id) {
    put(id, [plain("serving", "serving_cost", ",.4~f", { color: "loop", bar: true }), plain("training", "training_cost", ",.4~f", { color: "static", bar: true })], { barmode: "stack", yaxis: { rangemode: "tozero", exponentformat: "none" } });
  }

  const PLACES = {
    "quality-chart": drawQuality, "drift-chart": drawDrift, "labels-chart": drawLabels,
    "latency-chart": drawLatency, "errors-chart": drawErrors, "cost-chart": drawCost,
  };

  function draw() {
    for (const [id, put_there] of Object.entries(PLACES)) if (document.getElementById(id)) put_there(id);
  }

  return { draw };
})();
