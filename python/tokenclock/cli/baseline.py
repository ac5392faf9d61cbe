"""`tokenclock baseline`: accept, show and diff what performance tests are held against."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.cli import baseline_accept, baseline_diff, baseline_show
from tokenclock.cli.arguments import CommandParser, did_you_mean
from tokenclock.errors import UsageError

__all__ = ["build_parser", "main"]

_ACTIONS = {"accept": baseline_accept, "show": baseline_show, "diff": baseline_diff}


def build_parser() -> CommandParser:
    """The command with its three actions."""
    parser = CommandParser(
        prog="tokenclock baseline",
        description="What performance tests are held against. A baseline comes from the last valid runs in the\n"
        "history, and is pinned at the first regression, or by `accept`: later runs are then held against the pin.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=CommandParser)
    for name, module in _ACTIONS.items():
        module.add_flags(
            actions.add_parser(
                name, help=module.HELP, description=module.DESCRIPTION, prog=f"tokenclock baseline {name}"
            )
        )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one action; 0; of `diff` 3 where something got worse."""
    if not argv:
        raise UsageError(f"an action must follow: {', '.join(_ACTIONS)}; tokenclock baseline --help explains them")
    name = argv[0]
    if name in _ACTIONS:
        module = _ACTIONS[name]
        parser = CommandParser(prog=f"tokenclock baseline {name}", description=module.DESCRIPTION)
        module.add_flags(parser)
        return int(module.run(parser.read(argv[1:])))
    if name in ("-h", "--help"):
        build_parser().parse_args(["--help"])
    raise UsageError(f"unknown action {name}{did_you_mean(name, list(_ACTIONS))}; it is one of {', '.join(_ACTIONS)}")
