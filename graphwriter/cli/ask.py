"""graphwriter ask: questions to the graph, a command each; long because there are so many."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphwriter.cli import answers
from graphwriter.cli.options import CONTEXT, NEO4J, Group, moment, settings
from graphwriter.cli.output import as_json, echo_json
from graphwriter.config import Config
from graphwriter.errors import ConfigError

if TYPE_CHECKING:  # the drivers are not needed for --help
    from graphwriter.graph import Graph

TIMEOUT, WHOLE_TIMEOUT = 20.0, 300.0  # seconds for a question about one message, about all
FORMATS = ("csv", "gexf", "graphml", "mermaid")

Question = Callable[..., Any]

SPAN = (
    click.option(
        "--since", callback=moment, metavar="TIME", help="Only posts of this time or later."
    ),
    click.option("--until", callback=moment, metavar="TIME", help="Only posts before this time."),
)
_DRAWN = (
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        help="Write the network for another program: csv is a folder for Gephi.",
    ),
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="File or folder of --format.  [default: graphwriter-QUESTION]",
    ),
    click.option(
        "--html",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Draw the network as one HTML file that needs no network.",
    ),
)


def least(default: int) -> Callable[[Any], Any]:
    """Return the option `--min`."""
    text = "Leave out what has fewer."
    return click.option(
        "--min", "least", default=default, show_default=True, metavar="NUMBER", help=text
    )


@click.group("ask", cls=Group, context_settings=CONTEXT)
def command() -> None:
    """Ask the graph: threads, comments, who forwarded what, which channels to collect next.

    ADDRESS is a link such as https://t.me/c/1179270258/42 or t.me/NAME/42, -1001179270258:42, or a
    post_id. Every answer is bounded, and says if something was cut.
    """


def question(
    name: str,
    short: str,
    *more: Any,
    limit: int,
    depth: int | None = None,
    timeout: float = WHOLE_TIMEOUT,
    drawn: bool = True,
) -> Callable[[Question], Question]:
    """Make a function that returns an answer a command with the options of all questions.

    Args:
        short: its line in the list of questions.
        more: options and arguments of its own.
        limit, depth, timeout: the defaults of these bounds; depth None: it has no such option.
        drawn: the answer is a network, too.
    """

    def decorate(function: Question) -> Question:
        @functools.wraps(function)
        def run(config: Config, **options: Any) -> None:
            _answer(config, name, function, options)

        command_: Any = settings(*NEO4J)(run)
        for option in reversed((*more, *_bounds(limit, depth, timeout), *_output(drawn))):
            command_ = option(command_)
        return command.command(name, cls=_Command, short_help=short, context_settings=CONTEXT)(
            command_
        )

    return decorate


class _Command(click.Command):
    """A command whose arguments may start with a minus, as the ids of chats do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what starts with a minus and a digit as an argument."""
        if "--" not in args:
            numbers = [one for one in args if re.match(r"-\d", one)]
            args = [*(one for one in args if one not in numbers), "--", *numbers]
        return super().parse_args(ctx, args)


_ADDRESS = click.argument("address")


def _bounds(limit: int, depth: int | None, timeout: float) -> list[Any]:
    options = [
        click.option(
            "--limit",
            default=limit,
            show_default=True,
            type=click.IntRange(0),
            help="The most that is answered; 0: all.",
        )
    ]
    if depth is not None:
        text = "The most links from one message to the next; 0: all."
        options.append(
            click.option(
                "--depth", default=depth, show_default=True, type=click.IntRange(0), help=text
            )
        )
    options.append(
        click.option(
            "--timeout",
            default=timeout,
            show_default=True,
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="Seconds that Neo4j may take for a query.",
        )
    )
    return options


def pseudonymous(function: Any) -> Any:
    """Give a command the options `pseudonymous` and `key_file`."""
    for option in (
        click.option(
            "--key-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Same file, same pseudonyms; without it they are fresh.",
        ),
        click.option(
            "--pseudonymous",
            is_flag=True,
            help="Replace ids and names of users, and leave out texts.",
        ),
    ):
        function = option(function)
    return function


def _output(drawn: bool) -> list[Any]:
    return [
        as_json,
        click.option("--markdown", is_flag=True, help="Print Markdown."),
        *(_DRAWN if drawn else ()),
        pseudonymous,
    ]


def _answer(config: Config, name: str, function: Question, options: dict[str, Any]) -> None:
    import msgspec

    from graphwriter import queries
    from graphwriter.graph import connect
    from graphwriter.queries.pseudonyms import Pseudonyms

    chosen = {name: options.pop(name, None) for name in _OUTPUTS}
    timeout = options.pop("timeout")
    options |= {name: options[name] or None for name in ("limit", "depth") if name in options}
    with connect(config, timeout=timeout, retry=0.0) as graph:
        if "address" in options:
            options["address"] = queries.find(graph, options["address"])
        answer = function(graph, **options)
    hidden = chosen["pseudonymous"]
    values = (
        Pseudonyms(key(chosen["key_file"])).of(answer) if hidden else msgspec.to_builtins(answer)
    )
    _show(name, values, chosen)


_OUTPUTS = ("json", "markdown", "format_", "output", "html", "pseudonymous", "key_file")


def _show(name: str, values: dict[str, Any], chosen: dict[str, Any]) -> None:
    files = answers.write(name, values, chosen["format_"], chosen["output"], chosen["html"])
    if chosen["json"]:
        echo_json(values)
    elif chosen["markdown"]:
        click.echo(answers.markdown(values))
    elif not files:
        answers.show(values)
    for file in files:
        if file != Path("-"):  # it is printed already
            click.echo(f"written to {file}", err=chosen["json"])


def key(file: Path | None) -> str | None:
    """Return the key of pseudonyms in `file`; raises ConfigError if it cannot be read."""
    if file is None:
        return None
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--key-file {file}: {error}") from None


@question(
    "post",
    "A post and what is around it.",
    _ADDRESS,
    click.option(
        "--budget",
        type=click.IntRange(1),
        metavar="TOKENS",
        help="At most about so many tokens (four characters each) of JSON.",
    ),
    limit=50,
    depth=100,
    timeout=TIMEOUT,
)
def _post(graph: Graph, **options: Any) -> Any:
    """Show a post and what is around it: origin, ancestors, replies, comments, forwards."""
    from graphwriter import queries

    return queries.context(graph, **options)


@question(
    "thread", "The conversation of a message.", _ADDRESS, limit=1000, depth=1000, timeout=TIMEOUT
)
def _thread(graph: Graph, **options: Any) -> Any:
    """Show the conversation of a message: the topmost message, and all replies to it."""
    from graphwriter import queries

    return queries.thread(graph, **options)


@question(
    "comments",
    "The comments of a channel's post.",
    _ADDRESS,
    limit=1000,
    depth=1000,
    timeout=TIMEOUT,
)
def _comments(graph: Graph, **options: Any) -> Any:
    """Show the comments of a channel's post, which reply to its copy in the discussion group."""
    from graphwriter import queries

    return queries.comments(graph, **options)


@question("spread", "Who forwarded a post, and when.", _ADDRESS, limit=1000, timeout=TIMEOUT)
def _spread(graph: Graph, **options: Any) -> Any:
    """Show who forwarded a post or its original, when, and how long after it was posted."""
    from graphwriter import queries

    return queries.spread(graph, **options)


@question(
    "same",
    "Posts with the same content, files or links.",
    _ADDRESS,
    limit=100,
    timeout=TIMEOUT,
    drawn=False,
)
def _same(graph: Graph, **options: Any) -> Any:
    """Show posts that have the content, a file or a link of a post, and the time between them.

    The content needs `schema apply --read`; files and links are there where GRAPH_WRITER_ENRICH
    keeps them.
    """
    from graphwriter import queries

    return queries.same(graph, **options)


@question(
    "wanted",
    "What to collect next.",
    click.option("--channels", is_flag=True, help="Chats of which no post is ingested."),
    least(1),
    limit=1000,
    drawn=False,
)
def _wanted(graph: Graph, channels: bool, **options: Any) -> Any:
    """Show what to collect next: messages that many posts refer to and that are not ingested."""
    from graphwriter import queries

    return (queries.wanted_channels if channels else queries.wanted)(graph, **options)


@question(
    "channels",
    "The network of channels.",
    *SPAN,
    click.option("--loops", is_flag=True, help="Also links from a chat to itself."),
    click.option("--users", is_flag=True, help="Also private chats, and users as sources."),
    limit=0,
)
def _channels(graph: Graph, **options: Any) -> Any:
    """Show which channel forwards from which and replies to which: the network of channels."""
    from graphwriter import queries

    return queries.channels(graph, **options)


@question(
    "related", "The channels around one channel.", click.argument("chat"), limit=100, drawn=False
)
def _related(graph: Graph, chat: str, **options: Any) -> Any:
    """Show which channels one channel forwards from, and which forward from it.

    CHAT is a marked id, t.me/NAME, t.me/c/ID, or the address of one of its messages.
    """
    from graphwriter import queries

    return queries.related(graph, queries.find_chat(graph, chat), **options)


@question(
    "coforward",
    "Channels that forward the same posts.",
    click.option(
        "--window",
        default="300s",
        show_default=True,
        callback=lambda _context, _parameter, value: _seconds(value),
        metavar="SECONDS",
        help="The longest time between two forwards, such as 300s, 5m or 2h.",
    ),
    least(3),
    *SPAN,
    limit=1000,
)
def _coforward(graph: Graph, **options: Any) -> Any:
    """Show pairs of channels that forward the same posts within a short time."""
    from graphwriter import queries

    return queries.coforward(graph, **options)


@question(
    "links",
    "What posts link to, by channels and reach.",
    least(1),
    *SPAN,
    limit=100,
    drawn=False,
)
def _links(graph: Graph, **options: Any) -> Any:
    """Show what posts link to: by how many channels, with the views of the posts together.

    Only where links are kept, by GRAPH_WRITER_ENRICH.
    """
    from graphwriter import queries

    return queries.links(graph, **options)


@question("sources", "Where posts are forwarded from.", least(1), limit=100, drawn=False)
def _sources(graph: Graph, **options: Any) -> Any:
    """Show where posts are forwarded from, the most frequent first."""
    from graphwriter import queries

    return queries.sources(graph, **options)


@question("authors", "Who wrote posts.", least(1), limit=100, drawn=False)
def _authors(graph: Graph, **options: Any) -> Any:
    """Show who wrote posts, the most frequent first."""
    from graphwriter import queries

    return queries.authors(graph, **options)


@question(
    "search",
    "Posts by their words.",
    click.argument("words", metavar="TEXT"),
    limit=20,
    drawn=False,
)
def _search(graph: Graph, **options: Any) -> Any:
    """Find posts by their words, where texts are stored and indexed."""
    from graphwriter import queries

    return queries.search(graph, **options)


def _seconds(text: str) -> float:
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
    number = text.rstrip("smhd")
    try:
        seconds = float(number) * units[text[len(number) :]]
    except (ValueError, KeyError):
        raise click.BadParameter(f"{text!r} is not a time such as 300s, 5m or 2h") from None
    if not 0 <= seconds < float("inf"):
        raise click.BadParameter(f"{text!r} is not a time such as 300s, 5m or 2h")
    return seconds
