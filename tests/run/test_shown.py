"""What a notebook shows of a run: tables, and what its parts are taken from."""

from __future__ import annotations

import re

import secateur
from secateur.tests.cli.conftest import finished, inputs  # noqa: F401 (fixtures)


def cells(table: str) -> list[list[str]]:
    """Return a table's rows, the head first."""
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]


def test_a_front_is_a_table_without_empty_columns(finished):  # noqa: F811
    front = secateur.Run(finished).front("latency_ms")
    head, *rows = cells(front._repr_html_())
    assert [row[0] for row in rows] == [model.key for model in front]
    assert head[0] == "key"
    assert "ms" in head
    assert "against the chosen" not in head
    assert all(any(column) for column in zip(*rows, strict=True))
    assert rows[0][head.index("error, selection")] == f"{front[0].error_selection:.4f}"


def test_an_answer_says_who_is_tied_with_the_chosen_model(finished):  # noqa: F811
    answer = secateur.Run(finished).pick(encoder_parameters=1e9)
    table = answer._repr_html_()
    assert "encoder_parameters &lt;= 1e+09" in table
    head, *rows = cells(table)
    assert [row[:2] for row in rows] == [[role, model.key] for role, model in answer.roles.items()]
    neighbours = {role: model for role, model in answer.roles.items() if role != "chosen"}
    tied = dict(zip(answer.roles, (row[-1] for row in rows), strict=True))
    assert head[-1] == "against the chosen"
    assert tied.pop("chosen") == ""
    assert tied == {role: "tied" if model.tied else "not tied" for role, model in neighbours.items()}
    assert neighbours


def test_a_runs_space_is_that_of_its_supernet(finished):  # noqa: F811
    run = secateur.Run(finished)
    space = run.space()
    assert space.mask(space.upper).key == secateur.SubnetMask.full(run.supernet().shape).key
