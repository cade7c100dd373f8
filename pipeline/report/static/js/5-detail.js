// One image in full: photograph and map side by side, what was changed and what the model said, and its review.
(function (app) {
  "use strict";
  const dialog = document.getElementById("detail");
  if (!app.data || !app.data.models.length || !dialog) return;
  const { make, state } = app;
  const part = (id) => document.getElementById("detail-" + id);
  const view = { heat: true, boxes: true, mask: false, spot: true, opacity: 85, colours: "heat", zoom: 1 };
  let current = -1;
  let before = -1; // the image that was closed last
  let last = 0; // where the current image was among those shown, when it was

  app.open = (i) => app.set({ image: app.images.id[i] }, true);

  function sync() {
    const i = state.image === "" ? -1 : app.row.has(state.image) ? app.row.get(state.image) : -1;
    if (i < 0) {
      if (current >= 0) before = current;
      current = -1;
      if (dialog.open) dialog.close();
      return;
    }
    const fresh = i !== current;
    current = i;
    draw(fresh);
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const rows = app.shown && app.shown.length ? app.shown : app.images.id.map((_, i) => i);
    const at = rows.indexOf(current);
    // A review may take the image out of the filter: then go on from where it was.
    const next = rows[Math.min(Math.max(at < 0 ? (by > 0 ? last : last - 1) : at + by, 0), rows.length - 1)];
    if (next !== undefined && next !== current) app.set({ image: app.images.id[next] });
  }

  function draw(fresh) {
    const i = current, model = app.model(), shown = app.picture(i), method = app.method();
    part("title").textContent = app.images.id[i];
    const at = (app.shown || []).indexOf(i);
    if (at >= 0) last = at;
    part("place").textContent = at < 0 ? "" : at + 1 + " of " + app.shown.length.toLocaleString("en") + " shown";
    app.redrawn(part("methods"), () => part("methods").replaceChildren(...model.methods.map((m) => make("button", {
      type: "button", "data-focus": m, "aria-pressed": String(m === method), onclick: () => app.set({ m }),
    }, m.replaceAll("_", " ")))));
    for (const key of ["heat", "boxes", "mask", "spot"]) part(key).setAttribute("aria-pressed", String(view[key]));
    part("opacity").value = view.opacity;
    part("colours").value = view.colours;
    part("views").replaceChildren(...(shown ? pictures(i, shown, method) : [make("p", { class: "empty" }, "This image has no picture in the report; the rule is written above the table.")]));
    part("views").dataset.zoom = view.zoom;
    part("mask").hidden = !(shown && shown.mask);
    part("spot").hidden = !model.hotspots[app.name(app.images.class[i])];
    numbers(i);
    if (fresh && app.reviewPanel) part("review").replaceChildren(app.reviewPanel("image", { image: app.images.id[i], class: app.name(app.images.class[i]) }));
    if (fresh) changes(i);
  }

  function pictures(i, shown, method) {
    const frame = app.model().frame, heat = shown.heats[method];
    const spot = view.spot ? app.model().hotspots[app.name(app.images.class[i])] : null;
    const overlay = () => (view.boxes ? app.boxes(app.images.boxes[i] || [], frame, spot) : spot ? app.boxes([], frame, spot) : null);
    const photo = (dim) => make("img", { src: app.source(shown.photo), class: dim ? "dim" : null, alt: dim ? "" : "Photograph " + app.images.id[i] });
    const one = make("figure", {}, make("div", { class: "stack" }, photo(false), ...extras(shown), overlay() || ""), make("figcaption", {}, "photograph, as the model sees it"));
    const two = make("figure", {}, make("div", { class: "stack" }, photo(true),
      heat && view.heat ? make("img", { src: app.source(heat), class: "heat", "data-colours": view.colours, style: "opacity:" + view.opacity / 100, alt: method.replaceAll("_", " ") + " map of " + app.images.id[i] }) : "",
      overlay() || ""), make("figcaption", {}, heat ? method.replaceAll("_", " ") + ", scaled by itself" : "no map of this method"));
    return [one, two];
  }

  function extras(shown) {
    return view.mask && shown.mask ? [make("img", { src: app.source(shown.mask), class: "mask", alt: "object mask" })] : [];
  }

  function numbers(i) {
    const model = app.model();
    const facts = [
      ["class", app.name(app.images.class[i])],
      ["model says", app.name(model.said[i]) + " (" + app.format(app.columns.find((c) => c.key === "p"), i) + ")" + (app.right(i) ? "" : ", wrong")],
      ["without object", app.name(app.without(i)) || "not tried"],
      ["object only", app.name(app.only(i)) || "not tried"],
      ["object’s area", app.format(app.columns.find((c) => c.key === "area"), i) + " of the frame, from a " + app.name(app.images.kind[i])],
      ["original", app.images.size[i] + " pixels"],
    ];
    part("facts").replaceChildren(...facts.flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, make("bdi", {}, v))]));
    part("scores").replaceChildren(...model.methods.map((m) => {
      const own = model.scores[m] || {};
      const share = (own.inside_share || [])[i], lift = (own.lift || [])[i];
      const known = (v) => v !== null && v !== undefined;
      return make("tr", {}, make("th", { scope: "row" }, m.replaceAll("_", " ")),
        make("td", { class: "num" }, known(share) ? Math.round(share * 100) + "\u202f%" : "n/a"),
        make("td", { class: "num" }, known(lift) ? "×" + lift.toFixed(2) : "n/a"));
    }));
  }

  function changes(i) {
    const number = Number(state.model) || 0, piece = Math.floor(i / app.data.shard);
    part("trials").replaceChildren(make("p", { class: "muted" }, "reading …"));
    app.piece(number, piece).then((found) => {
      if (current !== i) return;
      if (!found) {
        part("trials").replaceChildren(make("p", { class: "empty" }, app.data.files ? "What was changed in each image is not in this file; it is in the report’s folder." : "data/trials-" + number + "-" + piece + ".js is not beside this page, so what was changed cannot be shown."));
        return;
      }
      const own = found.rows[i] || [];
      part("trials").replaceChildren(own.length ? trials(i, own, found.names) : make("p", { class: "empty" }, "Nothing was changed in this image."));
    });
  }

  function trials(i, own, names) {
    const edits = app.model().edits[i] || [];
    const words = (text) => text.replaceAll("_", " ");
    const percent = (p) => (p === null ? "n/a" : Math.round(p * 100) + "\u202f%");
    const body = own.map(([intervention, arm, donor, said, before, after]) => {
      const edit = edits.find((e) => e[0] === names[intervention] && e[1] === names[arm] && e[2] === donor);
      return { drawn: edit ? 0 : 1, row: make("tr", {},
        make("td", {}, edit ? make("img", { src: app.source(edit[3]), alt: words(names[intervention]) + ", " + words(names[arm]), width: 96, loading: "lazy" }) : ""),
        make("th", { scope: "row" }, words(names[intervention]), make("small", {}, words(names[arm]))),
        make("td", {}, donor < 0 ? "" : make("button", { type: "button", class: "link", onclick: () => app.open(donor) }, app.images.id[donor] + " (" + app.name(app.images.class[donor]) + ")")),
        make("td", {}, make("span", { class: names[said] === app.name(app.model().said[i]) ? null : "marked" }, names[said])),
        make("td", { class: "num" }, percent(before) + " → " + percent(after))) };
    });
    body.sort((a, b) => a.drawn - b.drawn);
    return make("table", {}, make("caption", {}, make("span", {}, make("b", {}, "What was changed"), own.length + " changed copies; the probability is that of the image’s own class.")),
      make("thead", {}, make("tr", {}, ...["Picture", "Change", "Taken from", "Model says", "Probability"].map((t, k) => make("th", { scope: "col", class: k === 4 ? "num" : null }, t)))),
      make("tbody", {}, ...body.map((b) => b.row)));
  }

  const toggle = (key) => { view[key] = !view[key]; draw(false); };
  const next = () => { const all = app.model().methods; if (all.length) app.set({ m: all[(all.indexOf(app.method()) + 1) % all.length] }); };
  const fade = (by) => { view.opacity = Math.min(100, Math.max(0, view.opacity + by)); draw(false); };
  const zoom = () => { view.zoom = view.zoom >= 3 ? 1 : view.zoom + 1; draw(false); };
  for (const key of ["heat", "boxes", "mask", "spot"]) part(key).addEventListener("click", () => toggle(key));
  part("opacity").addEventListener("input", (e) => { view.opacity = Number(e.target.value); draw(false); });
  part("colours").addEventListener("change", (e) => { view.colours = e.target.value; draw(false); });
  part("zoom").addEventListener("click", zoom);
  part("back").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("close").addEventListener("click", () => dialog.close());
  part("link").addEventListener("click", () => { if (navigator.clipboard) navigator.clipboard.writeText(location.href); });
  dialog.addEventListener("close", () => {
    const shown = current;
    if (state.image !== "") app.set({ image: "" });
    if (app.focus) app.focus(shown < 0 ? before : shown);
  });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });

  const keys = { j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1), o: () => toggle("heat"), b: () => toggle("boxes"), x: () => toggle("mask"), h: () => toggle("spot"), m: next, "[": () => fade(-10), "]": () => fade(10), z: zoom };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
    const help = document.getElementById("keys");
    if (e.key === "?" && help) { e.preventDefault(); help.open ? help.close() : help.showModal(); return; }
    if (help && help.open) return;
    if (dialog.open && keys[e.key]) { e.preventDefault(); keys[e.key](); return; }
    if (dialog.open && "12345".includes(e.key) && app.decide) { e.preventDefault(); app.decide(Number(e.key) - 1); return; }
    if (!dialog.open && e.key === "/") { e.preventDefault(); document.getElementById("explorer-q").focus(); }
  });
  app.listen(sync);
  app.current = () => current;
  sync();
})((window.app = window.app || {}));
