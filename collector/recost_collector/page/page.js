"use strict";
// Comfort only: a tip that follows the pointer in place of the browser's own, and tables that sort.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

for (const slot of document.querySelectorAll(".slot")) {
  const title = slot.querySelector("title");
  const text = title.textContent;
  slot.setAttribute("aria-label", text);
  title.remove();
  slot.addEventListener("pointermove", (event) => {
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  slot.addEventListener("pointerleave", () => { tip.hidden = true; });
}

function sort(head, at) {
  const body = head.closest("table").tBodies[0];
  const isText = head.classList.contains("name");
  const descending = head.ariaSort ? head.ariaSort === "ascending" : !isText;
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.ariaSort = descending ? "descending" : "ascending";
  const order = (one, other) => isText
    ? one.cells[at].textContent.localeCompare(other.cells[at].textContent)
    : Number(one.cells[at].dataset.value) - Number(other.cells[at].dataset.value);
  const rows = [...body.rows].filter((row) => row.cells.length > at);
  rows.sort((one, other) => descending ? -order(one, other) : order(one, other));
  body.prepend(...rows);
}

for (const head of document.querySelectorAll("th")) {
  head.dataset.sorts = "";
  head.tabIndex = 0;
  head.addEventListener("click", () => sort(head, head.cellIndex));
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head, head.cellIndex); });
}
