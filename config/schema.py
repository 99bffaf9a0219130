"""How the API's description is made."""

from typing import Any

from drf_spectacular.openapi import AutoSchema


class Schema(AutoSchema):
    """Describes CSV where it is of use: for lists, and for views that say ``answers_csv``."""

    def map_renderers(self, attribute: str) -> list[Any]:
        """Return the media types or formats of a call."""
        answers: list[Any] = super().map_renderers(attribute)
        may_be_table = self._is_list_view() or getattr(self.view, "answers_csv", False)
        return answers if may_be_table else [name for name in answers if "csv" not in name]
