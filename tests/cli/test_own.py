"""A metric and a loss of one's own, which a run knows again by their names."""

from .conftest import record

HERE = "secateur.tests.tasks.test_own"


def test_a_run_keeps_the_names_of_its_functions(inputs, call, fails, tmp_path):
    out = tmp_path / "run"
    told = inputs.project(out, metric=f"{HERE}:recall_of_no", loss=f"{HERE}:hinge")
    result = call("finetune", *told, "--epochs", 1)
    assert result.code == 0, result.err
    assert f"judged by {HERE}:recall_of_no; labels teach by a loss of your own; " in result.err
    assert record(out)["facts"]["metric"] == record(out)["project"]["metric"] == f"{HERE}:recall_of_no"
    assert record(out)["project"]["loss"] == f"{HERE}:hinge"
    result = call("supernet", out, "--epochs", 1, "--strategy", "standard")  # reads them there
    assert result.code == 0, result.err
    message = fails("finetune", *inputs.project(tmp_path / "other", loss="nowhere:f"))
    assert message.startswith("the loss nowhere:f cannot be imported (ModuleNotFoundError: No module named 'nowhere')")
    assert not (tmp_path / "other").exists()
