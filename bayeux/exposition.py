"""All that is counted and measured, as Prometheus reads it; when it is asked for, and not before."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Literal

import twisted
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from bayeux import process
from bayeux._version import __version__
from bayeux.histograms import Histogram
from bayeux.hub import Hub
from bayeux.metrics import Metrics
from bayeux.settings import TRANSPORTS
from bayeux.transports.endpoint import Endpoint

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""That of what ``render`` returns."""

Kind = Literal["counter", "gauge", "histogram"]
Samples = Mapping[tuple[str, str], float]
"""Values by the end of the sample's name, and the value of its label, "" where there is none."""
