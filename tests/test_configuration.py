"""What ``conf/`` and ``--params`` may not say ends in one line that says why."""

import os
import re
from datetime import UTC, date, datetime
from typing import get_origin

import pytest
from click import ClickException
from hypothesis import given
from hypothesis import strategies as st
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from dask_etl.retail.parameters import (
    Calendar,
    Cleaning,
    Clock,
    Generation,
    Segments,
)
from dask_etl.validation import models_in, problems
from settings_table import MODELS
from support.kedro_project import Project


@pytest.fixture
def configured(shared_project, monkeypatch):
    """Read the configuration, with files of an environment of its own, as a run does."""
    env = shared_project.path / "conf" / "mine"

    def configured(files=None, params=None, name="mine"):
        for file, content in (files or {}).items():
            binary = content if isinstance(content, bytes) else content.encode()
            (env / file).write_bytes(binary)
        with KedroSession.create(
            project_path=shared_project.path, env=name, runtime_params=params
        ) as session:
            return session.load_context()

    env.mkdir()
    bootstrap_project(shared_project.path)
    yield configured
    for file in env.iterdir():
        file.unlink()
    env.rmdir()


def refusal(configured, *args, **options) -> str:
    """The one line that a person gets to see."""
    with pytest.raises(ClickException) as failure:
        configured(*args, **options)
    said = failure.value.format_message()
    assert_is_for_people(said)
    return said


def assert_is_for_people(line: str) -> None:
    assert "\n" not in line
    assert not re.search(r"Input should|pydantic|https?://|Value error|Errno", line)


# ------------------------------------------------------------------- as_of

NO_MOMENTS = (20180101, 2018, 2018.5, 1735689600, True, "2018", "yesterday", "", [], {})


@pytest.mark.parametrize("value", NO_MOMENTS, ids=repr)
def test_what_is_no_moment_is_refused_with_how_to_write_one(value):
    [said] = problems({"as_of": value}, Clock, "clock")
    assert said.startswith("clock.as_of: ")
    assert value is True or "ISO 8601, e.g. 2025-01-01T00:00:00+00:00, or null" in said
    assert_is_for_people(said)


@pytest.mark.parametrize("day", [20230101, 2023, True, 1e9, "2023", "2023-02-30", None])
def test_what_is_no_date_is_refused_with_how_to_write_one(day):
    [said] = problems({"start": day}, Generation, "generation")
    assert said.startswith("generation.start: ")
    assert day is True or "ISO 8601, e.g. 2024-12-31" in said


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2025-01-01", datetime(2025, 1, 1, tzinfo=UTC)),
        ("20250101", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T02:00:00+02:00", datetime(2025, 1, 1, tzinfo=UTC)),
        (date(2025, 1, 1), datetime(2025, 1, 1, tzinfo=UTC)),
        (datetime(2025, 1, 1, 5), datetime(2025, 1, 1, 5, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
    ids=repr,
)
def test_moments_are_understood(written, meant):
    assert Clock(as_of=written).resolve() == meant


@pytest.mark.parametrize(
    "beyond", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"]
)
def test_a_moment_that_has_no_year_in_utc_is_refused(beyond):
    [said] = problems({"as_of": beyond}, Clock, "clock")
    assert "beyond the years 1 to 9999 in UTC" in said


@given(st.datetimes(timezones=st.timezones()) | st.datetimes())
def test_any_moment_is_itself_or_refused(moment):
    """Also when written as text, whatever its zone."""
    try:
        meant = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        meant = None
    for written in (moment, moment.isoformat()):
        found = problems({"as_of": written}, Clock, "clock")
        assert bool(found) == (meant is None), found
        if meant:
            assert Clock(as_of=written).resolve() == meant


def test_moments_given_by_a_program_arrive(configured):
    given_by = {"clock": {"as_of": datetime(2020, 2, 29, tzinfo=UTC)}}
    clock = configured(params=given_by).params["clock"]
    assert clock.resolve() == datetime(2020, 2, 29, tzinfo=UTC)


# ------------------------------------------------------- what rows may mean


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rules": {"missing_amount": "keep"}}, "missing_amount cannot be 'keep'; it can be reject"),
        ({"rules": {"rating_out_of_range": "keep"}}, "it can be reject or blank"),
        ({"rules": {"rating_out_of_range": "drop"}}, "rules.rating_out_of_range: .*'drop'"),
        ({"rules": {"rating_out_of_rage": "blank"}}, "did you mean 'rating_out_of_range'"),
        ({"keep": ["region"]}, "'region' is a column that the tables have anyway"),
        ({"keep": ["till", "till"]}, "names 'till' twice"),
        ({"returns": "lines"}, "negative_lines"),
    ],
)  # fmt: skip
def test_what_rules_cannot_do_is_refused(given, words):
    [said] = problems(given, Cleaning, "cleaning")
    assert re.search(words, said), said
    assert_is_for_people(said)


@pytest.mark.parametrize(
    "zone", ["Europe/Berln", "CEST", "+02:00", "", "../x", 1, None]
)
def test_what_is_no_time_zone_is_refused(zone):
    [said] = problems({"timezone": zone}, Calendar, "calendar")
    assert said.startswith("calendar.timezone: ")
    assert_is_for_people(said)
    assert zone != "Europe/Berln" or "did you mean 'Europe/Berlin'?" in said


# ---------------------------------------------------------- names and kinds


def places(model, path=()):
    """Every mapping of a model, at any depth: how to get there, and its names."""
    yield path, model
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is list:
            continue
        for inner in models_in(field.annotation):
            yield from places(inner, (*path, name, *ENTRIES.get(name, ())))


ENTRIES = {
    "thresholds": ("any",),
    "rules": ("Lost",),
    "columns": ("amount",),
    "keep": ("till",),
}
"""An entry of each mapping whose entries are settings."""


PLACES = [
    (group, path, model)
    for group, root in MODELS.items()
    for path, model in places(root)
]


def at(path, values):
    """Settings that hold values at a path."""
    for name in reversed(path):
        values = {name: values}
    return values


@pytest.mark.parametrize(
    ("group", "path", "model"), PLACES, ids=lambda p: p if isinstance(p, str) else ""
)
def test_an_unknown_name_is_refused_at_every_depth_with_the_nearest(group, path, model):
    assert len(PLACES) > 10
    for name in model.model_fields:
        typo = f"{name[:-1]}{name[-1] * 2}"
        said = problems(at(path, {typo: 1}), MODELS[group], group)
        place = ".".join((group, *path, typo))
        [mine] = [line for line in said if line.startswith(f"{place}: ")]
        assert f"there is no '{typo}'; did you mean '{name}'? There are" in mine
        assert_is_for_people(mine)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.data())
def test_anything_at_all_is_a_setting_or_a_line_for_people(data):
    group, path, model = data.draw(st.sampled_from(PLACES))
    value = data.draw(JUNK)
    name = data.draw(st.sampled_from(sorted(model.model_fields)))
    settings = at(data.draw(st.sampled_from([path, (*path, name)])), value)
    for line in problems(settings, MODELS[group], group):
        assert line.startswith(group)
        assert_is_for_people(line)


WRONG = {
    "a flag for a number": ("generation", {"rows": True}, "rows: must not be true"),
    "too many parts": ("generation", {"rows": 10**9, "rows_per_partition": 1}, "raise rows_per_partition"),
    "a day of another age": ("generation", {"end": "3024-01-01"}, "end: must be at most 2200-12-31, it is 3024-01-01"),
    "text for a flag": ("cleaning", {"allow_nothing_kept": "false"}, "allow_nothing_kept: must be true or false, it is 'false'"),
    "a list for a mapping": ("cleaning", {"thresholds": []}, "thresholds: must be a mapping, name: value, it is []"),
    "nothing for a mapping": ("cleaning", {"thresholds": None}, "thresholds: must be a mapping, name: value, it is null"),
    "a number for a mapping": ("cleaning", {"thresholds": {"any": 1}}, "thresholds.any: must be a mapping, name: value, it is 1"),
    "not a number": ("cleaning", {"thresholds": {"any": {"fail_above": float("nan")}}}, "fail_above: must be a finite number, it is nan"),
    "group that is a list": ("cleaning", [], "cleaning: must be a mapping, name: value, it is []"),
    "group that is a number": ("clock", 5, "clock: must be a mapping, name: value, it is 5"),
    "group that is empty": ("clock", None, "clock: must be a mapping, name: value, it is null"),
    "infinite bound": ("features", {"price_bounds": [1, 2, float("inf")]}, "must be 3 finite numbers above 0 that ascend"),
    "negative bound": ("features", {"price_bounds": [-float("inf"), 2, 3]}, "must be 3 finite numbers above 0"),
    "two bounds": ("features", {"price_bounds": [10, 200]}, "must be 3 finite numbers"),
    "no bounds": ("features", {"price_bounds": []}, "must be 3 finite numbers"),
    "score beyond 5": ("segments", {"rules": {"A": {"recency": [4, 6]}}}, "rules.A.recency: 6 is not a score; they run from 1 to 5"),
    "score of 0": ("segments", {"rules": {"A": {"recency": [0]}}}, "0 is not a score"),
    "half a score": ("segments", {"rules": {"A": {"recency": [2.5]}}}, "2.5 is not a score"),
    "no scores": ("segments", {"rules": {"A": {"monetary": []}}}, "rules.A.monetary: is an empty list"),
    "one score without a list": ("segments", {"rules": {"A": {"monetary": 5}}}, "must be a list of scores from 1 to 5, it is 5"),
    "no segments": ("segments", {"rules": {}}, "no segment covers"),
    "dead segment": ("segments", {"rules": {"A": {}, "B": {"recency": [1]}}}, "segment 'B' is never reached: A, before it"),
    "segment that two others cover": (
        "segments",
        {"rules": {"Old": {"recency": [1, 2]}, "New": {"recency": [3, 4, 5]}, "Mid": {"recency": [2, 3]}, "All": {}}},
        "segment 'Mid' is never reached: Old, New, before it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_in_one_line(case):
    group, values, words = WRONG[case]
    [said] = problems(values, MODELS[group], group)
    assert said.startswith(group)
    assert words in said
    assert_is_for_people(said)


# -------------------------------------------------------- files of settings

BAD_FILES = {
    "broken": ("clock:\n  as_of: [\n", "line 3: expected the node content"),
    "tabs": ("clock:\n\tas_of: null\n", "line 2: found character '\\t'"),
    "colons": ("clock: as_of: null\n", "line 1: mapping values are not allowed here"),
    "key twice": ("clock:\n  as_of: null\n  as_of: null\n", "line 3: found duplicate key as_of"),
    "other encoding": (b"clock:\n  as_of: '\xff'\n", "line 2: is not UTF-8 text"),
    "control characters": ("clock:\n  as_of: '\x01'\n", "line 2: special characters are not allowed"),
    "unknown anchor": ("clock: *nowhere\n", "line 1: found undefined alias 'nowhere'"),
    "a list": ("- clock\n", "must be a mapping, name: value"),
    "half an interpolation": ("clock:\n  as_of: '${'\n", "clock.as_of: no viable alternative"),
}  # fmt: skip


def assert_names(configured, file: str, content, words: str) -> None:
    """Whether it is parameters or the catalog that are asked for."""
    with pytest.raises(ClickException) as failure:
        _ = configured({file: content}).catalog
    said = failure.value.format_message()
    assert_is_for_people(said)
    assert f"/mine/{file}" in said
    assert words in said


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named_with_its_line(configured, case):
    assert_names(configured, "parameters_etl.yml", *BAD_FILES[case])


@pytest.mark.parametrize("kind", ["dask", "globals", "catalog", "credentials"])
def test_any_file_that_cannot_be_read_is_named_with_its_line(configured, kind):
    assert_names(configured, f"{kind}.yml", *BAD_FILES["key twice"])


BAD_SETTINGS = {
    "unknown group": ({"parameters.yml": "clok: {}\n"}, ["parameters: there is no 'clok'; did you mean 'clock'?"]),
    "group of nothing": ({"parameters.yml": "cleaning:\n"}, ["cleaning: must be a mapping"]),
    "group of a list": ({"parameters.yml": "cleaning: []\n"}, ["cleaning: must be a mapping", "it is []"]),
    "resume as text": ({"parameters.yml": "resume: 'false'\n"}, ["resume: must be true or false, it is 'false'"]),
    "dask among parameters": ({"parameters.yml": "dask: {n_workers: 2}\n"}, ["belongs into dask.yml"]),
    "unknown reference": ({"parameters.yml": "clock: {as_of: '${x}'}\n"}, ["parameters.clock.as_of", "'x' not found"]),
    "unknown global": ({"parameters.yml": "clock: {as_of: '${globals:x}'}\n"}, ["clock.as_of", "'x' not found"]),
    "same in two files": (
        {"parameters_a.yml": "clock: {as_of: null}\n", "parameters_b.yml": "clock: {as_of: null}\n"},
        ["parameters_a.yml", "parameters_b.yml", "clock.as_of"],
    ),
    "unknown in dask.yml": ({"dask.yml": "local_clutser: {}\n"}, ["dask.yml: ", "did you mean 'local_cluster'?"]),
    "wrong in dask.yml": ({"dask.yml": "local_cluster: {n_workers: many}\n"}, ["n_workers: must be a whole number"]),
    "unknown root": ({"globals.yml": "data_rot: x\n"}, ["globals.yml", "'data_rot'", "did you mean 'data_root'?"]),
    "secret that is not set": (
        {"credentials.yml": "storage: {key: '${oc.env:NOT_SET_ANYWHERE}'}\n"}, ["credentials", "NOT_SET_ANYWHERE"],
    ),
    "entry that is no entry": ({"catalog.yml": "report: x\n"}, ["catalog: ", "'report'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_settings_that_nothing_reads_are_refused(configured, case):
    files, words = BAD_SETTINGS[case]

    def load():
        return configured(files).catalog

    said = refusal(load)
    assert [word for word in words if word not in said] == [], said


BAD_PARAMS = {
    "typo in dask": ({"dask": {"n_worker": 3}}, ["there is no 'n_worker'", "'local_cluster.n_workers'"]),
    "dask as a number": ({"dask": 5}, ["dask: must be a mapping"]),
    "resume as text": ({"resume": "false"}, ["resume: must be true or false"]),
    "resume as a number": ({"resume": 0}, ["resume: must be true or false, it is 0"]),
    "integer as_of": ({"clock": {"as_of": 2018}}, ["clock.as_of: 2018 is not a moment"]),
    "name of another depth": ({"generation": {"rating": 0.1}}, ["'rating'; did you mean 'missing.rating'?"]),
    "list for a mapping": ({"cleaning": {"thresholds": [1]}}, ["cleaning.thresholds: must be a mapping", "[1]"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PARAMS)
def test_params_that_nothing_reads_are_refused(configured, case):
    params, words = BAD_PARAMS[case]
    said = refusal(configured, params=params)
    assert [word for word in words if word not in said] == [], said


def test_all_problems_are_told_at_once(configured):
    files = {
        "parameters.yml": "clock: {as_of: 2018}\ngeneration: {rowz: 1, seed: -1}\n",
        "dask.yml": "local_cluster: {processes: 1}\n",
    }
    with pytest.raises(ClickException) as failure:
        configured(files, {"resume": 1, "features": {"price_bounds": [3, 2, 1]}})
    _, *lines = failure.value.format_message().splitlines()
    assert sorted(line.split(":")[0].strip() for line in lines) == [
        "clock.as_of", "dask.yml", "features.price_bounds", "generation.rowz",
        "generation.seed", "resume",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "near"), [("tset", "test"), ("nowhere", "")])
def test_an_unknown_environment_is_refused_with_those_there_are(configured, name, near):
    said = refusal(configured, name=name)
    assert f"there is no environment '{name}'" in said
    assert bool(near) == ("did you mean" in said)
    assert "There are base, cluster, demo, local, mine, test" in said


# -------------------------------------------------------------- data_root

BAD_ROOTS = {
    "null": "must be text, it is null",
    "5": "must be text, it is 5",
    "true": "must be text, it is true",
    "[a]": "must be text, it is ['a']",
    "''": "is empty",
    "' '": "is empty, or begins or ends with a space",
    "'data '": "begins or ends with a space",
    "data/{engine}": "has braces",
    "'}'": "has braces",
    '"a\\0b"': "characters that no file name can have",
    '"a\\nb"': "characters that no file name can have",
    "$ODD/x": "characters that no file name can have",
    "$NOT_SET_ANYWHERE/x": "the environment variable NOT_SET_ANYWHERE is not set",
    "${NOT_SET_ANYWHERE}/x": "the environment variable NOT_SET_ANYWHERE is not set",
    "~nobody-of-that-name/x": "is the home of someone who is not known here",
    "foo://x": "is an address of a kind that is not known",
    "${globals:x}": "'x' not found",
}


@pytest.mark.parametrize("root", BAD_ROOTS)
def test_a_root_that_tables_cannot_live_under_is_refused(configured, monkeypatch, root):
    monkeypatch.setenv("ODD", os.fsdecode(b"\xff"))
    said = refusal(configured, {"globals.yml": f"data_root: {root}\n"})
    assert "data_root" in said
    assert BAD_ROOTS[root] in said


@pytest.mark.parametrize(
    ("root", "where"),
    [
        ("data/mine", "{project}/data/mine"),
        ("~/mine", "{home}/mine"),
        ("$PLACE/mine", "/elsewhere/mine"),
        ("${PLACE}/mine", "/elsewhere/mine"),
        ("${place}/mine\nplace: ~/deep", "{home}/deep/mine"),
        ("data/price in $", "{project}/data/price in $"),
        ("Übersicht/数据", "{project}/Übersicht/数据"),
    ],
)
def test_a_root_is_expanded_for_all_who_ask(configured, monkeypatch, root, where):
    """The same place for the catalog, and for parameters that name it."""
    monkeypatch.setenv("PLACE", "/elsewhere")
    monkeypatch.setenv("HOME", "/at/home")
    context = configured({"globals.yml": f"data_root: {root}\n"})
    expected = where.format(home="/at/home", project=context.project_path)
    catalog = context.catalog
    for name in ("dask.sales_cube", "raw_transactions@dask", "report"):
        assert str(catalog.get(name)._filepath).startswith(f"{expected}/0"), name
    settled = context.config_loader["globals"]["data_root"]
    assert str(context.project_path / settled) == expected


# ------------------------------------------------- environments and --params


def test_segments_of_an_environment_are_its_own(configured):
    """Merged behind the base's catch-all, they would never be reached."""
    rules = "segments: {rules: {VIP: {monetary: [5]}, Rest: {}}}\n"
    context = configured({"parameters_analytics.yml": rules})
    assert [*context.params["segments"].rules] == ["VIP", "Rest"]


def test_segments_of_one_run_are_its_own(configured):
    """A given list replaces that of the environment, and that of the base."""
    rules = "segments: {rules: {VIP: {monetary: [5]}, Rest: {}}}\n"
    params = {"segments": {"rules": {"All": {}}}}
    for files in ({"parameters_analytics.yml": rules}, {}):
        context = configured(files, params)
        assert [*context.params["segments"].rules] == ["All"]


def test_a_dead_segment_of_an_environment_is_named(configured):
    rules = "segments: {rules: {Rest: {}, VIP: {monetary: [5]}}}\n"
    said = refusal(configured, {"parameters_analytics.yml": rules})
    assert "segment 'VIP' is never reached: Rest, before it" in said


@given(
    st.dictionaries(
        st.sampled_from("ABCD"),
        st.fixed_dictionaries(
            {},
            optional={
                axis: st.sets(st.integers(1, 5), min_size=1)
                for axis in ("recency", "frequency", "monetary")
            },
        ),
        max_size=4,
    )
)
def test_segments_are_accepted_if_all_cells_are_theirs_and_each_has_one(rules):
    """Against walking through all cells one by one."""
    takers = set()
    every = set(range(1, 6))
    cells = [(r, f, m) for r in every for f in every for m in every]
    for cell in cells:
        fits = (
            name
            for name, rule in rules.items()
            if all(
                score in rule.get(axis, every)
                for axis, score in zip(
                    ("recency", "frequency", "monetary"), cell, strict=True
                )
            )
        )
        takers.add(next(fits, None))
    complete = None not in takers and takers == set(rules)
    assert bool(problems({"rules": rules}, Segments, "segments")) != complete


@pytest.mark.parametrize(
    "given_by", [{"n_workers": 3}, {"local_cluster": {"n_workers": 3}}]
)
def test_params_win_over_dask_yml_of_any_environment(configured, given_by):
    files = {"dask.yml": "local_cluster: {n_workers: 2, threads_per_worker: 5}\n"}
    local = configured(files, {"dask": given_by}).config_loader["dask"]["local_cluster"]
    assert (local["n_workers"], local["threads_per_worker"]) == (3, 5)
    assert local["dashboard_address"] == "127.0.0.1:8787"


def test_params_can_change_each_setting_of_dask(configured):
    loader = configured().config_loader
    given_by = {
        "scheduler": "tls://x:1", "allow_insecure": True, "processes": True,
        "n_workers": 2, "threads_per_worker": 3, "memory_limit": "4GiB",
        "dashboard_address": None, "local_directory": "spill",
        "cluster": {"class": "distributed.LocalCluster"}, "ship_code": True,
        "workers_timeout": 5, "from_rows": 7, "scratch_root": "/shared/scratch",
    }  # fmt: skip
    assert set(given_by) == {*loader["dask"], *loader["dask"]["local_cluster"]} - {
        "config", "local_cluster",
    }  # fmt: skip
    settled = configured(params={"dask": given_by}).config_loader["dask"]
    assert {**settled, **settled["local_cluster"]}.items() >= given_by.items()


def test_a_catalog_entry_takes_the_value_of_a_parameter(configured):
    def rows(**settings):
        catalog = configured(**settings).config_loader["catalog"]
        return catalog["raw_transactions@dask"]["rows_per_partition"]

    assert rows() == 500_000
    assert rows(params={"etl": {"rows_per_partition": 1_234}}) == 1_234
    assert rows(files={"parameters.yml": "etl: {rows_per_partition: 77}\n"}) == 77
    with pytest.raises(ClickException, match="rows_pr_partition"):
        rows(files={"catalog.yml": "x: ${parameter:etl.rows_pr_partition}\n"})


def test_the_demo_has_a_moment_of_its_own_and_nothing_else_has(configured):
    at_of = {
        name: configured(name=name).params["clock"].as_of for name in ("demo", "mine")
    }
    assert at_of == {"demo": datetime(2025, 1, 1, tzinfo=UTC), "mine": None}


# ------------------------------------------------------------ as people see it


@pytest.mark.parametrize(
    ("files", "arguments", "words"),
    [
        ({"parameters.yml": "clock:\n  as_of: [\n"}, [], "line 3: expected"),
        ({}, ["--params", "dask.n_worker=3"], "there is no 'n_worker'"),
        ({"catalog.yml": "report: {type: text.TextDataset, flepath: x}\n"}, [], "'flepath'"),
    ],
    ids=["broken file", "typo", "catalog"],
)  # fmt: skip
def test_a_person_reads_it_once_and_no_traceback(
    configured, shared_project: Project, files, arguments, words
):
    for file, content in files.items():
        (shared_project.path / "conf" / "mine" / file).write_text(content)
    process = shared_project.kedro("run", "--env", "mine", *arguments)
    said = process.stdout + process.stderr
    assert process.returncode == 1
    assert said.count(words) == 1, said
    assert said.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in said
