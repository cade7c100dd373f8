// Elements from plain text: nothing that comes from data is ever parsed as HTML.
(function (app) {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  app.make = function (tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
    return element;
  };

  // Drawing anew what has the focus must not lose it: `data-focus` says what is the same thing.
  app.redrawn = function (box, draw) {
    const active = document.activeElement;
    const held = active && box.contains(active) ? active.dataset.focus : undefined;
    draw();
    if (held === undefined) return;
    const again = box.querySelector('[data-focus="' + CSS.escape(held) + '"]');
    if (again) again.focus({ preventScroll: true });
  };

  // In a single file the pictures lie in the page itself.
  app.source = (path) => (window.AUDIT.files || {})[path] || "./" + path.split("/").map(encodeURIComponent).join("/");

  app.boxes = function (boxes, frame, extra) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 " + frame[1] + " " + frame[0]);
    svg.setAttribute("class", "boxes");
    svg.setAttribute("aria-hidden", "true");
    for (const box of [...boxes, ...(extra ? [extra] : [])]) {
      const group = document.createElementNS(SVG, "g");
      if (box === extra) group.setAttribute("class", "spot");
      svg.append(group);
      for (const stroke of ["outer", "inner"]) {
        const rect = document.createElementNS(SVG, "rect");
        const [x0, y0, x1, y1] = box;
        const values = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: stroke };
        for (const [key, value] of Object.entries(values)) rect.setAttribute(key, value);
        group.append(rect);
      }
    }
    return svg;
  };

  // Pieces of data come as scripts, because a page opened from disk may read nothing else. null: not to be had.
  const asked = new Map();
  app.piece = function (model, piece) {
    const key = model + "-" + piece;
    if (!asked.has(key)) {
      asked.set(key, new Promise((done) => {
        if (!app.data.pieces[model].includes(piece)) return done({ names: [], rows: {} });
        if (app.data.trials[model][piece]) return done(app.data.trials[model][piece]);
        if (app.data.files) return done(null); // a single file has neighbours no more
        const element = app.make("script", { src: "data/trials-" + key + ".js" });
        element.onload = () => done(app.data.trials[model][piece] || null);
        element.onerror = () => done(null);
        document.head.append(element);
      }));
    }
    return asked.get(key);
  };
})((window.app = window.app || {}));
