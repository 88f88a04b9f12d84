// Prints the messages of a job as they come: node follow.mjs ws://127.0.0.1:4567/ CHANNEL

import { followJob } from "recodex-monitor-client";

const [url, channel] = process.argv.slice(2);
followJob({
  url,
  channel,
  onMessage: ({ command, task_id: task = "" }) => console.log(command, task),
  onEnd: ({ outcome }) => console.log(`outcome: ${outcome}`),
});
