/**
 * The element that shows the progress of one job:
 *
 *   <recodex-progress src="wss://host/ws" channel="student_..." tasks="12" lang="cs"></recodex-progress>
 *
 * src: the monitor's address, as for `followJob`; may be relative to the page. channel: the job's.
 * tasks: how many there are, if that is known. lang: of the texts, else the browser's. results and
 * app: where the results are, and what that is called ("ReCodEx"), for a link at the end.
 *
 * The property token is the follower's, where the monitor asks for one, as for `followJob`.
 *
 * It says by the event "recodex-progress" what it shows: { headline, kind, done, tasks, state }, of
 * which kind is "open", "good", "neutral" or "bad". Its parts can be styled: card, connection, news,
 * headline, hint, results, bar, summary, latest, steps, earlier, tasks.
 */

import { Job, STATES } from "./progress-job.js";
import { STYLE } from "./progress-style.js";
import { followJob, made } from "./progress.js";
import { chosen, duration, texts } from "./texts.js";

const REDRAW = 100; // ms between two redraws, each with all messages since the last
const SPEAK = 5000; // ms between two announcements to screen readers
const LONGEST = 300; // characters of a task's id that are shown; ids may have any length
const CHUNK = 100; // rows in a list; the browser lays out only lists that are in sight
const BURST = 300; // ms within which messages after the first are those from before we came
const STEPS = ["downloaded", "started", "ended", "uploaded", "finished"];
const FILTERS = { all: "all", completed: "completed", failed: "failed-ones", skipped: "skipped" };
const TRANSPORT = { websocket: "live", events: "without-websocket", poll: "polling" };

const SHEET = new CSSStyleSheet();
SHEET.replaceSync(STYLE);

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Replaces control characters, which would be invisible, by their symbols.
function shown(id) {
  const text = id.length > LONGEST ? `${id.slice(0, LONGEST)}…` : id;
  return text.replace(/\p{Cc}/gu, (one) =>
    one < " " ? String.fromCodePoint(0x2400 + one.codePointAt()) : "\ufffd",
  );
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

/** What an element knows of its connection, and when news came. */
class Connection {
  state = "connecting";
  transport = "websocket";
  broker;
  news = null; // when the last message came, in ms
  #burst = 0; // when the last of the messages from before we came did
  #until = 0;

  changed({ state, transport, broker, age }) {
    Object.assign(this, { state, transport, broker });
    if (age === undefined) return;
    const now = Date.now();
    this.news = age === null ? null : now - 1000 * age;
    this.#burst = now;
    this.#until = now + 10e3;
  }

  heard() {
    const now = Date.now();
    if (now - this.#burst < BURST && now < this.#until) this.#burst = now;
    else this.news = now;
  }

  /** What to say of it: the key of a text, and how it looks. */
  get told() {
    if (this.state === "ended") return ["ended", "ended"];
    if (navigator.onLine === false) return ["offline", "lost"];
    if (this.state === "reconnecting") return ["reconnecting", "lost"];
    if (this.broker === false) return ["no-contact", "lost"];
    return this.state === "live" ? [TRANSPORT[this.transport], "live"] : ["connecting", ""];
  }
}

/** The rows of a list of tasks, the newest first while they come. */
class List {
  #rows = new Map();

  constructor(element, say) {
    this.element = element;
    this.say = say;
    element.replaceChildren();
  }

  draw(tasks) {
    for (const unit of tasks.fresh) {
      const row = this.#rows.get(unit) ?? this.#added(unit);
      row.className = unit.state;
      if (unit.tasks.length === 1) row.replaceChildren(this.#row("div", unit.tasks[0].id, unit.state));
      else this.#drawTest(row, unit);
    }
    tasks.fresh.clear();
  }

  #added(unit) {
    const row = make("li");
    this.#rows.set(unit, row);
    if (!(this.element.firstElementChild?.childElementCount < CHUNK)) this.element.prepend(make("ol"));
    this.element.firstElementChild.prepend(row);
    return row;
  }

  #row(name, id, state) {
    const row = make(name, { class: "row" }, make("bdi", {}, shown(id)));
    row.append(make("span", { class: state }, this.say(`task-${state}`)));
    return row;
  }

  #drawTest(row, { name, tasks, state }) {
    const open = row.firstElementChild?.open;
    const details = make("details", {}, this.#row("summary", name, state));
    const fill = () => {
      const rows = tasks.map((task) => this.#row("div", task.id, task.state));
      details.append(make("ul", {}, ...rows.map((one) => make("li", {}, one))));
    };
    details.open = Boolean(open);
    if (open) fill();
    else details.addEventListener("toggle", fill, { once: true });
    row.replaceChildren(details);
  }

  /** Puts the rows into the order of their tasks. */
  settle() {
    const rows = [...this.#rows.values()];
    const lists = [];
    while (rows.length) lists.push(make("ol", {}, ...rows.splice(0, CHUNK)));
    this.element.replaceChildren(...lists);
  }
}

class Progress extends HTMLElement {
  static observedAttributes = ["src", "channel", "tasks", "lang", "results", "app"];
  token = null;
  #root = this.attachShadow({ mode: "open" });
  #parts = {};
  #isIn = false; // whether it is in a document
  #leave = null; // leaves the job, while it is followed
  #endClock = () => {};
  #draw = throttled(REDRAW, () => this.#redraw());
  #speak = throttled(SPEAK, () => setText(this.#parts.spoken, this.#summary(true)));

  connectedCallback() {
    this.#isIn = true;
    if (!this.#leave) this.#begin();
  }

  // An element that is only moved goes on.
  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#isIn = false;
      this.#stop();
    });
  }

  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#isIn) return;
    if (["src", "channel", "lang"].includes(name)) {
      this.#stop();
      this.#begin();
    } else if (this.#leave) {
      this.#draw();
    }
  }

  #stop() {
    this.#leave?.();
    this.#leave = null;
  }

  // Frameworks may set attributes later; there is nothing to follow before.
  #begin() {
    if (!this.getAttribute("src") || !this.getAttribute("channel")) return;
    this.language = chosen(...(this.lang ? [this.lang] : (navigator.languages ?? [])));
    this.say = texts(this.language);
    this.job = new Job();
    this.connection = new Connection();
    this.#build();
    const listening = new AbortController();
    const draw = () => this.#draw();
    for (const type of ["online", "offline"]) addEventListener(type, draw, listening);
    const clock = setInterval(draw, 1000);
    this.#endClock = () => clearInterval(clock);
    let stop;
    this.#leave = () => {
      this.#endClock();
      listening.abort();
      stop?.();
    };
    stop = followJob({
      url: new URL(this.getAttribute("src"), document.baseURI).href,
      channel: this.getAttribute("channel"),
      token: () => made(this.token),
      onMessage: (message, counts) => this.#onMessage(message, counts),
      onState: (state) => this.#onState(state),
    });
    this.#draw();
  }

  #build() {
    const { say } = this;
    const parts = (this.#parts = {});
    const part = (name, tag, attributes = {}, ...children) =>
      (parts[name] = make(tag, { part: name, class: name, ...attributes }, ...children));
    const choices = Object.entries(FILTERS).map(([state, key]) => {
      const input = make("input", { type: "radio", name: "show", value: state });
      input.checked = state === "all";
      const count = (parts[`n-${state}`] = make("b", {}, "0"));
      const sign = state === "all" ? "" : state;
      return make("label", {}, input, make("span", { class: sign }, `${say(key)} `, count));
    });
    const pieces = [...STATES, "open"].map((name) => (parts[`bar-${name}`] = make("span", { class: name })));
    part(
      "card",
      "div",
      { lang: this.language },
      make("div", { class: "line" }, part("connection", "span"), part("news", "span")),
      part("headline", "h2"),
      part("hint", "p"),
      part("results", "a"),
      part("bar", "div", { role: "progressbar", "aria-label": say("bar"), "aria-valuemin": "0" }, ...pieces),
      part("summary", "p"),
      part("latest", "p"),
      part("steps", "ol", { "aria-label": say("steps") }, ...STEPS.map((one) => make("li", {}, say(`step-${one}`)))),
    );
    part("earlier", "section", { hidden: "" }, make("h3", {}, say("earlier")));
    parts.heading = make("h3", {}, say("tasks"));
    parts.filter = make("fieldset", {}, make("legend", { class: "unseen" }, say("filter")), ...choices);
    parts.list = make("div", { class: "list all" });
    part("tasks", "section", { hidden: "" }, parts.heading, parts.filter, parts.list);
    parts.spoken = make("p", { class: "unseen", role: "status" });
    parts.filter.addEventListener("change", ({ target }) => (parts.list.className = `list ${target.value}`));
    this.list = new List(parts.list, say);
    this.settled = false;
    this.aside = 0;
    this.#root.adoptedStyleSheets = [SHEET];
    this.#root.replaceChildren(parts.card, parts.earlier, parts.tasks, parts.spoken);
  }

  #onMessage(message, counts) {
    this.job.take(message, counts);
    this.connection.heard();
    this.#setAside();
    this.#draw();
  }

  #onState(state) {
    this.connection.changed(state);
    if (state.restarted) this.job.restart();
    this.job.forgotten ??= state.forgotten;
    if (state.state === "ended") this.job.finish(state);
    this.#setAside();
    this.#draw();
  }

  // Folds away the lists of attempts that are over, because the job or the monitor began again.
  #setAside() {
    for (const { why, counts, tasks } of this.job.past.slice(this.aside)) {
      this.aside++;
      this.list.draw(tasks);
      this.list.settle();
      const list = make("div", { class: "list all" }, ...this.#parts.list.childNodes);
      this.#parts.earlier.append(make("details", {}, make("summary", {}, this.say(why, counts)), list));
      this.#parts.earlier.hidden = false;
      this.list = new List(this.#parts.list, this.say);
    }
  }

  #redraw() {
    const { job, connection } = this;
    if (!this.#leave) return;
    if (job.end) this.#endClock();
    this.verdict = job.verdict;
    this.#drawConnection();
    this.#drawHeadline();
    this.#drawBar();
    this.#drawSteps();
    this.#drawTasks();
    this.#speak();
    const { key, kind, values } = this.verdict;
    const detail = { headline: this.say(key, values), kind, done: job.done, tasks: this.#expected() };
    this.dispatchEvent(new CustomEvent("recodex-progress", { detail: { ...detail, state: connection.state } }));
  }

  // The number of tasks, if it is known; there are as many as are done, at least.
  #expected() {
    const given = Number(this.getAttribute("tasks"));
    return given >= 1 && Number.isFinite(given) ? Math.max(Math.floor(given), this.job.done) : null;
  }

  #drawConnection() {
    const { connection, news } = this.#parts;
    const [key, look] = this.connection.told;
    setText(connection, this.say(key));
    connection.className = `connection ${look}`;
    const age = this.connection.news === null ? null : (Date.now() - this.connection.news) / 1000;
    news.hidden = age === null || this.job.end !== null;
    if (news.hidden) return;
    const time = duration(age, this.language);
    setText(news, age < 3 ? this.say("news-now") : this.say("news", { time }));
  }

  #drawHeadline() {
    const { card, headline, hint, results } = this.#parts;
    const { key, kind, values } = this.verdict;
    const app = this.getAttribute("app") || "ReCodEx";
    card.className = `card ${kind}`;
    setText(headline, this.say(key, values));
    const about = this.#hint();
    hint.hidden = !about;
    if (about) setText(hint, this.say(about, { app }));
    const link = this.getAttribute("results") ?? "";
    results.hidden = !this.job.end || !/^https?:\/\//i.test(link);
    if (!results.hidden) {
      results.href = link;
      setText(results, this.say("results", { app }));
    }
  }

  #hint() {
    const [connected] = this.connection.told;
    const { key } = this.verdict;
    if (this.job.end) return key.startsWith("over") ? "over-hint" : `${key}-hint`;
    if (connected === "offline" || connected === "no-contact") return `${connected}-hint`;
    return key === "waiting" && this.connection.state === "live" ? "waiting-hint" : "";
  }

  #drawBar() {
    const { job } = this;
    const { bar, summary, latest, steps } = this.#parts;
    const unknown = Boolean(job.forgotten) || job.end?.reason === "refused";
    const between = job.failed && !job.reached; // given up before, or between, attempts
    bar.hidden = unknown;
    summary.hidden = unknown || (between && job.attempts > 0);
    steps.hidden = unknown || between;
    const expected = this.#expected();
    for (const state of STATES) {
      this.#parts[`bar-${state}`].hidden = !job.counts[state];
      this.#parts[`bar-${state}`].style.flexGrow = job.counts[state];
    }
    const rest = expected === null ? 1 : expected - job.done;
    const open = this.#parts["bar-open"];
    const cut = job.failed || (job.end !== null && job.end.reason !== "finished");
    const over = job.reached >= 3 || job.end !== null;
    open.className = `open ${cut ? "cut" : expected === null ? "" : "known"}`;
    open.hidden = !cut && (rest === 0 || (over && expected === null));
    open.style.flexGrow = Math.max(rest, cut ? 0.1 : 0);
    const total = expected ?? (over && !cut ? job.done : null);
    bar.setAttribute("aria-valuemax", total || 1);
    if (total) bar.setAttribute("aria-valuenow", job.done);
    else bar.removeAttribute("aria-valuenow");
    bar.setAttribute("aria-valuetext", this.#summary());
    setText(summary, this.#summary());
    latest.hidden = !job.latest || job.end !== null;
    if (!latest.hidden) setText(latest, this.say("latest", { task: shown(job.latest) }));
  }

  // How far it is, as a text; for screen readers with the headline, and with the connection if it is lost.
  #summary(spoken = false) {
    const { job, verdict, say } = this;
    const said = [];
    const [connected, look] = this.connection.told;
    if (spoken && look === "lost") said.push(`${say(connected)}.`);
    if (spoken) said.push(`${say(verdict.key, verdict.values)}.`);
    // An attempt is only mentioned once it has begun: after an interruption none may follow.
    if (job.counts.attempt > 1 && job.reached) said.push(say("attempt", { n: job.counts.attempt }));
    const tasks = this.#expected();
    if (!job.done) said.push(say(job.end ? "nothing-at-all" : "nothing"));
    else said.push(say(tasks === null ? "done" : "done-of", { ...job.counts, n: job.done, tasks }));
    return said.join(" ");
  }

  #drawSteps() {
    const { job } = this;
    const open = this.verdict.kind === "open";
    [...this.#parts.steps.children].forEach((item, index) => {
      const here = index === job.reached && job.end?.reason !== "finished";
      const look = job.isDone(index) ? "done" : !here && !(job.failed && index === job.reached) ? "" : open ? "next" : "cut";
      item.className = look;
      if (look === "next") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  #drawTasks() {
    const { job } = this;
    this.list.draw(job.tasks);
    const counts = job.tasks.tally();
    this.#parts.tasks.hidden = !counts.all;
    setText(this.#parts.heading, this.say(job.tasks.hasTests ? "tests" : "tasks"));
    for (const state of Object.keys(FILTERS)) setText(this.#parts[`n-${state}`], String(counts[state]));
    if (job.end && !this.settled) {
      this.settled = true;
      this.list.settle();
    }
  }
}

customElements.define("recodex-progress", Progress);
