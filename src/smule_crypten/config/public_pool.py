"""Questions whose samples are public: a data set that both parties have, asked about in the clear."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from smule_crypten.config.sections import RARE, DataConfig, Section

UNLABELED = "unlabeled"


class PublicPoolConfig(Section):
    """Which data set, and how much of it is asked about. Off unless both parties name the same one."""

    name: str | None = None
    """Which kind of data: samples that both parties have and nobody needs to hide. Either a set as in data.name, whose
    training samples are taken and labels left aside, or unlabeled: a file or folder as smule-predict reads it. Answers
    about them cross in the clear, for bytes; both parties must name it. Null for none."""
    path: str | None = Field(default=None, json_schema_extra=RARE)
    """The file or folder that holds it, as data.path, or as input of smule-predict."""
    max_samples: int | None = Field(default=None, ge=1, json_schema_extra=RARE)
    """Use so many of its samples, drawn at random, always the same; null uses all."""
    num_queries: int = Field(default=0, ge=0)
    """Public samples that each party asks about in one exchange, beside exchange.num_queries; none is asked about twice
    in a run. exchange.share_a divides them likewise."""
    options: dict[str, Any] = Field(default={}, json_schema_extra=RARE)
    """Options of this kind of data, as data.options."""

    @property
    def is_on(self) -> bool:
        return self.name is not None

    @property
    def unlabelled(self) -> str | None:
        """The path of samples without labels, where the pool is such."""
        return self.path if self.name == UNLABELED else None

    def data(self, own: DataConfig) -> DataConfig:
        """For its reader. It is normalised by the public constants of the party's own data.

        Raises:
            ValueError: there is none.
        """
        if self.name is None:
            raise ValueError("there is no public pool")
        return DataConfig(
            name=self.name,
            path=self.path,
            max_train=self.max_samples,
            mean=own.mean,
            std=own.std,
            options=self.options,
        )

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.is_on and self.num_queries == 0:
            raise ValueError(
                "num_queries: 0 asks about none of the pool; set it, for example to 200, or leave name out"
            )
        if self.name == UNLABELED and (self.path is None or self.options):
            raise ValueError("name: unlabeled needs a path, of an .npz file, folder or table, and takes no options")
        if not self.is_on and (self.path or self.max_samples or self.num_queries or self.options):
            raise ValueError("name: must be given where other keys are, for example npz with a path")
        return self
