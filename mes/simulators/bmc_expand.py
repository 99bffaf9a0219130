"""What a BMC answers to $expand (DSP0266): a collection with its members in place of the links to them."""

import re
from collections.abc import Callable

from mes.simulators.bmc_resources import ROOT, Body, Tree
from mes.simulators.http import Response, json_response

EXPANSION = re.compile(r"\$expand=[.*](\(\$levels=1\))?")
NOT_SUPPORTED = json_response(
    {"error": {"code": "Base.1.18.QueryNotSupported", "message": "this query is not supported"}}, 501
)


def features(*, expand: bool) -> Body:
    """Return what the service root says of the queries that are supported."""
    query = dict.fromkeys(("ExpandAll", "Levels", "Links", "NoLinks"), expand)
    return {
        "ExpandQuery": {**query, "MaxLevels": 1} if expand else query,
        "FilterQuery": False,
        "SelectQuery": False,
        "OnlyMemberQuery": False,
    }


def answer_query(tree: Tree, path: str, query: str, read: Callable[[str], Body]) -> Response:
    """Answer a GET that has a query; ``read`` returns a resource of the tree as it is now."""
    supported = tree[ROOT].get("ProtocolFeaturesSupported", {}).get("ExpandQuery", {}).get("NoLinks")
    if not (supported and EXPANSION.fullmatch(query) and "Members" in tree.get(path, {})):
        return NOT_SUPPORTED
    members = [
        read(link["@odata.id"]) if isinstance(link, dict) and link["@odata.id"] in tree else link
        for link in tree[path]["Members"]
    ]
    return json_response({**tree[path], "Members": members})
