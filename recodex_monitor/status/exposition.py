"""The formats of the metrics, and which of them a client gets (RFC 9110, 12.5.1)."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

_OPENMETRICS = "application/openmetrics-text"
_VERSIONS = ("0.0.1", "1.0.0")
_PLAIN = ("text/plain", "text/*", "*/*")
"""Media ranges that mean Prometheus' own text format; a more specific one outweighs others."""

_WEIGHT = re.compile(r"0(\.\d*)?|1(\.0*)?")


class Exposition(NamedTuple):
    """All metrics in one format."""

    content: bytes
    content_type: bytes


class _Range(NamedTuple):
    """A part of a header Accept: a media range, its weight, and its other parameters."""

    kind: str
    weight: float
    parameters: Mapping[str, str]


def expose(registry: CollectorRegistry, accept: str = "") -> Exposition:
    """All metrics in the format that a header Accept prefers.

    That is OpenMetrics where it is named with no lower weight than Prometheus' text format, and
    the latter for all others.
    """
    if (version := openmetrics_version(accept)) is None:
        return Exposition(generate_latest(registry), b"text/plain; version=0.0.4; charset=utf-8")
    content_type = f"{_OPENMETRICS}; version={version}; charset=utf-8"
    return Exposition(generate_openmetrics(registry), content_type.encode())


def openmetrics_version(accept: str) -> str | None:
    """The version of OpenMetrics that a header Accept prefers; None for Prometheus' format."""
    ranges = list(_ranges(accept.lower()))
    weight, version = max(
        (
            (one.weight, one.parameters.get("version", _VERSIONS[-1]))
            for one in ranges
            if one.kind == _OPENMETRICS and one.parameters.get("version", "1.0.0") in _VERSIONS
        ),
        default=(0.0, ""),
    )
    return version if weight and weight >= _weight_of_plain(ranges) else None


def _weight_of_plain(ranges: list[_Range]) -> float:
    for kind in _PLAIN:
        if weights := [one.weight for one in ranges if one.kind == kind]:
            return max(weights)
    return 0


def _ranges(accept: str) -> Iterator[_Range]:
    for media_range in accept.split(","):
        kind, *rest = (part.strip() for part in media_range.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip(): value.strip(' \t"') for name, _, value in pairs}
        weight = parameters.pop("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield _Range(kind, float(weight), parameters)
