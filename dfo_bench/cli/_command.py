"""A command of the command line: what it refuses is one line with the value and the remedy."""

from typing import Any

import typer
from typer.core import TyperCommand

from dfo_bench.errors import InputError, UnknownNameError


class Command(TyperCommand):
    """Refuses an option that is given twice, of which Typer would take the last, and names the value of a wrong one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; raise InputError for a wrong one."""
        if ctx.resilient_parsing:
            # A line under completion is not at its end.
            return super().parse_args(ctx, args)
        given, _, order = self.make_parser(ctx).parse_args(list(args))
        for option in dict.fromkeys(order):
            once = not option.multiple and not getattr(option, "is_flag", False)
            if once and (times := order.count(option)) > 1:
                raise InputError(
                    f"{_name(option)} is given {times} times, at last {given[option.name]!r}; give it once"
                )
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            wrong: Any = error.param
            value = given.get(wrong.name) if wrong else None
            if not isinstance(value, str):
                raise
            if known := [item.value for item in wrong.shell_complete(ctx, "")]:
                raise UnknownNameError((wrong.metavar or wrong.name).lower(), value, known) from None
            reason = error.message[:1].lower() + error.message[1:]
            raise InputError(f"{_name(wrong)} {value!r}: {reason}") from None


def examples(*commands: str) -> str:
    """Return the end of a command's help: its examples, each on a line of its own, to be copied."""
    # The first line asks Typer not to wrap the others.
    return "\b\n" + "\n".join(["Example:" if len(commands) == 1 else "Examples:", *(f"  {one}" for one in commands)])


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return "/".join(parameter.opts)
    return str(parameter.metavar or parameter.name)
