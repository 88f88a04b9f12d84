"""The process and the system around it.

``log`` makes the lines of the log. ``systemd`` reports to systemd and takes over its sockets.
``process`` raises the limit of open files, makes the event loop light and keeps garbage
collections short.
"""
