// A small monitor on Node's `ws`: channels with a history, messages by HTTP POST.
//
// Usage: node node_ws.cjs FOLDER_WITH_NODE_MODULES WEBSOCKET_PORT PUBLISH_PORT
"use strict";

const http = require("node:http");
const path = require("node:path");

const [folder, websocketPort, publishPort] = process.argv.slice(2);
const { WebSocketServer } = require(path.join(folder, "node_modules", "ws"));
const FINISHED = '{"command": "FINISHED"}';
const channels = new Map();

function channelOf(id) {
  if (!channels.has(id)) channels.set(id, { messages: [], clients: new Set(), finished: false });
  return channels.get(id);
}

function publish(id, text) {
  const channel = channelOf(id);
  if (channel.finished) return;
  channel.finished = text === FINISHED;
  channel.messages.push(text);
  for (const client of channel.clients) {
    client.send(text);
    if (channel.finished) client.close(1000);
  }
}

function subscribe(client, id) {
  const channel = channelOf(id);
  for (const text of channel.messages) client.send(text);
  if (channel.finished) client.close(1000);
  channel.clients.add(client);
  client.on("close", () => channel.clients.delete(client));
}

new WebSocketServer({ host: "127.0.0.1", port: Number(websocketPort), backlog: 4096 }).on(
  "connection",
  (client) => client.once("message", (id) => subscribe(client, id.toString())),
);

http
  .createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      publish(request.url.slice("/publish/".length), Buffer.concat(parts).toString());
      response.writeHead(202, { "Content-Length": 0 }).end();
    });
  })
  .listen(Number(publishPort), "127.0.0.1");
