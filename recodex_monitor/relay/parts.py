"""What the owner's role is made of."""

from enum import Enum
from typing import Any, NamedTuple, Protocol

from recodex_monitor.relay.engine import Engine
from recodex_monitor.relay.evicting import Evicting
from recodex_monitor.relay.follower import Follower
from recodex_monitor.relay.late import LateMessages
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.lease import Lease
from recodex_monitor.relay.loading import Loading
from recodex_monitor.relay.mirror import Mirror
from recodex_monitor.relay.primaries import Primaries
from recodex_monitor.relay.publisher import Publisher


class Role(Enum):
    """What a node is."""

    EDGE = "edge"
    TAKING = "taking over"
    OWNER = "owner"
    YIELDING = "handing over"


class Peers(Protocol):
    """The connections from brokers."""

    @property
    def connected(self) -> int:
        """How many there are."""


class Broker(Protocol):
    """The broker's side, which only an owner has open."""

    @property
    def peers(self) -> Peers:
        """The connections from brokers."""

    def startService(self) -> None:
        """Listen for the broker; raises OSError if that fails."""

    def stopService(self) -> None:
        """Take all that the broker has sent, and stop listening."""


class Parts(NamedTuple):
    """The parts of a node that a change of the owner concerns.

    Attributes:
        name: of the node.
        engine: the connection.
        keys: the names in it.
        lease: of the owner.
        publisher: takes the broker's messages.
        follower: reads what clients of this node follow.
        mirror: has the hub.
        loading: reads all channels.
        primaries: looks whether another server is to be used.
        late: takes what an earlier owner hands over.
        evicting: decides what may be evicted.
        broker: the broker's side.
        clock: tells the time, and calls later.
    """

    name: str
    engine: Engine
    keys: Keys
    lease: Lease
    publisher: Publisher
    follower: Follower
    mirror: Mirror
    loading: Loading
    primaries: Primaries
    late: LateMessages
    evicting: Evicting
    broker: Broker
    clock: Any
