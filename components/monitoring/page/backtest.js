"use strict";
/* Draws the quality of each strategy over time, in the page's colours. */
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function draw() {
    const given = [colour("--loop"), colour("--good"), colour("--expected"), colour("--ask"), colour("--bad")];
    const traces = data.lines.map((line) => {
      const place = data.policies.indexOf(line.name);
      const isGiven = place >= 0;
      const own = isGiven ? given[place % given.length] : line.name === "never" ? colour("--static") : colour("--bar");
      return {
        name: line.name, x: data.windows, y: line.quality, mode: "lines+markers", connectgaps: false,
        line: { color: own, width: isGiven ? 2.6 : 1.6, dash: isGiven ? "solid" : "dot" }, marker: { color: own, size: isGiven ? 6 : 4 },
        hovertemplate: "%{y:.4f}<extra>" + line.name + "</extra>",
      };
    });
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true };
    Plotly.react("quality-chart", traces, {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colour("--ink"), size: 13 },
      margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: "x unified", showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, xaxis: { ...axis, type: "date" }, yaxis: { ...axis, title: data.metric },
      hoverlabel: { bgcolor: colour("--card"), font: { color: colour("--ink") } },
    }, { responsive: true, displayModeBar: false });
  }
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    draw();
  });
  draw();
})();
