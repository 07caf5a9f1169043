"""Which price applies, and what price files may say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from evalharness.config import strict_yaml
from evalharness.emulator.options import EmulatorOptions
from evalharness.errors import ConfigError
from evalharness.pricing import PriceBook, usd_text
from evalharness.pricing.price_files import parse_prices
from evalharness.records import Usage

TWO_TIERS = (
    "[{above_prompt_tokens: 9, price_usd_per_mtok: {prompt: 1, completion: 1}}, "
    "{above_prompt_tokens: 9, price_usd_per_mtok: {prompt: 1, completion: 1}}]"
)
RATES = "{prompt: 1, completion: 1, output: 1}"
ENTRY = "{model: m, price_usd_per_mtok: {prompt: 1, completion: 2}}"
DAY = date(2026, 11, 1)


def book(tmp_path: Path, *texts: str, **options) -> PriceBook:
    files = []
    for index, text in enumerate(texts):
        files.append(tmp_path / f"p{index}.yaml")
        files[-1].write_text(text)
    return PriceBook.read(files=files, **options)


def entry(model: str, prompt: str, **more: str) -> str:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{model: '{model}', price_usd_per_mtok: {{prompt: {prompt}, completion: 9}}{extra}}}"


def table(*entries: str) -> str:
    return f"prices: [{', '.join(entries)}]"


def prompt_price(prices: PriceBook, model: str, provider: str | None = "p", at: date = DAY):
    found = prices.find(provider, model, at)
    return None if found is None else found.rates.prompt


def test_prices_are_the_digits_of_the_file(tmp_path):
    """A price is the Decimal of its own text, never a float on the way."""
    found = book(tmp_path, table(entry("m", "0.123457"))).find("p", "m", DAY)
    assert (found.rates.prompt, str(found.rates.prompt)) == (Decimal("0.123457"), "0.123457")
    assert found.table == "p0.yaml"


def test_dated_lookup(tmp_path):
    """Each day has the newest price that was valid on it."""
    prices = book(
        tmp_path,
        table(
            entry("m", "3", valid_from="2026-06-01"),
            entry("m", "1", valid_from="2025-01-01"),
            entry("m", "2", valid_from="2026-01-01"),
        ),
    )
    days = ["2024-12-31", "2025-01-01", "2025-12-31", "2026-01-01", "2026-05-31", "2026-06-01"]
    assert [prompt_price(prices, "m", at=date.fromisoformat(day)) for day in days] == [
        None, 1, 1, 2, 2, 3,
    ]  # fmt: skip


def test_the_more_specific_entry_wins(tmp_path):
    """Provider before any provider, exact before pattern, longer pattern before shorter."""
    prices = book(
        tmp_path,
        table(
            entry("*", "1"),
            entry("qwen-*", "2"),
            entry("qwen-plus*", "3"),
            entry("qwen-plus", "4"),
            entry("*", "5", provider="q"),
        ),
    )
    names = ["llama", "qwen-max", "qwen-plus-latest", "qwen-plus"]
    assert [prompt_price(prices, name) for name in names] == [1, 2, 3, 4]
    assert [prompt_price(prices, name, "q") for name in names] == [5, 5, 5, 5]


def test_layers(tmp_path):
    """What is given now comes before the run's own, later files before earlier, all before shipped."""
    first, second = table(entry("m", "1"), entry("k", "1")), table(entry("m", "2"))
    assert prompt_price(book(tmp_path, first, second), "m") == 2
    assert prompt_price(book(tmp_path, first, second), "k") == 1
    over = {"prices": [{"model": "m", "price_usd_per_mtok": {"prompt": 0.1, "completion": 0}}]}
    assert prompt_price(book(tmp_path, first, second, overrides=over), "m") == 2
    assert prompt_price(book(tmp_path, overrides=over), "m") == Decimal("0.1")
    now = [{"model": "m", "price_usd_per_mtok": {"prompt": 9, "completion": 0}}]
    assert prompt_price(book(tmp_path, first, overrides=over, prices=now), "m") == 9
    (tmp_path / "named.yaml").write_text(table(entry("m", "7")))
    named = {"files": [str(tmp_path / "named.yaml")]}
    assert prompt_price(book(tmp_path, first, overrides=named), "m") == 1
    assert prompt_price(book(tmp_path, overrides=named), "m") == 7
    assert prompt_price(book(tmp_path, overrides={**named, **over}), "m") == Decimal("0.1")
    assert prompt_price(book(tmp_path, table(entry("*", "6"))), "anything", "local") == 6


def test_price_source_prices_under_another_name(tmp_path):
    """An alias lets a provider be priced by another's table."""
    prices = book(tmp_path, table(entry("m", "1", provider="q")), aliases={"mine": "q"})
    assert prompt_price(prices, "m", "mine") == 1
    assert prompt_price(prices, "m", "other") is None
    own = book(tmp_path, table(entry("m", "3", provider="mine")), aliases={"mine": "q"})
    assert prompt_price(own, "m", "mine") == 3  # an entry under its own name is one, too


def test_shipped_tables():
    """The local model is an explicit zero; qwen-plus has its dated list price."""
    prices = PriceBook.read()
    assert prices.find("local", "anything", DAY).is_free()
    qwen = prices.find("dashscope", "qwen-plus", DAY)
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=0, reasoning_tokens=0)
    assert qwen.cost(usage) == Decimal("0.00052")
    assert qwen.as_of is not None
    assert qwen.source.startswith("https://")
    assert prices.find("aimlapi", "qwen-plus", DAY) is None
    assert prices.find("local-but-not", "anything", DAY) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0E-12", "$0"), ("1E-12", "$0.000000000001"), ("1E+3", "$1000"), ("0.500000000000", "$0.5")],
)
def test_amounts_in_messages_are_exact_and_plain(amount: str, text: str):
    """No powers of ten and no zeros at the end, whatever the Decimal was made from."""
    assert usd_text(Decimal(amount)) == text


def test_the_emulator_is_priced_as_it_bills():
    """The shipped price of the emulator is what its options bill by default, kind by kind."""
    rates = PriceBook.read().find("emulator", "anything", DAY).rates
    bills = EmulatorOptions()
    for kind in ("prompt", "cached", "completion", "reasoning"):
        assert getattr(rates, kind) == getattr(bills, f"price_{kind}"), kind


def test_missing_hint_is_a_price_file(tmp_path):
    """The line suggested for an unknown price is a price file that gives it one."""
    for provider, model in [("p", "m"), (None, "it's: [odd]*")]:
        hint = PriceBook().missing_hint(provider, model)
        found = book(tmp_path, hint).find(provider, model, DAY)
        assert (found.model, found.provider) == (model, provider)


REFUSED = {
    "not YAML": ("prices: }", "p0.yaml:1", "malformed YAML"),
    "repeated key": ("prices: []\nprices: []", "p0.yaml:2", "'prices'"),
    "no mapping": ("[1]", "p0.yaml", "mapping"),
    "no prices": ("source: x", "p0.yaml", "prices"),
    "unknown top": ("price: []", "p0.yaml", "'price'"),
    "unknown key": (table("{model: m, prise: 1}"), "prices[0]", "'prise'"),
    "no model": (table("{price_usd_per_mtok: {prompt: 1, completion: 1}}"), "prices[0]", "model"),
    "no completion": (
        table("{model: m, price_usd_per_mtok: {prompt: 1}}"),
        "prices[0].price_usd_per_mtok",
        "completion",
    ),
    "unknown rate": (
        table("{model: m, price_usd_per_mtok: " + RATES + "}"),
        "price_usd_per_mtok",
        "'output'",
    ),
    "negative": (table(entry("m", "-1")), "prices[0].price_usd_per_mtok.prompt", "-1"),
    "unit mistake": (table(entry("m", "40000")), "prompt", "per million"),
    "too fine": (table(entry("m", "0.0000004")), "prompt", "six decimals"),
    "finer than a context": (
        table(entry("m", "0.4000000000000000000000000000000000000001")),
        "prompt",
        "six decimals",
    ),
    "text": (table(entry("m", "cheap")), "prompt", "'cheap'"),
    "boolean": (table(entry("m", "true")), "prompt", "True"),
    "date": (table(entry("m", "1", valid_from="soon")), "prices[0].valid_from", "'soon'"),
    "currency": (table(entry("m", "1", currency="CNY")), "prices[0].currency", "USD"),
    "second entry": (table(ENTRY, entry("m", "x")), "prices[1]", "'x'"),
    "fee": (table(entry("m", "1", per_request_usd="-1")), "per_request_usd", "-1"),
    "falling tiers": (
        table(entry("m", "1", tiers=TWO_TIERS)),
        "tiers[1].above_prompt_tokens",
        "rise",
    ),
    "tier key": (table(entry("m", "1", tiers="[{above: 9}]")), "tiers[0]", "'above'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_file_and_key(tmp_path, case):
    """What is wrong with a price file is said with file and key; nothing unknown is let through."""
    text, *words = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        book(tmp_path, text)
    assert [word for word in ["p0.yaml", *words] if word not in str(caught.value)] == []
    assert caught.value.exit_code == 2


def test_missing_file_is_named(tmp_path):
    """A price file that is not there is named."""
    with pytest.raises(ConfigError, match=r"no\.yaml"):
        PriceBook.read(files=[tmp_path / "no.yaml"])


def test_several_models_share_an_entry():
    """A list of models is as many entries."""
    data = strict_yaml.parse_yaml(
        "prices: [{model: [a, b], price_usd_per_mtok: {prompt: 1, completion: 2}}]", number=Decimal
    )
    assert [price.model for price in parse_prices(data, "x", table="t")] == ["a", "b"]


# --- genai-prices ----------------------------------------------------------------------------


def test_genai_prices_under_the_files(tmp_path):
    """Where no file knows a model, the package's bundled price is used, with its tiers and date."""
    genai = pytest.importorskip("genai_prices", reason="the optional extra is not installed")
    prices = PriceBook.read()
    found = prices.find("openai", "gpt-4o-mini", DAY)
    assert found.table.startswith("genai-prices ")
    counts = {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 400}
    theirs = genai.calc_price(
        genai.Usage(**counts),
        "gpt-4o-mini",
        provider_id="openai",
        genai_request_timestamp=datetime(2026, 11, 1, tzinfo=UTC),
    )
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400, reasoning_tokens=0)
    assert found.cost(usage) == theirs.total_price
    over = table(entry("gpt-4o-mini", "1"))
    assert prompt_price(book(tmp_path, over), "gpt-4o-mini", "openai") == 1


def test_genai_prices_never_guesses_a_provider():
    """A provider that merely looks like a known one gets no price."""
    pytest.importorskip("genai_prices", reason="the optional extra is not installed")
    prices = PriceBook.read()
    for provider in ("openai_compatible", "my-openai", None):
        assert prices.find(provider, "gpt-4o-mini", DAY) is None


def test_every_bundled_price_can_be_read():
    """Each model of the package gives a price with rising tiers, or none; never an exception."""
    pytest.importorskip("genai_prices", reason="the optional extra is not installed")
    from genai_prices.data import providers

    from evalharness.pricing import genai

    assert all(genai._data_names_provider(provider.id) for provider in providers)
    found = [genai.find(p.id, m.id, DAY) for p in providers for m in p.models]
    priced = [price for price in found if price is not None]
    assert len(priced) > len(found) / 2
    for price in priced:
        starts = [tier.above_prompt_tokens for tier in price.tiers]
        assert starts == sorted(set(starts))
        usage = Usage(prompt_tokens=1000, completion_tokens=10, cached_tokens=0, reasoning_tokens=0)
        assert price.cost(usage) >= 0
