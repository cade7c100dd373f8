// What is shown: the data as the page wrote it, one filter and sort state, and the address that keeps it.
(function (app) {
  "use strict";
  const data = window.AUDIT;
  if (!data) return;
  const images = data.images;
  const n = images.id.length;
  const name = (i) => (i < 0 ? "" : data.names[i]);

  const empty = { q: "", c: "", right: "", rests: "", pic: "", rv: "", lo: "", hi: "", model: "0", m: "", sort: "", view: "table", image: "" };
  const state = { ...empty };
  const listeners = [];

  const model = () => data.models[Number(state.model)] || data.models[0];
  const method = () => (model().methods.includes(state.m) ? state.m : model().methods[0] || "");
  const score = (key) => ((model().scores[method()] || {})[key]) || [];
  const right = (i) => model().said[i] === images.class[i];
  const without = (i) => model().changed.object_removed[i];
  const only = (i) => model().changed.object_only[i];
  // Right for the wrong reason: named correctly, and still named so when the object is gone.
  const rests = (i) => right(i) && without(i) === images.class[i];
  const picture = (i) => model().pictures[i];
  const lowered = images.id.map((id) => id.toLowerCase());

  // Large first where a prediction survives without its object, then where little attribution lies inside.
  const telling = (i) => (rests(i) ? 2 : 0) + (score("inside_share")[i] === undefined || score("inside_share")[i] === null ? 0 : 1 - score("inside_share")[i]);

  const columns = [
    { key: "id", label: "Image", text: (i) => images.id[i], wide: true },
    { key: "class", label: "Class", text: (i) => name(images.class[i]) },
    { key: "says", label: "Model says", text: (i) => name(model().said[i]), mark: (i) => !right(i) },
    { key: "p", label: "Probability", number: (i) => model().probability[i], percent: true },
    { key: "area", label: "Object’s area", number: (i) => images.area[i], percent: true },
    { key: "inside", label: "Inside share", number: (i) => score("inside_share")[i], percent: true },
    { key: "lift", label: "Lift", number: (i) => score("lift")[i], times: true },
    { key: "without", label: "Without object", text: (i) => name(without(i)), mark: rests },
    { key: "only", label: "Object only", text: (i) => name(only(i)) },
    { key: "review", label: "Review", text: (i) => app.decision("image", images.id[i]) },
  ];

  function format(column, i) {
    if (column.text) return column.text(i);
    const value = column.number(i);
    if (value === null || value === undefined) return "n/a";
    if (column.times) return "×" + value.toFixed(2);
    return Math.round(value * 100) + "\u202f%";
  }

  function keeps(i) {
    if (state.q && !lowered[i].includes(state.q.toLowerCase())) return false;
    if (state.c && name(images.class[i]) !== state.c) return false;
    if (state.right && right(i) !== (state.right === "yes")) return false;
    if (state.rests && (without(i) < 0 || rests(i) !== (state.rests === "yes"))) return false;
    if (state.pic && !picture(i)) return false;
    if (state.rv && (app.decision("image", images.id[i]) || "unreviewed") !== state.rv) return false;
    if (state.lo !== "" || state.hi !== "") {
      const value = score("inside_share")[i];
      if (value === null || value === undefined) return false;
      if (state.lo !== "" && value < Number(state.lo) / 100) return false;
      if (state.hi !== "" && value > Number(state.hi) / 100) return false;
    }
    return true;
  }

  function sorted(rows) {
    if (!state.sort) return rows;
    const down = state.sort.startsWith("-");
    const key = state.sort.replace("-", "");
    const column = columns.find((c) => c.key === key);
    const value = key === "telling" ? telling : column && (column.number || column.text);
    if (!value) return rows;
    const keys = rows.map(value);
    const order = rows.map((_, at) => at);
    const sign = down ? -1 : 1;
    order.sort((a, b) => {
      const x = keys[a], y = keys[b];
      const missing = (x === null || x === undefined || x === "") - (y === null || y === undefined || y === "");
      if (missing) return missing; // undefined values come last, whichever way
      return (x < y ? -1 : x > y ? 1 : 0) * sign || a - b;
    });
    return order.map((at) => rows[at]);
  }

  function rows() {
    const kept = [];
    for (let i = 0; i < n; i++) if (keeps(i)) kept.push(i);
    return sorted(kept);
  }

  function address() {
    const parts = Object.keys(empty).filter((k) => state[k] !== empty[k]).map((k) => k + "=" + encodeURIComponent(state[k]));
    return "#images?" + parts.join("&");
  }

  function read() {
    // A step to another section leaves the filters as they are.
    if (!location.hash.startsWith("#images?")) { state.image = ""; return; }
    Object.assign(state, empty);
    for (const part of location.hash.slice("#images?".length).split("&")) {
      const [key, value] = part.split("=");
      if (!(key in empty)) continue;
      try { state[key] = decodeURIComponent(value || ""); } catch { /* not an address of ours */ }
    }
    if (!data.models[state.model]) state.model = empty.model;
    if (!["table", "gallery"].includes(state.view)) state.view = empty.view;
  }

  // `push` makes a step that the browser's back button undoes.
  function set(changes, push) {
    Object.assign(state, changes);
    try { history[push ? "pushState" : "replaceState"](null, "", address()); } catch { /* some browsers allow only so many a minute */ }
    for (const listen of listeners) listen();
  }

  window.addEventListener("popstate", () => { read(); for (const listen of listeners) listen(); });
  read();
  Object.assign(app, {
    data, images, n, name, state, empty, model, method, score, right, rests, without, only, picture, columns, format, rows, set, telling,
    listen: (f) => listeners.push(f),
    decision: () => "", // until the review is there
    row: new Map(images.id.map((id, i) => [id, i])),
  });
})((window.app = window.app || {}));
