/**
 * Follows jobs of a ReCodEx monitor to their ends, and reconnects whenever that is necessary.
 *
 *   const stop = followJob({ url: "wss://host/ws", channel, token, onMessage, onState, onEnd });
 *
 * onMessage(message, counts): called once for each message, in order. counts, which include it:
 *   { completed, failed, skipped, attempt }, of the job's current attempt.
 * onState({ state, transport, broker }): "connecting", "live", "reconnecting", "ended" (with `reason`
 *   and `outcome`). `restarted: true` means that the monitor has lost its messages: it sends all
 *   that it has now, and counts start again. `broker: false` means that the monitor has no contact
 *   with the evaluation. Once "live" comes `age`, of the last message in seconds, null without one,
 *   and `forgotten`, of a channel that ended and is no longer kept: how its job went.
 * onEnd({ reason, outcome }): called once, last: "finished", "failed", "expired", or "refused" if
 *   the channel id is invalid or may not be followed. `outcome`: "failed" if the job's last attempt
 *   failed, else as `reason`.
 * token: the follower's, or a function that gets a new one, where the monitor asks for one.
 * stop() ends everything.
 *
 *   const jobs = followJobs({ url, channels, token, onMessage, onState, onEnd });
 *
 * The same for many jobs, on one connection for up to 500 of them; each callback has the channel
 * as its first argument. jobs.follow(channel), jobs.unfollow(channel), jobs.stop().
 *
 * A mistake in the arguments is a TypeError that names it.
 *
 * If WebSocket is blocked, the whole session uses server-sent events or long polls. A monitor
 * without ids sends the whole job on each connection; repeated messages are skipped by their text.
 */

const CONNECT = 10e3; // ms; browsers delay handshakes after failures, by up to 5 s
const SUBSCRIBE = 5e3;
const SILENCE = 40e3; // ms; heartbeats come every 25 s
const ON_SOCKET = 500; // jobs on one connection
const ON_STREAM = 100;

let session = {};
try {
  session = sessionStorage;
} catch {
  // denied to this page
}

const none = (attempt) => ({ completed: 0, failed: 0, skipped: 0, attempt });

// Counts the tasks of the current attempt. Of two senders, one may overtake the other: DOWNLOADED
// begins another attempt without the ABORTED of the last, which comes late, and so may its tasks.
function tally() {
  let counts = none(1), unfinished = 0;
  const said = new Set();
  const next = () => {
    counts = none(counts.attempt + 1);
    said.clear();
  };
  return ({ command, task_state: state }) => {
    const starting = counts.attempt > 1 && said.has("DOWNLOADED") && !said.has("STARTED");
    if (command === "TASK" && !starting && /^(COMPLETED|FAILED|SKIPPED)$/.test(state)) {
      counts[state.toLowerCase()]++;
    } else if (command === "FAILED") {
      said.add(command);
      unfinished = 0;
    } else if (command === "DOWNLOADED" || command === "STARTED") {
      if (said.has(command)) {
        if (!said.has("FAILED")) unfinished++;
        next();
      }
      said.add(command).delete("FAILED");
    } else if (command === "ABORTED") {
      if (unfinished) unfinished--;
      else if (!said.has("FAILED")) next();
    }
    return { ...counts };
  };
}

function mistaken(caller, argument, value, wanted) {
  const given = typeof value === "string" ? JSON.stringify(value) : String(value);
  return new TypeError(`${caller}: ${argument} is ${given}; it must be ${wanted}`);
}

function checkChannel(caller, channel) {
  if (typeof channel !== "string" || !channel) {
    throw mistaken(caller, "channel", channel, "the id of the job's channel, a string that is not empty");
  }
}

// Checks what all callers give; returns the addresses for WebSocket and for HTTP.
function checked(caller, { url, token, onMessage, onState, onEnd }) {
  let address;
  try {
    address = new URL(url);
  } catch {
    // told below
  }
  if (!/^(ws|http)s?:$/.test(address?.protocol)) {
    throw mistaken(caller, "url", url, "the monitor's address, such as wss://HOST/ws or ws://HOST:PORT");
  }
  if (token != null && typeof token !== "string" && typeof token !== "function") {
    throw mistaken(caller, "token", token, "a string, or a function that gets one");
  }
  for (const [name, listener] of Object.entries({ onMessage, onState, onEnd })) {
    if (listener != null && typeof listener !== "function") {
      throw mistaken(caller, name, listener, "a function");
    }
  }
  address.protocol = address.protocol.replace("http", "ws");
  return [address, address.origin.replace("ws", "http") + address.pathname.replace(/\/+$/, "")];
}

function call(listener, ...values) {
  try {
    listener?.(...values);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error); // the page's mistake, no reason to reconnect
  }
}

const first = () => (globalThis.WebSocket ? "websocket" : "events");
/** The token now, of a text or a function that gets one. */
export const made = (token) => (typeof token === "function" ? token() : token);

function get(address, token, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(address, { signal, headers, cache: "no-store" });
}

// Keeps a connection, which `open` makes: makes it anew after a loss, silence, or a sleep.
function keep(open, onLost) {
  const listening = new AbortController();
  let attempt = new AbortController();
  let timer, over, failures = 0, heard = Date.now();

  // There is one timer, since we never wait for two things.
  function after(time, action) {
    clearTimeout(timer);
    if (!over && action) timer = setTimeout(action, time);
  }

  function detach() {
    clearTimeout(timer);
    attempt.abort();
    attempt = new AbortController();
    return attempt.signal;
  }

  function connect() {
    open(detach());
  }

  function again(wait = 0) {
    detach();
    if (over) return;
    onLost();
    const most = Math.min(30e3, 5e3 * 2 ** failures++);
    after(wait + most * (0.2 + 0.8 * Math.random()), connect);
  }

  function hear() {
    heard = Date.now();
    failures = 0;
  }

  function alive() {
    hear();
    after(SILENCE, again);
  }

  function stop() {
    over = true;
    detach();
    listening.abort();
  }

  function returned({ persisted }) {
    if (persisted || (!globalThis.document?.hidden && Date.now() - heard > SILENCE)) connect();
  }

  const listen = globalThis.addEventListener; // Node.js has none
  listen?.("online", connect, listening);
  listen?.("pagehide", detach, listening);
  listen?.("pageshow", returned, listening);
  listen?.("visibilitychange", returned, listening);
  after(0, connect);
  return { after, detach, connect, again, hear, alive, stop };
}

// Reads a stream of events: calls `onEvent` with the data and the id of each, or `onComment`.
async function readEvents(answer, onChunk, onEvent, onComment) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onChunk();
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = /^(?:id: (.*)\n)?data: (.*)/.exec(part);
      if (event) onEvent(event[2], event[1]);
      else if (part.startsWith(":")) onComment();
    }
  }
}

// One job: what has come of it, and what its callbacks have been told.
function makeJob({ onMessage, onState, onEnd }) {
  let state, epoch, count, broker; // broker: whether the monitor has one; undefined if it does not tell
  let seen = 0;
  const job = { last: "", over: false, transport: null, say, told, end, take };

  function say(next, more) {
    if (job.over && next !== "ended") return;
    if (next === state && !more) return;
    call(onState, { state: (state = next), transport: job.transport, broker, ...more });
  }

  // What the monitor tells besides the job's messages.
  function told({ broker: now, age, forgotten }) {
    const more = state === "live" ? now !== broker && {} : { age, forgotten };
    broker = now;
    say("live", more);
  }

  function end(reason, outcome = reason) {
    if (job.over) return;
    job.over = true;
    say("ended", { reason, outcome });
    call(onEnd, { reason, outcome });
  }

  function take(message, [of, number] = message.id.split(":")) {
    if (job.over) return;
    if (of !== epoch) {
      if (seen) say(state, { restarted: true });
      epoch = of;
      seen = 0;
      count = tally();
    }
    if (number <= seen) return;
    seen = Number(number);
    job.last = message.id ?? "";
    call(onMessage, message, count(message));
  }

  job.connecting = () => say(state && state !== "connecting" ? "reconnecting" : "connecting");
  job.lost = () => say("reconnecting");
  job.forget = () => (epoch = null); // of a monitor without ids: what follows is another log
  return job;
}

export function followJob(options = {}) {
  const addresses = checked("followJob", options);
  checkChannel("followJob", options.channel);
  return followOne(...addresses, options.channel, options.token, makeJob(options));
}

// Follows one job on a connection of its own, from where it is.
function followOne(address, base, channel, token, job) {
  const texts = []; // of a monitor without ids
  let transport = session[base] ?? first();
  let live, plain, position; // of this connection
  let blocks = 0, renewed = false; // renewed: whether the token is a second one
  const link = keep(open, job.lost);

  function stop() {
    job.over = true;
    link.stop();
  }

  function end(...how) {
    link.stop();
    job.end(...how);
  }

  async function open(signal) {
    live = false;
    job.transport = transport;
    job.connecting();
    link.after(CONNECT, link.again);
    try {
      const now = token && (await made(token));
      if (!signal.aborted) ({ websocket, events, poll })[transport](signal, now);
    } catch {
      if (!signal.aborted) link.again(); // there is no token now
    }
  }

  // A token may be refused because it has expired; of another one that is no excuse.
  function refuse() {
    if (typeof token !== "function" || renewed) return end("refused");
    renewed = true;
    link.again();
  }

  // Nothing came. Browsers do not say why; if a snapshot comes, the transport is blocked.
  async function blocked() {
    const signal = link.detach();
    live = false;
    link.after(CONNECT, link.again);
    const now = token && (await made(token));
    if (!(await snapshot(signal, now, 0))) return;
    if (transport === "events") transport = "poll";
    else if (blocks++) transport = "events";
    link.connect();
    session[base] = transport;
  }

  function websocket(signal, now) {
    address.searchParams.set("after", job.last);
    if (now) address.searchParams.set("token", now);
    const began = Date.now();
    const socket = new WebSocket(address);
    position = 0;
    signal.onabort = () => {
      // The close event may come much later.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    link.after(CONNECT, blocked);
    socket.onopen = () => {
      socket.send(channel);
      link.after(SILENCE, blocked);
    };
    socket.onmessage = ({ data }) => receive(data);
    socket.onclose = ({ code, reason }) => {
      if (reason?.startsWith("token:")) refuse();
      // After 9 s, 1008 may mean that the page slept and sent the id too late.
      else if ([1003, 1008, 1009].includes(code) && Date.now() - began < 9e3) end("refused");
      else if (code === 1006 && !live) blocked();
      else link.again();
    };
  }

  // fetch, since EventSource hides the comments, which are the heartbeat.
  async function events(signal, now) {
    link.after(SUBSCRIBE, blocked);
    try {
      const answer = await get(path("events"), now, signal);
      if (answer.status === 401) return refuse();
      const heard = () => live && link.alive();
      await readEvents(answer, heard, receive, () => live && look(signal, now));
    } catch {
      // handled as an end
    }
    if (!signal.aborted) live ? link.again() : blocked();
  }

  async function poll(signal, now, seconds = 0) {
    link.after(SILENCE, link.again);
    if (!(await snapshot(signal, now, seconds))) return;
    link.hear();
    link.after(1e3, () => poll(signal, now, 25)); // a busy job gets one request a second
  }

  // A comment does not tell whether the broker is there.
  async function look(signal, now) {
    try {
      const found = await (await get(path("channels"), now, signal)).json();
      if (!signal.aborted && found.channel === channel) job.told(found);
    } catch {
      // no news
    }
  }

  async function snapshot(signal, now, seconds) {
    let retryAfter = 0;
    try {
      const answer = await get(`${path("channels")}&wait=${seconds}`, now, signal);
      if (answer.status === 401) return refuse();
      retryAfter = 1e3 * answer.headers.get("Retry-After") || 0;
      const found = await answer.json();
      if (answer.ok && found.channel === channel) {
        link.hear();
        if (transport === "poll") job.told(found);
        found.messages.forEach((message) => job.take(message));
        if (found.end) end(found.end, found.outcome ?? found.end);
        return !signal.aborted;
      }
    } catch {
      // no answer, or not from a monitor
    }
    if (!signal.aborted) link.again(retryAfter);
  }

  function path(kind) {
    return `${base}/${kind}/${encodeURIComponent(channel)}?after=${encodeURIComponent(job.last)}`;
  }

  function receive(text, id) {
    const message = JSON.parse(text);
    message.id ??= id;
    link.alive();
    if (!live) {
      live = true;
      plain = message.command !== "SUBSCRIBED";
      blocks = 0;
      renewed = false;
      job.told(message);
    } else if (!plain && message.command === "PING") job.told(message);
    if (plain) takePlain(text);
    else if (message.id) job.take(message);
    else if (message.command === "END") end(message.reason, message.outcome);
  }

  function takePlain(text) {
    link.after(); // waits for nothing, since it sends no heartbeats
    if (position < texts.length && texts[position] !== text) {
      const repeated = texts.splice(0).slice(0, position);
      position = 0;
      job.forget();
      repeated.forEach(takePlain);
    }
    texts[position++] = text;
    const message = JSON.parse(text);
    job.take(message, ["", position]);
    if (message.command === "FINISHED") end("finished");
  }

  return stop;
}

export function followJobs(options = {}) {
  const [address, base] = checked("followJobs", options);
  const { channels = [], token, onMessage, onState, onEnd } = options;
  if (!Array.isArray(channels)) throw mistaken("followJobs", "channels", channels, "a list of ids");
  channels.forEach((one) => checkChannel("followJobs", one));
  const groups = []; // each has its jobs on one connection
  let stopped = false;

  function follow(channel) {
    checkChannel("followJobs", channel);
    if (stopped || groups.some(({ jobs }) => jobs.has(channel))) return;
    let group = groups.find(({ jobs }) => jobs.size < ON_SOCKET);
    if (!group) {
      group = makeGroup(address, base, token, () => groups.splice(groups.indexOf(group), 1));
      groups.push(group);
    }
    group.add(channel, {
      onMessage: onMessage && ((...values) => onMessage(channel, ...values)),
      onState: onState && ((...values) => onState(channel, ...values)),
      onEnd: onEnd && ((...values) => onEnd(channel, ...values)),
    });
  }

  function unfollow(channel) {
    for (const group of [...groups]) group.remove(channel);
  }

  function stop() {
    stopped = true;
    for (const group of groups.splice(0)) group.stop();
  }

  channels.forEach(follow);
  return { follow, unfollow, stop };
}

// Jobs on one connection. `onEmpty` is called when there are none left.
function makeGroup(address, base, token, onEmpty) {
  const jobs = new Map();
  let transport = session[base] ?? first();
  let alone = transport === "poll"; // whether each job has a connection of its own
  let live = false, known = false; // whether anything came on this connection, and on any
  let blocks = 0, socket = null;
  const link = keep(open, () => jobs.forEach((job) => job.stop || job.lost()));

  const together = () => [...jobs.values()].filter((job) => !job.stop);

  function add(channel, listeners) {
    const job = Object.assign(makeJob(listeners), { channel, live: false, renewed: false });
    jobs.set(channel, job);
    if (alone) leave(job);
    else if (socket?.readyState === 1) send(job);
    else if (transport === "events") link.after(0, link.connect);
  }

  function drop(job) {
    jobs.delete(job.channel);
    clearTimeout(job.timer);
    if (jobs.size) return;
    link.stop();
    onEmpty();
  }

  function remove(channel) {
    const job = jobs.get(channel);
    if (!job) return;
    job.over = true;
    job.stop?.();
    drop(job);
    if (jobs.size && socket?.readyState === 1) socket.send(JSON.stringify({ unfollow: channel }));
  }

  function stop() {
    link.stop();
    for (const job of jobs.values()) {
      job.over = true;
      job.stop?.();
      clearTimeout(job.timer);
    }
    jobs.clear();
  }

  async function open(signal) {
    if (alone) return;
    live = false;
    socket = null;
    for (const job of together()) {
      clearTimeout(job.timer);
      Object.assign(job, { live: false, transport });
      job.connecting();
    }
    link.after(CONNECT, link.again);
    try {
      const now = token && (await made(token));
      if (!signal.aborted) ({ websocket, events })[transport](signal, now);
    } catch {
      if (!signal.aborted) link.again(); // there is no token now
    }
  }

  function send(job) {
    job.transport = transport;
    job.connecting();
    socket.send(JSON.stringify({ follow: job.channel, after: job.last }));
  }

  function websocket(signal, now) {
    const query = new URL(address);
    query.searchParams.set("jobs", "");
    const opened = new WebSocket(query);
    signal.onabort = () => {
      opened.onopen = opened.onmessage = opened.onclose = null;
      opened.close();
    };
    link.after(CONNECT, blocked);
    opened.onopen = () => {
      socket = opened;
      if (now) socket.send(JSON.stringify({ token: now }));
      together().forEach(send);
      link.after(SUBSCRIBE, known ? link.again : goAlone);
    };
    opened.onmessage = ({ data }) => receive(data);
    opened.onclose = ({ code }) => (code === 1006 && !live ? blocked() : link.again());
  }

  async function events(signal, now) {
    link.after(SUBSCRIBE, known ? link.again : goAlone);
    const all = together();
    const streams = [];
    while (all.length) streams.push(stream(all.splice(0, ON_STREAM), signal, now));
    const served = await Promise.all(streams);
    if (!signal.aborted) served.every(Boolean) ? link.again() : goAlone();
  }

  // Returns whether the monitor has streams of many jobs.
  async function stream(some, signal, now) {
    const id = encodeURIComponent;
    const ids = some.map(({ channel, last }) => id(channel) + (last && `@${id(last)}`));
    try {
      const answer = await get(`${base}/events?follow=${ids.join("&follow=")}`, now, signal);
      if (answer.status === 400 || answer.status === 404) return false;
      if (answer.status === 401) some.forEach((job) => refuse(job, "token"));
      if (answer.status === 204) some.forEach(leave); // all ended: ask each how
      if (answer.status === 200) await readEvents(answer, () => live && link.alive(), receive, () => {});
    } catch {
      // handled as an end
    }
    return true;
  }

  // Nothing came. If the monitor answers otherwise, the transport is blocked.
  async function blocked() {
    const signal = link.detach();
    link.after(CONNECT, link.again);
    const [channel] = jobs.keys();
    try {
      const now = token && (await made(token));
      const address = `${base}/channels/${encodeURIComponent(channel)}`;
      const found = await (await get(address, now, signal)).json();
      if (found.channel !== channel) throw found;
      if (blocks++) session[base] = transport = "events";
      if (!signal.aborted) link.connect();
    } catch {
      if (!signal.aborted) link.again();
    }
  }

  // The monitor does not know many jobs on one connection.
  function goAlone() {
    alone = true;
    link.stop();
    together().forEach(leave);
  }

  function leave(job) {
    const { end } = job;
    job.end = (...how) => {
      end(...how);
      if (jobs.get(job.channel) === job) drop(job);
    };
    job.stop = followOne(new URL(address), base, job.channel, token, job);
  }

  function receive(text) {
    const message = JSON.parse(text);
    const { channel, command, reason } = message;
    const job = jobs.get(channel);
    if (channel === undefined && command !== "PING") return goAlone(); // it took us for one job
    delete message.channel;
    live = known = true;
    blocks = 0;
    link.alive();
    if (channel === undefined) {
      jobs.forEach((one) => one.live && one.told(message));
    } else if (command === "REFUSED" && !message.id) {
      if (channel === null) together().forEach((one) => one.live || refuse(one, reason));
      else if (job && !job.stop) refuse(job, reason);
    } else if (job && command === "SUBSCRIBED" && !message.id) {
      Object.assign(job, { live: true, renewed: false });
      job.told(message);
    } else if (job?.live && command === "END" && !message.id) {
      job.end(reason, message.outcome);
      drop(job);
    } else if (job?.live) {
      job.take(message); // others were unfollowed
    }
  }

  function refuse(job, reason) {
    job.live = false;
    if (reason === "limit") {
      leave(job);
    } else if (reason === "room") {
      job.lost();
      job.timer = setTimeout(() => (socket ? send(job) : link.connect()), 5e3 + 25e3 * Math.random());
    } else if (reason === "token" && typeof token === "function" && !job.renewed) {
      // It may have expired: all that wait try another one, once.
      for (const one of together()) one.renewed ||= !one.live;
      link.again();
    } else if (!job.over) {
      job.end("refused");
      drop(job);
    }
  }

  return { jobs, add, remove, stop };
}
