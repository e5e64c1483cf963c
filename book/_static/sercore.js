// Tables sort by the buttons in their headers: upwards, downwards, and as they were; and tell that they scroll.
"use strict";

(() => {
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  function compare(a, b) {
    const x = a.dataset.value ?? "", y = b.dataset.value ?? "";
    if (x !== "" && y !== "") return Number(x) - Number(y);
    return a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
  }

  function isEmpty(cell) {
    return cell.textContent.trim() === "–";
  }

  function sort(table, header, rows) {
    const order = NEXT[header.getAttribute("aria-sort")];
    for (const other of header.parentElement.children) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const column = header.cellIndex, sign = order === "descending" ? -1 : 1;
    const sorted = order === "none" ? rows : rows.toSorted((a, b) => {
      const x = a.cells[column], y = b.cells[column];
      // what was not measured stays at the end, whichever way
      if (isEmpty(x) || isEmpty(y)) return isEmpty(x) - isEmpty(y);
      return sign * compare(x, y);
    });
    table.tBodies[0].append(...sorted);
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows];
    for (const button of table.tHead.querySelectorAll("button")) {
      const header = button.closest("th");
      if (rows[0]?.cells[header.cellIndex].classList.contains("number")) header.classList.add("number");
      button.addEventListener("click", () => sort(table, header, rows));
    }
  }

  // a box that can be scrolled further says so at its right edge
  function hint(box) {
    const look = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
  }

  function start() {
    document.querySelectorAll(".sercore-table table").forEach(prepare);
    document.querySelectorAll(".sercore-scroll").forEach(hint);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
