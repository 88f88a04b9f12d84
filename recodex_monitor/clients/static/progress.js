/**
 * Follows one job of a ReCodEx monitor to its end, whatever becomes of the connection.
 *
 *   const stop = followJob({ url: "wss://host/ws", channel, onMessage, onState, onEnd });
 *
 * onMessage(message, counts): each message of the job, once and in order. counts, with this one:
 *   { completed, failed, skipped, attempt }. ABORTED begins an attempt.
 * onState({ state, transport }): "connecting", "live", "reconnecting", "ended" (with `reason`).
 *   With `restarted: true` the monitor has lost what it told before: what follows is all that it
 *   knows, and counts begin anew.
 * onEnd({ reason }): once, last: "finished", "failed", "expired", or "refused" if the channel id
 *   cannot be one.
 * stop() leaves nothing behind.
 *
 * Where WebSocket is blocked it takes server-sent events, or long polls, for the whole session. A
 * monitor without ids repeats the job at each connection: repetitions are known by their text.
 */

const CONNECT = 10e3; // browsers delay a handshake by up to 5 s after failures
const SUBSCRIBE = 5e3;
const SILENCE = 40e3; // a heartbeat comes every 25 s

let session = {};
try {
  session = sessionStorage;
} catch {} // a page may have none

const none = (attempt) => ({ completed: 0, failed: 0, skipped: 0, attempt });

export function followJob({ url, channel, onMessage, onEnd, onState }) {
  const address = new URL(url);
  address.protocol = address.protocol.replace("http", "ws");
  const base = address.origin.replace("ws", "http") + address.pathname.replace(/\/+$/, "");
  const listening = new AbortController();
  const texts = []; // of a monitor that gives no ids
  let transport = session[base] ?? "websocket";
  let attempt = new AbortController();
  let live, plain, position; // of the present connection
  let state, timer, epoch, over, counts;
  let last = "", seen = 0, failures = 0, blocks = 0, heard = Date.now();

  function call(listener, ...values) {
    try {
      listener?.(...values);
    } catch (error) {
      reportError(error); // theirs, so no reason to reconnect
    }
  }

  function say(next, more) {
    if (next !== state || more) call(onState, { state: (state = next), transport, ...more });
  }

  // One timer: it is always one thing that is waited for.
  function after(time, action) {
    clearTimeout(timer);
    if (!over) timer = setTimeout(action, time);
  }

  function stop() {
    over = true;
    detach();
    listening.abort();
  }

  function end(reason) {
    if (over) return;
    stop();
    say("ended", { reason });
    call(onEnd, { reason });
  }

  function detach() {
    clearTimeout(timer);
    attempt.abort();
    attempt = new AbortController();
    live = false;
    return attempt.signal;
  }

  function connect() {
    say(state ? "reconnecting" : "connecting");
    ({ websocket, events, poll })[transport](detach());
  }

  function again(wait = 0) {
    detach();
    say("reconnecting");
    const most = Math.min(30e3, 5e3 * 2 ** failures++);
    after(wait + most * (0.2 + 0.8 * Math.random()), connect);
  }

  // Nothing came. Browsers do not say why; the snapshot tells "blocked" from "away".
  async function blocked() {
    const signal = detach();
    after(CONNECT, again);
    if (!(await snapshot(signal, 0))) return;
    if (transport === "events") transport = "poll";
    else if (blocks++) transport = "events";
    connect();
    session[base] = transport;
  }

  function websocket(signal) {
    address.searchParams.set("after", last);
    const began = Date.now();
    const socket = new WebSocket(address);
    position = 0;
    signal.onabort = () => {
      // Its close event may take long.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    after(CONNECT, blocked);
    socket.onopen = () => {
      socket.send(channel);
      after(SILENCE, blocked);
    };
    socket.onmessage = ({ data }) => receive(data);
    socket.onclose = ({ code }) => {
      // After a page's sleep 1008 may only mean that the id came too late.
      if ([1003, 1008, 1009].includes(code) && Date.now() - began < 9e3) end("refused");
      else if (code === 1006 && !live) blocked();
      else again();
    };
  }

  // EventSource would hide the comments that are the heartbeat.
  async function events(signal) {
    after(SUBSCRIBE, blocked);
    try {
      const answer = await get("events", signal);
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        if (live) alive();
        const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const event = /^(?:id: (.*)\n)?data: (.*)/.exec(part);
          if (event) receive(event[2], event[1]);
        }
      }
    } catch {} // as good as an end
    if (!signal.aborted) live ? again() : blocked();
  }

  async function poll(signal, seconds = 0) {
    after(SILENCE, again);
    if (!(await snapshot(signal, seconds))) return;
    failures = 0;
    say("live");
    after(1e3, () => poll(signal, 25)); // not at once, a job may be busy
  }

  async function snapshot(signal, seconds) {
    let retryAfter = 0;
    try {
      const answer = await get("channels", signal, `&wait=${seconds}`);
      retryAfter = 1e3 * answer.headers.get("Retry-After") || 0;
      const found = await answer.json();
      if (answer.ok && found.channel === channel) {
        heard = Date.now();
        found.messages.forEach((message) => take(message));
        if (found.end) end(found.end);
        return !signal.aborted;
      }
    } catch {} // not a monitor's answer, or none
    if (!signal.aborted) again(retryAfter);
  }

  function get(kind, signal, more = "") {
    const path = `${kind}/${encodeURIComponent(channel)}?after=${encodeURIComponent(last)}`;
    return fetch(`${base}/${path}${more}`, { signal, cache: "no-store" });
  }

  function alive() {
    heard = Date.now();
    after(SILENCE, again);
  }

  function receive(text, id) {
    const message = JSON.parse(text);
    message.id ??= id;
    alive();
    if (!live) {
      live = true;
      plain = message.command !== "SUBSCRIBED";
      failures = blocks = 0;
      say("live");
    }
    if (plain) takePlain(text);
    else if (message.id) take(message);
    else if (message.command === "END") end(message.reason);
  }

  function takePlain(text) {
    clearTimeout(timer); // such a monitor sends no heartbeat
    if (position < texts.length && texts[position] !== text) {
      const repeated = texts.splice(0).slice(0, position);
      position = 0;
      epoch = null;
      repeated.forEach(takePlain);
    }
    texts[position++] = text;
    const message = JSON.parse(text);
    take(message, ["", position]);
    if (message.command === "FINISHED") end("finished");
  }

  function take(message, [of, number] = message.id.split(":")) {
    if (of !== epoch && !over) {
      if (seen) say(state, { restarted: true });
      epoch = of;
      seen = 0;
      counts = none(1);
    }
    if (over || number <= seen) return;
    seen = Number(number);
    last = message.id ?? "";
    if (message.command === "ABORTED") counts = none(counts.attempt + 1);
    const task = message.command === "TASK" && message.task_state;
    if (/^(COMPLETED|FAILED|SKIPPED)$/.test(task)) counts[task.toLowerCase()]++;
    call(onMessage, message, { ...counts });
  }

  function returned({ persisted }) {
    if (persisted || (!document.hidden && Date.now() - heard > SILENCE)) connect();
  }

  addEventListener("online", connect, listening);
  addEventListener("pagehide", detach, listening);
  addEventListener("pageshow", returned, listening);
  addEventListener("visibilitychange", returned, listening);
  after(0, connect);
  return stop;
}
