"""A composed config becomes an Audit, or a list of every mistake in it."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

_HERE = Path(__file__).resolve().parent


class ConfigError(Exception):
    """The configuration is wrong; the message lists every mistake with its key (exit code 2)."""


def packaged(part: str) -> Path:
    """A folder that comes along (`conf`, `data/demo`): inside the wheel's package, or beside a checkout's."""
    for folder in (_HERE / part, _HERE.parent / part):
        if folder.is_dir():
            return folder
    raise ConfigError(f"the installation lacks its {part!r} folder; install shortcut-audit again")


OmegaConf.register_new_resolver("packaged", lambda part: str(packaged(part)), replace=True)


def build(config: DictConfig) -> tuple[Any, str, str]:
    """What a composed config describes (an Audit, a Calibration), its resolved YAML, and its digest (hex SHA-256).

    Raises:
        ConfigError: lists every mistake at once.
    """
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration does not resolve: {error}") from None
    with open_dict(config):
        for source in ("effort", *(("dataset", "model") if "plan" in config else ())):
            config.pop(source, None)  # only the source of values elsewhere, which are resolved by now
    plain = OmegaConf.to_container(config, throw_on_missing=False)
    assert isinstance(plain, dict)
    found = mistakes({str(k): v for k, v in plain.items()})
    if found:
        raise ConfigError("\n".join(["the configuration has mistakes:", *(f"  {m}" for m in found)]))
    text = OmegaConf.to_yaml(config)
    try:
        built = instantiate(config, _convert_="all")
    except HydraException as error:
        if isinstance(error.__cause__, ValueError):  # what the whole says about its parts
            raise ConfigError(f"the configuration has mistakes:\n  {error.__cause__}") from None
        raise
    return built, text, hashlib.sha256(text.encode()).hexdigest()


def mistakes(plain: Mapping[str, Any]) -> list[str]:
    """Every mistake in a plain config, each as `key: what is wrong; what was expected`."""
    found: list[str] = []
    _check_node(plain, "", found)
    return found


def _check_node(node: Any, key: str, found: list[str]) -> None:
    """Depth first, so that a plugin is only tried once all that it holds is right."""
    before = len(found)
    if isinstance(node, Mapping):
        for name, child in node.items():
            _check_node(child, f"{key}.{name}" if key else str(name), found)
        if "_target_" in node:
            _check_plugin(node, key, found, sound=len(found) == before)
    elif isinstance(node, list):
        for i, child in enumerate(node):
            _check_node(child, f"{key}[{i}]", found)


def _check_plugin(node: Mapping[str, Any], key: str, found: list[str], *, sound: bool) -> None:
    prefix = f"{key}." if key else ""
    try:
        target = get_object(str(node["_target_"]))
    except Exception as error:  # whatever an import can raise
        found.append(f"{prefix}_target_: {node['_target_']!r} cannot be imported ({error})")
        return
    given = {k: v for k, v in node.items() if k not in {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}}
    if isinstance(target, type) and is_dataclass(target):
        complaints = _check_fields(target, given, prefix)
        found.extend(complaints)
        sound = sound and not complaints
    else:
        missing = [k for k, v in given.items() if v == "???"]
        found.extend(f"{prefix}{k}: required" for k in missing)
        sound = sound and not missing
    if sound and key:  # what the verb builds holds all the others, and is built once, at the end
        found.extend(_trial(node, key))


def _trial(node: Mapping[str, Any], key: str) -> list[str]:
    """What the plugin itself says about its values. Networks are built by `_partial_` callables, so this is cheap."""
    try:
        instantiate(OmegaConf.create(dict(node)), _convert_="all")
    except HydraException as error:
        cause = error.__cause__ or error
        return [f"{key}: {cause}"]
    except (TypeError, ValueError) as error:
        return [f"{key}: {error}"]
    return []


def _check_fields(target: type, given: Mapping[str, Any], prefix: str) -> list[str]:
    known = {f.name: f for f in fields(target) if f.init}
    hints = get_type_hints(target)
    out = [f"{prefix}{k}: unknown; {target.__name__} has {', '.join(known)}" for k in given if k not in known]
    for name, field in known.items():
        if name not in given or given[name] == "???":
            if given.get(name) == "???" or _required(field):
                out.append(f"{prefix}{name}: required")
        elif not _fits(given[name], hints[name]):
            out.append(f"{prefix}{name}: expected {_describe(hints[name])}, got {given[name]!r}")
    return out


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain YAML value can be what the field's type asks for; plugins are checked at their own key."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in arguments)
    if origin is Literal:
        return value in arguments
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in (int, str, bool):
        return type(value) is hint
    if hint is Path:
        return isinstance(value, str)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(v, arguments[1]) for v in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list) and all(_fits(v, arguments[0]) for v in value)
    return hint is Any  # a plugin was expected, and it has no _target_


def _describe(hint: Any) -> str:
    """A type in the words of a configuration."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(a) for a in arguments)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if hint is type(None):
        return "null"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of names to {_describe(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {_describe(arguments[0])}"
    simple = {float: "a number", int: "an integer", str: "a text", bool: "true or false", Path: "a path"}
    return simple.get(hint, f"a {getattr(hint, '__name__', hint)} with its _target_")
