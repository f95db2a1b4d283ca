"""A server: `MODEL=films uvicorn server:app --port 8000` answers POST / with {"texts": [...]}."""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from model import Model
from pydantic import BaseModel, Field

FILE, THREADS = os.environ.get("FILE", "onnx/model.onnx"), int(os.environ.get("THREADS", "0"))
model = Model(Path(os.environ.get("MODEL", "/model")), file=FILE, threads=THREADS)
app = FastAPI(title="An exported model")


class Question(BaseModel):
    """Texts, or pairs of them."""

    texts: list[str | tuple[str, str]] = Field(min_length=1, max_length=256)


@app.post("/")
def answer(question: Question) -> list[Any]:
    """Answer each text."""
    return model(question.texts)


@app.get("/health")
def health() -> str:
    """Say that there is a model."""
    return "ok"
