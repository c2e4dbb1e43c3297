"use strict";

const options = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none of those that send data elsewhere
};
const plots = [...document.querySelectorAll(".plot")];
for (const plot of plots) {
  const { data, layout } = JSON.parse(plot.nextElementSibling.textContent);
  Plotly.newPlot(plot, data, layout, options);
}
for (const moment of ["beforeprint", "afterprint"]) {
  addEventListener(moment, () => plots.forEach((plot) => Plotly.Plots.resize(plot)));
}

// A button of the legend shows or hides its group in every panel of the page.
const switches = [...document.querySelectorAll(".legend button")];
for (const button of switches) {
  button.addEventListener("click", () => {
    const shown = button.ariaPressed !== "true";
    const group = button.dataset.group;
    switches.filter((other) => other.dataset.group === group).forEach((other) => { other.ariaPressed = String(shown); });
    for (const plot of plots) {
      const traces = plot.data.flatMap((trace, i) => (trace.legendgroup === group ? [i] : []));
      if (traces.length) Plotly.restyle(plot, { visible: shown }, traces);
    }
  });
}

// A column's head sorts by it, once more the other way round; what has no number goes by its text, or last.
for (const head of document.querySelectorAll("th")) {
  head.firstElementChild.addEventListener("click", () => {
    const down = head.ariaSort === "ascending";
    for (const other of head.parentElement.cells) other.ariaSort = "none";
    head.ariaSort = down ? "descending" : "ascending";
    const body = head.closest("table").tBodies[0];
    const number = (row) => parseFloat(row.cells[head.cellIndex].dataset.value);
    const text = (row) => row.cells[head.cellIndex].textContent;
    const numeric = [...body.rows].some((row) => !isNaN(number(row)));
    const compare = numeric ? (a, b) => number(a) - number(b) : (a, b) => text(a).localeCompare(text(b));
    const rows = [...body.rows].filter((row) => !numeric || !isNaN(number(row))).sort(compare);
    const rest = [...body.rows].filter((row) => numeric && isNaN(number(row)));
    body.append(...(down ? rows.reverse() : rows), ...rest);
  });
}
