"""The ``triport`` command: finds the verb, and turns errors into texts and exit codes.

0 fine · 1 a check failed · 2 usage · 3 model not expressible · 4 environment · 5 unsafe or corrupt input
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from ..exporter.errors import TriportError, UsageError
from ..exporter.version import VERSION

VERBS = {
    "export": "Write a model for server, phone and browser, and prove that all answer the same.",
    "check": "Say what each port can take of a model; nothing is written.",
    "describe": "Name a model's classes, and say how its pictures are prepared.",
    "quantize": "Make a model whose int8 integers are the same on every port.",
    "diff": "Say what one quantization plan does otherwise than another.",
    "verify": "Check an export folder again in the runtimes of this machine.",
    "inspect": "Say what a model file, a bundle or an export folder holds.",
    "doctor": "Say what is installed here and which ports can be verified.",
    "explain": "Say what an error code means and what to do.",
}

INTERRUPTED = 130


class Verbs(click.Group):
    """Loads a verb's module when the verb is used, so that ``triport --help`` loads nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = import_module(f".{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="triport %(version)s")
def triport() -> None:
    """Takes a trained model to ONNX, TFLite and the browser, and proves that all three answer the same."""


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code."""
    try:
        # Not click's own main: it would end a broken pipe with 1, which here means that a check failed.
        with triport.make_context("triport", list(arguments)) as context:
            code = triport.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    except TriportError as error:
        _show(error, as_json="--json" in arguments)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _show(error: TriportError, *, as_json: bool) -> None:
    """The error on stderr, and for a program that reads stdout as JSON there as well."""
    if os.environ.get("TRIPORT_DEBUG"):
        traceback.print_exc()
    head, *rest = str(error).splitlines()
    label, colon, message = head.partition(": ")
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    label = click.style(label, fg="red", bold=True) if colour else label
    click.echo("\n".join([f"{label}{colon}{message}", *rest]), err=True, color=colour)
    if as_json:
        facts = {"code": error.code, "message": error.message, "at": error.at, "because": error.because}
        click.echo(json.dumps({"error": facts | {"help": error.help}}, indent=1, ensure_ascii=False))
