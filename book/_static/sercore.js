// Tables sort by the buttons in their headers: upwards, downwards, and as they were; and tell that they scroll.
"use strict";

(() => {
  const MANY = 12; // rows from which a table can be filtered
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

  // rows that hold every word of the text stay; how many is told to those who do not see it
  function filter(table, rows) {
    const told = document.createElement("span"), box = document.createElement("label"), input = document.createElement("input");
    told.setAttribute("role", "status");
    input.type = "search";
    input.placeholder = "Filter rows";
    input.setAttribute("aria-label", `Filter the rows of: ${table.closest("figure").querySelector("figcaption").textContent}`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
      told.textContent = words.length ? `${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : "";
    });
    box.className = "sercore-filter";
    box.append(input, told);
    table.closest(".sercore-scroll").before(box);
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length >= MANY) filter(table, rows);
    for (const button of table.tHead.querySelectorAll("button")) {
      const header = button.closest("th");
      if (rows[0]?.cells[header.cellIndex].classList.contains("number")) header.classList.add("number");
      button.addEventListener("click", () => sort(table, header, rows));
    }
  }

  // a box that can be scrolled further says so at its right edge, and one that can be scrolled at all takes the focus
  function hint(box) {
    const look = () => {
      box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    };
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
  }

  function start() {
    document.querySelectorAll(".sercore-table table").forEach(prepare);
    document.querySelectorAll(".sercore-scroll, .sercore-pan").forEach(hint);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
