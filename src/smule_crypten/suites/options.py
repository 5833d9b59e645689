"""What a suite is told: which cases it has. The rest of the configuration is that of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from smule_crypten.config.config_reading import parse, suggest
from smule_crypten.config.run import RunConfig
from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import MAX_SEED, ModelConfig, SchemeConfig, Section
from smule_crypten.errors import ConfigError

SuiteName = Literal[
    "methods",
    "headline",
    "schemes",
    "scaling",
    "link",
    "learning",
    "poisoning",
    "alarm",
    "disclosure",
    "privacy",
    "figures",
]
MethodName = Literal[
    "alone",
    "label_smoothing",
    "self_mutual",
    "self_distillation",
    "own_head",
    "smule",
    "full_exchange",
    "fedavg",
    "pooled",
]
SelectionName = Literal["random", "noise", "mixed", "uncertain"]
AnswersName = Literal["as_they_are", "noise_1", "noise_3", "temperature_4", "two_bits", "top_3", "label_only"]
Positive = Annotated[int, Field(ge=1)]


class NetworkChoice(Section):
    """A network and the samples it is applied to; without input_shape (1 to 3 sizes), those of the configured data."""

    model: ModelConfig
    input_shape: tuple[Positive, ...] | None = Field(default=None, strict=False, min_length=1, max_length=3)
    num_classes: int = Field(default=10, ge=2)

    @property
    def title(self) -> str:
        name = str(self.model.options.get("arch", self.model.name))
        if self.input_shape is None:
            return name
        return f"{name} {'x'.join(map(str, self.input_shape))}, {self.num_classes} classes"


class FullTrainingOptions(Section):
    run: Literal["no", "steps", "to_the_end"] = "steps"
    """Full training under secret sharing: left out, to the end, or as many steps as are enough to time one."""
    steps: int = Field(default=3, ge=1)
    """How many steps that are."""


class SuiteConfig(Section):
    name: SuiteName
    """Which suite."""
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default=(0,), strict=False, min_length=1)
    """Each seed is a case of its own: split, weights, batches."""
    schemes: tuple[str, ...] = Field(default=("two_party", "lean", "crypten", "plaintext"), strict=False)
    """Schemes to compare; plaintext is the upper bound that gives no protection."""
    fedavg: bool = True
    """Average the weights of both parties each epoch, too."""
    full_training: FullTrainingOptions = FullTrainingOptions()
    networks: tuple[NetworkChoice, ...] = Field(default=(), strict=False)
    """Of schemes, scaling and link: a list of {model, input_shape, num_classes}."""
    queries: tuple[Positive, ...] = Field(default=(64,), strict=False, min_length=1)
    """Of schemes, scaling and link: images that each party asks about. Of disclosure: of how many answers a network is
    copied."""
    limit_mb: float | None = Field(default=None, gt=0)
    """Of headline: what an epoch may cost in total, both directions and the dealer."""
    settings: dict[str, dict[str, Any]] = Field(default={})
    """Of learning, figures, poisoning, alarm, disclosure and privacy: what is compared, by name, each as what differs
    from the configuration. A part with a name of its own, such as a network, is replaced as a whole. Without any, the
    configuration as it is."""
    only: tuple[str, ...] | None = Field(default=None, strict=False)
    """The settings and attacks to run; null for all."""
    changes: dict[str, Any] = Field(default={})
    """What differs from the configuration in every setting, over what the settings say."""
    methods: tuple[MethodName, ...] = Field(default=get_args(MethodName), strict=False, min_length=1)
    """Of learning and poisoning: alone, local controls, smule, full_exchange (SMuLe that asks about all samples, once),
    fedavg, pooled."""
    metrics: tuple[str, ...] = Field(default=(), strict=False)
    """Of figures: which metrics to show, as far as a setting's task has them; empty for all."""
    attacks: dict[str, dict[str, Any]] = Field(default={})
    """Of poisoning: by name what is in attack, without the party."""
    answers: tuple[AnswersName, ...] = Field(default=get_args(AnswersName), strict=False, min_length=1)
    """Of disclosure: what is done to answers before the other party sees them; only noise can be enforced."""
    selections: tuple[SelectionName, ...] = Field(default=get_args(SelectionName), strict=False)
    """Of disclosure: which images one asks about who copies a network; empty for no copies."""
    public_answers: tuple[Positive, ...] = Field(default=(), strict=False)
    """Of disclosure: by how many answers about samples of public_pool a network is copied, and its training samples are
    told by the copy; needs such a pool."""
    copy_steps: int = Field(default=400, ge=1)
    """Of disclosure: optimizer steps of the copy's training, or of each round of it."""
    known: int | None = Field(default=None, ge=1)
    """Of alarm: how many answers have a known label in each exchange but the first, in which half have; null for all
    on labelled samples."""
    draws: int = Field(default=0, ge=0)
    """Of alarm: draw the questions of so many runs again, and ask networks trained alone; 0 trains with the peer."""


def networks_of(suite: SuiteConfig, run: RunConfig) -> tuple[NetworkChoice, ...]:
    """Those of the suite, or party a's."""
    return suite.networks or (NetworkChoice(model=run.party_a.model),)


def scheme_of(name: str, run: RunConfig) -> SchemeConfig:
    """As configured, or of another scheme the defaults."""
    return run.scheme if name == run.scheme.name else SchemeConfig(name=name)


def with_scheme(name: str, run: RunConfig) -> dict[str, Any]:
    """The sections of `run` that differ with that scheme; who deals is no question where nobody does."""
    sections = {"scheme": scheme_of(name, run).model_dump()}
    return sections if scheme_traits(name).needs_dealer else sections | {"provider": {}}


def changed(run: RunConfig, **sections: Any) -> RunConfig:
    """`run` with other sections, validated again.

    Raises:
        ConfigError: they do not go together, such as a scheme that gives no protection without allow_insecure.
    """
    return parse(RunConfig, {**run.model_dump(), **sections})


def chosen(suite: SuiteConfig, named: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the suite's settings, or of its attacks, that suite.only lists; all where it lists none of them.

    Raises:
        ConfigError: suite.only lists what does not exist.
    """
    known = [*suite.settings, *suite.attacks]
    for name in suite.only or ():
        if name not in known:
            raise ConfigError(f"suite.only: unknown {name!r} {suggest(name, known)}")
    return {name: value for name, value in named.items() if name in (suite.only or ())} or dict(named)


def settings_of(suite: SuiteConfig, run: RunConfig, seed: int) -> dict[str, RunConfig]:
    """The settings that are to run, by name, with this seed.

    Raises:
        ConfigError: a setting changes what does not exist, or its parts do not go together.
    """
    wanted = chosen(suite, suite.settings) or {"as configured": {}}
    found = {}
    for name, differences in wanted.items():
        try:
            found[name] = changed_by(run, {**merged(differences, suite.changes), "seed": seed})
        except ConfigError as error:
            raise ConfigError(f"suite.settings.{name}: {error}") from None
    return found


def changed_by(run: RunConfig, differences: Mapping[str, Any]) -> RunConfig:
    """Run with differences over it, validated again.

    Raises:
        ConfigError: they name what does not exist, or do not go together.
    """
    return parse(RunConfig, merged(run.model_dump(), differences))


def merged(values: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """Values with differences over them; a part of these that has a name of its own takes the place of the other."""
    found = dict(values)
    for key, value in differences.items():
        before = found.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and "name" not in value:
            value = merged(before, value)
        found[key] = value
    return found
