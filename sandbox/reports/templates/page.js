"use strict";
// Theme: as the system, light, dark. A page opened from a file may be refused storage: then the choice is not kept.
const THEMES = ["system", "light", "dark"];
const themeButton = document.getElementById("theme");
function stored() {
  try { return localStorage.getItem("edge-sandbox-theme"); } catch { return null; }
}
function setTheme(name) {
  const theme = THEMES.includes(name) ? name : "system";
  if (theme === "system") { delete document.documentElement.dataset.theme; }
  else { document.documentElement.dataset.theme = theme; }
  themeButton.textContent = "Theme: " + (theme === "system" ? "as the system" : theme);
  themeButton.dataset.now = theme;
}
if (themeButton) {
  setTheme(stored());
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(themeButton.dataset.now) + 1) % THEMES.length];
    setTheme(next);
    try { localStorage.setItem("edge-sandbox-theme", next); } catch { /* not kept */ }
  });
}

// Sorting: numbers largest first, texts from A; what has no value stays last. A second press turns the order.
function key(cell, kind) {
  if (kind === "text") { return cell.textContent.trim().toLowerCase(); }
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}
function sortBy(table, header, kind) {
  const column = [...header.parentElement.children].indexOf(header);
  const before = header.getAttribute("aria-sort");
  const first = kind === "text" ? "ascending" : "descending";
  const order = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [key(row.cells[column], kind), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) { return (a === null) - (b === null); }
    return a < b ? -sign : a > b ? sign : 0;
  });
  body.append(...rows.map(([, row]) => row));
  for (const other of header.parentElement.children) { other.setAttribute("aria-sort", "none"); }
  header.setAttribute("aria-sort", order);
}
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("button[data-sort]")) {
    button.addEventListener("click", () => sortBy(table, button.closest("th"), button.dataset.sort));
  }
}
