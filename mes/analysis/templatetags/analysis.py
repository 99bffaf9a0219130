"""How numbers and names of the yield page are written."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """Write a share with one decimal; what is unknown is a dash, never 0."""
    return "–" if share is None else f"{share * 100:.1f} %"


@register.filter
def plain(share: float) -> str:
    """Write a share for the page's machinery, whatever the language."""
    return f"{share:.4f}"


@register.filter
def words(name: Any) -> str:
    """Write a name of the code as words."""
    return str(name).replace("_", " ").capitalize()


@register.filter
def names(key: dict[str, Any]) -> str:
    """Write what a group is called."""
    return " ".join(str(value) for value in key.values() if value not in (None, "")) or "(none named)"
