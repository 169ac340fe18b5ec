"use strict";
(() => {
  // Numbers as they are shown: 1,234.5 · 24.1 % · −3
  const value = (cell) => {
    const text = cell.textContent.trim();
    const plain = text.replace(/[,\s%]/g, "").replace("−", "-");
    return plain !== "" && !Number.isNaN(Number(plain)) ? Number(plain) : text;
  };

  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    // What is missing comes last, whichever way.
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b);
  };

  const sort = (table, place, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[place]), row]);
    rows.sort((one, other) => {
      const missing = (one[0] === "") - (other[0] === "");
      return missing || (down ? compare(other[0], one[0]) : compare(one[0], other[0]));
    });
    body.append(...rows.map(([, row]) => row));
  };

  const csv = (table) => {
    const quoted = (cell) => {
      const shown = value(cell);
      let text = String(shown);
      // A spreadsheet would take it for a formula.
      if (typeof shown === "string" && /^[=+\-@\t]/.test(text)) text = "'" + text;
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const rows = [...table.rows].filter((row) => !row.hidden);
    return rows.map((row) => [...row.cells].map(quoted).join(",")).join("\r\n") + "\r\n";
  };

  const offer = (table) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    link.download = `${table.id}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const filter = (table, wanted, count) => {
    const words = wanted.toLowerCase();
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(words);
      left += !row.hidden;
    }
    count.textContent = words ? `${left} rows` : "";
  };

  for (const table of document.querySelectorAll("main table")) {
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      if (head.classList.contains("n")) {
        for (const row of table.tBodies[0].rows) row.cells[place].className = "n";
      }
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(table, place, head));
      head.replaceChildren(button);
    });
    const tools = document.createElement("div");
    tools.className = "tools";
    const save = document.createElement("button");
    save.type = "button";
    save.textContent = "CSV";
    save.setAttribute("aria-label", `Save as CSV: ${table.caption.textContent}`);
    save.addEventListener("click", () => offer(table));
    if (table.tBodies[0].rows.length > 8) {
      const field = document.createElement("input");
      const count = document.createElement("span");
      field.type = "search";
      field.placeholder = "Filter";
      field.setAttribute("aria-label", `Filter: ${table.caption.textContent}`);
      count.setAttribute("role", "status");
      field.addEventListener("input", () => filter(table, field.value, count));
      tools.append(field, count);
    }
    tools.append(save);
    table.parentElement.before(tools);
  }

  const theme = document.getElementById("theme");
  const dark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  // A link to what is folded away opens it.
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
})();
