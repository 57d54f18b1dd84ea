"""Does a security group let in who must get in, and not the whole world? A database out of reach looks as if down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetNotFound

Network = IPv4Network | IPv6Network


def _wrong(fields: Mapping[str, Any]) -> str:
    if not 1 <= fields["port"] <= 65_535:
        return f"port must be from 1 to 65535, got {fields['port']}"
    if (cidr := fields["from_cidr"]) and _network(cidr) is None:
        return f"from_cidr must be a network such as 10.0.0.0/16, got {cidr!r:.40}"
    return ""


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


KIND = CheckKind(
    "security_group",
    "a security group lets one group or network in on a port, and not the whole world",
    {
        "group": named("the group in front of the database or cache: its id (sg-…), or its name"),
        "port": Field(int, required=True, help="port that must be open"),
        "protocol": Field(str, "tcp", one_of=("tcp", "udp")),
        "from_group": Field(str, help="the group that must get in, such as a function's: its id, or its name"),
        "from_cidr": Field(str, help="network that must get in"),
    },
    either=("from_group", "from_cidr"),
    named_by=("group", "from_group", "from_cidr"),
    wrong=_wrong,
)
SERVICES = ("ec2",)
PERMISSIONS = ("ec2:DescribeSecurityGroups",)

ID = "sg-"
NUMBERS = {"tcp": "6", "udp": "17"}


def look(check: Check) -> list[Finding]:
    """DescribeSecurityGroups; once more where the group that must get in is told by its name."""
    group = _group(check["group"])
    source = check["from_group"]
    if source and not source.startswith(ID):
        try:
            source = _group(source)["GroupId"]
        except TargetNotFound as error:
            advice = "correct the name in the check, or deploy it"
            return findings(check, [Problem(str(error), f"{source} gets in", advice)], "")
    rules = [rule for rule in group["IpPermissions"] if _is_for(rule, check)]
    problems = [*_world(check, rules), *_way_in(check, group, rules, source)]
    return findings(check, problems, f"{_who(check)} gets in on {_port(check)}")


def _group(name: str) -> Mapping[str, Any]:
    """The group of this id or name. A name can't begin like an id, and is unique in one VPC only (CreateSecurityGroup,
    API reference). Raises TargetNotFound, TargetForbidden, Unreadable, NotApplied."""
    asked: dict[str, Any] = {"GroupIds": [name]}
    if not name.startswith(ID):
        asked = {"Filters": [{"Name": "group-name", "Values": [name]}]}
    try:
        groups = client("ec2").describe_security_groups(**asked)["SecurityGroups"]
    except AwsError as error:
        translate(error, f"security group {name}")
    if not groups:
        raise TargetNotFound(f"there is no security group {name}")
    if len(groups) > 1:
        ids = ", ".join(sorted(one["GroupId"] for one in groups))
        raise NotApplied(f"{len(groups)} security groups are called {name} ({ids}): give the id")
    return groups[0]  # type: ignore[no-any-return]  # botocore is not typed


def _is_for(rule: Mapping[str, Any], check: Check) -> bool:
    """Protocol -1 is every protocol, and has no ports."""
    protocol = rule["IpProtocol"]
    if protocol == "-1":
        return True
    fits = protocol in (check["protocol"], NUMBERS[check["protocol"]])
    return fits and int(rule.get("FromPort", 0)) <= check["port"] <= int(rule.get("ToPort", 65_535))


def _who(check: Check) -> str:
    return str(check["from_group"] or check["from_cidr"])


def _port(check: Check) -> str:
    return f"{check['protocol']} {check['port']}"


def _ranges(rules: Sequence[Mapping[str, Any]]) -> Iterator[Network]:
    for rule in rules:
        yield from (ip_network(one["CidrIp"]) for one in rule.get("IpRanges", []))
        yield from (ip_network(one["CidrIpv6"]) for one in rule.get("Ipv6Ranges", []))


def _world(check: Check, rules: Sequence[Mapping[str, Any]]) -> list[Problem]:
    return [
        Problem(
            f"{network} gets in on {_port(check)}: it is open to the world",
            f"{_who(check)} only",
            f"take that rule out of {check['group']}, in its template",
        )
        for network in dict.fromkeys(_ranges(rules))
        if network.prefixlen == 0
    ]


def _way_in(
    check: Check, group: Mapping[str, Any], rules: Sequence[Mapping[str, Any]], wanted_group: str | None
) -> list[Problem]:
    wanted = _network(check["from_cidr"] or "")
    groups = {pair.get("GroupId") for rule in rules for pair in rule.get("UserIdGroupPairs", [])}
    if wanted_group in groups or any(wanted is not None and _covers(one, wanted) for one in _ranges(rules)):
        return []
    source = f"--source-group {wanted_group}" if wanted_group else f"--cidr {check['from_cidr']}"
    advice = (
        "deploy its template again, or `aws ec2 authorize-security-group-ingress --group-id"
        f" {group['GroupId']} --protocol {check['protocol']} --port {check['port']} {source}`"
    )
    listed = sorted({one["PrefixListId"] for rule in rules for one in rule.get("PrefixListIds", [])})
    others = [*sorted(filter(None, groups)), *map(str, _ranges(rules)), *listed]
    told = f"{_who(check)} does not get in on {_port(check)}; {', '.join(others[:5]) or 'nobody'} does"
    if listed and wanted is not None:
        return [Problem(told, f"{_who(check)} gets in", "see whether the prefix list holds it", Mark.UNKNOWN)]
    return [Problem(told, f"{_who(check)} gets in", advice)]


def _covers(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(outer)
