"""Finding one's way through the tree of a BMC, each resource read once."""

from collections.abc import Iterable

from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_reading import Body
from mes.burnin.redfish_session import RedfishSession, gather_all

ROOT = "/redfish/v1"
# DSP0266 has 501 for a query that is not supported; BMCs also answer these.
NOT_EXPANDED = (400, 404, 405, 501)


class Explorer:
    """Reads each resource once and keeps it in ``found``, so that an exploration cut short can go on.

    ``slow`` waits for as long as a BMC may take over a resource that it hardly ever serves. ``query`` is what
    gets a collection with its members; set it once it is known that the BMC offers one.
    """

    def __init__(self, session: RedfishSession, found: dict[str, Body], *, slow: bool = False) -> None:
        self._session = session
        self._found = found
        self._slow = slow
        self.query = ""

    async def get(self, path: str) -> Body:
        """Return a resource, {} where the link leads to nothing; any other failure raises RedfishError."""
        if path not in self._found:
            self._found[path] = await self._read(path)
        return self._found[path]

    async def get_all(self, paths: Iterable[str]) -> list[Body]:
        """Return the resources that exist, asked for side by side; raises RedfishError."""
        return [body for body in await gather_all(self.get(path) for path in paths) if body]

    async def members(self, owner: Body, name: str) -> list[Body]:
        """Return the members of the collection that ``owner`` links to as ``name`` ([] without one)."""
        if path := linked(owner, name):
            await self.expand(path)
        return await self.get_all(await self.member_paths(owner, name))

    async def member_paths(self, owner: Body, name: str) -> list[str]:
        """Return the paths of those members."""
        path = linked(owner, name)
        pages = await self.pages(path) if path else []
        return [each["@odata.id"] for _page, body in pages for each in body.get("Members", [])]

    async def pages(self, path: str) -> list[tuple[str, Body]]:
        """Return a collection page by page, each with its path; most have one."""
        pages: dict[str, Body] = {}
        following: str | None = path
        while following and following not in pages:
            pages[following] = await self.get(following)
            following = pages[following].get("Members@odata.nextLink")
        return list(pages.items())

    async def expand(self, path: str) -> list[str]:
        """Return the paths of a collection's pages with all members in them, [] where the BMC has none such.

        The collection and its members are kept as if each had been read.
        """
        if not self.query:
            return []
        try:
            pages = await self.pages(f"{path}{self.query}")
        except RedfishError as error:
            if error.status not in NOT_EXPANDED:
                raise
            self._found[f"{path}{self.query}"] = {}
            return []
        members = [member for _page, body in pages for member in body.get("Members", [])]
        if not members or any(member.keys() <= {"@odata.id"} for member in members):
            return []
        self._found.update({member["@odata.id"]: member for member in members})
        self._found[path] = {"Members": [{"@odata.id": member["@odata.id"]} for member in members]}
        return [page for page, _body in pages]

    async def _read(self, path: str) -> Body:
        try:
            return await self._session.get(path, slow=self._slow)
        except RedfishError as error:
            if error.status == 404:
                return {}
            raise


def linked(body: Body, name: str) -> str | None:
    """Return the path behind a link property, None where there is none."""
    link = body.get(name)
    return link.get("@odata.id") if isinstance(link, dict) else None
