"use strict";
// The figures come as server-sent events; where those do not get through, /stats.json is asked.
const EVERY = 1000;
const KEPT = 120;
const SVG = "http://www.w3.org/2000/svg";

const show = (name, text) => { document.querySelector(`[data-figure=${name}]`).textContent = text; };
const state = document.getElementById("state");
const chart = document.getElementById("chart");
const samples = [];
let last = null;

function say(kind, text) {
  state.dataset.state = kind;
  state.querySelector("b").textContent = text;
}

function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

function short(n) {
  const [unit, mark] = n >= 1e6 ? [1e6, " M"] : n >= 1e3 ? [1e3, " k"] : [1, ""];
  const figures = n / unit;
  return `${figures.toFixed(figures >= 10 || Number.isInteger(figures) ? 0 : 1)}${mark}`;
}

function bits(kbit) {
  const mbit = kbit / 1000;
  return mbit >= 1 ? `${mbit.toFixed(mbit >= 100 ? 0 : 1)} Mbit/s` : `${kbit.toFixed(0)} kbit/s`;
}

function meter(name, part, whole, text) {
  document.getElementById(name).value = whole > 0 ? part / whole : 0;
  show(name, text);
}

function take(stats) {
  if (last && stats.uptime_ms < last.uptime_ms) {
    // It was started anew.
    samples.length = 0;
    last = null;
  }
  const seconds = last ? (stats.uptime_ms - last.uptime_ms) / 1000 : 0;
  if (seconds > 0) {
    const rate = (stats.requests_served - last.requests_served) / seconds;
    const sent = (stats.frames.bytes_out - last.frames.bytes_out) * 8 / 1000 / seconds;
    samples.push({ at: stats.uptime_ms, rate, sent });
    if (samples.length > KEPT) samples.shift();
    show("rate", short(rate));
    show("sent", bits(sent));
    draw();
  }
  show("requests", `${stats.requests_served.toLocaleString("en")} since boot`);
  show("frames", `${stats.frames.out.toLocaleString("en")} frames`);
  show("open", stats.connections.open.toLocaleString("en"));
  show("limit", `${stats.connections_served.toLocaleString("en")} served, ${stats.connections.limit.toLocaleString("en")} at most`);
  show("uptime", span(stats.uptime_ms));
  show("boot", `booted in ${(stats.boot_us / 1000).toFixed(1)} ms`);
  meter("rx", stats.rx.gap, stats.rx.size, `${stats.rx.gap} of ${stats.rx.size}`);
  meter("tx", stats.tx.free, stats.tx.size, `${stats.tx.free} of ${stats.tx.size}`);
  const mib = (bytes) => (bytes / 1048576).toFixed(1);
  meter("heap", stats.heap.used, stats.heap.total, `${mib(stats.heap.used)} of ${mib(stats.heap.total)} MiB`);
  show("again", stats.frames.retransmitted.toLocaleString("en"));
  show("missed", stats.rx.missed_interrupts + stats.tx.missed_interrupts);
  show("resets", stats.rx.resets + stats.tx.resets);
  show("evicted", stats.connections.evicted.toLocaleString("en"));
  last = stats;
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The next of 1, 2, 5, 10, 20, 50 ... that is not below.
function nice(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most);
}

function draw() {
  const box = { left: 48, right: 896, top: 14, bottom: 266 };
  const tops = {
    rate: nice(Math.max(5, ...samples.map((s) => s.rate))),
    sent: nice(Math.max(10, ...samples.map((s) => s.sent))),
  };
  const parts = [];
  for (let step = 0; step <= 5; step++) {
    const y = box.bottom - (box.bottom - box.top) * step / 5;
    parts.push(element("line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y }));
    parts.push(element("text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, short(tops.rate * step / 5)));
    parts.push(element("text", { x: box.right + 8, y: y + 4 }, short(tops.sent * step / 5)));
  }
  const end = samples.at(-1).at;
  const range = KEPT * EVERY;
  const x = (at) => box.right - (box.right - box.left) * (end - at) / range;
  for (const back of [0, 30, 60, 90, 120]) {
    const anchor = back === 0 ? "end" : back === 120 ? "start" : "middle";
    const label = back === 0 ? "now" : `${back} s ago`;
    parts.push(element("text", { x: x(end - back * 1000), y: box.bottom + 22, "text-anchor": anchor }, label));
  }
  const seen = samples.filter((s) => end - s.at <= range);
  for (const [key, name] of [["sent", "sent"], ["rate", "requests"]]) {
    const y = (value) => box.bottom - (box.bottom - box.top) * value / tops[key];
    const line = seen.map((s, n) => `${n ? "L" : "M"}${x(s.at).toFixed(1)} ${y(s[key]).toFixed(1)}`).join("");
    if (name === "requests") {
      const area = `${line}L${x(end)} ${box.bottom}L${x(seen[0].at).toFixed(1)} ${box.bottom}Z`;
      parts.push(element("path", { class: `area ${name}`, d: area }));
    }
    parts.push(element("path", { class: `line ${name}`, d: line }));
    parts.push(element("circle", { class: name, cx: x(end), cy: y(seen.at(-1)[key]), r: 4.5 }));
  }
  chart.replaceChildren(...parts);
}

let polling = null;

function poll() {
  polling ??= setInterval(async () => {
    try {
      const answer = await fetch("/stats.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      take(await answer.json());
      say("live", "live, by polling");
    } catch {
      say("lost", "no answer");
    }
  }, EVERY);
}

function listen() {
  const events = new EventSource(`/events?ms=${EVERY}`);
  let heard = false;
  events.onmessage = (event) => {
    heard = true;
    clearInterval(polling);
    polling = null;
    take(JSON.parse(event.data));
    say("live", "live");
  };
  events.onerror = () => {
    // The browser tries again by itself, unless the server has no events at all.
    if (events.readyState === EventSource.CLOSED || !heard) poll();
    else say("lost", "connection lost");
  };
}

listen();
