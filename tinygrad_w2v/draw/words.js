"use strict";
// A map of words: points, labels that are placed anew whenever the view moves, and a search.
// Words are numbers, those on the map first: data.words[i], data.points[i], data.near[i], and
// data.cosines[i] in units of 1/10,000.
const data = JSON.parse(document.getElementById("data").textContent);
const [map, picture, search, matches, message, near] =
  ["map", "picture", "search", "matches", "message", "near"].map(id => document.getElementById(id));
const shown = data.points.length;
const GAP = 4, HEIGHT = 18, SIDE = 56, MARGIN = 28, CELL = 80, DEEPEST = 400, LISTED = 12,
  LONGEST = 24, FEW = 500;
const state = {x: 0, y: 0, zoom: 1, chosen: -1, hovered: -1, active: -1, listed: []};

// ── words ──

const fold = word => word.normalize("NFC").toLowerCase();
const folded = data.words.map(fold);
const exactly = new Map(data.words.map((word, i) => [word, i]));
const letters = text => "Segmenter" in Intl ?
  Array.from(new Intl.Segmenter().segment(text), part => part.segment) : Array.from(text);

// A word as it can be shown: no invisible name, no towers of accents, and not too long.
function named(i, longest = 200) {
  const word = data.words[i];
  if (!/[^\s\p{C}]/u.test(word)) return JSON.stringify(word);
  const parts = letters(word.slice(0, 8 * longest).replace(/(\p{M}{3})\p{M}+/gu, "$1"));
  return parts.length > longest ? parts.slice(0, longest - 1).join("") + "…" : parts.join("");
}

function find(text) {
  if (exactly.has(text)) return exactly.get(text);
  return folded.indexOf(fold(text));
}

function matching(text) {
  const wanted = fold(text), ranks = [[], [], [], []];
  if (!wanted) return [];
  folded.forEach((word, i) => {
    const place = word.indexOf(wanted);
    if (place >= 0) ranks[word === wanted ? 0 : place ? 3 : i < shown ? 1 : 2].push(i);
  });
  return ranks.flat().slice(0, LISTED);
}

// How many letters must be changed to make one word of the other; `most` + 1 if more than that.
function distance(a, b, most) {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let row = Array.from({length: b.length + 1}, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
    if (Math.min(...next) > most) return most + 1;
    row = next;
  }
  return row[b.length];
}

function spelt_alike(text) {
  const wanted = fold(text).slice(0, 40), most = wanted.length > 4 ? 2 : 1;
  return folded.map((word, i) => [distance(wanted, word, most), i])
    .filter(([far]) => far <= most).sort((a, b) => a[0] - b[0] || a[1] - b[1])
    .slice(0, 3).map(([, i]) => i);
}

// ── the view ──

let [width, height] = [0, 0];
const range = k => {
  const along = data.points.map(point => point[k]);
  const [low, high] = [Math.min, Math.max].map(best => along.reduce((a, b) => best(a, b)));
  return {middle: (low + high) / 2, half: Math.max((high - low) / 2, 1)};
};
const [across, up] = [range(0), range(1)];
const scale = () => state.zoom * Math.min(Math.max(1, width / 2 - SIDE) / across.half,
                                          Math.max(1, height / 2 - MARGIN) / up.half);

function place(i) {
  const s = scale(), [x, y] = data.points[i];
  return [width / 2 + (x - state.x) * s, height / 2 - (y - state.y) * s];
}

const within = ([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height;

function look(x, y, zoom) {
  const inside = (value, {middle, half}) => Math.max(middle - half, Math.min(middle + half, value));
  state.zoom = Math.max(1, Math.min(DEEPEST, zoom));
  Object.assign(state, {x: inside(x, across), y: inside(y, up)});
  draw();
}

const look_at_all = () => look(across.middle, up.middle, 1);

// Zoom with what is at a point of the screen staying there.
function zoom_at(px, py, factor) {
  const before = scale();
  const x = state.x + (px - width / 2) / before, y = state.y - (py - height / 2) / before;
  state.zoom = Math.max(1, Math.min(DEEPEST, state.zoom * factor));
  const after = scale();
  look(x - (px - width / 2) / after, y + (py - height / 2) / after, state.zoom);
}

const zoom_by = factor => zoom_at(width / 2, height / 2, factor);
const pan = (dx, dy) => look(state.x - dx / scale(), state.y + dy / scale(), state.zoom);

// Go to a word, so near that it and its neighbours on the map fill the view.
function go_to(i) {
  const [x, y] = data.points[i];
  const far = Math.max(0, ...data.near[i].filter(j => j < shown).map(j =>
    Math.max(Math.abs(data.points[j][0] - x) / across.half,
             Math.abs(data.points[j][1] - y) / up.half)));
  look(x, y, far ? Math.min(40, 0.95 / far) : 40);
}

// ── drawing ──

function element(parent, name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}

const cross = element(picture, "path", {class: "cross"});
const rays = element(picture, "path", {class: "rays"});
const points = element(picture, "path", {class: "points", "vector-effect": "non-scaling-stroke",
  d: data.points.map(([x, y]) => `M${x} ${-y}h0`).join("")});
const rings = element(picture, "g"), labels = element(picture, "g");
const pen = document.createElement("canvas").getContext("2d");
const texts = [], widths = {400: [], 700: []};

const text_of = i => texts[i] ??= named(i, LONGEST);

function width_of(i, weight) {
  if (widths[weight][i] === undefined) {
    pen.font = `${weight} 13px system-ui, sans-serif`;
    widths[weight][i] = Math.ceil(pen.measureText(text_of(i)).width);
  }
  return widths[weight][i];
}

// Boxes that keep clear of each other, filed by the cells of the screen that they touch.
class Boxes {
  constructor() {
    this.cells = new Map();
  }

  cells_of([left, top, right, bottom]) {
    const found = [];
    for (let i = Math.floor(left / CELL); i <= Math.floor(right / CELL); i++)
      for (let j = Math.floor(top / CELL); j <= Math.floor(bottom / CELL); j++)
        found.push(1000 * i + j);
    return found;
  }

  // Whether there was room for the box, which then has it.
  add(box) {
    const [left, top, right, bottom] = box, cells = this.cells_of(box);
    for (const cell of cells)
      for (const other of this.cells.get(cell) ?? [])
        if (left < other[2] + GAP && right + GAP > other[0] &&
            top < other[3] + GAP / 2 && bottom + GAP / 2 > other[1]) return false;
    for (const cell of cells) {
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(box);
    }
    return true;
  }
}

// The first of eight places beside a point where its label hits no other: its left end and top.
// If there are few points, a place where it hides none of them goes before.
function room_for(i, boxes, important, dots) {
  const [x, y] = place(i), wide = width_of(i, important ? 700 : 400), off = important ? 10 : 6;
  const right = x + off, left = x - off - wide, centre = x - wide / 2;
  const above = y - off - HEIGHT + 1, below = y + off - 1, middle = y - HEIGHT / 2;
  const places = [[right, middle], [left, middle], [centre, above], [centre, below],
                  [right, above], [right, below], [left, above], [left, below]].filter(([l, t]) =>
    l >= 2 && t >= 2 && l + wide <= width - 2 && t + HEIGHT <= height - 2);
  const hides = ([l, t]) => dots.some(([dx, dy]) =>
    dx > l - 2 && dx < l + wide + 2 && dy > t + 1 && dy < t + HEIGHT - 1);
  const fits = ([l, t]) => boxes.add([l, t, l + wide, t + HEIGHT]);
  return (dots.length <= FEW && places.find(at => !hides(at) && fits(at))) || places.find(fits);
}

function place_labels(important) {
  const boxes = new Boxes(), placed = [];
  const seen = [...data.points.keys()].filter(i => within(place(i))), dots = seen.map(place);
  for (const i of new Set([...important, ...seen])) {
    const room = within(place(i)) && room_for(i, boxes, important.has(i), dots);
    if (room) placed.push([i, room[0], room[1] + 13.5]);
  }
  return placed;
}

function draw() {
  [width, height] = [map.clientWidth, map.clientHeight];
  const s = scale(), origin = [width / 2 - state.x * s, height / 2 + state.y * s];
  points.setAttribute("transform", `translate(${origin}) scale(${s})`);
  cross.setAttribute("d", `M0 ${origin[1]}H${width}M${origin[0]} 0V${height}`);
  const neighbours = state.chosen < 0 ? [] : data.near[state.chosen].filter(i => i < shown);
  rings.replaceChildren();
  rays.setAttribute("d", "");
  if (state.chosen >= 0) {
    const from = place(state.chosen);
    rays.setAttribute("d", neighbours.map(i => `M${from}L${place(i)}`).join(""));
    for (const i of [...neighbours, state.chosen]) {
      const [cx, cy] = place(i), mine = i === state.chosen;
      element(rings, "circle", {cx, cy, r: mine ? 8 : 6, class: mine ? "ring chosen" : "ring"});
    }
  }
  const important = new Set([state.chosen, state.hovered, ...neighbours].filter(i => i >= 0));
  const placed = place_labels(important);
  while (labels.childElementCount > placed.length) labels.lastChild.remove();
  while (labels.childElementCount < placed.length) element(labels, "text");
  placed.forEach(([i, x, y], k) => {
    const label = labels.children[k];
    label.textContent = text_of(i);
    label.setAttribute("x", x);
    label.setAttribute("y", y);
    label.setAttribute("class", i === state.chosen || i === state.hovered ? "chosen" :
      important.has(i) ? "near" : "");
  });
  const seen = data.points.reduce((sum, _, i) => sum + within(place(i)), 0);
  document.getElementById("count").textContent =
    `${placed.length.toLocaleString("en")} of ${shown.toLocaleString("en")} words labelled` +
    (seen < shown ? `, of the ${seen.toLocaleString("en")} in view.` :
      placed.length < shown ? "; zoom in for others." : ".");
}

// ── a word and its neighbours ──

function node(name, content, attributes = {}) {
  const made = document.createElement(name);
  made.append(...[content].flat());
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const told = i => node("bdi", named(i, 60));

function say(...parts) {
  message.replaceChildren(...parts);
}

function listed(words) {
  return words.flatMap((i, k) => k ? [", ", told(i)] : [told(i)]);
}

function show_neighbours(i) {
  document.getElementById("hint").hidden = true;
  document.getElementById("chosen").replaceChildren("Nearest to ", node("bdi", named(i)));
  near.replaceChildren(...data.near[i].map((j, k) => {
    const word = j < shown ? node("button", told(j), {type: "button"}) :
      node("span", [told(j), node("small", "not on this map")]);
    if (j < shown) word.addEventListener("click", () => choose(j));
    const cosine = node("span", (data.cosines[i][k] / 1e4).toFixed(4), {class: "cosine"});
    return node("li", node("div", [word, cosine], {class: "row"}));
  }));
}

function choose(i, move = true) {
  close_list();
  if (i >= shown) return say_off_map(i);
  state.chosen = i;
  show_neighbours(i);
  const words = data.near[i].slice(0, 3);
  say(told(i), ...(words.length ? [": nearest are ", ...listed(words)] : []), ".");
  if (move) go_to(i); else draw();
}

function say_off_map(i) {
  let_go();
  const from = data.near.flatMap((row, j) => row.includes(i) ? [j] : []).slice(0, 5);
  say(told(i), " is in the vocabulary, but not on this map of ", shown.toLocaleString("en"),
    " words.", ...(from.length ? [" It is among the nearest of ", ...listed(from), "."] : []));
}

function say_unknown(text) {
  const near = spelt_alike(text), known = data.words.length.toLocaleString("en");
  say(node("bdi", text.slice(0, 60)), data.complete ? " is not in the vocabulary." :
    ` is not among the ${known} words that this page knows, of ` +
    `${data.vocabulary.toLocaleString("en")} in the vocabulary.`,
    ...(near.length ? [" Near spellings: ", ...listed(near), "."] : []));
}

function let_go() {
  state.chosen = -1;
  near.replaceChildren();
  document.getElementById("chosen").textContent = "Nearest words";
  document.getElementById("hint").hidden = false;
  say();
  draw();
}

// ── the search ──

function close_list() {
  Object.assign(state, {listed: [], active: -1});
  show_list();
}

function show_list() {
  matches.replaceChildren(...state.listed.map((i, k) => {
    const item = node("li", [told(i), ...(i < shown ? [] : [node("small", "not on this map")])],
      {role: "option", id: `match-${k}`, "aria-selected": k === state.active});
    item.addEventListener("pointerdown", event => {
      event.preventDefault();  // the search keeps the focus
      take(i);
    });
    return item;
  }));
  matches.hidden = !state.listed.length;
  search.setAttribute("aria-expanded", !matches.hidden);
  if (state.active < 0) return search.removeAttribute("aria-activedescendant");
  search.setAttribute("aria-activedescendant", `match-${state.active}`);
  matches.children[state.active].scrollIntoView({block: "nearest"});
}

function take(i) {
  search.value = data.words[i];
  choose(i);
}

search.addEventListener("input", () => {
  Object.assign(state, {listed: matching(search.value), active: -1});
  show_list();
  if (search.value && !state.listed.length) say_unknown(search.value);
  else say();
});

search.addEventListener("keydown", event => {
  if (event.isComposing) return;
  const count = state.listed.length, step = {ArrowDown: 1, ArrowUp: -1}[event.key];
  if (step) {
    if (!count) state.listed = matching(search.value);
    else state.active = (state.active + step + count + 2) % (count + 1) - 1;  // −1: the field
    show_list();
  } else if (event.key === "Enter") {
    const i = state.active >= 0 ? state.listed[state.active] : find(search.value);
    if (i >= 0) take(i);
    else if (search.value) say_unknown(search.value);
  } else if (event.key === "Escape") {
    if (count) return close_list(), event.preventDefault();
    search.value = "";
    let_go();
  } else return;
  event.preventDefault();
});

search.addEventListener("blur", close_list);

// ── mouse, touch, wheel, keys ──

const hands = new Map();  // pointers that are down, and where
let moved = 0;

const here = event => {
  const box = map.getBoundingClientRect();
  return [event.clientX - box.left - map.clientLeft, event.clientY - box.top - map.clientTop];
};

function nearest([x, y], reach) {
  let best = -1, least = reach;
  for (let i = 0; i < shown; i++) {
    const [px, py] = place(i), far = Math.hypot(px - x, py - y);
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

map.addEventListener("pointerdown", event => {
  if (event.button) return;
  map.setPointerCapture(event.pointerId);
  if (!hands.size) moved = 0;
  hands.set(event.pointerId, here(event));
  map.classList.add("dragged");
});

map.addEventListener("pointermove", event => {
  const now = here(event), before = hands.get(event.pointerId);
  if (!before) {
    const hovered = event.pointerType === "touch" ? -1 : nearest(now, 12);
    if (hovered !== state.hovered) state.hovered = hovered, draw();
    return;
  }
  const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
  moved += Math.hypot(dx, dy);
  hands.set(event.pointerId, now);
  if (hands.size === 1) return pan(dx, dy);
  const [other] = [...hands].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  const apart = (a, b) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  pan(dx / 2, dy / 2);
  zoom_at((now[0] + other[0]) / 2, (now[1] + other[1]) / 2,
    apart(now, other) / apart(before, other));
});

function lift(event) {
  const at = hands.get(event.pointerId);
  if (!hands.delete(event.pointerId) || hands.size) return;
  map.classList.remove("dragged");
  if (event.type !== "pointerup" || moved > 6) return;
  const i = nearest(at, event.pointerType === "touch" ? 24 : 12);
  if (i >= 0) choose(i, false);
}

map.addEventListener("pointerup", lift);
map.addEventListener("pointercancel", lift);
map.addEventListener("pointerleave", () => {
  if (state.hovered >= 0) state.hovered = -1, draw();
});

map.addEventListener("wheel", event => {
  event.preventDefault();
  zoom_at(...here(event), Math.exp(-event.deltaY * [0.0015, 0.05, 0.5][event.deltaMode]));
}, {passive: false});

map.addEventListener("keydown", event => {
  const step = 60, act = {
    ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0),
    ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
    "+": () => zoom_by(1.5), "=": () => zoom_by(1.5), "-": () => zoom_by(1 / 1.5),
    0: look_at_all, Home: look_at_all, Escape: let_go}[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});

document.getElementById("nearer").addEventListener("click", () => zoom_by(1.5));
document.getElementById("farther").addEventListener("click", () => zoom_by(1 / 1.5));
document.getElementById("whole").addEventListener("click", look_at_all);
Object.assign(state, {x: across.middle, y: up.middle});
new ResizeObserver(draw).observe(map);
