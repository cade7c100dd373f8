// The image explorer: a table and a gallery over the same rows, drawn only where they are in view.
(function (app) {
  "use strict";
  if (!app.data || !app.data.models.length || !document.getElementById("explorer")) return;
  const { make, state } = app;
  const root = document.getElementById("explorer");
  const part = (id) => document.getElementById("explorer-" + id);
  const HEIGHT = 40; // pixels of a table row; the style sheet says the same
  const BEYOND = 12; // rows drawn above and below what is in view
  let rows = [];

  function option(value, label) {
    return make("option", { value }, label);
  }

  function fill() {
    const classes = [...new Set(app.images.class)].map(app.name).sort();
    part("c").append(...classes.map((c) => option(c, c)));
    part("model").append(...app.data.models.map((m, i) => option(String(i), m.name)));
    part("model").closest("label").hidden = app.data.models.length < 2;
    part("sort").append(...app.columns.map((c) => option(c.key, c.label)));
  }

  function methods() {
    part("m").replaceChildren(...app.model().methods.map((m) => option(m, m.replaceAll("_", " "))));
    part("m").closest("label").hidden = !app.model().methods.length;
  }

  // The controls show the state; they never hold it.
  function show() {
    methods();
    for (const key of ["q", "c", "right", "rests", "rv", "lo", "hi", "model"]) {
      if (part(key).value !== state[key]) part(key).value = state[key];
    }
    part("m").value = app.method();
    part("sort").value = state.sort.replace("-", "");
    part("down").setAttribute("aria-pressed", String(state.sort.startsWith("-")));
    part("pic").setAttribute("aria-pressed", String(state.pic === "1"));
    for (const view of ["table", "gallery"]) part("view-" + view).setAttribute("aria-pressed", String(state.view === view));
    for (const button of root.querySelectorAll("[data-preset]")) {
      const wanted = { ...app.empty, ...Object.fromEntries(new URLSearchParams(button.dataset.preset)) };
      const same = ["q", "c", "right", "rests", "pic", "rv", "lo", "hi", "sort"].every((k) => wanted[k] === state[k]);
      button.setAttribute("aria-pressed", String(same));
    }
    part("table").hidden = state.view !== "table";
    part("gallery").hidden = state.view !== "gallery";
    const pictured = rows.reduce((sum, i) => sum + (app.picture(i) ? 1 : 0), 0);
    part("count").textContent = rows.length.toLocaleString("en") + " of " + app.n.toLocaleString("en") + " images; " + pictured.toLocaleString("en") + " of them have pictures";
    head();
    draw();
  }

  function head() {
    const cells = app.columns.map((c) => {
      const mine = state.sort.replace("-", "") === c.key;
      const order = mine ? (state.sort.startsWith("-") ? "descending" : "ascending") : "none";
      const next = mine && !state.sort.startsWith("-") ? "-" + c.key : c.key;
      const arrow = mine ? (state.sort.startsWith("-") ? " ↓" : " ↑") : "";
      return make("th", { scope: "col", "aria-sort": order, class: c.number ? "num" : c.wide ? "wide" : null },
        make("button", { type: "button", "data-focus": c.key, onclick: () => app.set({ sort: next }) }, c.label + arrow));
    });
    app.redrawn(part("head"), () => part("head").replaceChildren(make("tr", { "aria-rowindex": "1" }, ...cells)));
  }

  function draw() {
    if (state.view === "table") drawTable(); else drawGallery();
  }

  function drawTable() {
    const box = part("table");
    const top = Math.min(Math.floor(box.scrollTop / HEIGHT), rows.length - Math.floor(box.clientHeight / HEIGHT));
    const first = Math.max(0, top - BEYOND);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + BEYOND);
    const space = (count) => count > 0 && make("tr", { "aria-hidden": "true", class: "space" }, make("td", { colspan: app.columns.length, style: "height:" + count * HEIGHT + "px" }));
    const drawn = [space(first), ...rows.slice(first, last).map((i, at) => line(i, first + at)), space(rows.length - last)].filter(Boolean);
    app.redrawn(part("rows"), () => part("rows").replaceChildren(...drawn));
    part("grid").setAttribute("aria-rowcount", String(rows.length + 1));
  }

  function line(i, at) {
    const cells = app.columns.map((c) => {
      if (c.key === "id") return make("th", { scope: "row", class: "wide" }, opener(i));
      return make("td", { class: c.number ? "num" : null }, make("span", { class: c.mark && c.mark(i) ? "marked" : null }, app.format(c, i)));
    });
    return make("tr", { "aria-rowindex": String(at + 2) }, ...cells);
  }

  function opener(i) {
    const thumb = app.picture(i);
    return make("button", { type: "button", class: "opener", "data-focus": String(i), onclick: () => app.open(i) },
      thumb ? app.picture_of(i, "") : make("span", { class: "no-picture" }), make("bdi", {}, app.images.id[i]));
  }

  app.picture_of = (i, alt) => make("img", { src: app.source(app.picture(i).photo), alt, width: 32, height: 32, loading: "lazy", decoding: "async" });

  function drawGallery() {
    const box = part("gallery");
    const across = Math.max(1, Math.floor((box.clientWidth - 12) / 172));
    const tall = 236;
    const lines = Math.ceil(rows.length / across);
    const top = Math.min(Math.floor(box.scrollTop / tall), lines - Math.floor(box.clientHeight / tall));
    const first = Math.max(0, top - 2);
    const last = Math.min(lines, Math.ceil((box.scrollTop + box.clientHeight) / tall) + 2);
    const list = part("cards");
    list.style.paddingTop = first * tall + "px";
    list.style.paddingBottom = (lines - last) * tall + "px";
    list.style.gridTemplateColumns = "repeat(" + across + ", minmax(0, 1fr))";
    app.redrawn(list, () => list.replaceChildren(...rows.slice(first * across, last * across).map(card)));
  }

  function card(i) {
    const shown = app.picture(i);
    const heat = shown && shown.heats[app.method()];
    const inside = app.columns.find((c) => c.key === "inside");
    const stack = make("span", { class: "stack" });
    if (shown) stack.append(make("img", { src: app.source(shown.photo), alt: "", class: heat ? "dim" : null, loading: "lazy", decoding: "async" }));
    else stack.append(make("span", { class: "no-picture" }, "no picture"));
    if (heat) stack.append(make("img", { src: app.source(heat), alt: "", class: "heat", loading: "lazy", decoding: "async" }));
    stack.append(app.boxes(app.images.boxes[i] || [], app.model().frame));
    const decision = app.decision("image", app.images.id[i]);
    return make("li", {}, make("button", { type: "button", class: "card", "data-focus": String(i), onclick: () => app.open(i) }, stack,
      make("bdi", { class: "card-id" }, app.images.id[i]),
      make("span", { class: app.right(i) ? "said" : "said marked" }, "says " + app.name(app.model().said[i])),
      make("span", { class: "muted" }, app.format(inside, i) + " inside" + (app.rests(i) ? ", same without object" : "") + (decision ? " · " + decision : ""))));
  }

  let asked = "";
  function refresh() {
    rows = app.rows();
    app.shown = rows;
    // Another question is answered from its first row on.
    const now = JSON.stringify(["q", "c", "right", "rests", "pic", "rv", "lo", "hi", "sort", "model", "m"].map((k) => state[k]));
    if (now !== asked) for (const view of ["table", "gallery"]) part(view).scrollTop = 0;
    asked = now;
    show();
  }

  // Where the focus goes when an image is closed.
  app.focus = function (i) {
    const box = part(state.view);
    (box.querySelector('[data-focus="' + i + '"]') || box).focus({ preventScroll: true });
  };

  for (const key of ["q", "lo", "hi"]) part(key).addEventListener("input", (e) => app.set({ [key]: e.target.value }));
  for (const key of ["c", "right", "rests", "rv", "m"]) part(key).addEventListener("change", (e) => app.set({ [key]: e.target.value }));
  part("model").addEventListener("change", (e) => app.set({ model: e.target.value }));
  part("sort").addEventListener("change", (e) => app.set({ sort: e.target.value }));
  part("down").addEventListener("click", () => state.sort && app.set({ sort: state.sort.startsWith("-") ? state.sort.slice(1) : "-" + state.sort }));
  part("pic").addEventListener("click", () => app.set({ pic: state.pic ? "" : "1" }));
  for (const view of ["table", "gallery"]) part("view-" + view).addEventListener("click", () => app.set({ view }));
  for (const button of root.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      const keep = { model: state.model, m: state.m, view: state.view };
      app.set({ ...app.empty, ...keep, ...Object.fromEntries(new URLSearchParams(button.dataset.preset)) });
    });
  }
  for (const view of ["table", "gallery"]) {
    let waiting = false;
    part(view).addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    });
  }
  new ResizeObserver(draw).observe(root);
  for (const link of document.querySelectorAll("[data-filter]")) {
    link.hidden = false;
    link.addEventListener("click", (e) => {
      e.preventDefault();
      app.set({ ...app.empty, view: "gallery", ...Object.fromEntries(new URLSearchParams(link.dataset.filter)) }, true);
      document.getElementById("images").scrollIntoView();
    });
  }

  fill();
  root.hidden = false;
  app.listen(refresh);
  app.refresh = refresh;
  refresh();
  performance.mark("explorer"); // what tests/benchmarks/pages.py reads
  if (location.hash.startsWith("#images?")) document.getElementById("images").scrollIntoView();
})((window.app = window.app || {}));
