"""The core, without any I/O: a channel is a log, and a subscription is a position in it.

``message`` makes a message of the broker's frames. ``frames`` makes a finished WebSocket frame of
its text. ``channel`` holds those frames as one log, with the subscriptions that read it. ``hub``
has all channels by id: the broker's side publishes to it, the clients' side subscribes.
``counters`` keeps the totals.
"""
