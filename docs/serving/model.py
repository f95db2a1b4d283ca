"""An exported model with ONNX Runtime and tokenizers alone: what `secateur convert --for onnx` writes answers texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from tokenizers import Tokenizer

Text = str | tuple[str, str]  # or a pair: a query and a text, two sentences


class Model:
    """A model for vectors, labels, scores or ratings of texts.

    Args:
        folder: of the layout `onnx`.
        file: which of its files.
        threads: that one pass uses; all cores if 0.
    """

    def __init__(self, folder: Path, *, file: str = "onnx/model.onnx", threads: int = 0) -> None:
        self._config, told = (
            json.loads((folder / name).read_bytes()) for name in ("config.json", "tokenizer_config.json")
        )
        options = SessionOptions()
        options.intra_op_num_threads = threads
        self._session = InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._output = self._session.get_outputs()[0].name
        architecture = self._config["architectures"][0]
        if self._output != "sentence_embedding" and not architecture.endswith("ForSequenceClassification"):
            raise ValueError(f"{folder} has a {architecture}; expected a model that makes vectors or classifies texts")
        self._types = "token_type_ids" in told["model_input_names"]
        longest = told["model_max_length"]
        if (sentences := folder / "sentence_bert_config.json").is_file():
            longest = min(longest, json.loads(sentences.read_bytes()).get("max_seq_length") or longest)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(longest)
        pad = told["pad_token"]
        self._tokenizer.enable_padding(pad_id=self._tokenizer.token_to_id(pad), pad_token=pad)

    def __call__(self, texts: Sequence[Text]) -> list[Any]:
        """Return a vector of each text; or a probability of each label, by its name; or one number."""
        encoded = self._tokenizer.encode_batch(list(texts))
        inputs = {
            "input_ids": [one.ids for one in encoded],
            "attention_mask": [one.attention_mask for one in encoded],
            "token_type_ids": [one.type_ids if self._types else [0] * len(one) for one in encoded],
        }
        feed = {name: np.array(inputs[name], np.int64) for name in self._inputs}
        (outputs,) = self._session.run([self._output], feed)
        kind = self._config.get("problem_type")
        if self._output == "sentence_embedding":
            return outputs.tolist()
        if kind == "regression":
            return outputs[:, 0].tolist()
        one_by_one = kind == "multi_label_classification" or outputs.shape[1] == 1
        shares = 1 / (1 + np.exp(-outputs)) if one_by_one else _softmax(outputs)
        if outputs.shape[1] == 1:
            return shares[:, 0].tolist()
        names = [self._config["id2label"][str(at)] for at in range(outputs.shape[1])]
        return [dict(zip(names, row, strict=True)) for row in shares.tolist()]


def _softmax(outputs: np.ndarray) -> np.ndarray:
    powers = np.exp(outputs - outputs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
