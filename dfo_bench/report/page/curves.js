// The panels: medians and quartiles, or single runs, against the cost that the reader has chosen.
const FONT = { family: "system-ui, sans-serif", size: 13, color: "#1d2430" };
const AXIS = { gridcolor: "#e8ebf0", linecolor: "#9aa3b2", ticks: "outside", tickcolor: "#9aa3b2", zeroline: false };
const TOUCH = matchMedia("(pointer: coarse)").matches;
const PAPER = { width: 325, height: 250 }; // pixels: half of a page of A4 between its margins
const OPTIONS = {
  responsive: true,
  displaylogo: false,
  displayModeBar: TOUCH ? false : "hover",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none of those that send data elsewhere
};

// Python packs numbers as base64 of 32-bit floats, or lists them where these have no room for their size.
function unpacked(text) {
  if (Array.isArray(text)) return text.map((number) => number ?? NaN);
  return Array.from(new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer));
}

// plotly reads markup in names, but knows no &quot;.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function amount(axis) {
  return { B: "%{x:.4~s}B", s: "%{x:,.4~r} s" }[axis.unit] ?? `%{x:,.0f} ${axis.unit}`;
}

// A panel has bands for every cost, or one axis of its own.
function axisOf(data) {
  return data.axis ?? page.axes[choices.x];
}

function bandOf(data, label) {
  return data.groups[label].bands[data.axis ? "own" : choices.x];
}

function written(value) {
  return isNaN(value) ? "none: a run has no loss" : String(Number(value.toPrecision(4)));
}

// The lower edge, the upper edge filled down to it, and the median on top, all staircases. Where a quartile is a run
// without a loss, the band is open: it reaches to the top.
function bandTraces(data, label, count, top) {
  const group = data.groups[label];
  const band = bandOf(data, label);
  if (!band) return [];
  const look = page.groups[label];
  const [x, lower, median, upper] = [band.x, band.lower, band.median, band.upper].map(unpacked);
  const common = { x, legendgroup: label };
  const edge = { ...common, mode: "lines", hoverinfo: "skip", line: { shape: "hv", width: 0 } };
  const tint = Math.round(255 * Math.min(0.15, 0.5 / count)).toString(16).padStart(2, "0");
  const edges = [
    { ...edge, y: lower },
    { ...edge, y: upper.map((value) => (isNaN(value) ? top : value)), fill: "tonexty", fillcolor: look.colour + tint },
  ];
  const words = data.words ?? { middle: "median of {n} runs", edges: "quartiles" };
  const middle = group.n === 1 ? "1 run" : words.middle.replace("{n}", group.n);
  const line = {
    ...common,
    y: median,
    mode: "lines+markers",
    line: { shape: "hv", color: look.colour, dash: look.dash, width: 2 },
    marker: { symbol: look.marker, size: 7, maxdisplayed: 7, color: look.colour },
    customdata: lower.map((value, i) => `${written(value)} to ${written(upper[i])}`),
    hovertemplate:
      `<b>${plain(label)}</b><br>${amount(axisOf(data))}<br>${middle}: %{y:.4~g}` +
      (group.n === 1 ? "" : `<br>${words.edges} %{customdata}`) + "<extra></extra>",
  };
  // The intervals of many means hide each other and the lines: then they are told by the pointer alone.
  const clear = !data.axis || count <= 4;
  return choices.spread === "bands" && group.n > 1 && clear ? [...edges, line] : [line];
}

function runTrace(run) {
  const each = choices.x in run.at ? 1 : run.each[choices.x];
  if (!each) return [];
  const look = page.groups[run.group];
  const state = run.status === "finished" ? "" : `, ${run.status}`;
  return {
    x: unpacked(run.at[choices.x] ?? run.at.evaluation).map((place) => place * each),
    y: unpacked(run.value),
    legendgroup: run.group,
    mode: "lines",
    line: { shape: "hv", color: look.colour, dash: look.dash, width: 1 },
    opacity: 0.6,
    hovertemplate:
      `<b>${plain(run.group)}</b><br>seed ${run.seed}${state}<br>${amount(page.axes[choices.x])}: %{y:.4~g}` +
      "<extra></extra>",
  };
}

function tracesOf(data) {
  const labels = Object.keys(data.groups).filter(isGroupShown);
  const runs = choices.spread === "runs" ? data.runs.filter((run) => isGroupShown(run.group)).flatMap(runTrace) : [];
  const bands = labels.map((label) => bandOf(data, label)).filter(Boolean);
  const top = Math.max(...bands.flatMap((band) => [...unpacked(band.median), ...unpacked(band.upper)]).filter(isFinite));
  return [...runs, ...labels.flatMap((label) => bandTraces(data, label, labels.length, top))];
}

function layoutOf(data, log, place) {
  const axis = axisOf(data);
  const tick = { B: { tickformat: "~s", ticksuffix: "B" }, s: { tickformat: ",~r" } }[axis.unit] ?? { tickformat: "~s" };
  if (axis.unit === "calls") tick.tickformat = ",~r";
  return {
    font: FONT,
    autosize: true,
    height: place.clientHeight,
    margin: { l: 64, r: 12, t: 28, b: 48 },
    showlegend: false, // the page's own legend switches all panels at once
    hovermode: "closest",
    hoverlabel: { bgcolor: "#ffffff", align: "left" },
    dragmode: TOUCH ? false : "zoom", // a finger scrolls the page
    xaxis: { title: { text: axis.name }, rangemode: "tozero", nticks: 6, ...tick, ...AXIS },
    yaxis: {
      title: { text: plain(data.value) }, type: log ? "log" : "linear", exponentformat: log ? "power" : "B",
      autorange: data.reversed ? "reversed" : true, ...AXIS,
    },
  };
}

// What a figure cannot show is said under it; where nothing is left, it is said in its place.
function remark(data, traces, log) {
  if (!Object.keys(data.groups).some(isGroupShown)) return "Every line of this figure is hidden by your choice.";
  if (!traces.length) return `No ${axisOf(data).name} are counted here: choose another axis.`;
  const left = Object.keys(data.groups).filter((label) => isGroupShown(label) && !bandOf(data, label));
  if (left.length) return `Without ${axisOf(data).name}, and so not drawn: ${left.join(", ")}.`;
  const lost = log && traces.some((trace) => trace.y.some((value) => value <= 0));
  return lost ? "Values of 0 and below have no place on a logarithmic axis and are left out." : "";
}

class Curve {
  constructor(figure) {
    this.figure = figure;
    this.place = figure.querySelector(".plot");
    this.fresh = false;
  }

  // Read when it is needed: a page may hold megabytes of them.
  get data() {
    return (this.read ??= JSON.parse(this.figure.querySelector("script").textContent));
  }

  draw() {
    if (this.fresh || !this.figure.offsetParent) return; // hidden ones are drawn when they are shown
    this.fresh = true;
    const log = choices.y === "auto" || this.data.axis ? this.data.log : choices.y === "log";
    const traces = tracesOf(this.data);
    const note = this.figure.querySelector(".remark");
    note.textContent = remark(this.data, traces, log);
    note.hidden = !note.textContent;
    this.place.hidden = !traces.length;
    if (traces.length) Plotly.react(this.place, traces, layoutOf(this.data, log, this.place), OPTIONS);
  }
}

const curves = [...document.querySelectorAll("figure.curve")].map((figure) => new Curve(figure));

// A panel is drawn when it comes near the window, so that a page of many opens at once.
const near = new IntersectionObserver((seen) => {
  for (const one of seen) {
    const curve = curves.find((each) => each.figure === one.target);
    curve.inView = one.isIntersecting;
    if (curve.inView) curve.draw();
  }
}, { rootMargin: "300px" });

function redrawCurves() {
  for (const curve of curves) curve.fresh = false;
  for (const curve of curves) if (curve.inView) curve.draw();
}

// Paper has no window: every panel is drawn, as wide as its half of the page.
addEventListener("beforeprint", () => {
  for (const curve of curves) {
    curve.draw();
    if (curve.place.offsetParent) Plotly.relayout(curve.place, { ...PAPER, autosize: false });
  }
});
addEventListener("afterprint", () => {
  for (const curve of curves) {
    const { clientHeight: height, offsetParent: shown } = curve.place;
    if (shown) Plotly.relayout(curve.place, { width: null, height, autosize: true });
  }
});
