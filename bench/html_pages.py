"""What all our pages have in common: values that are escaped, and one script whose digest their policy holds."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_environment(templates: Path) -> Environment:
    """Return the environment of our templates; every value is escaped, and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def script_digest(script: str) -> str:
    """Return the SHA-256 by which a page's policy allows its script, in base 64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
