"""`--help` and `--version`, answered before anything is imported that takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from smule_crypten._version import __version__
from smule_crypten.launch.groups import GROUPS_OF_A_PARTY, GROUPS_OF_A_RUN

SMULE = """smule - secure mutual learning between two parties, simulated on this machine

== Choices (override as group=choice) ==
{choices}

Keys are overridden as key=value. Each line has its values and, in brackets, its
default. party_b has the same keys as party_a.
{rest}
docs/keys.md lists all keys, and the options of each choice.

{keys}

== Examples ==
smule                                   the main job, on scikit-learn's digits
smule data=idx data.path=/path/to/idx partition=iid
smule party_a/model=lenet party_b/model=resnet8        two different networks
smule -m party_a/model=lenet,mlp training.temperature=1,2            a sweep
smule --cfg job               show the composed configuration, with defaults

Results go to hydra.run.dir (default runs/<date>). docs/exit-codes.md lists the
exit codes: 0 done, 2 configuration, 3 data, 4 model, 5 output folder, 6 peer,
130 interrupted, and others. Between hosts: smule-init, smule-party.
"""

PARTY = """{usage}
== Choices ==
{choices}
In the file by their name, as in data: {{name: npz}}, or in a list of choices,
as in defaults: [training: images]; on the command line as group=choice.

Keys of the file and of the command line: each line has its values and, in
brackets, its default. {rest}
docs/keys.md lists all keys, and the options of each choice.

{keys}
"""

BENCHMARK = """smule-benchmark - suites of comparisons
suite=methods, headline, schemes, scaling or link, by runs and exchanges between processes;
suite=learning, learning_digits, poisoning, alarm, disclosure or privacy, both parties in
one process and in the clear. smule-benchmark --cfg job shows the keys of the suite. All
keys of smule can be set, too: smule --help explains them.

smule-benchmark suite=methods data=digits suite.seeds=[0,1,2]
smule-benchmark suite=learning_digits suite.changes.training.temperature=4

Results go to hydra.run.dir (default runs/benchmark/<suite>); a case that is
finished there is not run again.
"""


HELP_ALL = "--help-all"
_RARE = f"Rare keys are left out; {HELP_ALL} shows them."


def answer(usage: Callable[[bool], str] | None = None, arguments: Sequence[str] | None = None) -> None:
    """Print the version, or the usage if there is one, where the command line asks for it, and end the process.

    Args:
        usage: given whether everything is asked for, or what most users need.

    Raises:
        SystemExit: with code 0, where it was asked for.
    """
    asked = set(sys.argv[1:] if arguments is None else arguments)
    if "--version" in asked:
        print(f"smule-crypten {__version__}")
        sys.exit(0)
    if usage is not None and asked & {"-h", "--help", HELP_ALL}:
        print(usage(HELP_ALL in asked))
        sys.exit(0)


def smule_usage(everything: bool = False) -> str:
    """That of `smule`."""
    from smule_crypten.launch.key_help import by_topic, choices_of, run_keys

    rest = "" if everything else _RARE
    return SMULE.format(choices=choices_of(GROUPS_OF_A_RUN), keys=by_topic(run_keys(), everything), rest=rest)


def party_usage(usage: str, everything: bool = False) -> str:
    """That of a command which reads the file of a party."""
    from smule_crypten.launch.key_help import by_topic, choices_of, party_keys

    choices, keys = choices_of(GROUPS_OF_A_PARTY), by_topic(party_keys(), everything)
    return PARTY.format(usage=usage, choices=choices, keys=keys, rest="" if everything else _RARE)


def dealer_usage(usage: str) -> str:
    """That of `smule-dealer`."""
    from smule_crypten.launch.key_help import dealer_keys, described

    keys = "\n".join(described(dealer_keys()))
    return f"{usage}\nKeys of the file and of the command line, their values, defaults and meaning:\n\n{keys}"
