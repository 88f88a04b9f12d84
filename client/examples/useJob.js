// A hook for React: const { counts, state, outcome } = useJob("wss://host/ws", channel);

import { useEffect, useState } from "react";
import { followJob } from "recodex-monitor-client";

export function useJob(url, channel) {
  const [job, setJob] = useState({ state: "connecting" });
  useEffect(() => {
    const update = (more) => setJob((before) => ({ ...before, ...more }));
    setJob({ state: "connecting" });
    const onMessage = (message, counts) => update({ last: message, counts });
    return followJob({ url, channel, onMessage, onState: update });
  }, [url, channel]);
  return job;
}
