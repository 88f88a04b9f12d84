// Checked by tsc, not run: what must compile, and what must not.

import { followJob, followJobs, type Counts, type Message, type State } from "recodex-monitor-client";
import "recodex-monitor-client/element";

const stop: () => void = followJob({
  url: new URL("wss://host/ws"),
  channel: "student_1",
  onMessage(message: Message, counts: Counts) {
    const command: string = message.command;
    const sum: number = counts.completed + counts.failed + counts.skipped + counts.attempt;
    console.log(command, sum, message.task_id?.length);
  },
  onState(state: State) {
    if (state.state === "live") console.log(state.age ?? "never", state.broker);
  },
  onEnd({ reason, outcome }) {
    const ended: "finished" | "failed" | "expired" | "refused" = reason;
    console.log(ended, outcome);
  },
});
stop();

followJob({ url: "wss://host", channel: "x", onMessage: null });

document.body.addEventListener("recodex-progress", ({ detail }) => {
  console.log(detail.headline, detail.done, detail.tasks ?? "unknown");
});

// @ts-expect-error: the channel is missing
followJob({ url: "wss://host" });
// @ts-expect-error: no such option
followJob({ url: "wss://host", channel: "x", onmessage() {} });
// @ts-expect-error: no such state
followJob({ url: "wss://host", channel: "x", onState: ({ state }) => state === "open" });

const jobs = followJobs({
  url: "wss://host",
  channels: ["a"],
  token: async () => "new",
  onMessage: (channel: string, message: Message, counts: Counts) => console.log(channel, message, counts),
});
jobs.follow("b");
jobs.unfollow("a");
jobs.stop();
