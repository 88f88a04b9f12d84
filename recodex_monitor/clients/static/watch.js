// The page /watch/CHANNEL: one job, as its student wants to see it.

import { followJob } from "./progress.js";

const REDRAW = 100; // ms; many messages are drawn at once
const SPEAK = 5000; // ms between two announcements to screen readers
const LONGEST = 300; // characters shown of a task's id, which is free text of any length
const GROUP = 100; // tasks that the browser lays out together, once they come into sight

const PHASES = ["DOWNLOADED", "STARTED", "ENDED", "UPLOADED"];
const HEADLINES = {
  __proto__: null, // a command may have any name
  DOWNLOADED: "The job has been fetched",
  STARTED: "The solution is being evaluated",
  TASK: "The solution is being evaluated",
  ENDED: "The evaluation is over",
  UPLOADED: "The results are uploaded",
  ABORTED: "Interrupted, the job starts again",
  FAILED: "The job has failed",
};
const ENDS = {
  finished: "Finished",
  failed: "The job has failed",
  expired: "Nothing has come for a long time",
  refused: "This is not the id of a job",
};
const CONNECTION = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Connection lost, trying again",
  ended: "Ended",
};
const TRANSPORT = { websocket: "", events: " without WebSocket", poll: " by asking every second" };
const STATES = ["completed", "failed", "skipped"];

const [root, encoded] = location.pathname.split(/\/watch\/(?=[^/]*$)/);
const channel = decoded(encoded);
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((one) => [one.id, one]));
const bar = Object.fromEntries([...page.bar.children].map((part) => [part.className, part]));
const shares = Object.fromEntries(
  [...page.filter.querySelectorAll("input")].map((input) => [
    input.value,
    input.nextElementSibling.querySelector("b"),
  ]),
);

const WAITING = page.headline.textContent;

let counts = none(1);
let phase = 0; // how many of PHASES are behind us
let headline = WAITING;
let failed = false;
let over = false;
let latest = "";
let rows = 0;
let tasks = page.tasks.firstElementChild;
let fresh = []; // tasks that are not on the page yet

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no UTF-8, so no channel's id either
  }
}

function none(attempt) {
  return { completed: 0, failed: 0, skipped: 0, attempt };
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

// Control characters would be invisible.
function shown(id) {
  const text = id.length > LONGEST ? `${id.slice(0, LONGEST)}…` : id;
  return text.replace(/[\0-\x1f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt()));
}

function onMessage(message, newCounts) {
  const { command, task_id: id = "", task_state: state = "" } = message;
  if (command === "ABORTED") setAside(`Attempt ${counts.attempt}, interrupted`);
  counts = newCounts;
  headline = HEADLINES[command] ?? headline;
  if (command === "FAILED") failed = true;
  if (command === "TASK") addTask(shown(id), state.toLowerCase());
  const reached = command === "TASK" ? 2 : PHASES.indexOf(command) + 1;
  // A job that failed did not get where it had not been.
  if (!failed) phase = Math.max(phase, reached);
  redraw();
}

function addTask(id, state) {
  const row = element("li", STATES.includes(state) ? state : "other", "");
  row.append(element("bdi", "", id), element("span", row.className, state || "ended"));
  fresh.push(row);
  rows++;
  latest = id;
}

function drawTasks() {
  for (const row of fresh.splice(0)) {
    if (!(tasks.lastElementChild?.childElementCount < GROUP)) tasks.append(element("ol", "", ""));
    tasks.lastElementChild.append(row);
  }
}

// What came before is kept, folded away: the job, or the monitor, has begun anew.
function setAside(title) {
  drawTasks();
  const past = document.createElement("details");
  past.append(element("summary", "", `${title}: ${told(counts)}`), tasks);
  page.earlier.append(past);
  page.earlier.hidden = false;
  tasks = document.createElement("div");
  page.tasks.append(tasks);
  phase = 0;
  failed = false;
  latest = "";
  rows = 0;
}

function onState({ state, transport, restarted, reason }) {
  if (restarted) {
    setAside("Before the monitor was restarted");
    counts = none(1);
  }
  page.connection.className = state;
  page.connection.textContent = CONNECTION[state] + (state === "live" ? TRANSPORT[transport] : "");
  over = state === "ended";
  if (over) end(reason);
  redraw();
}

// FINISHED alone does not say that a job got there: the monitor also sends it for lost ones.
function end(reason) {
  if (reason === "failed" || reason === "refused") failed = true;
  if (reason === "finished" && !failed) phase = PHASES.length + 1;
  if (reason !== "finished" || !failed) headline = ENDS[reason];
}

function told({ completed, failed, skipped }) {
  return `${completed} completed, ${failed} failed, ${skipped} skipped`;
}

function done() {
  return counts.completed + counts.failed + counts.skipped;
}

function summary() {
  // After the last interruption no attempt may follow.
  const attempt = counts.attempt > 1 && phase ? `Attempt ${counts.attempt}. ` : "";
  if (!done()) return `${attempt}No task has ended${over ? "" : " yet"}.`;
  const ended = `${done()} ${done() === 1 ? "task has" : "tasks have"} ended`;
  return `${attempt}${ended}: ${told(counts)}.`;
}

// At most one `action` every `time` ms, and always one after the last call.
function throttled(time, action) {
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      action();
    }, time);
  };
}

const redraw = throttled(REDRAW, () => {
  drawTasks();
  setText(page.headline, headline);
  setText(page.summary, summary());
  setText(page.latest, latest && !over ? `Latest: ${latest}` : "");
  page.hint.hidden = headline !== WAITING || !page.connection.classList.contains("live");
  document.title = `${done() ? `${done()} tasks, ` : ""}${headline}`;
  document.body.className = failed ? "failed" : phase > PHASES.length ? "finished" : "";
  drawBar();
  drawPhases();
  speak();
});

const speak = throttled(SPEAK, () => {
  setText(page.spoken, `${page.connection.textContent}. ${headline}. ${summary()}`);
});

function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function drawBar() {
  for (const state of STATES) {
    bar[state].hidden = !counts[state];
    bar[state].style.flexGrow = counts[state];
    setText(shares[state], String(counts[state]));
  }
  setText(shares.all, String(rows));
  // Nobody knows how many tasks there will be: as long as there may be more, the bar is open.
  bar.open.hidden = phase >= 3 || failed || over;
  page.bar.setAttribute("aria-valuenow", phase);
  page.bar.setAttribute("aria-valuetext", `${headline}. ${summary()}`);
}

function drawPhases() {
  [...page.phases.children].forEach((item, index) => {
    item.className = index < phase ? "done" : index > phase ? "" : failed ? "stopped" : "next";
    if (item.className === "next") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

page.filter.addEventListener("change", ({ target }) => {
  page.tasks.className = target.value;
});
page.job.textContent = channel;
followJob({ url: new URL(`${root}/`, location.href), channel, onMessage, onState });
