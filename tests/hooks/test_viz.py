"""What Kedro-Viz keeps of runs is kept apart by environment."""

from types import SimpleNamespace

from dask_etl.hooks import VizHooks


def begun(folder, env):
    hooks = VizHooks()
    hooks.after_context_created(SimpleNamespace(project_path=folder, env=env))
    return hooks


def test_each_environment_has_its_own_records(tmp_path):
    folder = tmp_path / ".viz"
    events = folder / "kedro_pipeline_events.json"
    begun(tmp_path, "one").on_pipeline_error()
    assert not folder.exists()
    folder.mkdir()
    events.write_text("failed")
    begun(tmp_path, "one").on_pipeline_error()
    begun(tmp_path, "one")
    assert events.read_text() == "failed"
    begun(tmp_path, "two")
    assert not events.exists()
    events.write_text("fine")
    begun(tmp_path, "one")
    assert events.read_text() == "failed"
    begun(tmp_path, "two")
    assert events.read_text() == "fine"


def test_records_that_cannot_be_kept_are_told_once(tmp_path, caplog):
    stamp = tmp_path / ".viz" / "environment"
    stamp.mkdir(parents=True)
    hooks = begun(tmp_path, "one")
    hooks.after_pipeline_run()
    hooks.on_pipeline_error()
    [said] = caplog.messages
    assert said.startswith(f"{stamp} cannot be written (")
    assert "another environment" in said
