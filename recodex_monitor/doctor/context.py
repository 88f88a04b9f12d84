"""What all checks know: the settings, what the monitor tells of itself, and what is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recodex_monitor.doctor.ways import Way
from recodex_monitor.settings.schema import Settings

BROKER_CONFIG = "/etc/recodex/broker/config.yml"
"""The configuration file of a broker on the same machine."""


@dataclass
class Context:
    """See the module.

    Attributes:
        settings: of the monitor; the defaults if they cannot be read.
        file: the configuration file; None if there is none.
        problems: why the settings cannot be read.
        told: what the status page tells; None if it does not answer.
        status: what asks the status page for a path; None where there is none to ask.
        why_untold: why it does not answer; empty if it does.
        direct: the monitor's own listener; None on another machine, where only what is given is
            tried.
        public: the public address; None if none was given.
        zmq: where the trial is played, if that is not to be found out.
        curve: the file with the key pair of a broker, for the trial.
        idle: seconds of silence to try.
        broker_config: the broker's configuration file.
    """

    direct: Way | None
    settings: Settings = field(default_factory=Settings)
    file: str | None = None
    problems: tuple[str, ...] = ()
    told: Mapping[str, Any] | None = None
    status: Any = None
    why_untold: str = ""
    public: Way | None = None
    zmq: str | None = None
    curve: str | None = None
    idle: float = 30.0
    broker_config: str = BROKER_CONFIG

    @property
    def has_job(self) -> bool:
        """Whether a job is to be played: it is known where."""
        return self.direct is not None or self.zmq is not None

    @property
    def cluster(self) -> Mapping[str, Any] | None:
        """The cluster, as the monitor tells of it; None without one."""
        return self.told.get("cluster") if self.told is not None else None

    @property
    def owner(self) -> Mapping[str, Any] | None:
        """The node that owns, if it is another one; None if it is this one, or nobody."""
        cluster = self.cluster
        if cluster is None or cluster["owner"] in (None, cluster["node"]):
            return None
        found = (one for one in cluster["nodes"] if one["name"] == cluster["owner"])
        return next(found, {"name": cluster["owner"], "status": ""})
