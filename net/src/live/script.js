"use strict";
// Asks /stats.json each second and /flows.json each other one; draws what has changed.
const EVERY = 1000, KEPT = 120, LEAST = 30000, PATIENCE = 3000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const state = $("state");

// An element with attributes and children.
function make(name, attributes = {}, ...children) {
  const made = /^(svg|path|line|text)$/.test(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function scaled(n, base, marks) {
  let mark = 0;
  while (n >= base && mark < marks.length - 1) { n /= base; mark++; }
  return `${n.toFixed(n >= 100 || Number.isInteger(n) ? 0 : 1)}${marks[mark]}`;
}
const count = (n) => scaled(n, 1000, ["", " k", " M", " G"]);
const bytes = (n) => scaled(n, 1024, [" B", " KiB", " MiB", " GiB"]);
const exact = (n) => n.toLocaleString("en");
function span(ms) {
  const s = Math.floor(ms / 1000);
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}
const rate = (get) => (now, before, seconds) => (get(now) - get(before)) / seconds;
const perSecond = (n) => `${count(n)}/s`;

// Title, names, how a value is shown, and each line's value; `top`: the scale's end.
const charts = [
  ["Requests", ["answered"], perSecond, [rate((s) => s.requests_served)]],
  ["Bytes on the wire", ["out", "in"], (n) => `${bytes(n)}/s`, [rate((s) => s.frames.bytes_out), rate((s) => s.frames.bytes_in)]],
  ["Frames", ["out", "in"], perSecond, [rate((s) => s.frames.out), rate((s) => s.frames.in)]],
  ["Ring gap (the device's part)", ["rx", "tx"], count, [(s) => s.rx.gap, (s) => s.tx.gap], (s) => Math.max(s.rx.size, s.tx.size)],
  ["Connections by state", ["busy", "idle", "half open", "closing", "time wait"], count,
    [(s) => s.connections.busy, (s) => s.connections.open - s.connections.busy - s.connections.closing,
      (s) => s.connections.half_open, (s) => s.connections.closing, (s) => s.connections.time_wait]],
  ["Heap", ["in use"], bytes, [(s) => s.heap.used], (s) => s.heap.total],
].map(([title, names, show, values, top]) => {
  const legend = make("p", { class: "legend" });
  const picture = make("svg", { viewBox: "0 0 400 152", role: "img" });
  document.querySelector(".charts").append(make("div", { class: "card" }, make("h2", {}, title), legend, picture));
  return { title, names, show, values, top, legend, picture };
});

const tiles = ["Requests", "Sent", "Connections", "Receive ring", "Heap"].map((title) => {
  const [figure, note] = [make("p", {}, "–"), make("small")];
  document.querySelector(".tiles").append(make("div", {}, make("h2", {}, title), figure, note));
  return (text, more) => { figure.textContent = text; note.textContent = more; };
});

// What should be zero (bad), and what tells of a hard life.
const sum = (counts) => Object.values(counts).reduce((all, n) => all + n, 0);
const both = (name) => (s) => s.rx[name] + s.tx[name];
const troubles = [
  ["device resets", both("resets"), 1], ["interrupts missed", both("missed_interrupts"), 1],
  ["kicks repeated", both("rekicks"), 1], ["bad used entries", both("bad_used"), 1],
  ["answers 5xx", (s) => s.status["5xx"], 1], ["answers 4xx", (s) => s.status["4xx"]],
  ["segments sent again", (s) => s.frames.retransmitted], ["frames malformed", (s) => s.frames.dropped.malformed + s.frames.dropped.checksum],
  ["transmit ring full", (s) => s.frames.ring_full], ["connections evicted", (s) => s.connections.evicted],
  ["connections timed out", (s) => sum(s.expired) - s.expired.idle],
  ["SYNs dropped", (s) => s.connections.syn_dropped + s.connections.source_limited],
  ["SYN cookies", (s) => s.connections.cookies_sent], ["challenges", (s) => s.frames.challenged],
].map(([name, get, bad]) => {
  const figure = make("dd", {}, "–");
  const row = make("div", {}, make("dt", {}, name), figure);
  $("trouble").append(row);
  return (s) => {
    const n = get(s);
    figure.textContent = exact(n);
    row.className = n > 0 ? bad ? "bad" : "some" : "";
  };
});

// The next of 1, 2, 5, 10, 20, 50 ... (or powers of two, for bytes) that is not below.
function nice(most, inBytes) {
  if (inBytes) return 2 ** Math.ceil(Math.log2(Math.max(most, 1024)));
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most);
}

function draw({ title, names, show, values, top, legend, picture }) {
  const [left, right, high, low] = [66, 396, 10, 128];
  const end = samples.at(-1).at;
  const range = Math.min(Math.max(end - samples[0].at, LEAST), KEPT * EVERY);
  const number = charts.findIndex((chart) => chart.title === title);
  const seen = samples.filter((s) => end - s.at <= range);
  const most = Math.max(1, ...seen.flatMap((s) => s.values[number]));
  const ceiling = top ? top(last) : nice(most, show(1024).includes("KiB"));
  const x = (at) => right - (right - left) * (end - at) / range;
  const y = (n) => low - (low - high) * Math.min(n / ceiling, 1);
  const parts = [];
  for (const step of [0, .5, 1]) {
    parts.push(make("line", { x1: left, x2: right, y1: y(ceiling * step), y2: y(ceiling * step) }));
    parts.push(make("text", { x: left - 6, y: y(ceiling * step) + 4, "text-anchor": "end" }, show(ceiling * step)));
  }
  for (const [part, anchor] of [[1, "start"], [.5, "middle"], [0, "end"]]) {
    const label = part ? `${(range * part / 1000).toFixed(0)} s ago` : "now";
    parts.push(make("text", { x: x(end - range * part), y: 146, "text-anchor": anchor }, label));
  }
  const now = seen.at(-1).values[number];
  for (const line of [...values.keys()].reverse()) {
    const points = seen.map((s) => `${x(s.at).toFixed(1)} ${y(s.values[number][line]).toFixed(1)}`).join("L");
    if (line === 0) parts.push(make("path", { class: "area s0", d: `M${points}L${x(end)} ${low}L${x(seen[0].at).toFixed(1)} ${low}Z` }));
    parts.push(make("path", { class: `line s${line}`, d: `M${points}` }));
  }
  picture.replaceChildren(...parts);
  picture.setAttribute("aria-label", `${title}: ${names.map((name, n) => `${name} ${show(now[n])}`).join(", ")}`);
  legend.replaceChildren(...names.map((name, n) => make("span", { class: `s${n}` }, make("b", {}, `${name} ${show(now[n])}`))));
}

const samples = [];
let last = null;

function take(stats) {
  // It was started anew.
  if (last && stats.uptime_ms < last.uptime_ms) { samples.length = 0; last = null; }
  const before = last;
  last = stats;
  const seconds = before ? (stats.uptime_ms - before.uptime_ms) / 1000 : 0;
  if (seconds > 0) {
    samples.push({ at: stats.uptime_ms, values: charts.map(({ values }) => values.map((value) => value(stats, before, seconds))) });
    if (samples.length > KEPT) samples.shift();
    charts.forEach(draw);
    const now = samples.at(-1).values;
    tiles[0](perSecond(now[0][0]), `${exact(stats.requests_served)} since boot`);
    tiles[1](`${bytes(now[1][0])}/s`, `${exact(stats.frames.out)} frames`);
  }
  tiles[2](exact(stats.connections.open), `${exact(stats.connections_served)} served, ${exact(stats.connections.limit)} at most`);
  tiles[3](`${stats.rx.gap} of ${stats.rx.size}`, `transmit ring: ${stats.tx.gap} of ${stats.tx.size}`);
  tiles[4](bytes(stats.heap.used), `of ${bytes(stats.heap.total)}`);
  troubles.forEach((show) => show(stats));
  $("about").textContent = `version ${stats.version}, up ${span(stats.uptime_ms)}, booted in ${(stats.boot_us / 1000).toFixed(1)} ms`;
}

// The table: a name, a value to sort by, how it is shown.
const columns = [
  ["State", (f) => f.state.replace("_", " ")], ["Peer", (f) => f.peer], ["Port", (f) => f.port, String],
  ["Age", (f) => f.age_ms, span], ["Received", (f) => f.received, bytes], ["Sent", (f) => f.sent, bytes],
  ["Not acknowledged", (f) => f.queued, bytes],
];
const table = $("flows");
let flows = { flows: [], total: 0, next: null }, from = 0, by = 3, down = true;
columns.forEach(([name, , show], n) => {
  const button = make("button", {}, name);
  button.onclick = () => { down = by === n ? !down : Boolean(show); by = n; list(); };
  table.tHead.rows[0].append(make("th", { scope: "col", class: show ? "n" : "" }, button));
});

function list() {
  [...table.tHead.rows[0].cells].forEach((cell, n) => cell.setAttribute("aria-sort", n === by ? down ? "descending" : "ascending" : "none"));
  const key = columns[by][1];
  const rows = [...flows.flows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (down ? -1 : 1));
  table.tBodies[0].replaceChildren(...rows.map((flow) => make("tr", {}, ...columns.map(([, get, show]) =>
    make("td", { class: show ? "n" : "" }, show ? show(get(flow)) : get(flow))))));
  $("shown").textContent = `${rows.length} of ${exact(flows.total)}`;
  $("next").hidden = flows.next === null;
  $("first").hidden = from === 0;
}
$("next").onclick = () => { from = flows.next; ask(true); };
$("first").onclick = () => { from = 0; ask(true); };

async function get(path) {
  return fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
}

function say(kind, text) {
  state.dataset.state = kind;
  if (state.textContent !== text) state.textContent = text;
}

async function ask(table) {
  if (table) {
    flows = await (await get(`/flows.json?from=${from}`)).json();
    if (flows.flows.length === 0 && from > 0) from = 0;
    list();
  }
}

let heard = Date.now(), turn = 0;
async function go() {
  if (!document.hidden) {
    try {
      take(await (await get("/stats.json")).json());
      await ask(turn++ % 2 === 0);
      const health = await get("/healthz");
      heard = Date.now();
      if (health.ok) say("live", "live");
      else say("waiting", await health.text());
    } catch {
      say("lost", `no answer for ${span(Date.now() - heard)}`);
    }
  }
  setTimeout(go, EVERY);
}
go();
