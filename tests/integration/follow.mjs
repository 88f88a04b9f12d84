// Follows a channel by one of Node's clients, and prints what came, one JSON text a line:
//
//     node follow.mjs WAY URL CHANNEL AFTER COUNT
//
// After COUNT messages it leaves; Infinity is no count. A client that is closed prints how, last.
import { EventSource as OtherEventSource } from "eventsource";
import { EventSource, WebSocket, fetch } from "undici";
import { WebSocket as OtherWebSocket } from "ws";

const [way, url, channel, after, count] = process.argv.slice(2);
let came = 0;

// Prints a message; returns whether it is time to leave.
function take(text) {
  console.log(text);
  came += 1;
  return came === Number(count);
}

function followByWebSocket(Socket) {
  const socket = new Socket(`${url.replace("http", "ws")}/?after=${encodeURIComponent(after)}`);
  socket.onopen = () => socket.send(channel);
  socket.onmessage = ({ data }) => {
    if (!take(data)) return;
    socket.onclose = null;
    socket.close();
  };
  socket.onclose = ({ code }) => console.log(JSON.stringify({ closed: code }));
}

// It is not closed at the job's end, so it comes back, and must then be stopped by a 204.
function followByEventSource(Source) {
  const query = after && `?after=${encodeURIComponent(after)}`;
  const source = new Source(`${url}/events/${channel}${query}`);
  const waiting = setInterval(() => {}, 1000); // undici's does not keep the process while it waits
  source.onmessage = ({ data, lastEventId }) => {
    const message = JSON.parse(data);
    // The last id counts for the monitor's own events, too, which have none.
    if (!["SUBSCRIBED", "END"].includes(message.command)) message.id = lastEventId;
    if (take(JSON.stringify(message))) leave();
  };
  source.onerror = () => {
    if (source.readyState !== Source.CLOSED) return;
    console.log(JSON.stringify({ closed: "by the answer" }));
    leave();
  };
  function leave() {
    source.close();
    clearInterval(waiting);
  }
}

async function followByPolls() {
  for (let last = after, end = null; end === null && came !== Number(count); ) {
    const query = `?wait=25&after=${encodeURIComponent(last)}`;
    const answer = await (await fetch(`${url}/channels/${channel}${query}`)).json();
    for (const message of answer.messages) if (take(JSON.stringify(message))) return;
    ({ last, end } = answer);
    last ??= "";
  }
}

const ways = {
  ws: () => followByWebSocket(OtherWebSocket),
  "undici WebSocket": () => followByWebSocket(WebSocket),
  eventsource: () => followByEventSource(OtherEventSource),
  "undici EventSource": () => followByEventSource(EventSource),
  "undici fetch": followByPolls,
};
await ways[way]();
