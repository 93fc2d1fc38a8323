"""The catalog: what is shipped, how the user's files change it, and what is refused in which words."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest

from rally_pipeline.catalog import BrokerKind, Catalog, Kind, Market, load_catalog
from rally_pipeline.catalog.loader import MAX_FILE_BYTES
from rally_pipeline.errors import CatalogError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "catalog").mkdir()
    return tmp_path


def write(home: Path, text: str, name: str = "own.yaml") -> Path:
    path = home / "catalog" / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(home: Path, text: str, *parts: str) -> str:
    write(home, text)
    with pytest.raises(CatalogError) as caught:
        load_catalog(home)
    message = str(caught.value)
    for part in ("own.yaml", *parts):
        assert part in message, message
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog()


class TestShipped:
    def test_instruments(self, shipped: Catalog) -> None:
        wanted = (
            "^HSI HSTECH.HK ^HSCE ^GDAXI ^GSPC ^NDX ^N225 ^FTSE 000300.SS MCHI 9988.HK BABA 0700.HK 3690.HK 1810.HK "
            "9618.HK 1024.HK 0388.HK 0005.HK 1299.HK HKD=X CNY=X EURUSD=X"
        )
        assert set(wanted.split()) <= set(shipped.instruments)

    def test_leaderboards(self, shipped: Catalog) -> None:
        headline = shipped.leaderboard("headline_indices")
        assert headline == ("^HSI", "^GDAXI", "^GSPC")
        assert all(shipped.instruments[symbol].leaderboards[0] == "headline_indices" for symbol in headline)
        indices = [symbol for symbol, entry in shipped.instruments.items() if entry.kind is Kind.INDEX]
        assert list(shipped.leaderboard("world_indices")) == indices
        assert "9988.HK" in shipped.leaderboard("hk_tech_shares")
        assert shipped.leaderboard("nothing") == ()

    @pytest.mark.parametrize(
        ("symbol", "sources"),
        [
            ("^HSI", ["hang_seng:hsi", "yahoo:None", "eastmoney:100.HSI"]),
            ("HSTECH.HK", ["hang_seng:hstech", "eastmoney:124.HSTECH", "yahoo:None"]),
            ("^NDX", ["yahoo:None", "eastmoney:100.NDX100"]),
            ("000300.SS", ["eastmoney:1.000300", "yahoo:None"]),
            ("9988.HK", ["yahoo:None"]),
        ],
    )
    def test_price_sources(self, shipped: Catalog, symbol: str, sources: list[str]) -> None:
        assert [f"{entry.source}:{entry.code}" for entry in shipped.instruments[symbol].price_sources] == sources

    def test_every_instrument_has_a_source(self, shipped: Catalog) -> None:
        assert all(entry.price_sources for entry in shipped.instruments.values())

    @pytest.mark.parametrize(
        ("text", "symbol"),
        [("^SPX", "^GSPC"), (" .spx ", "^GSPC"), ("hsi", "^HSI"), ("^HSTECH", "HSTECH.HK"), ("DAX", "^GDAXI"),
         ("N225", "^N225"), ("^HSCEI", "^HSCE"), ("09988", "9988.HK"), ("0700.hk", "0700.HK"), ("usdhkd", "HKD=X"),
         ("AAPL", None), ("", None)],
    )  # fmt: skip
    def test_resolve_symbol(self, shipped: Catalog, text: str, symbol: str | None) -> None:
        assert shipped.resolve_symbol(text) == symbol

    def test_currency_pairs(self, shipped: Catalog) -> None:
        dollar, euro = shipped.instruments["HKD=X"], shipped.instruments["EURUSD=X"]
        assert (dollar.base_currency, dollar.currency) == ("USD", "HKD")
        assert (euro.base_currency, euro.currency) == ("EUR", "USD")

    def test_listing_dates(self, shipped: Catalog) -> None:
        assert shipped.instruments["9988.HK"].listing_date == dt.date(2019, 11, 26)
        assert shipped.instruments["^HSI"].listing_date is None

    def test_events(self, shipped: Catalog) -> None:
        assert shipped.events["lunar_new_year"].rule == "mainland_reopening_after_lunar_new_year"
        assert {key: str(event.date) for key, event in shipped.events.items() if event.date} == {
            "stimulus_package": "2024-09-24",
            "deepseek_r1_release": "2025-01-20",
            "business_symposium": "2025-02-17",
        }

    def test_overrides(self, shipped: Catalog) -> None:
        found = {(entry.market, str(entry.date)) for entry in shipped.calendar_overrides if not entry.is_session}
        assert {("HK", "2023-09-01"), ("HK", "2023-09-08"), ("SOUTHBOUND", "2021-12-29")} <= found

    def test_brokers(self, shipped: Catalog) -> None:
        brokers = shipped.brokers
        assert sum(broker.kind is not BrokerKind.RATING_AGENCY for broker in brokers.values()) >= 150
        assert brokers["moodys"].kind is BrokerKind.RATING_AGENCY
        assert brokers["hsbc"].symbol == "0005.HK"
        assert {"高盛", "Goldman"} <= set(brokers["goldman_sachs"].spellings)
        assert brokers["dnb"].country == "NO", "the country, not the boolean that YAML reads"
        assert brokers["raymond_james"].rating_scale.words == (
            "Strong Buy", "Outperform", "Market Perform", "Underperform",
        )  # fmt: skip

    def test_people(self, shipped: Catalog) -> None:
        assert {person.name: person.broker for person in shipped.people.values()} == {
            "Steven Leung": "uob_kay_hian",
            "Wong Kok Hoong": "maybank",
            "Christopher Beddor": "gavekal",
        }

    def test_every_instrument_has_names_that_files_need_not_carry(self, shipped: Catalog) -> None:
        assert all(entry.names for entry in shipped.instruments.values())
        assert shipped.resolve_symbol("Hang Seng") is None
        assert all(event.names for event in shipped.events.values())

    def test_no_name_of_something_else_is_one_of_ours(self, shipped: Catalog) -> None:
        ours = {name.casefold() for entry in shipped.instruments.values() for name in (entry.name, *entry.names)}
        ours |= {name.casefold() for broker in shipped.brokers.values() for name in broker.spellings}
        others = {name.casefold() for entry in shipped.other_names.values() for name in entry.names}
        assert not ours & others

    def test_other_names_are_given_once(self, shipped: Catalog) -> None:
        names = [name for entry in shipped.other_names.values() for name in entry.names]
        assert sorted({name for name in names if names.count(name) > 1}) == []

    def test_is_fast(self) -> None:
        load_catalog()
        fastest = 1.0
        for _ in range(3):
            began = time.perf_counter()
            load_catalog()
            fastest = min(fastest, time.perf_counter() - began)
        assert fastest < 0.05


class TestUserFiles:
    def test_no_folder(self, tmp_path: Path, shipped: Catalog) -> None:
        assert load_catalog(tmp_path) == shipped

    def test_empty_and_comment_only_files(self, home: Path, shipped: Catalog) -> None:
        write(home, "")
        write(home, "# nothing yet\ninstruments:\n", "later.yaml")
        assert load_catalog(home).content_hash == shipped.content_hash

    def test_an_entry_is_merged_field_by_field(self, home: Path, shipped: Catalog) -> None:
        write(home, 'instruments:\n  "^HSI":\n    name: HSI\n    aliases: [hsi50]\n')
        entry = load_catalog(home).instruments["^HSI"]
        assert entry.name == "HSI"
        assert entry.aliases == ("HSI50",)
        assert entry.price_sources == shipped.instruments["^HSI"].price_sources

    def test_null_unsets_an_optional_field(self, home: Path) -> None:
        write(home, 'instruments:\n  "9988.HK": {listing_date: null}\n')
        assert load_catalog(home).instruments["9988.HK"].listing_date is None

    def test_new_entries(self, home: Path, shipped: Catalog) -> None:
        write(
            home,
            'instruments:\n  "0981.HK":\n    name: SMIC\n    market: HK\n    currency: HKD\n    kind: share\n'
            "events:\n  tariffs: {name: Tariffs, date: 2025-04-02}\n"
            "calendar_overrides:\n  HK:\n    2026-09-15: {is_session: false, reason: storm}\n"
            "calendar_extensions:\n  CN: {known_until: 2027-12-31, closed: [2027-01-01], reason: announced}\n",
        )
        catalog = load_catalog(home)
        assert catalog.instruments["0981.HK"].market is Market.HK
        assert catalog.events["tariffs"].date == dt.date(2025, 4, 2)
        assert len(catalog.calendar_overrides) == len(shipped.calendar_overrides) + 1
        assert catalog.calendar_extensions[0].closed == (dt.date(2027, 1, 1),)
        assert catalog.content_hash != shipped.content_hash

    def test_brokers_people_and_names(self, home: Path, shipped: Catalog) -> None:
        write(
            home,
            "brokers:\n  ubs: {symbol: null, aliases: [Union Bank]}\n"
            "  harbour_lane: {name: Harbour Lane, kind: independent, country: HK, weak: [Lane]}\n"
            "people:\n  jo_doe: {name: Jo Doe, broker: harbour_lane, role: chief}\n  steven_leung: {remove: true}\n"
            "other_names:\n  lane_crawford: {kind: company, names: [Lane Crawford]}\n"
            "events:\n  stimulus_package: {names: [Big Bang]}\n",
        )
        catalog = load_catalog(home)
        assert catalog.brokers["ubs"].symbol is None
        assert catalog.brokers["ubs"].spellings == ("UBS", "Union Bank")
        assert catalog.brokers["harbour_lane"].spellings == ("Harbour Lane", "Lane")
        assert (catalog.people["jo_doe"].role, "steven_leung" in catalog.people) == ("chief", False)
        assert catalog.other_names["lane_crawford"].kind == "company"
        assert catalog.events["stimulus_package"].names == ("Big Bang",)
        assert catalog.content_hash != shipped.content_hash

    @pytest.mark.parametrize(
        "text",
        [
            "brokers:\n  ubs: {country: DE}\n",
            "people:\n  steven_leung: {role: chairman}\n",
            "other_names:\n  smic: {names: [SMIC]}\n",
            'instruments:\n  "^HSI": {names: [Hang Seng]}\n',
        ],
    )
    def test_names_count_in_the_hash(self, home: Path, shipped: Catalog, text: str) -> None:
        write(home, text)
        assert load_catalog(home).content_hash != shipped.content_hash

    def test_what_is_read_once_is_not_changed(self, home: Path, shipped: Catalog) -> None:
        write(home, "brokers:\n  ubs: {remove: true}\n")
        assert "ubs" not in load_catalog(home).brokers
        assert load_catalog() == shipped

    def test_remove(self, home: Path) -> None:
        write(
            home,
            'instruments:\n  "^FTSE": {remove: true}\ncalendar_overrides:\n  HK:\n    2023-09-01: {remove: true}\n',
        )
        catalog = load_catalog(home)
        assert "^FTSE" not in catalog.instruments
        assert ("HK", dt.date(2023, 9, 1)) not in {(entry.market, entry.date) for entry in catalog.calendar_overrides}

    def test_hash_ignores_layout(self, home: Path) -> None:
        write(home, "events:\n  b: {name: B, date: 2025-01-02}\n  a: {date: 2025-01-01, name: A}\n")
        first = load_catalog(home).content_hash
        write(home, '# c\nevents:\n  a:\n    name: "A"\n    date: 2025-01-01\n  b: {date: 2025-01-02, name: B}\n')
        assert load_catalog(home).content_hash == first

    def test_byte_order_mark_is_no_matter(self, home: Path) -> None:
        write(home, "\ufeffevents:\n  a: {date: 2025-01-01, name: A}\n")
        assert "a" in load_catalog(home).events


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ('instruments:\n  "^HSI": {currency: hk}\n', ["^HSI", "field currency", "'hk'", "such as HKD"]),
            ('instruments:\n  "^HSI": {market: XX}\n', ["^HSI", "field market", "one of HK, CN"]),
            ('instruments:\n  "^HSI": {curency: HKD}\n', ["line 2", "field curency", "Write currency"]),
            ("instruments:\n  NEW:\n    name: N\n", ["NEW", "field market: is missing", "field kind"]),
            ('instruments:\n  "^hsi": {}\n', ["^hsi", "field symbol"]),
            ('instruments:\n  "^HSI": {symbol: "^HSX"}\n', ["field symbol", "the entry's key says ^HSI"]),
            ("instruments:\n  5: {name: HSBC}\n", ["the key 5", 'Put it in quotes: "5"']),
            ("instruments:\n  ON: {name: ON Semiconductor}\n", ["the key ON", "not as a text"]),
            ('instruments:\n  "^HSI": {aliases: [HSI, hsi]}\n', ["field aliases", "HSI more than once"]),
            ('instruments:\n  "^FTSE": {aliases: [DAX]}\n', ["aliases: DAX", "^GDAXI"]),
            ('instruments:\n  "^FTSE": {aliases: ["^HSI"]}\n', ["aliases: ^HSI", "^HSI"]),
            ('instruments:\n  "^FTSE": {aliases: ["^FTSE"]}\n', ["aliases: ^FTSE is its own symbol"]),
            ('instruments:\n  "^FTSE": {price_sources: [{source: eastmoney}]}\n', ["price_sources.0", "'code'"]),
            ('instruments:\n  "^FTSE": {price_sources: [{source: eastmoney, code: FTSE}]}\n', ["market.code"]),
            ('instruments:\n  "^FTSE": {price_sources: [{source: eastmoney, code: 100.HSI}]}\n', ["already ^HSI"]),
            ('instruments:\n  "^FTSE": {price_sources: [{source: stooq}]}\n', ["price_sources.0.source", "yahoo"]),
            ('instruments:\n  "^FTSE": {price_sources: [{sourc: yahoo}]}\n', ["sourc", "Write source"]),
            ('instruments:\n  "^FTSE": {price_sources: [{source: yahoo}, {source: yahoo}]}\n', ["price_sources"]),
            ('instruments:\n  "HKD=X": {base_currency: null}\n', ["HKD=X", "base_currency"]),
            ('instruments:\n  "^HSI": {base_currency: USD}\n', ["^HSI", "base_currency"]),
            ('instruments:\n  "HKD=X": {currency: USD}\n', ["HKD=X", "both USD"]),
            ('instruments:\n  "^HSI": {leaderboards: [Head Line]}\n', ["leaderboards", "snake_case"]),
            ('instruments:\n  "9988.HK": {listing_date: "26.11.2019"}\n', ["listing_date", "2019-11-26"]),
            ('instruments:\n  "^HSI":\n', ["line 2", "^HSI", "has no fields"]),
            ("instruments: [a]\n", ["line 1", "instruments", "not a mapping"]),
            ("instrument:\n  A: {}\n", ["line 1", "instrument is not a section", "Write instruments"]),
            ("- a\n", ["not a mapping"]),
            ("events:\n  a: {name: A}\n", ["events entry a", "'date' and 'rule'"]),
            ("events:\n  stimulus_package: {rule: mainland_reopening_after_lunar_new_year}\n", ["'date' and 'rule'"]),
            ("events:\n  Big-Day: {name: A, date: 2025-01-01}\n", ["Big-Day", "event_id", "snake_case"]),
            ("events:\n  lunar_new_year_2025: {name: A, date: 2025-02-05}\n", ["rule of event lunar_new_year"]),
            ("events:\n  a: {name: A, date: 2025-02-30}\n", ["line 2", "dates such as"]),
            ("events:\n  a: {name: A, date: 2025-01-01}\n  a: {name: B}\n", ["line 3", "line 2"]),
            ("events:\n  a: {name: A, name: B}\n", ["line 2", "name is already given"]),
            ("events: {}\nevents: {}\n", ["line 2", "events is already given in line 1"]),
            ("events:\n  a: {remove: true}\n", ["remove", "no such entry"]),
            ("events:\n  stimulus_package: {remove: false}\n", ["remove", "Write only"]),
            ("events:\n  a: &x {name: A, date: 2025-01-01}\n  b: *x\n", ["anchors and aliases"]),
            ("events:\n  a:\n    <<: {name: A}\n", ["line 3", "key must be"]),
            ("events:\n  a: {name: !!python/object/apply:os.getcwd []}\n", ["line 2"]),
            ("events: {}\n---\nevents: {}\n", ["line 2", "second document"]),
            ("events:\n  a: {name: [\n", ["not YAML"]),
            ("instruments:\n  ^HSI: {name: @x}\n", ["line 2", "not YAML", "quotes"]),
            ("events:\n a: " + "[" * 100_000, ["nested deeper"]),
            ("calendar_overrides:\n  HK:\n    2023-9: {is_session: false}\n", ["2023-9", "unquoted date"]),
            ("calendar_overrides:\n  HK:\n    2026-09-15: {is_session: false}\n", ["HK 2026-09-15", "field reason"]),
            ("calendar_overrides:\n  XX:\n    2026-09-15: {is_session: false, reason: r}\n", ["field market", "HK"]),
            ("calendar_overrides:\n  HK:\n    2026-09-15: {is_session: often, reason: r}\n", ["true or false"]),
            ("calendar_overrides:\n  HK: [2026-09-15]\n", ["line 2", "entry HK", "not a mapping"]),
            ("calendar_extensions:\n  FX: {known_until: 2031-12-31, reason: r}\n", ["FX", "field market"]),
            ('instruments:\n  "^HSI": {names: [H]}\n', ["names.0", "at least two characters"]),
            ('instruments:\n  "^HSI": {names: [HSI, HSI]}\n', ["names", "HSI more than once"]),
            ("brokers:\n  ubs: {kind: bnak}\n", ["ubs", "field kind", "one of bank, independent, rating_agency"]),
            ("brokers:\n  ubs: {country: Switzerland}\n", ["field country", "two capitals"]),
            ("brokers:\n  dnb: {country: NO}\n", ["field country", "it is False"]),
            ("brokers:\n  ubs: {aliasses: [U]}\n", ["field aliasses", "Write aliases"]),
            ("brokers:\n  ubs: {rating_scale: {good: [Buy]}}\n", ["field good", "one of positive, neutral, negative"]),
            ("brokers:\n  Big Bank: {name: Big Bank}\n", ["Big Bank", "broker_id", "snake_case"]),
            ("brokers:\n  ubs: {aliases: [HSBC]}\n", ["ubs", "HSBC is already a name of hsbc", "Leave it out"]),
            (
                "brokers:\n  new: {name: New, kind: bank, country: HK, codes: [MS]}\n",
                ["MS is already", "morgan_stanley"],
            ),
            ("people:\n  a: {name: Al Bo, broker: maybnk}\n", ["people entry a", "field broker", "Write maybank"]),
            ("people:\n  a: {name: Al Bo, broker: zzzz9}\n", ["field broker", "Add it to the section brokers"]),
            ("people:\n  a: {role: r}\n", ["field name: is missing"]),
            ("other_names:\n  a: {kind: thing, names: [Ab]}\n", ["field kind", "index, company, other"]),
            ("other_names:\n  a: {kind: index, names: []}\n", ["field names", "at least"]),
            ("broker:\n  a: {}\n", ["broker is not a section", "Write brokers"]),
            (
                "calendar_extensions:\n  CN: {known_until: 2027-12-31, closed: [2028-01-03], reason: r}\n",
                ["2028-01-03 is after known_until"],
            ),
        ],
    )
    def test_with_a_message_that_says_what_to_do(self, home: Path, text: str, parts: list[str]) -> None:
        refused(home, text, *parts)

    def test_same_entry_in_two_files(self, home: Path) -> None:
        write(home, "events:\n  a: {name: A, date: 2025-01-01}\n", "also.yaml")
        refused(home, "events:\n  a: {name: A, date: 2025-01-01}\n", "also.yaml line 2", "Keep one")

    def test_too_large(self, home: Path) -> None:
        refused(home, "#" * (MAX_FILE_BYTES + 1), "larger than")

    def test_not_utf8(self, home: Path) -> None:
        (home / "catalog" / "own.yaml").write_bytes("events: {}  # Börse".encode("latin-1"))
        with pytest.raises(CatalogError, match=r"own\.yaml byte 15: not UTF-8"):
            load_catalog(home)

    def test_control_characters(self, home: Path) -> None:
        refused(home, "events: \x00\n", "not YAML")

    def test_a_folder_named_like_a_file(self, home: Path) -> None:
        (home / "catalog" / "x.yaml").mkdir()
        with pytest.raises(CatalogError, match=r"x\.yaml cannot be read"):
            load_catalog(home)

    def test_a_file_named_like_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "catalog").write_text("")
        with pytest.raises(CatalogError, match="is not a folder"):
            load_catalog(tmp_path)

    def test_yml(self, home: Path) -> None:
        write(home, "events: {}\n", "own.yml")
        with pytest.raises(CatalogError, match=r"own\.yml would not be read"):
            load_catalog(home)
