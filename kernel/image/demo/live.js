"use strict";
// Shows the figures of /stats.json, once a second while the page is visible.
const show = (name, text) => { document.querySelector(`[data-stat=${name}]`).textContent = text; };
const state = document.getElementById("state");
let last = null;

function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/stats.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const stats = await answer.json();
    show("uptime", span(stats.uptime_ms));
    show("requests", stats.requests_served.toLocaleString());
    show("open", `${stats.connections.open} of ${stats.connections.limit}`);
    show("gap", `${stats.rx.gap} of ${stats.rx.size}`);
    show("boot", `${(stats.boot_us / 1000).toFixed(1)} ms`);
    if (last && stats.uptime_ms > last.uptime_ms) {
      const rate = (stats.requests_served - last.requests_served) * 1000 / (stats.uptime_ms - last.uptime_ms);
      show("rate", rate.toFixed(1));
    }
    last = stats;
    state.textContent = `Quartz ${stats.version}, live.`;
  } catch (error) {
    state.textContent = `No figures: ${error.message}.`;
  }
}

look();
setInterval(look, 1000);
