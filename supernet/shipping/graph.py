"""A model's forward pass as an ONNX graph, put together from its weights, for every family and head.

PyTorch's exporter traces a model for seconds, too long for the some fifty networks of a latency table; this takes
milliseconds, and the table's networks are the very graphs that are shipped. It must compute what transformers does:
:func:`~secateur.supernet.shipping.onnx.export_onnx` compares the two before it keeps a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...errors import InputError
from ..heads import head_of, reads_tokens
from ..packed.packed import slab_linears
from ..stored.storage import known_family, known_segments
from .activations import NODES
from .needed import needed

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

    from ...tasks.kinds import Head

LOWEST_OPSET = 17  # the first with LayerNormalization, and read by runtimes since 2022
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
_TEXTS, _TOKENS = "batch", "length"  # names of the dynamic axes
_FLOAT, _INT64, _BOOL = 1, 7, 9  # as ONNX numbers types


def onnx_graph(model: PreTrainedModel, opset: int | None = None) -> ModelProto:
    """Return the float32 ONNX graph of a model, its weights inside.

    Inputs are int64 `(B, T)`: tokens, attention mask (0 for padding) and, where the family knows two segments, token
    types. Outputs are named as transformers': `logits`, `(B, C)` or `(B, T, C)`, or `start_logits` and `end_logits`,
    `(B, T)`. The metadata has the head and the names of the labels.

    Args:
        model: of a supported family, extracted or not, with one of the three heads; left as it is.
        opset: version of the standard operators; the lowest that has all that is needed if None.

    Raises:
        InputError: another family or head, or an opset that is too low or that the onnx package does not know.
    """
    onnx = needed("onnx")
    opset, newest = LOWEST_OPSET if opset is None else opset, onnx.defs.onnx_opset_version()
    if not LOWEST_OPSET <= opset <= newest:
        raise InputError(f"expected an ONNX opset from {LOWEST_OPSET} to {newest}, got {opset}; give one of these")
    built = _Graph(model)
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

    def __init__(self, model: PreTrainedModel) -> None:
        onnx = needed("onnx")
        self._node, self._tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
        config = self._config = model.config
        self._family = known_family(config)
        self._activation = self._family.neuron_function(config)
        self._kind: Head = head_of(model)
        self._head_size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        tensors = dict(model.named_parameters()) | {f"{k}.weight": v.whole() for k, v in slab_linears(model).items()}
        self._weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in tensors.items()}
        self._layers = len(list(model.get_submodule(self._family.layers).children()))
        self._segments = known_segments(config) > 1
        self.inputs = (IDS, MASK, TYPES) if self._segments else (IDS, MASK)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: set[str] = set()

    def outputs(self) -> dict[str, list[int | str]]:
        """Add the whole pass; return the axes of what it gives."""
        states, blocked, some = self._embeddings(), self._blocked(), self._some()
        for layer in range(self._layers):
            states = self._layer(layer, states, blocked, some)
        head = self._family.heads[self._kind]
        tokens = [_TOKENS] if reads_tokens(self._kind) else []
        if not tokens:
            states = self.add("Gather", states, self._number("first", 0), axis=1)
        if head.dense is not None:
            states = self._linear(head.dense, states)
            assert head.activation is not None
            states = NODES[head.activation](self, states)
        if self._kind != "question-answering":
            self._linear(head.classifier, states, output="logits")
            return {"logits": [_TEXTS, *tokens, len(self._weights[f"{head.classifier}.bias"])]}
        both = self._linear(head.classifier, states)
        for place, name in enumerate(("start_logits", "end_logits")):
            self.add("Gather", both, self._number(f"{name}.place", place), output=name, axis=2)
        return {"start_logits": [_TEXTS, _TOKENS], "end_logits": [_TEXTS, _TOKENS]}

    def _embeddings(self) -> str:
        """Add up the tables' rows and normalise: `(B, T, D)`."""
        paths, weights = self._family.embeddings, self._weights
        positions = weights[f"{paths.position}.weight"]
        if paths.token_type is not None and not self._segments:  # the one segment's row belongs to every position
            positions = positions + weights[f"{paths.token_type}.weight"]
        total = self.add("Gather", self._constant("words", weights[f"{paths.word}.weight"]), IDS)
        if self._segments:
            segments = self._constant("segments", weights[f"{paths.token_type}.weight"])
            total = self.add("Add", total, self.add("Gather", segments, TYPES))
        rows = self.add("Gather", self._constant("positions", positions), self._positions())
        states = self._norm(paths.norm, self.add("Add", total, rows))
        projection = paths.projection
        return self._linear(projection, states) if projection and f"{projection}.weight" in weights else states

    def _positions(self) -> str:
        """Number the tokens: `(T,)`, or `(B, T)` where padding does not count."""
        one = self._number("one", 1)
        if not self._family.positions_from_padding:
            length = self.add("Gather", self.add("Shape", IDS), one)
            return self.add("Range", self._number("zero", 0), length, one)
        pad = self._number("pad", int(self._config.pad_token_id))
        real = self.add("Cast", self.add("Not", self.add("Equal", IDS, pad)), to=_INT64)
        return self.add("Add", self.add("Mul", self.add("CumSum", real, one), real), pad)

    def _blocked(self) -> str:
        """Return what is added to attention scores: `(B, 1, 1, T)`, the lowest number for padding."""
        apart = self.add("Unsqueeze", MASK, self._list("axes", 1, 2))
        padding = self.add("Equal", apart, self._number("zero", 0))
        return self.add("Where", padding, self.real("lowest", float(np.finfo(np.float32).min)), self.real("none", 0.0))

    def _some(self) -> str:
        """Return 1 for texts with a real token and 0 for others, whose heads give zeros in PyTorch: `(B, 1, 1)`."""
        count = self.add("ReduceSum", MASK, self._list("tokens", 1), keepdims=1)
        some = self.add("Cast", self.add("Cast", count, to=_BOOL), to=_FLOAT)
        return self.add("Unsqueeze", some, self._list("behind", 2))

    def _layer(self, layer: int, states: str, blocked: str, some: str) -> str:
        """Add a layer's kept blocks."""
        at = {part: self._family.layer_path(layer, part) for part in vars(self._family.layer)}
        if f"{at['query']}.weight" in self._weights:
            mixed = self._linear(at["attention_output"], self._attention(at, states, blocked, some))
            states = self._norm(at["attention_norm"], self.add("Add", mixed, states))
        if f"{at['ffn_in']}.weight" in self._weights:
            neurons = NODES[self._activation](self, self._linear(at["ffn_in"], states))
            states = self._norm(at["ffn_norm"], self.add("Add", self._linear(at["ffn_out"], neurons), states))
        return states

    def _attention(self, at: dict[str, str], states: str, blocked: str, some: str) -> str:
        """Return the heads' outputs side by side: `(B, T, H * d)`."""
        width = len(self._weights[f"{at['query']}.bias"])
        by_head = self._list(f"{at['query']}.heads", 0, 0, width // self._head_size, self._head_size)
        joined = self._list(f"{at['query']}.joined", 0, 0, width)
        query, key, value = (
            self.add(
                "Transpose",
                self.add("Reshape", self._linear(at[part], states), by_head),
                perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3],
            )
            for part in ("query", "key", "value")
        )
        scores = self.add("Mul", self.add("MatMul", query, key), self.real("scale", self._head_size**-0.5))
        shares = self.add("Softmax", self.add("Add", scores, blocked), axis=-1)
        context = self.add("Transpose", self.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.add("Mul", self.add("Reshape", context, joined), some)

    def _linear(self, path: str, states: str, output: str | None = None) -> str:
        weight = self._constant(f"{path}.weight", self._weights[f"{path}.weight"].T)
        bias = self._constant(f"{path}.bias", self._weights[f"{path}.bias"])
        return self.add("Add", self.add("MatMul", states, weight), bias, output=output)

    def _norm(self, path: str, states: str) -> str:
        both = [self._constant(f"{path}.{part}", self._weights[f"{path}.{part}"]) for part in ("weight", "bias")]
        return self.add("LayerNormalization", states, *both, axis=-1, epsilon=self._family.epsilon(self._config))

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        name = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(self._node(op, list(inputs), [name], name=name, **attributes))
        return name

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
