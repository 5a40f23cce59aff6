"""Vega, Vega-Lite and vega-embed as one script, for pages that need no network."""

import importlib.metadata
import os
from functools import cache
from pathlib import Path

import vl_convert

from waymarks.reports.charts import VEGA_LITE
from waymarks.training.checkpoints import write_atomically


@cache
def vega_script() -> str:
    """The script. Putting it together takes more than a second, so it is kept for the next report
    in `$XDG_CACHE_HOME` or `~/.cache`, where that can be written."""
    kept = _kept_at()
    try:
        return kept.read_text()
    except (OSError, UnicodeDecodeError):
        script = _bundled()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, script.encode())
    except OSError:
        pass
    return script


def _kept_at() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    version = importlib.metadata.version("vl-convert-python")
    return Path(caches) / "waymarks" / f"vega-{VEGA_LITE}-{version}.js"


def _bundled() -> str:
    script: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
