"""The codes with which WebSocket connections are closed (RFC 6455, section 7.4)."""

NORMAL = 1000
UNSUPPORTED = 1003
POLICY = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
RESTART = 1012
TRY_LATER = 1013
