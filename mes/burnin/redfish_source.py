"""How a BMC can be read with the fewest requests: by reports, expanded collections or single sensors."""

from collections.abc import Mapping, Sequence

from mes.burnin.redfish_explorer import Explorer, linked
from mes.burnin.redfish_reading import Body, Source, series_name
from mes.burnin.redfish_session import gather_all

PREFERRED_REPORT = "PlatformEnvironmentMetrics_0"


async def find_source(
    explorer: Explorer, root: Body, chassis: Sequence[Body], wanted: Sequence[str]
) -> tuple[Source, dict[str, str]]:
    """Return what a poll is to read, and by series the paths of the sensors behind it; raises RedfishError.

    Metric reports come first: those of the ``wanted`` Ids that the BMC has; without any wanted, its
    environment reports. Without such the sensors of all chassis are read, a collection at a time where the
    BMC expands them. A BMC without sensors is read by whatever reports it has.
    """
    offered = await _offered_reports(explorer, root)
    if reports := _choose_reports(offered, wanted):
        return await _by_reports(explorer, reports)
    source, paths = await _by_sensors(explorer, chassis)
    if paths:
        return source, paths
    return await _by_reports(explorer, tuple(offered.values()))


def expand_query(root: Body) -> str:
    """Return the query that asks for a collection with its members, "" where the BMC offers none.

    DSP0266: "." expands what is not under Links, as Members are not; "*" expands that too; "~" expands what
    is under Links alone, so it is of no use here. The default of $levels is 1.
    """
    offered = (root.get("ProtocolFeaturesSupported") or {}).get("ExpandQuery") or {}
    option = "." if offered.get("NoLinks") is True else "*" if offered.get("ExpandAll") is True else ""
    levels = "($levels=1)" if offered.get("Levels") is True else ""
    return f"?$expand={option}{levels}" if option else ""


async def _offered_reports(explorer: Explorer, root: Body) -> dict[str, str]:
    path = linked(root, "TelemetryService")
    service = await explorer.get(path) if path else {}
    offered = await explorer.member_paths(service, "MetricReports")
    return {each.rpartition("/")[2]: each for each in offered}


def _choose_reports(offered: Mapping[str, str], wanted: Sequence[str]) -> tuple[str, ...]:
    if wanted:
        return tuple(offered[name] for name in wanted if name in offered)
    return tuple(each for name, each in offered.items() if name.endswith(PREFERRED_REPORT))


async def _by_reports(explorer: Explorer, reports: tuple[str, ...]) -> tuple[Source, dict[str, str]]:
    metrics = [each for body in await explorer.get_all(reports) for each in body.get("MetricValues", [])]
    properties = [metric["MetricProperty"] for metric in metrics]
    paths = {series_name(each): each for each in properties if "#" not in each}
    collections = dict.fromkeys(path.rpartition("/")[0] for path in paths.values() if "/Sensors/" in path)
    sensors = await _members(explorer, await _expand(explorer, list(collections)))
    units = {series_name(each["@odata.id"]): str(each.get("ReadingUnits") or "") for each in sensors}
    return Source(reports=reports, units={name: units[name] for name in paths if name in units}), paths


async def _by_sensors(explorer: Explorer, chassis: Sequence[Body]) -> tuple[Source, dict[str, str]]:
    owners = [(body, path) for body in chassis if (path := linked(body, "Sensors"))]
    expanded = await gather_all(_expand(explorer, [path]) for _body, path in owners)
    rest = [body for (body, _path), pages in zip(owners, expanded, strict=True) if not pages]
    single = await gather_all(explorer.member_paths(body, "Sensors") for body in rest)
    collections = tuple(page for pages in expanded for page in pages)
    sensors = tuple(path for paths in single for path in paths)
    members = [each["@odata.id"] for each in await _members(explorer, collections)]
    return Source(collections=collections, sensors=sensors), {
        series_name(path): path for path in (*members, *sensors)
    }


async def _expand(explorer: Explorer, collections: Sequence[str]) -> list[str]:
    found = await gather_all(explorer.expand(path) for path in collections)
    return [page for pages in found for page in pages]


async def _members(explorer: Explorer, pages: Sequence[str]) -> list[Body]:
    return [member for body in await explorer.get_all(pages) for member in body["Members"]]
