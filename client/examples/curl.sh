#!/bin/sh
# Prints the messages of a job as they come, by server-sent events:
#   curl.sh http://127.0.0.1:4567 CHANNEL
curl --no-buffer --silent --show-error --fail "$1/events/$2" | sed -u -n 's/^data: //p'
