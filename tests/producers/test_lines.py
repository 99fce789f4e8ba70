"""Files of JSON lines, with real files and pipes."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphwriter.errors import ConfigError
from graphwriter.producers import lines

THREE = [b'{"a":1}', b"not json", b'{"b":2}']


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read_lines(path: Path | str) -> Iterator[bytes]:
    return (line for _, line in lines.numbered(path))


def read_until_error(path: Path | str) -> tuple[list[bytes], str]:
    """The lines before the error, and the error's text."""
    seen: list[bytes] = []
    with pytest.raises(ConfigError) as caught:
        seen.extend(read_lines(path))
    assert "\n" not in str(caught.value)
    return seen, str(caught.value)


def test_lines_come_as_they_are_whatever_they_hold(tmp_path: Path) -> None:
    assert list(read_lines(written(tmp_path / "e.jsonl", b"\n".join(THREE) + b"\n"))) == THREE


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert list(read_lines(written(tmp_path / "e.jsonl", b"\n".join(THREE)))) == THREE


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_left_out(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + THREE[0] + b"\r\n\r\n  \n\t" + THREE[1] + b" \n\n" + THREE[2] + b"\n"

    assert list(read_lines(written(tmp_path / "e.jsonl", data))) == THREE


def test_gzip_is_told_by_its_bytes_and_not_by_the_name(tmp_path: Path) -> None:
    zipped = written(tmp_path / "plain.jsonl", gzip.compress(b"\n".join(THREE)))
    plain = written(tmp_path / "zipped.jsonl.gz", b"\n".join(THREE))

    assert list(read_lines(zipped)) == THREE
    assert list(read_lines(plain)) == THREE


def test_gzip_files_put_together_are_one(tmp_path: Path) -> None:
    parts = [gzip.compress(line + b"\n") for line in THREE]

    assert list(read_lines(written(tmp_path / "e.jsonl.gz", b"".join(parts)))) == THREE


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(written(tmp_path / "e.jsonl", b""))) == []
    assert list(read_lines(written(tmp_path / "e.jsonl.gz", gzip.compress(b"")))) == []


def test_a_dash_is_standard_input_and_it_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\n".join(THREE)))
    monkeypatch.setattr(sys, "stdin", stdin)

    assert list(read_lines("-")) == THREE
    assert not stdin.closed


def test_gzip_on_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"{}"))))

    assert (read_until_error("-")) == (
        [],
        "standard input, line 1: gzipped: only a file may be, and only once",
    )


def test_a_gzip_file_that_is_cut_off_gives_the_lines_before_the_cut(tmp_path: Path) -> None:
    whole = [b'{"n":%d,"salt":"%d"}' % (n, n * 7919**5) for n in range(20_000)]
    packed = gzip.compress(b"\n".join(whole))
    path = written(tmp_path / "e.jsonl.gz", packed[: len(packed) // 2])

    seen, error = read_until_error(path)

    assert len(whole) // 4 < len(seen) < len(whole)
    assert whole[: len(seen)] == seen
    assert f"{path}, line {len(seen) + 1}: the gzip file is truncated" == error


def test_a_damaged_gzip_file_is_named_with_its_line(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"\n".join(b"%d" % n**9 for n in range(20_000))))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = bytes(64)
    path = written(tmp_path / "e.jsonl.gz", bytes(packed))

    _, error = read_until_error(path)

    assert error.startswith(f"{path}, line ")
    assert "the gzip file is damaged" in error


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.jsonl"

    assert ([], f"{missing}: No such file or directory") == read_until_error(missing)
    assert ([], f"{tmp_path}: Is a directory") == read_until_error(tmp_path)


def test_a_line_that_can_be_no_event_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 10)
    path = written(tmp_path / "e.jsonl", b"123456789\n12345678901\n1\n")

    seen, error = read_until_error(path)

    assert seen == [b"123456789"]
    assert f"{path}, line 2: longer than 10 bytes, the limit of a line" == error
