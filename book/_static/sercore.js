"use strict";

// What the scripts of single pages share.
window.sercorePage = {
  // an element with attributes (of which those called on... listen), and what is in it
  make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  },
};

// Of parts that stand in tabs one is shown, the same in all of them and on every page; on paper and without scripts all are.
(() => {
  const KEY = "sercore-tab";
  const groups = [];

  function stored() {
    try { return localStorage.getItem(KEY); } catch { return null; } // a page from a disk may not remember
  }

  function choose(title, focus = false) {
    for (const { tabs, panels, titles } of groups) {
      const chosen = titles.indexOf(title);
      if (chosen < 0) continue;
      panels.forEach((panel, i) => { panel.hidden = i !== chosen; });
      tabs.forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === chosen));
        tab.tabIndex = i === chosen ? 0 : -1;
      });
      if (focus && tabs.includes(document.activeElement)) tabs[chosen].focus();
      reveal(tabs[chosen]);
    }
  }

  // where the tabs are one row that scrolls, the chosen one is in sight, and the row says whether it goes on
  function reveal(tab) {
    const list = tab.parentElement;
    list.scrollLeft = tab.offsetLeft - list.offsetLeft - 16;
    goesOn(list);
  }

  function goesOn(list) {
    list.classList.toggle("more", list.scrollLeft + list.clientWidth < list.scrollWidth - 8);
  }

  function remember(title) {
    choose(title, true);
    try { localStorage.setItem(KEY, title); } catch { /* it is chosen here all the same */ }
  }

  function start() {
    document.querySelectorAll(".sercore-tabs").forEach((group, number) => {
      const panels = [...group.querySelectorAll(":scope > .sercore-tab")], titles = panels.map(panel => panel.dataset.title);
      if (panels.length < 2) return;
      const list = document.createElement("div");
      list.className = "sercore-tablist";
      list.setAttribute("role", "tablist");
      const tabs = panels.map((panel, i) => {
        const tab = document.createElement("button");
        Object.assign(tab, { type: "button", textContent: titles[i], id: `tab-${number}-${i}` });
        tab.setAttribute("role", "tab");
        panel.id ||= `panel-${number}-${i}`;
        tab.setAttribute("aria-controls", panel.id);
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
        tab.addEventListener("click", () => remember(titles[i]));
        tab.addEventListener("keydown", event => {
          const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: panels.length - 1 }[event.key];
          if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          remember(titles[(next + panels.length) % panels.length]);
        });
        return tab;
      });
      list.append(...tabs);
      list.addEventListener("scroll", () => goesOn(list), { passive: true });
      new ResizeObserver(() => goesOn(list)).observe(list);
      group.prepend(list);
      group.classList.add("sercore-tabbed");
      groups.push({ tabs, panels, titles });
      choose(titles[0]);
    });
    const last = stored();
    if (last) choose(last);
    // a link into a tab opens it
    const target = location.hash && document.getElementById(location.hash.slice(1))?.closest(".sercore-tab");
    if (target) { choose(target.dataset.title); target.scrollIntoView(); }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

// Tables sort by the buttons in their headers: upwards, downwards, and as they were; and tell that they scroll.
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
    tell(table, order === "none" ? "in the first order" : `sorted by ${header.querySelector("button").getAttribute("aria-label")}, ${order}`);
  }

  // a line for those who do not see what happens to the rows
  function tell(table, text) {
    const figure = table.closest("figure");
    figure.querySelector("[role=status]").textContent = text;
  }

  // rows that hold every word of the text stay
  function filter(table, rows) {
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "Filter rows";
    input.setAttribute("aria-label", "Filter rows");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
      tell(table, words.length ? `${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : "");
    });
    return input;
  }

  // what stands over a header: of two columns called UA, whose
  function source(table, header) {
    const first = table.tHead.rows[0];
    if (first === header.parentElement) return "";
    const over = [...first.cells].flatMap(cell => Array(cell.colSpan).fill(cell.textContent.trim()));
    return over[header.cellIndex] ?? "";
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows], told = document.createElement("span"), above = document.createElement("div");
    told.setAttribute("role", "status");
    above.className = rows.length >= MANY ? "sercore-filter" : "sercore-unseen";
    above.append(...(rows.length >= MANY ? [filter(table, rows)] : []), told);
    table.closest(".sercore-scroll").before(above);
    for (const button of table.tHead.querySelectorAll("button")) {
      const header = button.closest("th");
      if (rows[0]?.cells[header.cellIndex].classList.contains("number")) header.classList.add("number");
      button.setAttribute("aria-label", [button.textContent, source(table, header)].filter(Boolean).join(", "));
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

  // the theme takes the focus from the buttons that it hears, and names them for those who see them
  const NAMES = { ".theme-switch-button": "Colours", ".primary-toggle": "Menu", ".secondary-toggle": "On this page" };
  function mendButtons() {
    const told = document.createElement("span"), root = document.documentElement;
    told.setAttribute("role", "status");
    told.className = "sercore-unseen";
    document.body.append(told);
    for (const [kind, name] of Object.entries(NAMES)) {
      for (const button of document.querySelectorAll(kind)) button.setAttribute("aria-label", name);
    }
    let last = null; // the button that was pressed last
    const back = () => document.activeElement === document.body && last?.offsetParent && last.focus();
    document.addEventListener("click", event => {
      last = event.target.closest(`${Object.keys(NAMES)}, .search-button`) ?? last;
      if (event.detail === 0) setTimeout(back, 50); // by a key
      if (event.target.closest(".theme-switch-button")) {
        setTimeout(() => { told.textContent = `Colours: ${root.dataset.mode === "auto" ? "as the system has them" : root.dataset.mode}`; }, 50);
      }
    }, true);
    for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => setTimeout(back, 50));
    // the way past the menu leads past the buttons over the text too
    const article = document.querySelector(".bd-article"), skip = document.querySelector("#pst-skip-link a");
    if (!article || !skip) return;
    article.id ||= "text";
    article.tabIndex = -1;
    skip.hash = article.id;
  }

  function start() {
    mendButtons();
    document.querySelectorAll(".sercore-table table").forEach(prepare);
    document.querySelectorAll(".sercore-scroll, .sercore-pan, .pst-scrollable-table-container").forEach(hint);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
