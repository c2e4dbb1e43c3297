// The tables: sorted by a click on a column's head, downloaded as they stand.

// Once more the other way round; what has no number goes by its text, or last.
function sortBy(head) {
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
}

// Numbers in full, with a column more for their deviations; a text that a spreadsheet would compute is quoted.
function csvOf(table) {
  const heads = [...table.tHead.rows[0].cells].filter((cell) => !cell.hidden);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden)
    .map((row) => [...row.cells].filter((cell) => !cell.hidden));
  const has = (part) => heads.map((_, i) => rows.some((cells) => cells[i].dataset[part] !== undefined));
  const [numeric, spread, noted] = [has("value"), has("sd"), has("note")];
  const text = (words) => `"${(/^[=+\-@\t\r]/.test(words) ? "'" : "") + words.replaceAll('"', '""')}"`;
  const head = heads.flatMap((cell, i) => {
    const name = cell.title || cell.textContent.trim();
    return [name, ...(spread[i] ? [`${name} sd`] : []), ...(noted[i] ? [`${name} note`] : [])].map(text);
  });
  const body = rows.map((cells) =>
    cells.flatMap((cell, i) => [
      numeric[i] ? cell.dataset.value ?? "" : text(cell.textContent.trim()),
      ...(spread[i] ? [cell.dataset.sd ?? ""] : []),
      ...(noted[i] ? [text(cell.dataset.note ?? "")] : []),
    ]));
  return [head, ...body].map((line) => `${line.join(",")}\r\n`).join("");
}

function download(table) {
  const name = `${document.title} ${table.caption.querySelector("span").textContent}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csvOf(table)], { type: "text/csv" }));
  link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, "-").toLowerCase()}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

for (const head of document.querySelectorAll("th[aria-sort]")) {
  head.firstElementChild.addEventListener("click", () => sortBy(head));
}
for (const button of document.querySelectorAll("caption button")) {
  button.addEventListener("click", () => download(button.closest("table")));
}
