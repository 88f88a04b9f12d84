"""The core, without any I/O: a channel is a log, and a subscription is a position in it.

``message`` makes a message of the broker's frames. ``frames`` makes a finished WebSocket frame of
its text. ``channel`` holds those frames as one log, with the subscriptions that read it: a late one
starts at position 0, so its replay is read like live messages. ``hub`` has all channels by id: the
broker's side publishes to it, the clients' side subscribes. ``attempts`` tells whether the last
attempt failed, and ``reserve`` lets a full channel take what decides that. ``retention`` ends
channels by time and makes room. ``counters`` keeps the totals. ``source`` is where a hub has its
channels' messages from.

It promises that a follower gets every message of a channel once and in order, whenever it joins.
It may know ``timing`` and ``settings``.
"""
