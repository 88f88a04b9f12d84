// The page /board: many jobs at a glance. Their ids are in its address after #, separated by commas.

import { Job, STATES } from "./progress-job.js";
import { followJobs } from "./progress.js";
import { chosen, texts } from "./texts.js";

const REDRAW = 250; // ms between two redraws, each of the jobs that have changed
const SUM = 1000; // ms between two sums
const GROUPS = ["bad", "neutral", "open", "waiting", "good"]; // those that failed come first

const query = new URLSearchParams(location.search);
const token = query.get("token");
const language = chosen(query.get("lang"), ...navigator.languages);
const say = texts(language);
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((one) => [one.id, one]));
const table = document.querySelector("table");
const form = document.querySelector("form");
const bodies = Object.fromEntries(GROUPS.map((group) => [group, table.appendChild(document.createElement("tbody"))]));
const rows = new Map(); // by channel
const changed = new Set();
const counts = Object.fromEntries(GROUPS.map((group) => [group, 0]));
let broker = true;

const jobs = followJobs({ url: new URL(".", location.href), token, onMessage, onState });

function onMessage(channel, message, newCounts) {
  const row = rows.get(channel);
  row?.job.take(message, newCounts);
  touch(row);
}

function onState(channel, state) {
  const row = rows.get(channel);
  if (!row) return;
  row.state = state.state;
  if (state.broker !== undefined) broker = state.broker;
  if (state.restarted) row.job.restart();
  row.job.forgotten ??= state.forgotten;
  if (state.state === "ended") row.job.finish(state);
  touch(row);
}

function touch(row) {
  if (!row) return;
  changed.add(row);
  draw();
  drawSum();
}

// Calls `action` at most once every `time` ms, and always once after the last call.
function throttled(time, action) {
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      action();
    }, time);
  };
}

function make(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function add(channel) {
  if (rows.has(channel)) return;
  const link = make("a", "", channel);
  link.href = `watch/${encodeURIComponent(channel)}?lang=${language}${token ? `&token=${encodeURIComponent(token)}` : ""}`;
  const name = make("th", "", link);
  name.scope = "row";
  const pieces = [...STATES, "rest"].map((state) => make("span", state));
  const bar = make("div", "bar", ...pieces);
  const numbers = make("small", "");
  const verdict = make("td", "state");
  const line = make("tr", "", name, make("td", "", bar, numbers), verdict);
  const row = { channel, job: new Job(), line, bar, pieces, numbers, verdict, group: "", state: "" };
  rows.set(channel, row);
  jobs.follow(channel);
  touch(row);
}

function remove(channel) {
  const row = rows.get(channel);
  rows.delete(channel);
  changed.delete(row);
  if (row.group) counts[row.group]--;
  row.line.remove();
  jobs.unfollow(channel);
  drawSum();
}

const draw = throttled(REDRAW, () => {
  for (const row of changed) drawRow(row);
  changed.clear();
});

function drawRow(row) {
  const { job, line, pieces, bar, numbers, verdict } = row;
  const { key, kind, values } = job.verdict;
  const group = key === "waiting" ? "waiting" : kind;
  if (group !== row.group) {
    if (row.group) counts[row.group]--;
    counts[group]++;
    row.group = line.className = group;
    bodies[group].append(line);
  }
  STATES.forEach((state, index) => {
    pieces[index].style.flexGrow = job.counts[state];
    pieces[index].hidden = !job.counts[state];
  });
  const rest = pieces.at(-1);
  rest.className = `rest ${kind === "bad" || key === "expired" ? "cut" : ""}`;
  rest.hidden = kind === "good" || (kind === "neutral" && key !== "expired");
  bar.hidden = Boolean(job.forgotten);
  const signs = STATES.map((state, index) => job.counts[state] && `${"✓✗»"[index]} ${job.counts[state]}`);
  setText(numbers, signs.filter(Boolean).join("  "));
  setText(verdict, say(key, values));
}

const drawSum = throttled(SUM, () => {
  const n = rows.size;
  setText(page.sum, n ? say("board-sum", { n, ...counts }) : say("board-empty"));
  const bad = counts.bad + counts.neutral;
  document.title = `${n ? `${bad ? `✗ ${bad} · ` : ""}${n - counts.open - counts.waiting}/${n} · ` : ""}${say("board")}`;
  for (const part of page.total.children) {
    part.style.flexGrow = counts[part.className];
    part.hidden = !counts[part.className];
  }
  page.total.hidden = table.hidden = !n;
  page.clear.hidden = !(counts.bad + counts.neutral + counts.good);
  drawConnection();
});

function drawConnection() {
  const isLost = [...rows.values()].some(({ state }) => state === "reconnecting");
  const key = !navigator.onLine ? "offline" : isLost ? "reconnecting" : broker ? "" : "no-contact";
  page.connection.hidden = !key;
  if (key) setText(page.connection, say(key));
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const MOST = 2000; // ids of one range

// "demo-1..9" stands for "demo-1" to "demo-9".
function expanded(text) {
  const [, prefix, first, last] = /^(.*?)(\d{1,9})\.\.(\d{1,9})$/.exec(text) ?? [];
  if (prefix === undefined) return [text];
  const count = Math.min(MOST, Number(last) - Number(first) + 1);
  return Array.from({ length: Math.max(count, 0) }, (_, index) => prefix + (Number(first) + index));
}

// Follows what the address says, and nothing else.
function readAddress() {
  const wanted = new Set(location.hash.slice(1).split(",").map(decoded).filter(Boolean).flatMap(expanded));
  for (const channel of [...rows.keys()]) if (!wanted.has(channel)) remove(channel);
  wanted.forEach(add);
  drawSum();
}

function writeAddress(channels) {
  location.hash = channels.map(encodeURIComponent).join(",");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const pasted = page.ids.value.split(/[\s,;]+/).filter(Boolean);
  page.ids.value = "";
  writeAddress([...new Set([...rows.keys(), ...pasted])]);
});
page.clear.addEventListener("click", () => {
  writeAddress([...rows.values()].filter(({ job }) => !job.end).map(({ channel }) => channel));
});
addEventListener("hashchange", readAddress);
for (const type of ["online", "offline"]) addEventListener(type, drawConnection);

document.documentElement.lang = language;
const named = { title: "board", "ids-label": "board-add", follow: "board-follow", clear: "board-clear" };
const heads = { "head-job": "board-job", "head-bar": "board-bar", "head-state": "board-state" };
for (const [id, key] of Object.entries({ ...named, ...heads })) page[id].textContent = say(key);
form.hidden = false;
readAddress();
