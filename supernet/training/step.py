"""One training step on slices: every pass pays for its own size only.

Each pass takes its slices as leaf tensors, so its gradients have the size of the subnetwork, and they are added in
float32 into the gradients of the shared parameters. What passes of a step share is done once: casting the weights,
looking up the embeddings and carrying their gradient back into the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...search_space import SubnetMask
from ..elastic import Index, Piece, Pieces, cut
from ..encoder import NO_DROPOUT, classify, embed, embedding_rows, encode, finish
from ..families import Dropout
from ..supernet import Supernet

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slices:
    """What a pass of a subnetwork computes with.

    Attributes:
        pieces: which parts of which parameters.
        weights: by the same keys.
        columns: of the embedding tables.
        embedded: `(B, T, E)`, the sum of the tables' rows.
    """

    pieces: Pieces
    weights: dict[str, Tensor]
    columns: Index
    embedded: Tensor


class GradientStep:
    """Collects the gradients of one optimiser step over several subnetworks of a supernet.

    Args:
        supernet: its parameters get `.grad` buffers that live as long as this object.
        dtype: precision of the passes; parameters and gradients stay in their own.

    Example:
        >>> step = GradientStep(supernet, torch.bfloat16)
        >>> step.begin(input_ids, attention_mask, token_type_ids)
        >>> outputs = step.run(mask, lambda outputs: task.kind.loss(outputs, batch))
        >>> step.finish()  # gradients of all runs since begin are in place
        >>> optimizer.step()
    """

    def __init__(self, supernet: Supernet, dtype: torch.dtype = torch.float32) -> None:
        self.supernet = supernet
        self.dtype = dtype
        self.parameters = {name: p for name, p in supernet.parameters.items() if p.requires_grad}
        self.gradients: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            parameter.grad = self.gradients[name] = torch.zeros_like(parameter)
        self._tables = {f"{path}.weight" for path in supernet.embeddings.tables}
        self._shared = {
            name: p.detach() if p.dtype == dtype else torch.empty_like(p, dtype=dtype)
            for name, p in supernet.parameters.items()
            if name not in self._tables
        }
        self._written: set[str] = set()
        self._touched: dict[str, Tensor] = {}

    def begin(self, input_ids: Tensor, keep: Tensor | None, token_type_ids: Tensor | None) -> None:
        """Start a step on one batch: `(B, T)` int64 tokens, `(B, T)` bool of real ones or None, token types or None."""
        supernet = self.supernet
        with torch.no_grad():
            for name, shared in self._shared.items():
                if shared.dtype != supernet.parameters[name].dtype:
                    shared.copy_(supernet.parameters[name])
            self._keep = keep
            self._rows = embedding_rows(supernet.architecture, input_ids, token_type_ids)
            self._embedded = embed(supernet.architecture, supernet.parameters, input_ids, token_type_ids).to(self.dtype)
            self._embedded_grad = torch.zeros(self._embedded.shape, device=self._embedded.device)
        self._written.clear()

    def run(self, mask: SubnetMask, loss: Loss, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """Run a subnetwork forward and backward, add its gradients, return its outputs `(R, C)`, detached.

        Args:
            mask: the subnetwork.
            loss: from outputs `(R, C)` to a scalar.
            dropout: rates of this pass.
        """
        slices = self.take(mask)
        outputs = self._forward(slices.weights, slices.embedded, dropout)
        loss(outputs).backward()
        self.collect(slices)
        return outputs.detach()

    def take(self, mask: SubnetMask) -> Slices:
        """Return a subnetwork's slices, leaf tensors, for a pass of one's own; :meth:`collect` adds their gradients."""
        taken = self.supernet.pieces(mask, self.dtype)
        weights = {key: piece.take(self._shared).detach().requires_grad_() for key, piece in taken.items()}
        columns = self.supernet.embedding_columns(mask)
        return Slices(taken, weights, columns, cut(self._embedded, None, columns).detach().requires_grad_())

    @torch.no_grad()
    def collect(self, slices: Slices) -> None:
        """Add the gradients of slices, after a backward pass, to those of the shared parameters."""
        for key, piece in slices.pieces.items():
            gradient = slices.weights[key].grad
            if gradient is not None:
                self._collect(piece, gradient)
        columns, gradient = slices.columns, slices.embedded.grad
        assert gradient is not None
        if isinstance(columns, Tensor):
            self._embedded_grad.index_add_(-1, columns, gradient.float())
        else:
            cut(self._embedded_grad, None, columns).add_(gradient)

    @torch.no_grad()
    def predict(self, mask: SubnetMask, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """Return a subnetwork's outputs `(R, C)` on the step's batch; nothing is learnt."""
        weights = {key: piece.take(self._shared) for key, piece in self.supernet.pieces(mask, self.dtype).items()}
        columns = self.supernet.embedding_columns(mask)
        return self._forward(weights, cut(self._embedded, None, columns), dropout)

    @torch.no_grad()
    def finish(self) -> None:
        """Carry the embeddings' gradient into the tables and clear what no pass of this step has written."""
        for name, gradient in self.gradients.items():
            if name not in self._written and name not in self._tables:
                gradient.zero_()
        flat = self._embedded_grad.flatten(0, 1)
        for path, ids in self._rows.items():
            gradient = self.gradients.get(f"{path}.weight")
            if gradient is None:
                continue
            # Only the last step's rows are not zero; clearing a whole word table costs more than a small pass.
            touched = self._touched.get(path)
            if touched is None:
                gradient.zero_()
            else:
                gradient.index_fill_(0, touched, 0.0)
            rows = ids.expand(self._embedded.shape[:2]).reshape(-1)
            gradient.index_add_(0, rows, flat.to(gradient.dtype))
            padding = getattr(self.supernet.model.get_submodule(path), "padding_idx", None)
            if padding is not None:
                gradient[padding] = 0.0
            self._touched[path] = rows.unique()

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the norm of all gradients, a scalar; of an embedding table only the rows it can come from are read."""
        parts = []
        for name, gradient in self.gradients.items():
            touched = self._touched.get(name.removesuffix(".weight"))
            parts.append(gradient if touched is None else gradient.index_select(0, touched))
        return torch.nn.utils.get_total_norm(parts)

    def forget_rows(self) -> None:
        """Tell that the embeddings' gradients were written from outside: the next step clears the whole tables."""
        self._touched.clear()

    def _collect(self, piece: Piece, gradient: Tensor) -> None:
        for name, part in zip(piece.names, gradient.chunk(len(piece.names)), strict=True):
            target = self.gradients.get(name)
            if target is None:  # frozen
                continue
            fresh = name not in self._written
            self._written.add(name)
            if fresh and piece.whole:  # as in the first pass of most steps: nothing to clear, nothing to add to
                target.copy_(part)
                continue
            if fresh:
                target.zero_()
            replace(piece, names=(name,)).add_to(self.gradients, part)

    def _forward(self, weights: dict[str, Tensor], embedded: Tensor, dropout: Dropout) -> Tensor:
        architecture = self.supernet.architecture
        encoded = encode(architecture, weights, embedded, self._keep, dropout=dropout)
        state = finish(architecture, weights, encoded, dropout)[architecture.num_layers]
        return classify(architecture, weights, state, dropout, encoded.counts)
