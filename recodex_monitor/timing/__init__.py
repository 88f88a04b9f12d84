"""Time: telling it, waiting, and spreading long work over it.

``clock`` tells the time and stands still while the process is suspended. ``timeouts`` holds
things that are due a fixed time after they were last touched. ``slices`` does long work a few
milliseconds at a time. ``throttle`` counts what happens often and logs it once a minute.
``retry`` says when something that has failed may be tried again.

It promises that no thing that waits needs a timer of its own. It imports nothing of ours.
"""
