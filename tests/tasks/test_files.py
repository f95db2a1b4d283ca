"""Files as other programs write them: each is read for what it is, or refused by its line and its name."""

from __future__ import annotations

import csv
import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from secateur.errors import InputError
from secateur.tasks.tables import READERS, read_table

ROWS = [("a fine film", "good"), ('he said "no"', "bad"), ("one, two", "good"), ("tab\there", "bad"), ("ünï", "good")]
TABLE = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}


def objects(table=TABLE):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def write(path):
    """Write TABLE as the type that a name says, with other programs' writers."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="," if ending == "csv" else "\t").writerows([TABLE, *ROWS])
    elif ending == "json":
        path.write_text(json.dumps(objects(), indent=1))
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, objects())))
    elif ending == "parquet":
        pq.write_table(pa.table(TABLE), path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, pa.table(TABLE).schema) as stream:
            stream.write_table(pa.table(TABLE))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("ending", READERS)
def test_every_type_is_read_packed_or_not(tmp_path, ending, packed):
    assert read_table(write(tmp_path / f"all{ending}{packed}")) == TABLE


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, ending):
    path = write(tmp_path / f"all{ending}")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_table(path) == TABLE


def test_the_file_that_arrow_writes_and_what_datasets_saves(tmp_path):
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, pa.table(TABLE).schema) as made:
        made.write_table(pa.table(TABLE))
    assert read_table(tmp_path / "a.arrow") == TABLE
    datasets.Dataset.from_dict(TABLE).save_to_disk(tmp_path / "saved")
    assert read_table(next((tmp_path / "saved").glob("*.arrow"))) == TABLE


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(TABLE),  # columns
        json.dumps({"version": 1, "data": objects()}),
        "\n".join(map(json.dumps, objects())),  # as `to_json` of datasets writes to a .json
    ],
)
def test_other_forms_of_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert read_table(tmp_path / "a.json") == TABLE


def test_long_cells_and_other_marks_between_them(tmp_path):
    long = "good film " * 20_000
    (tmp_path / "a.csv").write_text(f'text;label\n"{long}; truly";x\nb;y\n')
    assert read_table(tmp_path / "a.csv") == {"text": [f"{long}; truly", "b"], "label": ["x", "y"]}
    assert csv.field_size_limit() == 131072  # of the process, put back


def test_quotes_of_tsv_are_characters_unless_the_file_shows_that_they_are_not(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"begins here\tx\nand ends" there\ty\n"whole"\tx\n')  # as GLUE's own files
    assert read_table(path)["text"] == ['"begins here', 'and ends" there', '"whole"']
    path.write_text('text\tlabel\n"he said ""no"""\tx\n"two\nlines"\ty\n')  # as pandas writes them
    assert read_table(path)["text"] == ['he said "no"', "two\nlines"]
    path.write_text('text\tlabel\n"he said ""no"""\tx\nb\ty\n')
    assert read_table(path)["text"] == ['he said "no"', "b"]


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_halves_of_characters_are_read_as_unknown_ones(tmp_path, ending):
    rows = [{"text": "good \ud83d", "words": ["a\udc00", "\U0001f600"]}, {"text": "b", "words": ["c"]}]
    content = json.dumps(rows) if ending == ".json" else "\n".join(map(json.dumps, rows))
    assert r"\ud83d\ude00" in content  # both halves, as JSON writes a whole character
    (tmp_path / f"a{ending}").write_text(content)
    expected = {"text": ["good \ufffd", "b"], "words": [["a\ufffd", "\U0001f600"], ["c"]]}
    assert read_table(tmp_path / f"a{ending}") == expected


def refused(path, content, match):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=match) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl"])
def test_other_encodings_are_named(tmp_path, ending):
    path = write(tmp_path / f"a{ending}")
    text = path.read_text(encoding="utf-8").replace("\\u00fcn\\u00ef", "ünï")
    line = text[: text.index("ü")].count("\n") + 1
    refused(path, text.encode("utf-16"), "is in UTF-16; save it as UTF-8")
    refused(path, text.encode("utf-16-be"), "is in UTF-16 without a byte-order mark, or no text; save it as UTF-8")
    refused(path, text.encode("utf-32"), "is in UTF-32; save it as UTF-8")
    match = rf"line {line} of .*a{ending} is not in UTF-8: it has the byte 0xfc, which in Latin-1 .* is 'ü'; save the"
    refused(path, text.encode("latin-1"), match)
    refused(path, b"\xef\xbb\xbf" + text.encode("latin-1"), match)


def test_what_is_wrong_is_named_by_its_line(tmp_path):
    deep = '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}"
    refused(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{deep}\n', "line 2 of .* is not JSON .*too deep")
    refused(tmp_path / "a.json", f"[{deep}]", "a.json is not JSON that can be read .*too deep")
    refused(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": %s}\n' % ("1" * 5000), "line 2 of .* is not JSON")
    refused(tmp_path / "a.jsonl", '[{"text": "a"}]', r"line 1 of .* holds a list; .* a file that ends in .json")
    refused(tmp_path / "a.json", '[{"text": "a"},\n{"text": }]', "line 2 of .*a.json is not JSON")
    refused(tmp_path / "a.json", '[{"text": "a"}, "b"]', "row 2 of .*a.json is a str; write an array of objects")
    refused(tmp_path / "a.json", '"a"', "a.json holds one str; write an array of objects")
    refused(tmp_path / "a.json", '{"text": ["a"], "label": []}', "columns of .* must have one length, got")
    refused(tmp_path / "a.csv", 'text,label\na,b\n"a ""b"" "c,d\n', "row that begins in line 3 of .*a.csv cannot be")
    refused(tmp_path / "a.csv", "text,label\na,b\na;b,c,d\n", "line 3 of .* has 3 cells, .* that hold commas")
    refused(tmp_path / "a.tsv", "text\tlabel\na\tb\na\n", "line 3 of .* has 1 cells, .* that hold tabs")
    refused(tmp_path / "a.csv.gz", b"text,label\n", r"a.csv.gz cannot be unpacked \(Not a gzipped file")
    whole = gzip.compress(b"text,label\na,b\n")
    refused(tmp_path / "a.csv.gz", whole[:-9], "a.csv.gz cannot be unpacked")
    refused(tmp_path / "a.arrow", b"ARROW1", r"a.arrow cannot be read as arrow \(.*\); write the file again")


def test_bytes_that_are_no_text_in_parquet_are_named_by_their_row(tmp_path):
    texts = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    pq.write_table(pa.table({"label": ["x", "y"], "text": texts}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"row 2 of .* has something in column 'text' that is not UTF-8"):
        read_table(tmp_path / "a.parquet")
