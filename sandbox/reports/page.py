"""HTML pages that open offline: style and script inline, everything else forbidden by the page's own policy.

What is put into a page is escaped by Jinja; control characters and marks that turn the direction of writing are shown,
as on the terminal.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from .layout import clean

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(template: str, /, **values: object) -> str:
    """The page that a file in ``templates`` makes of these values."""
    environment = _environment()
    style, script = (environment.get_template(name).render() for name in ("style.css", "page.js"))
    return environment.get_template(template).render(
        **values,
        style=Markup(style),  # noqa: S704  # our own files
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
    )


def _policy(style: str, script: str) -> str:
    """No network, no frames, no forms; of styles and scripts only the two with these digests."""
    allowed = f"style-src {_digest(style)}; script-src {_digest(script)}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("sandbox.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
