"""The process and the system around it.

``log`` makes the lines of the log, ``writer`` is the thread that writes them, and ``outputs`` are
what it writes to, by ``paths``; ``opening`` opens one while the loop goes on. ``signals`` holds
signals during the start. ``systemd`` reports to systemd and takes over its sockets. ``descriptors``
raises the limit of open files and checks it, ``process`` makes the event loop light and keeps
garbage collections short.

Nothing here knows of channels or clients: it may know ``settings`` only.
"""
