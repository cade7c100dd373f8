// What people decide about findings and images: kept in this browser, exported as a file, never mixed into the verdict.
(function (app) {
  "use strict";
  if (!app.data) return;
  const { make, data } = app;
  const DECISIONS = ["unreviewed", "confirmed shortcut", "false alarm", "data error", "accepted"];
  const FIELDS = ["kind", "fingerprint", "model", "class", "state", "image", "decision", "note", "reviewer", "time", "expires"];
  const STORE = "shortcut-audit:" + data.run.name + ":" + data.run.id;
  const key = (r) => r.kind + ":" + (r.kind === "finding" ? r.fingerprint : r.image);

  const before = new Map(data.reviews.map((r) => [key(r), r]));
  let own = new Map();
  let reviewer = "";
  const undone = [];

  // A page opened from disk may have no storage, or another run's rubbish in it: then reviews last as long as the page.
  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE) || "{}");
      own = new Map((kept.reviews || []).filter(valid).map((r) => [key(r), r]));
      reviewer = String(kept.reviewer || "");
    } catch { own = new Map(); }
    // What has been applied since counts.
    for (const [k, r] of own) if (before.has(k) && (before.get(k).time || "") >= (r.time || "")) own.delete(k);
  }
  function keep() {
    try { localStorage.setItem(STORE, JSON.stringify({ reviewer, reviews: [...own.values()] })); } catch { say("This browser keeps nothing for pages from disk: export before you close the page."); }
  }

  function valid(r) {
    return r && typeof r === "object" && ["finding", "image"].includes(r.kind) && DECISIONS.includes(r.decision) &&
      typeof (r.kind === "finding" ? r.fingerprint : r.image) === "string" && key(r).length > r.kind.length + 1;
  }
  const today = () => new Date().toISOString().slice(0, 10);
  const record = (k) => own.get(k) || before.get(k);
  const lapsed = (r) => Boolean(r && r.expires && r.expires < today());
  app.decision = (kind, id) => { const r = record(kind + ":" + id); return r && r.decision !== "unreviewed" && !lapsed(r) ? r.decision : ""; };

  function decide(about, changes) {
    const old = own.get(key(about));
    undone.push([key(about), old]);
    const blank = Object.fromEntries(FIELDS.map((f) => [f, ""]));
    own.set(key(about), { ...blank, decision: "unreviewed", ...(record(key(about)) || {}), ...about, ...changes, reviewer, time: new Date().toISOString().slice(0, 19) + "Z" });
    keep();
    redraw();
  }

  function undo() {
    const last = undone.pop();
    if (!last) return;
    if (last[1]) own.set(last[0], last[1]); else own.delete(last[0]);
    keep();
    redraw();
  }

  const panels = [];
  app.reviewPanel = function (kind, facts) {
    const about = { kind, ...facts };
    const k = key(about);
    const buttons = DECISIONS.map((d, at) => make("button", { type: "button", "aria-pressed": "false", onclick: () => decide(about, { decision: d }) }, kind === "image" ? at + 1 + " " + d : d));
    const note = make("textarea", { rows: 2, "aria-label": "Note on " + (facts.image || facts.class), placeholder: "Why? What next?", onchange: (e) => decide(about, { note: e.target.value }) });
    const until = make("input", { type: "date", onchange: (e) => decide(about, { expires: e.target.value }) });
    const who = make("p", { class: "small" });
    const update = () => {
      const r = record(k) || { decision: "unreviewed", note: "", expires: "" };
      buttons.forEach((b, at) => b.setAttribute("aria-pressed", String(DECISIONS[at] === r.decision)));
      if (document.activeElement !== note) note.value = r.note || "";
      if (document.activeElement !== until) until.value = r.expires || "";
      who.textContent = r.decision === "unreviewed" ? "" : r.decision + " by " + (r.reviewer || "somebody") + (r.time ? ", " + r.time.slice(0, 10) : "") + (r.expires ? ", until " + r.expires + (lapsed(r) ? " (lapsed)" : "") : "") + (own.has(k) ? "" : ", in an earlier review");
    };
    update();
    const panel = make("div", { class: "panel" }, make("div", { class: "choices", role: "group", "aria-label": "Decision on " + (facts.image || facts.class) }, ...buttons), note, make("label", { class: "until" }, "valid until ", until), who);
    panels.push({ panel, update });
    return panel;
  };
  app.decide = (at) => {
    const i = app.current ? app.current() : -1;
    if (i >= 0 && DECISIONS[at]) decide({ kind: "image", image: app.images.id[i], class: app.name(app.images.class[i]) }, { decision: DECISIONS[at] });
  };

  const said = (r) => r.decision !== "unreviewed" || r.note;
  const all = () => [...new Map([...before, ...own]).values()].filter(said);
  // An export also holds what was taken back, so that it is taken back where it was applied.
  const exported = () => [...new Map([...before, ...own]).entries()].filter(([k, r]) => said(r) || before.has(k)).map(([, r]) => r);

  const box = (id) => document.getElementById("review-" + id);
  function say(text) { if (box("said")) box("said").textContent = text; }

  function redraw() {
    for (let at = panels.length - 1; at >= 0; at--) if (panels[at].panel.isConnected) panels[at].update(); else panels.splice(at, 1);
    for (const mark of document.querySelectorAll("[data-decided]")) mark.textContent = app.decision("finding", mark.dataset.decided) ? "reviewed: " + app.decision("finding", mark.dataset.decided) : "";
    if (!box("counts")) return;
    const reviews = all();
    const cards = new Set([...document.querySelectorAll("[data-decided]")].map((mark) => mark.dataset.decided));
    const here = (r) => (r.kind === "image" ? app.row.has(r.image) : cards.has(r.fingerprint));
    const count = (kind, wanted) => reviews.filter((r) => r.kind === kind && here(r) && !lapsed(r) && wanted(r.decision)).length;
    const open = { finding: cards.size, image: app.n };
    box("counts").replaceChildren(...DECISIONS.map((d) => make("tr", {}, make("th", { scope: "row" }, d), ...["finding", "image"].map((kind) => make("td", { class: "num" },
      String(d === "unreviewed" ? open[kind] - count(kind, (x) => x !== d) : count(kind, (x) => x === d)))))));
    const gone = reviews.filter((r) => !here(r)).length;
    box("gone").textContent = gone ? gone + " reviews are about findings or images that are not in this run." : "";
    box("notes").replaceChildren(...reviews.sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, 200).map((r) => make("li", {},
      make("b", {}, r.decision), " ", r.kind === "image" ? make("button", { type: "button", class: "link", onclick: () => app.row.has(r.image) && app.open(app.row.get(r.image)) }, r.image) : make("bdi", {}, r.class + " (" + r.model + ", " + r.state + ")"),
      r.note ? ": " : "", make("span", {}, r.note || ""), make("span", { class: "muted" }, " " + [r.reviewer, (r.time || "").slice(0, 10), r.expires && "until " + r.expires + (lapsed(r) ? " (lapsed)" : "")].filter(Boolean).join(", ")))));
    box("undo").disabled = !undone.length;
    if (app.refresh) app.refresh();
  }

  function save(text, type, ending) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: "reviews-" + data.run.id + "." + ending });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(exported().length + " reviews written to " + link.download + ". Apply them with: shortcut-audit review apply " + link.download);
  }
  const asJson = () => JSON.stringify({ schema_version: 1, name: data.run.name, run_id: data.run.id, reviews: exported() }, null, 1);
  // A spreadsheet would run a cell that begins with one of =+-@ as a formula; the apostrophe is taken off again on import.
  const cell = (v) => { const text = /^[=+\-@\t\r']/.test(v) ? "'" + v : String(v); return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text; };
  const asCsv = () => [["name", "run_id", ...FIELDS].join(","), ...exported().map((r) => [data.run.name, data.run.id, ...FIELDS.map((f) => r[f] || "")].map(cell).join(","))].join("\r\n") + "\r\n";

  // A CSV file's rows, as objects by its header.
  function fromCsv(text) {
    const table = [[""]];
    let quoted = false;
    for (let at = 0; at < text.length; at++) {
      const c = text[at], line = table[table.length - 1];
      if (quoted) { if (c === '"' && text[at + 1] === '"') { line[line.length - 1] += '"'; at++; } else if (c === '"') quoted = false; else line[line.length - 1] += c; }
      else if (c === '"') quoted = true;
      else if (c === ",") line.push("");
      else if (c === "\n") table.push([""]);
      else if (c !== "\r") line[line.length - 1] += c;
    }
    const [head, ...lines] = table;
    if (!head.includes("decision")) return null;
    return lines.filter((l) => l.length > 1 || l[0] !== "").map((l) => l.length !== head.length ? null : Object.fromEntries(head.map((h, at) => [h, l[at].replace(/^'/, "")])));
  }

  function merge(text, file) {
    let incoming, whose;
    try {
      const parsed = text.trimStart().startsWith("{") ? JSON.parse(text) : { reviews: fromCsv(text) };
      incoming = parsed.reviews;
      whose = parsed.name || (incoming.find(Boolean) || {}).name;
    } catch { incoming = null; }
    if (!Array.isArray(incoming)) return say(file + " holds no reviews: expected a file that this page exported, JSON or CSV.");
    if (whose && whose !== data.run.name) return say(file + " reviews the audit " + whose + ", not " + data.run.name + ".");
    let taken = 0, older = 0;
    for (const r of incoming) {
      if (!valid(r)) continue;
      const mine = record(key(r));
      if (mine && (mine.time || "") >= (r.time || "")) { older++; continue; }
      own.set(key(r), Object.fromEntries(FIELDS.map((f) => [f, String(r[f] || "")])));
      taken++;
    }
    keep();
    redraw();
    say(taken + " reviews taken from " + file + "; " + older + " were not newer than what is here; " + (incoming.length - taken - older) + " were not understood.");
  }

  load();
  for (const place of document.querySelectorAll("[data-review]")) {
    place.append(app.reviewPanel("finding", JSON.parse(place.dataset.review)));
    place.hidden = false;
  }
  if (box("counts")) {
    box("tools").hidden = false;
    box("name").value = reviewer;
    box("name").addEventListener("change", (e) => { reviewer = e.target.value; keep(); });
    box("json").addEventListener("click", () => save(asJson(), "application/json", "json"));
    box("csv").addEventListener("click", () => save(asCsv(), "text/csv", "csv"));
    box("undo").addEventListener("click", undo);
    box("file").addEventListener("change", (e) => {
      const file = e.target.files[0];
      if (file) file.text().then((text) => merge(text, file.name));
      e.target.value = "";
    });
  }
  redraw();
})((window.app = window.app || {}));
