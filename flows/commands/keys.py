"""Commands for the API keys of the endpoint."""

from pathlib import Path
from typing import Annotated

import typer

KeysFile = Annotated[
    Path | None, typer.Option(envvar="EVERFIT_API_KEYS_FILE", help="File of keys that the service reads.")
]


def key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose key it is, such as shop-2026-11; a rotated key has a new name.")
    ],
    scope: Annotated[str, typer.Option(help="What it opens: some of predict, label, admin.")] = "predict",
    file: KeysFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the key of this name out of the file.")] = False,
) -> None:
    """Make a new API key of the endpoint and show it this once."""
    from flows.keys import make, take_away

    if remove:
        typer.echo(take_away(name, file))
        return
    made, sentences = make(name, scope, file)
    typer.echo(made)  # alone on the standard output, so that a script can take it
    typer.echo("\n".join(sentences), err=True)


def keys(file: KeysFile = None) -> None:
    """List the API keys of the endpoint by name."""
    from flows.keys import listing

    typer.echo("\n".join(listing(file)))
