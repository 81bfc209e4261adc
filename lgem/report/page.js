"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const embedded = (inside) => JSON.parse(inside.querySelector('script[type="application/json"]').textContent);

  function save(name, content, type) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }
  const saver = (label, name, content, type) => {
    const button = make("button", { type: "button", className: "save", textContent: label });
    button.addEventListener("click", () => save(name, content(), type));
    return button;
  };
  const lastPart = (path) => path.slice(path.lastIndexOf("/") + 1);

  // Tables: fields may be quoted where they hold tabs, quotes or ends of lines.
  function parse(text) {
    if (!text.includes('"')) return text.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
    const rows = [[]];
    const field = /("(?:[^"]|"")*"|[^\t\n]*)(\t|\n|$)/g;
    for (let found; field.lastIndex < text.length && (found = field.exec(text));) {
      const value = found[1];
      rows[rows.length - 1].push(value[0] === '"' ? value.slice(1, -1).replaceAll('""', '"') : value);
      if (found[2] === "\n" && field.lastIndex < text.length) rows.push([]);
    }
    return rows;
  }

  const number = (cell) => (cell === "inf" ? Infinity : cell === "-inf" ? -Infinity : Number(cell));
  const short = (cell) => (/[.e]/.test(cell) ? String(Number(number(cell).toPrecision(4))) : cell);

  function enliven(box) {
    const PAGE = 15;
    const text = embedded(box);
    const [header, ...rows] = parse(text);
    const heads = all("th", box);
    const numeric = heads.map((head) => head.classList.contains("number"));
    const body = box.querySelector("tbody");
    const count = box.querySelector(".count");
    let words = null; // what is searched, made at the first search
    let order = rows.map((_, k) => k);
    let sorted = null;
    let page = 0;

    const find = make("input", { type: "search", spellcheck: false, autocomplete: "off" });
    const pages = make("span", { className: "pages" });
    const step = (label, by) => {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", () => { page += by; show(); });
      return button;
    };
    const [back, on] = [step("← Previous", -1), step("Next →", 1)];
    const place = make("span");
    place.setAttribute("aria-live", "polite");
    pages.append(back, place, on);
    const tools = make("div", { className: "tools" }, make("label", {}, "Search ", find), pages);
    tools.append(saver("Save as TSV", lastPart(box.dataset.file), () => text, "text/tab-separated-values"));
    find.setAttribute("aria-label", `Search in ${box.dataset.title}`);
    box.querySelector(".scroll").before(tools);

    function show() {
      const from = page * PAGE;
      const shown = order.slice(from, from + PAGE);
      body.replaceChildren(...shown.map((k) => make("tr", {}, ...rows[k].map((cell, at) => {
        const made = make("td", { textContent: numeric[at] ? short(cell) : cell });
        if (numeric[at]) made.className = "number";
        else if (cell.length > 60) made.className = "long";
        if (numeric[at] && made.textContent !== cell) made.title = cell;
        return made;
      }))));
      const n = order.length.toLocaleString("en");
      place.textContent = shown.length ? `${from + 1}–${from + shown.length} of ${n}` : "nothing found";
      back.disabled = page === 0;
      on.disabled = from + PAGE >= order.length;
      const total = `${rows.length.toLocaleString("en")} row${rows.length === 1 ? "" : "s"}`;
      count.textContent = shown.length < rows.length
        ? `${shown.length} of ${total}; all are in ${box.dataset.file}.` : `${total}, as in ${box.dataset.file}.`;
    }

    function arrange() {
      const asked = find.value.trim().toLowerCase().split(/\s+/);
      words ??= rows.map((row) => row.join("\t").toLowerCase());
      order = rows.map((_, k) => k).filter((k) => asked.every((part) => words[k].includes(part)));
      if (sorted) {
        const { at, sign } = sorted;
        const keys = rows.map((row) => (row[at] === "" ? null : numeric[at] ? number(row[at]) : row[at]));
        const compare = numeric[at] ? (a, b) => a - b || 0 : new Intl.Collator("en", { numeric: true }).compare;
        // Blanks stay last in both directions, and equal rows in the order of the file.
        order.sort((a, b) => (keys[a] === null) - (keys[b] === null)
          || (keys[a] === null ? 0 : sign * compare(keys[a], keys[b])) || a - b);
      }
      page = 0;
      show();
    }

    heads.forEach((head, at) => {
      const button = make("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const sign = sorted?.at === at ? -sorted.sign : 1;
        sorted = { at, sign };
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        arrange();
      });
    });
    find.addEventListener("input", arrange);
    show();
  }

  for (const box of all(".table")) {
    if (!box.querySelector("script")) continue;
    const fold = box.closest("details.fold");
    // Folded tables are made when they are asked for: the page opens at once.
    if (fold) fold.addEventListener("toggle", () => enliven(box), { once: true });
    else enliven(box);
  }

  for (const image of all("img[data-name]")) {
    const files = image.closest("figure").querySelector(".files");
    const bytes = () => Uint8Array.from(atob(image.src.split(",")[1]), (byte) => byte.charCodeAt(0));
    files.append(" ", saver("Save PNG", image.dataset.name, bytes, "image/png"));
  }
  for (const extra of all(".extra")) {
    if (!extra.querySelector("script")) continue;
    extra.append(" ", saver("Save", lastPart(extra.dataset.file), () => embedded(extra), "application/xml"));
  }
  for (const block of all("pre.copy")) {
    const button = make("button", { type: "button", className: "copies", textContent: "Copy" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.innerText);
        button.textContent = "Copied";
      } catch { // not every browser lets a file write there: then the text is at least selected
        getSelection().selectAllChildren(block);
      }
    });
    block.before(button);
  }

  function walk(graph) {
    const svg = graph.querySelector("svg");
    const whole = svg.viewBox.baseVal;
    const [width, height] = [whole.width, whole.height];
    const nodes = new Map(all(".node", svg).map((node) => [node.dataset.gene, node]));
    const lines = all("line", svg);
    const chosen = graph.querySelector(".chosen");
    const find = graph.querySelector(".find");
    const centre = (node) => ["cx", "cy"].map((name) => Number(node.querySelector("circle").getAttribute(name)));
    let view = { x: 0, y: 0, scale: 1 };
    let mode = graph.querySelector("input[name=mode]:checked")?.value ?? "before";

    function look(x, y, scale) {
      const bounded = Math.min(Math.max(scale, 1), 12);
      const keep = (at, size) => Math.min(Math.max(at, 0), size - size / bounded);
      view = { x: keep(x, width), y: keep(y, height), scale: bounded };
      svg.setAttribute("viewBox", `${view.x} ${view.y} ${width / bounded} ${height / bounded}`);
      svg.classList.toggle("close", bounded > 2.5);
    }
    const at = (x, y, scale) => look(x - width / scale / 2, y - height / scale / 2, scale);
    const middle = () => [view.x + width / view.scale / 2, view.y + height / view.scale / 2];
    const zoom = (factor) => (factor ? at(...middle(), view.scale * factor) : look(0, 0, 1));
    const move = (x, y) => look(view.x + x * width / view.scale, view.y + y * height / view.scale, view.scale);

    function choose(gene) {
      all(".found, .near", svg).forEach((element) => element.classList.remove("found", "near"));
      svg.classList.toggle("searched", gene !== null);
      if (gene === null) { chosen.replaceChildren(); return; }
      const node = nodes.get(gene);
      node.classList.add("found");
      const own = lines.filter((line) => line.dataset.a === gene || line.dataset.b === gene);
      own.sort((a, b) => Math.abs(b.dataset[mode]) - Math.abs(a.dataset[mode]));
      const neighbours = own.map((line) => {
        const other = nodes.get(line.dataset.a === gene ? line.dataset.b : line.dataset.a);
        line.classList.add("near");
        other.classList.add("near");
        const value = Number(line.dataset[mode]);
        const label = `${other.dataset.label} ${value > 0 ? "+" : ""}${Number(value.toPrecision(3))}`;
        const button = make("button", { type: "button", textContent: label });
        button.addEventListener("click", () => { choose(other.dataset.gene); chosen.querySelector("button")?.focus(); });
        return button;
      });
      chosen.replaceChildren(make("strong", { textContent: node.dataset.label }), ` and its ${own.length} edge${own.length === 1 ? "" : "s"} here: `, ...neighbours);
      chosen.dataset.gene = gene;
      at(...centre(node), Math.max(view.scale, 2));
    }

    function paint() {
      for (const line of lines) {
        line.setAttribute("stroke-width", line.dataset[`${mode}Width`]);
        line.setAttribute("class", Number(line.dataset[mode]) < 0 ? "negative" : "positive");
      }
      if (svg.classList.contains("searched")) choose(chosen.dataset.gene);
    }

    const named = (text) => [...nodes.values()].find((node) => [node.dataset.label, node.dataset.gene]
      .some((name) => name.toLowerCase() === text.trim().toLowerCase()));
    find.addEventListener("input", () => {
      const node = named(find.value);
      if (node) choose(node.dataset.gene);
      else if (!find.value.trim()) { choose(null); zoom(0); }
    });
    find.addEventListener("change", () => {
      if (find.value.trim() && !named(find.value)) {
        choose(null);
        chosen.textContent = `${find.value} is not among the genes of these edges.`;
      }
    });
    all("input[name=mode]", graph).forEach((radio) => radio.addEventListener("change", () => { mode = radio.value; paint(); }));
    all("[data-zoom]", graph).forEach((button) => button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the page itself must stay scrollable
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
      const zooms = { "+": 1.4, "=": 1.4, "-": 1 / 1.4, 0: 0 };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in steps) move(...steps[event.key]);
      else if (event.key in zooms) zoom(zooms[event.key]);
      else if (event.key === "Escape") { choose(null); zoom(0); }
      else return;
      event.preventDefault();
    });
    let held = null;
    svg.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, moved: false }; });
    addEventListener("pointerup", () => { setTimeout(() => { held = null; }); });
    svg.addEventListener("pointermove", (event) => {
      if (!held || !event.buttons) return;
      const [x, y] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(x, y) < 4) return;
      move(-x / svg.clientWidth, -y / svg.clientHeight);
      held = { x: event.clientX, y: event.clientY, moved: true };
    });
    svg.addEventListener("click", (event) => {
      if (held?.moved) return;
      const node = event.target.closest(".node");
      choose(node ? node.dataset.gene : null);
    });
    graph.querySelector(".tools").hidden = false;
  }
  all(".graph").forEach(walk);

  const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      links.forEach((link, key) => (key === entry.target.id
        ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_, key) => { const part = document.getElementById(key); if (part) seen.observe(part); });
})();
