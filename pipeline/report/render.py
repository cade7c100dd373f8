"""Templates become escaped HTML: the one Jinja2 environment, and how numbers read."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined

SHARES = ("share", "fraction", "rate", "probability")  # units that begin so read as percentage points
MISSING = "n/a"
NAMES = {  # from the code whose words are not their own
    "outside_transplant_matched": "outside transplant, colours matched",
    "outside_keenest": "outside transplant, the donors that say the class most",
    "place:moving": "place that moves",
    "property:ring": "property: pixels along the border",
    "property:border": "property: plain border",
    "property:residual": "property: fine structure",
    "property:layer": "property: layer over the picture",
    "property:colour": "property: colour and brightness",
    "property:spectrum": "property: frequency spectrum",
    "ring": "pixels along the border",
    "border": "plain border",
    "residual": "fine structure",
    "confirm": "donors at random",
    "confirm_own": "control: from its own class",
    "telling": "the donors that say the class most",
    "telling_own": "control: from its own class",
    "moving": "each donor's own place",
    "moving_own": "control: from its own class",
    "over": "layer of the class",
    "over_own": "control: layer of its own class",
}
MINUS, NARROW_SPACE = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"


def render(template: str, **values: object) -> str:
    """The HTML of `templates/<template>`; every value in it is escaped unless it is already Markup."""
    return _environment().get_template(template).render(**values)


def percent(value: float, digits: int = 0) -> str:
    """A share in [0, 1] as `41 %`; NaN as `n/a`."""
    if math.isnan(value):
        return MISSING
    return f"{_plain(100 * value, digits)}{NARROW_SPACE}%"


def lift(value: float) -> str:
    """A ratio as `×1.24`; NaN as `n/a`."""
    return MISSING if math.isnan(value) else f"×{value:.2f}"


def effect(value: float, unit: str, signed: bool = True) -> str:
    """An estimate without its unit: shares in percentage points, everything else with two decimals."""
    if math.isnan(value):
        return MISSING
    text = _plain(100 * value, 0) if unit.startswith(SHARES) else _plain(value, 2)
    return f"+{text}" if signed and value > 0 and text.strip("0.") else text


def unit_words(unit: str) -> str:
    """What `effect` printed, in words: `percentage points` for shares, else the unit itself."""
    return "percentage points" if unit.startswith(SHARES) else unit


def p_value(value: float) -> str:
    """`= .012` or `< .001`; NaN as `n/a`. Goes after a `p` or a `q`."""
    if math.isnan(value):
        return MISSING
    if value < 0.001:
        return "< .001"
    return "= 1" if value > 0.9995 else f"= {value:.3f}".replace("= 0", "= ")


def count(n: int) -> str:
    """A whole number with its thousands apart."""
    return f"{n:,}"


def words(name: str) -> str:
    """A name from the code as words: `object_removed` -> `object removed`, `place:1` -> `place 1`.

    Arms of exchanged places end in the kind of the place (`confirm:in`), which says nothing to a reader.
    """
    name = name.removesuffix(":in").removesuffix(":band")
    if name in NAMES:
        return NAMES[name]
    family, _, rest = name.partition(":")
    if rest:
        return f"{family} {rest}" if rest.isdigit() else f"{family}: {rest.strip()}".replace("_", " ")
    return name.replace("_", " ")


def unbroken(sentence: str) -> str:
    """A sentence whose numbers stay on one line with their percent signs."""
    return sentence.replace(" %", f"{NARROW_SPACE}%")


def relative_url(path: str) -> str:
    """A path beside the page as a URL that can point nowhere else."""
    return "./" + quote(path.replace("\\", "/").lstrip("/"))


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")  # no negative zero
    return text.replace("-", MINUS)


def _source(name: str) -> str:
    return (files("pipeline.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (percent, lift, effect, unit_words, p_value, count, words, unbroken, relative_url)
    environment.filters.update({f.__name__: f for f in filters})
    return environment
