"""Vision encoder: CLIP patch tokens e_tex and class token e_id of the source portrait (spec 1.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.protocol.errors import InvalidCheckpoint

# mean and standard deviation of RGB in [0, 1] in CLIP's training
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
EMBEDDED = 0.02  # deviation of the weights of new patch and position embeddings, CLIP's


class VisionTokens(NamedTuple):
    """class_token e_id (B, D), normalised; tokens (B, 1 + P, D), the last hidden state, class token first."""

    class_token: Tensor
    tokens: Tensor


class VisionAttention(nn.Module):
    """Self-attention of tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, D) → (B, L, D)."""
        queries, keys, values = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return cast(Tensor, self.out_proj(mixed.transpose(1, 2).flatten(2)))


class VisionLayer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int, inner: int, heads: int, epsilon: float, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.self_attn = VisionAttention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width, eps=epsilon)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})
        self.layer_norm2 = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, D) → (B, L, D)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + cast(Tensor, self.mlp["fc2"](self.activation(self.mlp["fc1"](self.layer_norm2(x)))))


class VisionEncoder(nn.Module):
    """CLIP's vision transformer under transformers' names of weights; tests compare the two to the bit.

    transformers itself takes 1 s of a processor to import, of which nothing is needed to run this.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, patch, epsilon = config["hidden_size"], config["patch_size"], config.get("layer_norm_eps", 1e-5)
        self.image_size = int(config["image_size"])
        name = config.get("hidden_act", "quick_gelu")
        if name not in ACTIVATIONS:
            raise InvalidCheckpoint(f"vision.hidden_act is {name!r}", f"known are {', '.join(ACTIVATIONS)}")
        self.embeddings = nn.Module()
        self.embeddings.register_parameter("class_embedding", nn.Parameter(torch.empty(width)))
        self.embeddings.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        positions = 1 + (self.image_size // patch) ** 2
        self.embeddings.position_embedding = nn.Embedding(positions, width, _weight=torch.empty(positions, width))
        self.pre_layrnorm = nn.LayerNorm(width, eps=epsilon)
        layers = (
            VisionLayer(width, config["intermediate_size"], config["num_attention_heads"], epsilon, ACTIVATIONS[name])
            for _ in range(config["num_hidden_layers"])
        )
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(layers)})
        self.post_layernorm = nn.LayerNorm(width, eps=epsilon)
        if not self.post_layernorm.weight.is_meta:  # random numbers for mere shapes load torch's compiler: 2 s
            self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Gives the weights CLIP's initial deviations (Radford et al. 2021)."""
        embeddings, layers = self.embeddings, cast(nn.ModuleList, self.encoder["layers"])
        width = len(cast(Tensor, embeddings.class_embedding))
        into_sum = width**-0.5 * (2 * len(layers)) ** -0.5
        nn.init.normal_(cast(Tensor, embeddings.class_embedding), std=width**-0.5)
        for table in (embeddings.patch_embedding, embeddings.position_embedding):
            nn.init.normal_(cast(nn.Conv2d, table).weight, std=EMBEDDED)
        deviations = {"out_proj": width**-0.5, "fc1": (2 * width) ** -0.5}
        for name, part in layers.named_modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=deviations.get(name.rpartition(".")[2], into_sum))
                nn.init.zeros_(part.bias)

    def forward(self, pictures: Tensor) -> VisionTokens:
        """pictures as :func:`prepare` gives them (B, 3, size, size) → their tokens."""
        embeddings = cast(Any, self.embeddings)
        patches = embeddings.patch_embedding(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([embeddings.class_embedding.expand(len(patches), 1, -1), patches], dim=1)
        x = self.pre_layrnorm(x + embeddings.position_embedding.weight)
        for layer in cast(nn.ModuleList, self.encoder["layers"]):
            x = layer(x)
        return VisionTokens(self.post_layernorm(x[:, 0]), x)


def _quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": _quick_gelu, "gelu": functional.gelu}


def build_vision(config: Mapping[str, Any]) -> VisionEncoder:
    """Returns a CLIP vision encoder from transformers' configuration with initial weights. Raises :class:`InvalidCheckpoint`."""
    return VisionEncoder(config)


def prepare(images: Tensor, size: int) -> Tensor:
    """RGB in [−1, 1] (B, 3, H, W), square → CLIP's input (B, 3, size, size): bicubic with antialiasing, mean and std of CLIP."""
    if images.shape[-2:] != (size, size):
        images = functional.interpolate(images.float(), (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((images + 1) / 2 - mean) / std


def encode_source(vision: VisionEncoder, images: Tensor) -> VisionTokens:
    """Source portraits, RGB in [−1, 1] (B, 3, H, W), square → their tokens."""
    weight = next(vision.parameters())
    tokens: VisionTokens = vision(prepare(images, vision.image_size).to(weight.dtype))
    return tokens


def vision_keys(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights of a CLIP model, or of its vision half, under our keys: those of transformers' encoder from 5.0 on.

    The text half, the projections and the position table of a whole CLIP are dropped; everything else is kept for strict checks.
    """
    others = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
    kept = {key: value for key, value in weights.items() if not key.startswith(others)}
    return {key.removeprefix("vision_model."): value for key, value in kept.items() if not key.endswith("embeddings.position_ids")}
