"""Bytes of a delimited text file to checked cells: bounded unpacking, decoding, dates, numbers, line numbers.

Belongs here: what every parser of delimited text needs and no upstream decides. Does not belong here: what the
columns mean (`price_files.py`, `ecb.py`, `hang_seng.py`) or reading files from disk.

Every refusal is a `PayloadError` whose locator is ``row N``, the 1-based physical line of the text.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from rally_pipeline.errors import PayloadError

#: Largest text that an archive may unpack to. Thirty years of forty symbols are below 30 MiB.
MAX_UNPACKED_BYTES = 256 * 1024 * 1024

#: Cells that say "not given". Texts such as ``nan`` and ``inf`` are not among them: they come from a calculation that
#: went wrong, and are refused.
MISSING = frozenset({"", "null", "n/a", "na", "-", "--"})

_EARLIEST_YEAR = 1900
_MONTHS = {
    name.lower(): number
    for number, names in enumerate(
        (
            ("January", "Jan"),
            ("February", "Feb"),
            ("March", "Mar"),
            ("April", "Apr"),
            ("May",),
            ("June", "Jun"),
            ("July", "Jul"),
            ("August", "Aug"),
            ("September", "Sep", "Sept"),
            ("October", "Oct"),
            ("November", "Nov"),
            ("December", "Dec"),
        ),
        start=1,
    )
    for name in names
}
_ISO = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_DAY_MONTH_NAME = re.compile(r"(\d{1,2})[ -]([A-Za-z]{3,9})\.?[ -](\d{4})", re.ASCII)
_MONTH_NAME_DAY = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2}), ?(\d{4})", re.ASCII)
_TWO_NUMBERS = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)


def gunzip(body: bytes, limit: int | None = None) -> bytes:
    """The content of a gzip file of one or more members.

    Raises:
        PayloadError: ``not_truncated`` (ends early), ``not_damaged`` (checksum or data wrong), ``size_bound`` (more
            than `limit` bytes come out; no more than that are ever held).

    """
    limit = MAX_UNPACKED_BYTES if limit is None else limit
    parts: list[bytes] = []
    size = 0
    rest = body
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            while not member.eof:
                part = member.decompress(rest, limit - size + 1)
                size += len(part)
                parts.append(part)
                if size > limit:
                    raise too_large(limit)
                rest = member.unconsumed_tail
                if not part and not rest:
                    break
        except zlib.error as error:
            raise PayloadError(
                "not_damaged", f"the gzip file is damaged ({error})", "download or compress the file again"
            ) from error
        if not member.eof:
            raise PayloadError(
                "not_truncated", "the gzip file ends before its end mark", "download or copy the file again"
            )
        rest = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def unzip_one_csv(body: bytes, limit: int | None = None) -> bytes:
    """The one ``.csv`` member of a zip file, whatever its path says; nothing is written to disk.

    Raises:
        PayloadError: ``one_member``, ``not_damaged``, ``size_bound``.

    """
    limit = MAX_UNPACKED_BYTES if limit is None else limit
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [item for item in archive.infolist() if item.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise PayloadError("one_member", f"the zip file has {len(members)} CSV members; one is expected")
            # The size in the directory is a claim of the file; what is read is what counts.
            with archive.open(members[0]) as member:
                content = member.read(limit + 1)
    except PayloadError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise PayloadError("not_damaged", f"the zip file cannot be read ({error})", "download it again") from error
    if len(content) > limit:
        raise too_large(limit)
    return content


def too_large(limit: int) -> PayloadError:
    """The refusal of a file beyond its size bound."""
    return PayloadError(
        "size_bound", f"the file holds more than {limit:,} bytes", "split the file by symbol or by year"
    )


def decode_text(body: bytes) -> str:
    r"""Text of `body` (UTF-8, or UTF-16 with a byte order mark), without the mark, lines ended by ``\n``.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``text_encoding``, ``no_nul_bytes``, ``file_kind``.

    """
    if body.startswith(b"PK\x03\x04"):
        raise PayloadError("file_kind", "this is a zip or Excel file, not text", "save the sheet as CSV UTF-8")
    encoding = "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise PayloadError(
            "text_encoding",
            f"the text is not {encoding.removesuffix('-sig').upper()}: {error.reason} at byte {error.start}",
            "save the file as CSV UTF-8",
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise PayloadError(
            "no_nul_bytes", "the text holds NUL bytes", "save the file as CSV UTF-8", locator=f"row {line}"
        )
    head = text[:2000].lstrip()
    if not head and not text.strip():
        raise PayloadError("not_empty", "the file is empty", "download it again")
    if re.match(r"<(!doctype html|html|head|body|script|title|div)\b", head, re.IGNORECASE):
        raise PayloadError(
            "not_html", "this is a web page, not data: the site answered with an error or a consent page", "try later"
        )
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line, quotes undone, blanks around them removed.

    Raises:
        PayloadError: ``table_shape`` where a cell is longer than any text of a table can be.

    """
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise PayloadError("table_shape", f"a line cannot be read as cells ({error})") from error


@dataclass(frozen=True)
class Cells:
    """A table of texts.

    Attributes:
        columns: one Arrow string array per column, blanks around the texts removed.
        lines: 1-based physical line of each row, int64.
        delimiter: what stood between the cells.

    """

    columns: tuple[Any, ...]
    lines: npt.NDArray[np.int64]
    delimiter: str

    @cached_property
    def locators(self) -> Any:
        """Arrow strings ``row N``."""
        return row_locators(self.lines)

    def numbers(self, column: int, name: str, *, is_english: bool = False) -> npt.NDArray[np.float64]:
        """A column as float64, exact to the last digit; NaN = not given.

        Args:
            column: position of the column.
            name: what to call it in an error.
            is_english: a comma is known to separate thousands. Otherwise ``1,234`` in a file with ``;`` or tabs may be
                a decimal comma, and is refused.

        Raises:
            PayloadError: ``number_valid``, naming row and column: not a number, infinite, ``nan``.

        """
        texts = self.columns[column]
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        try:
            values = pc.cast(texts, pa.float64())
        except pa.ArrowInvalid:
            texts = pa.array([self._number_text(text, is_english) for text in texts.to_pylist()], pa.string())
            try:
                values = pc.cast(texts, pa.float64())
            except pa.ArrowInvalid:
                raise self._bad_number(column, name, is_english) from None
        array: npt.NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
        if not np.isfinite(array[values.is_valid().to_numpy(zero_copy_only=False)]).all():
            raise self._bad_number(column, name, is_english)
        return array

    def _number_text(self, text: str | None, is_english: bool) -> str | None:
        if text is None or text.lower() in MISSING:
            return None
        # With commas between the cells, a comma inside one was quoted on purpose.
        unambiguous = is_english or self.delimiter == "," or "." in text or text.count(",") > 1
        if "," in text and unambiguous and _GROUPED.fullmatch(text):
            text = text.replace(",", "")
        return text.removeprefix("+") if _NUMBER.fullmatch(text) else text

    def _bad_number(self, column: int, name: str, is_english: bool) -> PayloadError:
        for line, raw in zip(self.lines.tolist(), self.columns[column].to_pylist(), strict=True):
            text = self._number_text(raw, is_english)
            if text is None:
                continue
            if not _NUMBER.fullmatch(text) or not np.isfinite(float(text)):
                fix = "write a decimal point" if "," in text else "correct the cell, or leave it empty if unknown"
                return PayloadError("number_valid", f"{name} is {raw!r}, not a number", fix, locator=f"row {line}")
        return PayloadError("number_valid", f"{name} holds a text that is not a number")  # pragma: no cover

    def days(self, column: int, name: str) -> tuple[npt.NDArray[np.datetime64], int | None]:
        """A column as dates (datetime64[D]): the date as written, whatever offset follows it.

        Returns:
            The dates, and the line of the first that is a UTC time other than midnight (``None`` if there is none):
            such a date need not be the market's.

        Raises:
            PayloadError: ``date_valid``, ``date_ambiguous``, each naming the row.

        """
        encoded = pc.dictionary_encode(self.columns[column])
        texts: list[str] = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy(zero_copy_only=False)

        def line_of(code: int) -> int:
            return int(self.lines[int(np.argmax(codes == code))])

        day_first = _is_day_first(texts)
        days = np.empty(len(texts), "datetime64[D]")
        utc_codes = []
        for code, text in enumerate(texts):
            try:
                day, is_utc_time = parse_day(text, day_first)
            except _AmbiguousError:
                raise PayloadError(
                    "date_ambiguous",
                    f"{name} {text!r} can be read day first or month first, and no other row decides it",
                    "write dates as YYYY-MM-DD",
                    locator=f"row {line_of(code)}",
                ) from None
            except ValueError:
                raise PayloadError(
                    "date_valid",
                    f"{name} is {text!r}, not a date",
                    "write dates as YYYY-MM-DD",
                    locator=f"row {line_of(code)}",
                ) from None
            days[code] = day
            if is_utc_time:
                utc_codes.append(code)
        utc_line = min((line_of(code) for code in utc_codes[:1]), default=None)
        return days[codes], utc_line


class _AmbiguousError(ValueError):
    """``01/02/2024`` without other evidence."""


def _is_day_first(texts: list[str]) -> bool | None:
    matches = [match for text in texts if (match := _TWO_NUMBERS.fullmatch(text))]
    day_first = any(int(match[1]) > 12 for match in matches)
    month_first = any(int(match[3]) > 12 for match in matches)
    return day_first if day_first != month_first else None


def parse_day(text: str, day_first: bool | None = None) -> tuple[dt.date, bool]:
    """One written date, and whether it came as a UTC time other than midnight.

    Raises:
        ValueError: not a date, or one that can be read in two ways while `day_first` is ``None``.

    """
    is_utc_time = False
    if match := _ISO.fullmatch(text):
        year, month, day = int(match[1]), int(match[3]), int(match[4])
        if match[5] is not None:
            dt.time(int(match[5]), int(match[6]), int(match[7] or 0))
            is_utc = match[8] is not None and match[8].replace(":", "").lstrip("+-") in ("Z", "0000")
            is_utc_time = is_utc and (match[5], match[6], match[7] or "00") != ("00", "00", "00")
    elif match := _COMPACT.fullmatch(text):
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    elif match := _DAY_MONTH_NAME.fullmatch(text):
        year, month, day = int(match[3]), _MONTHS.get(match[2].lower(), 0), int(match[1])
    elif match := _MONTH_NAME_DAY.fullmatch(text):
        year, month, day = int(match[3]), _MONTHS.get(match[1].lower(), 0), int(match[2])
    elif match := _TWO_NUMBERS.fullmatch(text):
        if day_first is None:
            if match[1] != match[3]:
                raise _AmbiguousError(text)
            day_first = True
        first, second = int(match[1]), int(match[3])
        year, month, day = int(match[4]), second if day_first else first, first if day_first else second
    else:
        raise ValueError(text)
    if year < _EARLIEST_YEAR:
        raise ValueError(text)
    return dt.date(year, month, day), is_utc_time


def row_locators(lines: npt.NDArray[np.int64]) -> Any:
    """``row N`` for each line number, as Arrow strings."""
    return pc.binary_join_element_wise("row", pc.cast(pa.array(lines), pa.string()), " ")


def as_text(values: Any) -> pd.Series[Any]:
    """Arrow strings as a pandas column of dtype ``str``, without a Python object per value."""
    return pd.Series(pd.array(values, dtype=pd.StringDtype("pyarrow", na_value=np.nan)))


def read_cells(text: str, delimiter: str, header_lines: int, width: int) -> Cells:
    """The rows below the header. Lines with no cell filled are skipped.

    Args:
        text: as `decode_text` gives it.
        delimiter: one character.
        header_lines: how many physical lines to leave out at the top.
        width: how many cells every row has.

    Raises:
        PayloadError: ``not_empty`` (no rows), ``table_shape`` (a row is wider or narrower than the header, or a
            quote is not closed on its line).

    """
    blanks = f' {delimiter}\t"'
    rows = text.split("\n")
    lines = [number for number in range(header_lines, len(rows)) if rows[number].strip(blanks)]
    if not lines:
        raise PayloadError("not_empty", "the file has a header and no rows", "download it again")
    kept = [rows[number] for number in lines]
    if '"' in text:
        for number, row in zip(lines, kept, strict=True):
            if row.count('"') % 2:
                raise PayloadError("table_shape", "a quote is not closed on its line", locator=f"row {number + 1}")
    if lines[-1] - lines[0] + 1 == len(lines) and rows[lines[-1] + 1 :] in ([], [""]):
        # Nothing lies between the rows: what follows the header is taken as it stands, which spares a copy.
        data = text.split("\n", lines[0])[-1].encode()
    else:
        data = "\n".join(kept).encode()
    names = [str(number) for number in range(width)]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=16 * 1024 * 1024),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise _bad_row(kept, lines, delimiter, width, error) from error
    if table.num_rows != len(kept):  # pragma: no cover - every kept line is one row, by construction
        raise PayloadError("table_shape", f"{len(kept)} lines hold {table.num_rows} rows")
    columns = tuple(pc.utf8_trim_whitespace(column.combine_chunks()) for column in table.columns)
    return Cells(columns, np.asarray(lines, np.int64) + 1, delimiter)


def _bad_row(kept: list[str], lines: list[int], delimiter: str, width: int, error: Exception) -> PayloadError:
    for number, row in zip(lines, kept, strict=True):
        seen = len(split_line(row, delimiter))
        if seen != width:
            return PayloadError(
                "table_shape",
                f"the row has {seen} cells, the header {width}",
                "the file may have been cut short; download it again",
                locator=f"row {number + 1}",
            )
    return PayloadError("table_shape", f"the table cannot be read ({error})")
