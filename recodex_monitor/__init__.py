"""The ReCodEx monitor: progress of jobs from the broker's ZeroMQ to browsers' WebSockets."""

__version__ = "2.0.0"
