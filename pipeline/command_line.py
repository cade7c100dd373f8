"""A command line, verb first, becomes Hydra's overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class UsageError(Exception):
    """What was typed is no command (exit code 2)."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb's configuration and, where it takes files or folders by their place, the key that they go to."""

    config: str
    takes: str = ""
    several: bool = False
    opens: str = ""  # the override that `--open` stands for


# Without a verb it audits.
VERBS = {
    "audit": Verb(config="config", opens="report.open=true"),
    "bench": Verb(config="config"),
    "calibrate": Verb(config="calibrate"),
    "report": Verb(config="render", takes="folder", opens="report.open=true"),
    "compare": Verb(config="compare", takes="runs", several=True, opens="open=true"),
    "review": Verb(config="review", takes="file"),
}
TAKING = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")  # a value follows
OVERRIDE = re.compile(r"[+~]{0,2}[A-Za-z_][\w/.@:]*=")
CHOOSES = ("dataset=", "model=", "experiment=", "+experiment=", "--config-name", "--config-path", "-cn", "-cp")


def understood(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The verb of a command line, without the program's name, and its overrides for Hydra.

    Raises:
        UsageError: the words that follow the verb are not what it takes.
    """
    name, *rest = arguments if arguments and arguments[0] in VERBS else ("audit", *arguments)
    if name == "review":
        if rest[:1] not in (["--help"], ["apply"]):
            raise UsageError("usage: shortcut-audit review apply FILE [folder=...] [name=...]")
        rest = [a for a in rest if a != "apply"]
    placed = overrides(VERBS[name], rest)
    return name, with_default(placed) if VERBS[name].config == "config" else placed


def overrides(verb: Verb, arguments: Sequence[str]) -> list[str]:
    """Hydra's overrides for a command line whose files and folders stand at their places, without a key.

    Raises:
        UsageError: more files or folders than the verb takes.
    """
    if verb.opens:
        arguments = [verb.opens if a == "--open" else a for a in arguments]
    if not verb.takes:
        return list(arguments)
    placed: list[str] = []
    rest: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        own = before in TAKING or argument.startswith(("-", "~")) or (OVERRIDE.match(argument) and not _there(argument))
        (rest if own else placed).append(argument)
    if not placed:
        return rest
    if len(placed) > 1 and not verb.several:
        raise UsageError(f"expected one {verb.takes}, got {len(placed)}: {', '.join(placed)}")
    quoted = [_quoted(a) for a in placed]
    return [f"{verb.takes}={'[' + ','.join(quoted) + ']' if verb.several else ' '.join(quoted)}", *rest]


def _there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a path
        return False


def _quoted(text: str) -> str:
    """A text that Hydra's grammar takes as it is."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\'", text) + ("\\" if text.endswith("\\") else "") + "'"


def with_default(arguments: Sequence[str]) -> list[str]:
    """Whoever chooses neither a dataset nor a model nor an experiment gets the demo."""
    if any(a.startswith(CHOOSES) for a in arguments):
        return list(arguments)
    return [*arguments, "experiment=demo"]
