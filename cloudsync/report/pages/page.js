"use strict";
document.documentElement.classList.add("scripted");
const all = (what, where) => Array.from((where || document).querySelectorAll(what));

for (const table of all("table.sortable")) {
  const body = table.tBodies[0];
  all("th", table.tHead).forEach((head, at) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", table.tHead).forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const worth = (row) => row.cells[at].dataset.sort || row.cells[at].textContent.trim();
      Array.from(body.rows)
        .sort((a, b) => worth(a).localeCompare(worth(b), "en", { numeric: true }) * (up ? 1 : -1))
        .forEach((row) => body.append(row));
    });
  });
}

const tools = document.querySelector(".tools");
if (tools) {
  const rows = all("table.findings tbody tr");
  const told = document.getElementById("told");
  const sift = () => {
    const words = tools.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = all("select", tools).map((one) => [one.name, one.value]).filter((pair) => pair[1]);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && wanted.every(([name, value]) => row.dataset[name] === value);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    told.textContent = shown === rows.length ? "" : shown + " of " + rows.length + " shown";
  };
  tools.addEventListener("input", sift);
  sift();
}

const reveal = (node) => {
  for (let one = node; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
};
const follow = () => {
  const node = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (node) {
    reveal(node);
    node.scrollIntoView({ block: "center" });
  }
};
addEventListener("hashchange", follow);
follow();

const chosen = document.querySelector(".chosen");
if (chosen) {
  const list = chosen.querySelector("ul");
  const close = () => chosen.classList.remove("shown");
  chosen.querySelector("button").addEventListener("click", close);
  addEventListener("keydown", (event) => event.key === "Escape" && close());
  for (const link of all(".square a[data-show]")) {
    link.addEventListener("click", (event) => {
      const found = link.dataset.show.split(" ").map((id) => document.getElementById(id)).filter(Boolean);
      if (!found.length) return;
      event.preventDefault();
      chosen.querySelector("b").textContent = link.getAttribute("aria-label") || link.title;
      list.replaceChildren(...found.map((one) => {
        const copy = one.cloneNode(true);
        copy.removeAttribute("id");
        return copy;
      }));
      chosen.classList.add("shown");
    });
  }
}

const chapters = all("nav a");
if ("IntersectionObserver" in window) {
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) {
      if (!one.isIntersecting) continue;
      for (const link of chapters) link.toggleAttribute("aria-current", link.hash === "#" + one.target.id);
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main > section").forEach((one) => watch.observe(one));
}
addEventListener("beforeprint", () => all(".findings details, .to").forEach((one) => { one.open = true; }));
