"""All that is counted and measured, as Prometheus reads it: made when it is asked for, and not before."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import cast

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import twisted
from bayeux import process
from bayeux._version import __version__
from bayeux.families import COUNTED, MEASURED, Family
from bayeux.histograms import Histogram
from bayeux.hub import Hub
from bayeux.transports.endpoint import Endpoint

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The type of what ``render`` returns."""

Value = float | Mapping[tuple[str, ...], float] | Histogram
"""A number, numbers by the values of labels, or how they are spread."""


class Exposition(Collector):
    """The metrics of one hub, and ``of_process``: of the process that it is in.

    ``render`` writes them down, in a fifth of the time of ``generate_latest``, and however many clients there
    are.  It is a Collector too, for an application that has a ``CollectorRegistry`` of its own:
    ``registry.register(Exposition(hub, endpoint, of_process=False))``, if that tells of the process already.
    """

    def __init__(self, hub: Hub, endpoint: Endpoint, of_process: bool = True) -> None:
        self._hub = hub
        self._endpoint = endpoint
        self._seconds: Callable[[], float] = hub.sessions.clock.seconds
        self._start = self._seconds()
        self._process_start = process.started()
        self._of_process = of_process

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return "".join(_text(family, value) for family, value in self._read()).encode("utf-8")

    def collect(self) -> Iterator[Metric]:
        """Yield everything as the values of ``prometheus_client``."""
        for family, value in self._read():
            yield _metric(family, value)

    def _read(self) -> Iterator[tuple[Family, Value]]:
        measured = self._measure() | (self._measure_process() if self._of_process else {})
        for name, family in MEASURED.items():
            value = measured.get(name)
            if value is not None:
                yield family, value
        metrics = self._hub.metrics
        for field, family in COUNTED.items():
            yield family, _value(family, getattr(metrics, field))

    def _measure(self) -> dict[str, Value | None]:
        """Return the state of things, by name."""
        sessions, endpoint = self._hub.sessions, self._endpoint
        depth = sessions.backlog.measure()
        return {
            "bayeux_build_info": {_VERSIONS: 1},
            "bayeux_uptime_seconds": self._seconds() - self._start,
            "bayeux_sessions": _value(MEASURED["bayeux_sessions"], sessions.by_transport),
            "bayeux_held_connects": len(sessions.holds),
            "bayeux_channels": sessions.channels,
            "bayeux_connections": len(endpoint.connections),
            "bayeux_streams": _value(MEASURED["bayeux_streams"], endpoint.streams.by_transport),
            "bayeux_sessions_behind": depth.sessions,
            "bayeux_queued_events": depth.events,
            "bayeux_queued_bytes": depth.bytes,
            "bayeux_largest_queue_bytes": depth.largest,
        }

    def _measure_process(self) -> dict[str, Value | None]:
        """Return the state of the process, by name; None is what cannot be known here."""
        usage = process.usage()
        return {
            "process_cpu_seconds_total": usage.cpu,
            "process_resident_memory_bytes": usage.memory,
            "process_start_time_seconds": self._process_start,
            "process_open_fds": usage.open_files,
            "process_max_fds": usage.most_files,
        }


_VERSIONS = (__version__, platform.python_version(), twisted.__version__)


def _value(family: Family, counted: object) -> Value:
    """Return what is counted, with what is known to be there in time."""
    if isinstance(counted, Mapping):
        numbers: dict[tuple[str, ...], float] = {(name,): 0 for name in family.known}
        numbers.update({(str(name),): count for name, count in counted.items()})
        return numbers
    return cast("float | Histogram", counted)


def _metric(family: Family, value: Value) -> Metric:
    """Say it in the words of ``prometheus_client``."""
    if isinstance(value, Histogram):
        return HistogramMetricFamily(family.name, family.help, _buckets(value), value.sum)
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = make(family.name, family.help, labels=family.labels)
    for labels, number in value.items() if isinstance(value, Mapping) else [((), value)]:
        metric.add_metric(labels, number)
    return metric


def _text(family: Family, value: Value) -> str:
    """Say it in Prometheus' text format."""
    name = family.name
    text = f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
    if isinstance(value, Histogram):
        buckets = _buckets(value)
        text += "".join([f'{name}_bucket{{le="{bound}"}} {count}\n' for bound, count in buckets])
        return f"{text}{name}_count {buckets[-1][1]}\n{name}_sum {value.sum}\n"
    if isinstance(value, Mapping):
        return text + "".join([f"{name}{{{_labels(family, labels)}}} {number}\n"
                               for labels, number in value.items()])
    return f"{text}{name} {value}\n"


def _buckets(histogram: Histogram) -> Sequence[tuple[str, int]]:
    """Return how many values there were up to each bound."""
    return list(zip((*map(str, histogram.bounds), "+Inf"), accumulate(histogram.counts), strict=True))


def _labels(family: Family, values: Iterable[str]) -> str:
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"'
                     for name, value in zip(family.labels, values, strict=True)])


_ESCAPES = str.maketrans({"\\": r"\\", '"': r'\"', "\n": r"\n"})
