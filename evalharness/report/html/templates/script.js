"use strict";
// Sorting: by the number in data-s, texts by their own order, unknown values last either way.
function sortBy(table, place, header) {
  const up = header.getAttribute("aria-sort") === "descending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const key = (row) => row.cells[place].dataset.s;
  const rows = Array.from(body.rows);
  const numeric = rows.every((row) => !key(row) || Number.isFinite(Number(key(row))));
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
    const order = numeric ? Number(x) - Number(y) : x.localeCompare(y);
    return up ? order : -order;
  });
  body.append(...rows);
}
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    const header = button.closest("th");
    button.addEventListener("click", () => sortBy(table, header.cellIndex, header));
  }
}
// What is folded away on a screen is printed.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
