"""What a decoder transformer is made of, and how many parameters that is."""

from __future__ import annotations

from dataclasses import dataclass, fields

from emergecast.errors import ScalingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamCount:
    """Parameters of a model by part (counts)."""

    embedding: int
    """The matrix of token embeddings; of learned positions too."""
    attention: int
    """Queries, keys, values and output projections of all layers."""
    mlp: int
    """Feed-forward blocks of all layers."""
    norms_and_biases: int
    """Gains and shifts of the norms, and biases."""
    head: int
    """The matrix before the logits; 0 where it is the embedding's."""

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.non_embedding + self.head

    @property
    def non_embedding(self) -> int:
        """All but embeddings, learned positions and the matrix before the logits."""
        return self.attention + self.mlp + self.norms_and_biases


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A dense decoder transformer, as far as parameters and FLOPs depend on it."""

    layers: int
    """Number of layers, each an attention and a feed-forward block."""
    d_model: int
    """Width of the residual stream."""
    heads: int
    """Query heads of a layer."""
    head_dim: int
    """Width of a head."""
    kv_heads: int
    """Key and value heads of a layer; fewer than `heads` where queries share them."""
    d_ff: int
    """Inner width of the feed-forward block."""
    vocab: int
    """Rows of the embedding matrix, padding included."""
    context: int
    """Tokens of a training sequence."""
    gated_mlp: bool = False
    """Whether the feed-forward block has a third matrix, as SwiGLU has."""
    tied: bool = False
    """Whether the logits use the embedding matrix."""
    positions: int = 0
    """Rows of a learned matrix of positions; 0 where there is none."""
    norm_vectors: int = 1
    """Vectors a norm learns: 1 for a gain, 2 for a gain and a shift, 0 for none."""
    qkv_bias: bool = False
    """Whether queries, keys and values have biases."""
    projection_bias: bool = False
    """Whether the output projection of attention has a bias."""
    mlp_bias: bool = False
    """Whether the feed-forward matrices have biases."""

    def __post_init__(self) -> None:
        may_be_zero = {"positions", "norm_vectors"}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type == "bool":
                if not isinstance(value, bool):
                    raise ScalingError(f"{each.name} is {value!r}. Use true or false.")
                continue
            least = 0 if each.name in may_be_zero else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ScalingError(
                    f"{each.name} is {value!r}. Use a whole number of at least {least}."
                )
        if self.heads % self.kv_heads:
            raise ScalingError(
                f"{self.heads} query heads cannot share {self.kv_heads} key and value heads "
                "evenly. kv_heads must divide heads."
            )

    @property
    def params(self) -> ParamCount:
        """Parameters by part."""
        d, queries, keys = self.d_model, self.heads * self.head_dim, self.kv_heads * self.head_dim
        matrices = 3 if self.gated_mlp else 2
        biases = (
            self.qkv_bias * (queries + 2 * keys)
            + self.projection_bias * d
            + self.mlp_bias * ((matrices - 1) * self.d_ff + d)
        )
        norms = (2 * self.layers + 1) * self.norm_vectors * d
        return ParamCount(
            embedding=(self.vocab + self.positions) * d,
            attention=self.layers * d * (2 * queries + 2 * keys),
            mlp=self.layers * matrices * d * self.d_ff,
            norms_and_biases=norms + self.layers * biases,
            head=0 if self.tied else self.vocab * d,
        )
