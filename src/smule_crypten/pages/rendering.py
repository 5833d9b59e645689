"""Pages from templates/: every text in one is escaped, whoever wrote it, and nothing is left out unsaid."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("smule_crypten.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    """The page of a template's name. A browser loads nothing for it, nor runs any script on it."""
    return _environment().get_template(template).render(policy=_NOTHING_ELSE, **values)


def render_with_script(template: str, script: str, **values: object) -> tuple[str, str]:
    """A page that runs one script of templates/ and may fetch from where it came, and its Content-Security-Policy."""
    code = source(script)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"{_NOTHING_ELSE}; connect-src 'self'; script-src 'sha256-{digest}'"
    page = _environment().get_template(template).render(policy=policy, script=Markup(code), **values)
    return page, policy


def source(name: str) -> str:
    """The text of a file in templates/ as it is."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]
