"""The description of the API, OpenAPI 3.1: data beside this module, with the limits of the server put in."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

from bayeux._version import __version__
from bayeux.api.errors import STATUS
from bayeux.settings import Settings


def describe_api(settings: Settings, with_metrics: bool) -> dict[str, Any]:
    """Return the description of the API of a server with these settings."""
    description: dict[str, Any] = msgspec.json.decode((files("bayeux.api") / "openapi.json").read_bytes())
    description["info"]["version"] = __version__
    if not with_metrics:
        del description["paths"]["/metrics"]
    components = description["components"]
    limit, schemas = components["parameters"]["limit"]["schema"], components["schemas"]
    limit["maximum"] = settings.api_max_page
    limit["default"] = min(limit["default"], settings.api_max_page)
    schemas["Problem"]["properties"]["code"]["enum"] = sorted(STATUS)
    schemas["Channel"]["maxLength"] = settings.max_channel
    _, several = description["paths"]["/v1/publish"]["post"]["requestBody"]["content"]["application/json"][
        "schema"]["oneOf"]
    several["maxItems"] = settings.max_batch
    return description
