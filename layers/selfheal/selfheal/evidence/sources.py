"""Which sources there are for a target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from selfheal.evidence import database, function, insights, letters, lines, releases, tasks, traces, trail
from selfheal.evidence.found import Found, Look, Once, Source

PERMISSIONS = tuple(
    sorted(
        permission
        for source in (database, function, insights, letters, lines, releases, tasks, traces, trail)
        for permission in source.PERMISSIONS
    )
)


def sources_of(look: Look) -> dict[str, Source]:
    """Name → source. Empty where the target names nothing that could be read and the options name nothing either."""
    found, groups = _of_kind(look)
    if groups is not None:
        found["lines"] = partial(_lines, groups, look)
    found |= {f"lines of {group}": partial(lines.lines_of, group, look) for group in look.log_groups}
    if look.options.get("query") and (groups or look.log_groups):
        found["query"] = partial(_query, groups, look)
    if look.options.get("traces"):
        found["traces"] = partial(traces.failed, look)
    if look.options.get("trail"):
        found["trail"] = partial(trail.who_did_what, look)
    return found


Groups = Callable[[], list[str]]
"""The target's own log groups; which ones, an answer of AWS may have to say."""


def _of_kind(look: Look) -> tuple[dict[str, Source], Groups | None]:
    match look.target.kind:
        case "alias" | "function":
            return _of_function(look)
        case "service":
            return _of_service(look)
        case "queue":
            return {"letters": partial(letters.letters_of, look)}, None
        case "database" | "database_cluster":
            return {"events": partial(database.events, look)}, None
        case "log_group":
            return {}, lambda: [look.target["log_group"]]
        case "rest_api":  # the name that API Gateway gives the group of a stage's execution logs
            return {}, lambda: [f"API-Gateway-Execution-Logs_{look.target['rest_api']}/{look.target['stage']}"]
    return {}, None


def _of_function(look: Look) -> tuple[dict[str, Source], Groups]:
    seen = Once(lambda: function.configuration(look))
    found: dict[str, Source] = {"function": lambda: function.described(seen())}
    if look.target.kind == "alias":
        found["versions"] = partial(releases.versions, look)
    if look.target.fields.get("code_deploy"):
        found["deployments"] = partial(releases.deployments, look)
    return found, lambda: [function.log_group(seen(), look.target["function"])]


def _of_service(look: Look) -> tuple[dict[str, Source], Groups]:
    seen = Once(lambda: tasks.service(look))
    found: dict[str, Source] = {
        "service": lambda: tasks.events(seen()),
        "stopped_tasks": partial(tasks.stopped, look),
        "service_deployments": partial(tasks.deployments, look),
    }
    if look.target["code_deploy"]:
        found["deployments"] = partial(releases.deployments, look)
    return found, Once(lambda: tasks.log_groups(seen()))


def _lines(groups: Groups, look: Look) -> Found:
    found = [lines.lines_of(group, look) for group in groups()]
    summary = "; ".join(one.summary for one in found) or "it names no log group"
    return Found(summary, {"groups": [one.content for one in found]})


def _query(groups: Groups | None, look: Look) -> Found:
    own = groups() if groups is not None else []
    return insights.answer_of(list(dict.fromkeys([*own, *look.log_groups])), look)
