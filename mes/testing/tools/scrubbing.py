"""Takes secrets out of what tools print, before anything of it is kept: too much rather than too little.

What is secret is told by its name (TOKEN, SECRET, PASSWORD, KEY, AWS_...), by its place (credentials in a
URL, what follows ``--password``), or by its form (private keys, bearer tokens, tokens of known makes).
"""

import re
from collections.abc import Iterator
from typing import Any

REMOVED = "[removed]"

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|credential|bearer|api_?key|access_?key|private_?key|key$|jwt"
    r"|(?:^|[_.-])(?:keys?|auth|authorization|cookies?|session_?id|sas|pin)(?:$|[_.-])"
    r"|[_.-](?:pass|pwd|pw)$|^(?:aws|azure|gcp|google|oci)[_.-]",
    re.IGNORECASE,
)
_SUSPECT = re.compile(
    r"token|secret|passw|passphrase|credential|bearer|basic |key|jwt|auth|cookie|session|sas|pin"
    r"|_pass|_pwd|_pw|[.-]pass|[.-]pwd|[.-]pw|aws|azure|gcp|google|oci|://|AKIA|ASIA|eyJ|hf_|gh[opsur]_|glpat-|xox|nvapi-|sk-",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_URL_LOGIN = re.compile(r"(?<=://)[^\s\"'<>]{0,512}@")
_SCHEME = re.compile(r"\b(bearer|basic)[ \t]+[\w.~+/=-]{8,}", re.IGNORECASE)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]+(?:\.[\w-]*)?|hf_[A-Za-z0-9]{16,}"
    r"|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}"
    r"|nvapi-[\w-]{16,}|sk-[\w-]{16,})"
)
_NAMED = re.compile(r"(?<![\w.-])(?P<name>-*[A-Za-z_][\w.-]*)[\"']?[ \t]*[=:][ \t]*(?!//)")
_FLAG = re.compile(r"(?<!\S)(?P<name>--?[A-Za-z][\w-]*)[ \t]+(?=[^\s-])")
_IS_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_QUOTED = {'"': re.compile(r'"(?:\\.|[^"\\\n])*"?\S*'), "'": re.compile(r"'[^'\n]*'?\S*")}
_LINE, _WORD = re.compile(r"[^\n]*"), re.compile(r"\S*")


def is_secret(name: str) -> bool:
    """Return whether what goes by this name must not be kept, e.g. AWS_REGION, --hf-token or apiKey."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name.lstrip("-"))))


def scrub_data(data: Any) -> Any:
    """Return JSON-like data without its secrets; what held none comes back equal."""
    if isinstance(data, str):
        return scrub_text(data)
    if isinstance(data, dict):
        is_named = any(isinstance(data.get(key), str) and is_secret(data[key]) for key in ("name", "key"))
        return {
            key: REMOVED if _hides(key, item, is_named=is_named) else scrub_data(item)
            for key, item in data.items()
        }
    if isinstance(data, list):
        return list(_scrub_items(data))
    return data


def _hides(key: Any, item: Any, *, is_named: bool) -> bool:
    if item is None:
        return False
    return (is_named and key == "value" and isinstance(item, str)) or is_secret(str(key))


def _scrub_items(items: list[Any]) -> Iterator[Any]:
    follows_flag = False
    for item in items:
        yield REMOVED if follows_flag and item is not None else scrub_data(item)
        follows_flag = isinstance(item, str) and bool(_IS_FLAG.fullmatch(item)) and is_secret(item)


def scrub_text(text: str) -> str:
    """Return text without its secrets; an unquoted value ends with its line."""
    if not _SUSPECT.search(text) and "PRIVATE" not in text:
        return text
    text = _PRIVATE_KEY.sub(REMOVED, text)
    text = _URL_LOGIN.sub(f"{REMOVED}@", text)
    text = _SCHEME.sub(rf"\1 {REMOVED}", text)
    text = _scrub_named(text, _NAMED, _LINE)
    text = _scrub_named(text, _FLAG, _WORD)
    return _KNOWN.sub(REMOVED, text)


def _scrub_named(text: str, names: re.Pattern[str], unquoted: re.Pattern[str]) -> str:
    """Return text without the values that follow secret names, each to its closing quote or its end."""
    kept: list[str] = []
    done = 0
    for found in names.finditer(text):
        if found.start() < done or not is_secret(found["name"]):
            continue
        start = found.end()
        pattern = _QUOTED.get(text[start : start + 1], unquoted)
        value = pattern.match(text, start)
        if value is not None and value.group():
            kept += [text[done:start], REMOVED]
            done = value.end()
    return "".join([*kept, text[done:]])
