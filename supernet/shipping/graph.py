"""A model's forward pass as an ONNX graph, put together from its weights, for every family and head.

PyTorch's exporter traces a model for seconds, too long for the some fifty networks of a latency table; this takes
milliseconds, and the table's networks are the very graphs that are shipped. It must compute what transformers does:
:func:`~secateur.supernet.shipping.onnx.export_onnx` compares the two before it keeps a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import PreTrainedModel

from ...errors import InputError
from ..families import reads
from ..families.positions import Disentangled, Rotary, bucket, embedded_distance
from ..heads import head_of
from ..packed.packed import slab_linears
from ..self_attention import UNSEEN
from ..sentence import VECTOR
from ..stored.storage import known_family, known_segments
from .activations import NODES
from .needed import needed

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

    from ...tasks.kinds import Head

LOWEST_OPSET = 17  # the first with LayerNormalization, and read by runtimes since 2022
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
_TEXTS, _TOKENS = "batch", "length"  # names of the dynamic axes
STATES = "last_hidden_state"
_FLOAT, _INT64, _BOOL = 1, 7, 9  # as ONNX numbers types


def onnx_graph(model: PreTrainedModel, opset: int | None = None, *, states: bool = False) -> ModelProto:
    """Return the float32 ONNX graph of a model, its weights inside.

    Inputs are int64 `(B, T)`: tokens, attention mask (0 for padding) and, where the family knows two segments, token
    types. Outputs are named as transformers': `logits`, `(B, C)` or `(B, T, C)`, or `start_logits` and `end_logits`,
    `(B, T)`, or `sentence_embedding`, `(B, C)`. The metadata has the head and the names of the labels.

    Args:
        model: of a supported family, extracted or not, with one of the heads; left as it is.
        opset: version of the standard operators; the lowest that has all that is needed if None.
        states: of a model for embedding, also give its encoder's states, `last_hidden_state`, `(B, T, D)`, for programs
            that make the vectors themselves.

    Raises:
        InputError: another family or head, or an opset that is too low or that the onnx package does not know.
    """
    onnx = needed("onnx")
    opset, newest = LOWEST_OPSET if opset is None else opset, onnx.defs.onnx_opset_version()
    if not LOWEST_OPSET <= opset <= newest:
        raise InputError(f"expected an ONNX opset from {LOWEST_OPSET} to {newest}, got {opset}; give one of these")
    built = _Graph(model, states=states)
    outputs = built.outputs()
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        built.nodes,
        "secateur",
        [helper.make_tensor_value_info(name, kinds.INT64, [_TEXTS, _TOKENS]) for name in built.inputs],
        [helper.make_tensor_value_info(name, kinds.FLOAT, axes) for name, axes in outputs.items()],
        built.constants,
    )
    domains = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(domains)
    made = helper.make_model(graph, opset_imports=domains, ir_version=version, producer_name="secateur")
    labels = {int(place): str(name) for place, name in (model.config.id2label or {}).items()}
    helper.set_model_props(made, {"head": head_of(model), "id2label": json.dumps(labels)})
    return made


class _Graph:
    """Collects the nodes and constants of one model's pass.

    Sizes are read off the weights: a dropped block has none, and so is not in the graph either.
    """

    def __init__(self, model: PreTrainedModel, *, states: bool) -> None:
        onnx = needed("onnx")
        self._node, self._tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
        config = self._config = model.config
        self._family = known_family(config)
        self._activation = self._family.neuron_function(config)
        self._attention_of = self._family.attention(config)
        self._kind: Head = head_of(model)
        self._gives_states = states and self._kind == "embedding"
        self._head = self._family.head_paths(config, self._kind)
        self._reads = reads(self._kind, self._head, config)
        self._head_size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        tensors = dict(model.named_parameters()) | {f"{k}.weight": v.whole() for k, v in slab_linears(model).items()}
        self._weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in tensors.items()}
        self._tables = self._family.embeddings.present(self._weights)
        self._layers = len(list(model.get_submodule(self._family.layers).children()))
        self._segments = known_segments(config) > 1
        self.inputs = (IDS, MASK, TYPES) if self._segments else (IDS, MASK)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: set[str] = set()
        self._once: dict[object, Any] = {}

    def outputs(self) -> dict[str, list[int | str]]:
        """Add the whole pass; return the axes of what it gives."""
        states, some = self._embeddings(), self._some()
        if self._family.masks_embeddings:
            real = self.add("Cast", MASK, to=_FLOAT)
            states = self.add("Mul", states, self.add("Unsqueeze", real, self._list("behind", 2)))
        for layer in range(self._layers):
            states = self._layer(layer, states, some)
        head = self._head
        given: dict[str, list[int | str]] = {}
        if self._gives_states:  # all tokens' then, where else the last norm is for those that are read
            states = self._last_norm(states)
            self.add("Identity", states, output=STATES)
            given = {STATES: [_TEXTS, _TOKENS, int(self._config.hidden_size)]}
        tokens = [_TOKENS] if self._reads == "tokens" else []
        if self._reads == "first":
            states = self.add("Gather", states, self._number("first", 0), axis=1)
        if self._reads == "last":
            states = self._last(states)
        if not self._gives_states:
            states = self._last_norm(states)
        if self._reads == "mean":
            states = self._mean(states)
        if head.dense is not None:
            states = self._linear(head.dense, states)
            assert head.activation is not None
            assert not isinstance(head.activation, str)  # resolved: `ModelFamily.head_paths`
            states = NODES[head.activation](self, states)
            if head.norm is not None:
                states = self._norm(head.norm, states)
        if self._kind == "embedding":
            return {VECTOR: [_TEXTS, self._vectors(states)], **given}
        if self._kind != "question-answering":
            self._linear(head.classifier, states, output="logits")
            return {"logits": [_TEXTS, *tokens, len(self._weights[f"{head.classifier}.weight"])]}
        both = self._linear(head.classifier, states)
        for place, name in enumerate(("start_logits", "end_logits")):
            self.add("Gather", both, self._number(f"{name}.place", place), output=name, axis=2)
        return {"start_logits": [_TEXTS, _TOKENS], "end_logits": [_TEXTS, _TOKENS]}

    def _embeddings(self) -> str:
        """Add up the tables' rows and normalise: `(B, T, D)`."""
        paths, weights = self._tables, self._weights
        total = self.add("Gather", self._constant("words", weights[f"{paths.word}.weight"]), IDS)
        types = None if paths.token_type is None else weights[f"{paths.token_type}.weight"]
        if types is not None and self._segments:
            total = self.add("Add", total, self.add("Gather", self._constant("segments", types), TYPES))
        one_type = types if types is not None and not self._segments else None  # its row belongs to every position
        if paths.position is not None:
            positions = weights[f"{paths.position}.weight"]
            positions = positions if one_type is None else positions + one_type
            rows = self.add("Gather", self._constant("positions", positions), self._positions())
            total = self.add("Add", total, rows)
        elif one_type is not None:
            total = self.add("Add", total, self._constant("segment", one_type[:1]))
        states = self._norm(paths.norm, total)
        return states if paths.projection is None else self._linear(paths.projection, states)

    def _positions(self) -> str:
        """Number the tokens: `(T,)`, or `(B, T)` where padding does not count."""
        if not self._family.positions_from_padding:
            return self._places()
        one, pad = self._number("one", 1), self._number("pad", int(self._config.pad_token_id))
        real = self.add("Cast", self.add("Not", self.add("Equal", IDS, pad)), to=_INT64)
        return self.add("Add", self.add("Mul", self.add("CumSum", real, one), real), pad)

    def _places(self) -> str:
        """Count the tokens of a text from 0: `(T,)`."""
        one = self._number("one", 1)

        def made() -> str:
            length = self.add("Gather", self.add("Shape", IDS), one)
            return self.add("Range", self._number("zero", 0), length, one)

        return self._shared("places", made)

    def _distances(self) -> str:
        """Return by how many tokens a key, the column, is behind a query, the row: `(T, T)`."""

        def made() -> str:
            column = self.add("Unsqueeze", self._places(), self._list("rows", 0))
            return self.add("Sub", column, self.add("Unsqueeze", self._places(), self._list("columns", 1)))

        return self._shared("distances", made)

    def _blocked(self) -> str:
        """Return what is added to attention scores: `(B, 1, 1, T)`, the lowest number for padding."""

        def made() -> str:
            apart = self.add("Unsqueeze", MASK, self._list("axes", 1, 2))
            padding = self.add("Equal", apart, self._number("zero", 0))
            lowest = self.real("lowest", float(np.finfo(np.float32).min))
            return self.add("Where", padding, lowest, self.real("none", 0.0))

        return self._shared("blocked", made)

    def _blocked_in(self, window: int) -> str:
        """Return the same where tokens further away than a window are not seen either: `(B, 1, T, T)`."""

        def made() -> str:
            away = self.add("Greater", self.add("Abs", self._distances()), self._number(f"window_{window}", window))
            unseen = self.add("Where", away, self.real("unseen", UNSEEN), self.real("none", 0.0))
            return self.add("Add", self._blocked(), unseen)

        return self._shared(("window", window), made)

    def _some(self) -> str:
        """Return 1 for texts with a real token and 0 for others, whose heads give zeros in PyTorch: `(B, 1, 1)`."""
        count = self.add("ReduceSum", MASK, self._list("tokens", 1), keepdims=1)
        some = self.add("Cast", self.add("Cast", count, to=_BOOL), to=_FLOAT)
        return self.add("Unsqueeze", some, self._list("behind", 2))

    def _mean(self, states: str) -> str:
        """Return the mean of real tokens' states: `(B, D)`."""
        tokens = self._list("tokens", 1)
        real = self.add("Unsqueeze", self.add("Cast", MASK, to=_FLOAT), self._list("behind", 2))
        total = self.add("ReduceSum", self.add("Mul", states, real), tokens, keepdims=0)
        count = self.add("ReduceSum", real, tokens, keepdims=0)
        return self.add("Div", total, self.add("Max", count, self.real("a_token", 1.0)))

    def _last(self, states: str) -> str:
        """Return the states of the last real tokens: `(B, D)`."""
        one, tokens = self._number("one", 1), self._list("tokens", 1)
        count = self.add("ReduceSum", MASK, tokens, keepdims=1)
        at = self.add("Max", self.add("Sub", count, one), self._number("zero", 0))
        return self.add("GatherND", states, at, batch_dims=1)

    def _vectors(self, states: str) -> int:
        """Make vectors of what is read, the graph's output; return how wide they are."""
        head, name = self._head, self._head.classifier
        last = head.closing is None and not head.normalizes
        vectors = self._linear(name, states, output=VECTOR if last else None)
        if head.closing is not None:
            vectors = NODES[head.closing](self, vectors)
        if head.normalizes:
            length = self.add("ReduceL2", vectors, axes=[1], keepdims=1)
            vectors = self.add("Div", vectors, self.add("Max", length, self.real("shortest", 1e-12)), output=VECTOR)
        elif head.closing is not None:
            self.add("Identity", vectors, output=VECTOR)
        return len(self._weights[f"{name}.weight"])

    def _layer(self, layer: int, states: str, some: str) -> str:
        """Add a layer's kept blocks."""
        family = self._family
        attention, attention_norm = (family.layer_path(layer, f"attention_{part}") for part in ("output", "norm"))
        if f"{attention}.weight" in self._weights:
            seen = self._norm(attention_norm, states) if family.pre_norm else states
            mixed = self._linear(attention, self._attention(layer, seen, some))
            states = self.add("Add", mixed, states)
            states = states if family.pre_norm else self._norm(attention_norm, states)
        ffn, ffn_norm = (family.layer_path(layer, f"ffn_{part}") for part in ("out", "norm"))
        if f"{ffn}.weight" in self._weights:
            seen = self._norm(ffn_norm, states) if family.pre_norm else states
            states = self.add("Add", self._linear(ffn, self._neurons(layer, seen)), states)
            states = states if family.pre_norm else self._norm(ffn_norm, states)
        return states

    def _neurons(self, layer: int, states: str) -> str:
        """Return what the neurons give: `(B, T, F)`."""
        activated, *factor = self._side_by_side(layer, "ffn_in", 2 if self._family.gated else 1, states)
        neurons = NODES[self._activation](self, activated)
        return self.add("Mul", neurons, *factor) if factor else neurons

    def _attention(self, layer: int, states: str, some: str) -> str:
        """Return the heads' outputs side by side: `(B, T, H * d)`."""
        positions, name = self._attention_of[layer], f"{self._family.layer_path(layer, 'attention_output')}.heads"
        width = self._weights[f"{self._family.layer_path(layer, 'attention_output')}.weight"].shape[1]
        by_head = self._list(name, 0, 0, width // self._head_size, self._head_size)
        joined = self._list(f"{name}.joined", 0, 0, width)
        query, key, value = (self.add("Reshape", one, by_head) for one in self._side_by_side(layer, "qkv", 3, states))
        query, value = (self.add("Transpose", one, perm=[0, 2, 1, 3]) for one in (query, value))
        if positions.rotary is None:
            key = self.add("Transpose", key, perm=[0, 2, 3, 1])
        else:
            query = self._turned(query, positions.rotary)
            key = self._turned(self.add("Transpose", key, perm=[0, 2, 1, 3]), positions.rotary)
            key = self.add("Transpose", key, perm=[0, 1, 3, 2])
        known = positions.disentangled
        scale = self.real("scale", (self._head_size * (1 if known is None else known.terms)) ** -0.5)
        scores = self.add("MatMul", query, key)
        if known is not None:
            scores = self._met_distances(layer, known, scores, query, key)
        scores = self.add("Mul", scores, scale)
        if self._family.relative_bias is not None:
            scores = self.add("Add", scores, self._relative_bias(layer))
        blocked = self._blocked() if positions.window is None else self._blocked_in(positions.window)
        shares = self.add("Softmax", self.add("Add", scores, blocked), axis=-1)
        context = self.add("Transpose", self.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        context = self.add("Reshape", context, joined)
        return context if self._family.padding_attends else self.add("Mul", context, some)

    def _turned(self, states: str, rotary: Rotary) -> str:
        """Turn queries or keys `(B, H, T, d)` by their positions."""
        cosines, sines = self._shared(rotary, lambda: self._turns(rotary))
        first, second = self.add_both("Split", states, self._list("halves", *[self._head_size // 2] * 2), axis=-1)
        across = self.add("Concat", self.add("Neg", second), first, axis=-1)
        return self.add("Add", self.add("Mul", states, cosines), self.add("Mul", across, sines))

    def _turns(self, rotary: Rotary) -> tuple[str, str]:
        """Return cosines and sines of what tokens are turned by: `(T, d)` each."""
        places = self.add("Cast", self.add("Unsqueeze", self._places(), self._list("columns", 1)), to=_FLOAT)
        frequencies = np.array([rotary.frequencies * 2], np.float32)
        angles = self.add("Mul", places, self._constant(f"frequencies_{len(self.nodes)}", frequencies))
        both = self.add("Cos", angles), self.add("Sin", angles)
        if rotary.scaling != 1.0:
            scaling = self.real(f"turns_{len(self.nodes)}", rotary.scaling)
            both = self.add("Mul", both[0], scaling), self.add("Mul", both[1], scaling)
        return both

    def _relative_bias(self, layer: int) -> str:
        """Return what a layer's scores get by distance: `(1, H, T, T)`."""
        path, config = self._family.relative_bias, self._config
        furthest = int(config.max_position_embeddings)
        table = self._weights[f"{path}.weight"]
        kept = getattr(config, "kept_heads", None)
        table = table if kept is None else table[:, kept[layer]]

        def made() -> str:
            rows = bucket(torch.arange(-furthest, furthest + 1)).numpy()
            at = self.add("Add", self._distances(), self._number("furthest", furthest))
            return self.add("Gather", self._constant("buckets", rows), at)

        found = self.add("Gather", self._constant(f"{path}.{layer}", table), self._shared("buckets", made))
        return self.add("Unsqueeze", self.add("Transpose", found, perm=[2, 0, 1]), self._list("rows", 0))

    def _met_distances(self, layer: int, known: Disentangled, scores: str, query: str, key: str) -> str:
        """Add to scores `(B, H, T, T)` what queries `(B, H, T, d)` and keys `(B, H, d, T)` make of distances.

        The distances' own keys and queries do not depend on the text, so that they are computed here.
        """
        family, weights, furthest = self._family, self._weights, int(self._config.max_position_embeddings)
        table = torch.from_numpy(weights[f"{family.distances}.weight"])
        norm = [weights.get(f"{family.distances_norm}.{part}") for part in ("weight", "bias")]
        if norm[0] is not None:
            factor, shift = (None if part is None else torch.from_numpy(part) for part in norm)
            table = functional.layer_norm(table, table.shape[1:], factor, shift, self._family.epsilon(self._config))

        def projected(place: int) -> NDArray:
            """Return the distances' queries, 0, or keys, 1: `(H, d, 2 K)`."""
            path = family.layer_paths(layer, "qkv")[place]
            bias = weights.get(f"{path}.bias")
            made = table.numpy() @ weights[f"{path}.weight"].T
            made = made if bias is None else made + bias
            return made.reshape(len(made), -1, self._head_size).transpose(1, 2, 0)

        def made() -> tuple[str, str]:
            """Return which embedding each query, the row, and key, the column, meet, and the same transposed."""
            rows = embedded_distance(known, furthest + 1, torch.device("cpu"))
            # By how many tokens a key is behind its query: of the last query first, of the first one then.
            by_distance = torch.cat([rows[:, 0].flip(0), rows[0, 1:]]).numpy()
            at = self.add("Add", self._distances(), self._number("furthest", furthest))
            found = self.add("Gather", self._constant("distance_rows", by_distance), at)
            return found, self.add("Transpose", found, perm=[1, 0])

        by_query, by_key = self._shared(known, made)
        shape = self.add("Shape", scores)
        name = f"{family.layer_path(layer, 'attention_output')}.distances"
        if known.to_position:
            met = self.add("MatMul", query, self._constant(f"{name}.keys", projected(1)))
            scores = self.add(
                "Add", scores, self.add("GatherElements", met, self.add("Expand", by_query, shape), axis=3)
            )
        if known.to_content:
            keys = self.add("Transpose", key, perm=[0, 1, 3, 2])
            met = self.add("MatMul", keys, self._constant(f"{name}.queries", projected(0)))
            found = self.add("GatherElements", met, self.add("Expand", by_key, shape), axis=3)
            scores = self.add("Add", scores, self.add("Transpose", found, perm=[0, 1, 3, 2]))
        return scores

    def _side_by_side(self, layer: int, part: str, count: int, states: str) -> list[str]:
        """Return the `count` things that a part's maps give."""
        found = []
        for path in self._family.layer_paths(layer, part):
            times = self._family.stacked(part)
            weights = np.split(self._weights[f"{path}.weight"], times)
            biases = self._weights.get(f"{path}.bias")
            for place, weight in enumerate(weights):
                bias = None if biases is None else np.split(biases, times)[place]
                found.append(self._product(path if times == 1 else f"{path}.{place}", weight, bias, states))
        assert len(found) == count
        return found

    def _linear(self, path: str, states: str, output: str | None = None) -> str:
        return self._product(path, self._weights[f"{path}.weight"], self._weights.get(f"{path}.bias"), states, output)

    def _product(self, name: str, weight: NDArray, bias: NDArray | None, states: str, output: str | None = None) -> str:
        constant = self._constant(f"{name}.weight", weight.T)
        if bias is None:
            return self.add("MatMul", states, constant, output=output)
        return self.add(
            "Add", self.add("MatMul", states, constant), self._constant(f"{name}.bias", bias), output=output
        )

    def _last_norm(self, states: str) -> str:
        """Normalise what the last layer gives, in families that do."""
        return states if self._family.final_norm is None else self._norm(self._family.final_norm, states)

    def _norm(self, path: str, states: str) -> str:
        """Normalise, where there is a norm."""
        names = [name for name in (f"{path}.weight", f"{path}.bias") if name in self._weights]
        if not names:
            return states
        both = [self._constant(name, self._weights[name]) for name in names]
        return self.add("LayerNormalization", states, *both, axis=-1, epsilon=self._family.epsilon(self._config))

    def _shared(self, key: object, make: Callable[[], Any]) -> Any:
        """Return what all layers have in common, made once."""
        if key not in self._once:
            self._once[key] = make()
        return self._once[key]

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        name = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(self._node(op, list(inputs), [name], name=name, **attributes))
        return name

    def add_both(self, op: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add a node that gives two things; return their names."""
        name = f"{op}_{len(self.nodes)}"
        names = f"{name}.first", f"{name}.second"
        self.nodes.append(self._node(op, list(inputs), list(names), name=name, **attributes))
        return names

    def _constant(self, name: str, values: NDArray) -> str:
        """Put an array into the file, once under each name."""
        if name not in self._known:
            self._known.add(name)
            self.constants.append(self._tensor(np.asarray(values, order="C"), name))
        return name

    def _number(self, name: str, value: int) -> str:
        return self._constant(name, np.array(value, np.int64))

    def _list(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def real(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, np.float32))
