"""Owns the checking of spreadsheets that bring goods, prices, people and opening figures into the organisation.

A file either becomes a complete list of typed rows, which the hub appends in one operation, or is refused with
findings that name line, column and value: nothing is half-imported. What can be repaired without guessing is
repaired and said so. Column names are guessed from Chinese and English header words; the guess is returned with the
findings, so that it can be shown and overridden.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

import msgspec

from schema.amounts import AMOUNT_MAX, Milli, Minor, parse_money, parse_quantity
from schema.errors import RefusalError
from schema.identity import LocationId, OperatorId, ProductId, is_code
from schema.rows import (
    BalanceKind,
    BaseUnit,
    CustomerRow,
    OpeningBalanceRow,
    OpeningStockRow,
    OperatorRow,
    PriceRow,
    ProductRow,
    PromotionKind,
    PromotionRow,
    Row,
    SellingUnit,
    StaffRole,
    parse_selling_unit,
)
from schema.rules.barcodes import CodeKind, read_code
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from schema.tabular import Table


class ImportKind(StrEnum):
    """The tables that can be imported."""

    PRODUCTS = "products"
    PRICES = "prices"
    PROMOTIONS = "promotions"
    OPERATORS = "operators"
    CUSTOMERS = "customers"
    OPENING_STOCK = "opening-stock"
    OPENING_BALANCES = "opening-balances"


class Severity(StrEnum):
    """What a finding means for its row."""

    ERROR = "error"
    """The row cannot be imported."""
    WARNING = "warning"
    """The row is imported with the repair that the message states."""


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong in a file. `code` is stable, for translation; `line` is the file's line, the header included.

    Values of secret or personal columns are masked.
    """

    severity: Severity
    code: str
    line: int
    column: str
    value: str
    message: str


class ImportRefusedError(RefusalError):
    """The file has rows that cannot be imported; all findings are attached."""

    def __init__(self, findings: tuple[Finding, ...], columns: Mapping[str, str]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        first = errors[0]
        super().__init__(
            "import.refused",
            f"nothing was imported: {len(errors)} errors, the first in line {first.line}: {first.message}",
        )
        self.findings = findings
        self.columns = dict(columns)


class Existing(msgspec.Struct, frozen=True, kw_only=True):
    """What the organisation has already; empty sets of categories or tiers mean that any may be named.

    `products` maps product codes to their base unit, `barcodes` maps canonical codes to the product that has them.
    """

    products: Mapping[str, BaseUnit] = {}
    barcodes: Mapping[str, str] = {}
    units: Mapping[str, frozenset[str]] = {}
    """The names of the selling units of each product, its base unit's name included."""
    categories: frozenset[str] = frozenset()
    category_names: Mapping[str, str] = {}
    """Codes of categories by the names that files call them."""
    locations: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    promotions: frozenset[str] = frozenset()


class ImportDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken where a file says nothing."""

    tax_class: TaxClass = TaxClass.VAT13
    category: str = ""
    location: str = ""
    zone: datetime.tzinfo = datetime.timezone(datetime.timedelta(hours=8), "Asia/Shanghai")
    """The zone of dates in the file; China has one zone and no summer time."""


class Imported(msgspec.Struct, frozen=True):
    """A checked file: the rows to append in one operation, the findings, and the columns that were read.

    `columns` maps fields to header words; `skipped` counts rows left out on request.
    """

    kind: ImportKind
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    columns: Mapping[str, str]
    read: int
    skipped: int


_HEADERS: dict[ImportKind, dict[str, tuple[str, ...]]] = {
    ImportKind.PRODUCTS: {
        "code": (
            "code",
            "product",
            "productcode",
            "sku",
            "itemcode",
            "商品编码",
            "商品编号",
            "商品代码",
            "货号",
            "编码",
            "编号",
            "商品id",
            "skuid",
        ),
        "name": ("name", "productname", "description", "商品名称", "品名", "名称", "商品"),
        "spec": ("spec", "specification", "size", "规格", "规格型号"),
        "category": ("category", "categoryname", "分类", "类别", "商品分类", "品类", "店内一级分类", "一级分类"),
        "tax_class": ("taxclass", "tax", "taxrate", "vat", "税率", "税类", "税收分类", "进项税率", "销项税率"),
        "unit": ("unit", "baseunit", "uom", "单位", "计量单位", "基本单位"),
        "unit_name": ("unitname", "单位名称"),
        "weighed": ("weighed", "isweighed", "称重", "是否称重", "计价方式", "散称"),
        "article": ("article", "plu", "articlenumber", "生鲜码", "秤码", "plu码", "自编码"),
        "price": ("price", "retailprice", "unitprice", "售价", "零售价", "销售价", "价格", "单价", "原价", "折扣价"),
        "price_per": ("priceper", "per", "计价单位", "价格单位"),
        "barcodes": (
            "barcodes",
            "barcode",
            "ean",
            "gtin",
            "upc",
            "upcean",
            "条码",
            "条形码",
            "商品条码",
            "国际条码",
            "upc码",
            "69码",
        ),
        "units": ("units", "sellingunits", "包装", "包装单位", "多单位", "箱规"),
    },
    ImportKind.PRICES: {
        "product": (
            "product",
            "code",
            "productcode",
            "sku",
            "商品编码",
            "商品编号",
            "货号",
            "编码",
            "条码",
            "barcode",
        ),
        "unit": ("unit", "单位", "销售单位"),
        "price": ("price", "newprice", "新价", "新售价", "售价", "零售价", "价格", "单价"),
        "price_per": ("priceper", "per", "计价单位"),
        "tier": ("tier", "level", "会员等级", "会员级别", "等级"),
        "valid_from": ("validfrom", "from", "start", "生效日期", "生效时间", "开始日期", "开始时间"),
        "valid_until": ("validuntil", "until", "to", "end", "失效日期", "截止日期", "结束日期", "结束时间"),
    },
    ImportKind.PROMOTIONS: {
        "code": ("code", "promotion", "活动编码", "活动编号", "促销编号", "编码"),
        "name": ("name", "title", "活动名称", "促销名称", "名称", "活动"),
        "kind": ("kind", "type", "活动类型", "促销类型", "类型", "促销方式"),
        "products": ("products", "product", "商品编码", "商品", "货号"),
        "categories": ("categories", "category", "分类", "类别", "品类"),
        "value": ("value", "discount", "amount", "优惠", "促销价", "折扣", "特价", "减免金额", "优惠金额"),
        "threshold": ("threshold", "minimum", "门槛", "满额", "满", "起点金额"),
        "buy": ("buy", "buycount", "买", "购买数量"),
        "free": ("free", "freecount", "get", "送", "赠送数量"),
        "valid_from": ("validfrom", "from", "start", "生效日期", "开始日期", "开始时间"),
        "valid_until": ("validuntil", "until", "to", "end", "失效日期", "截止日期", "结束日期", "结束时间"),
    },
    ImportKind.OPERATORS: {
        "code": ("code", "operator", "id", "工号", "员工编号", "编号", "账号"),
        "name": ("name", "姓名", "员工姓名", "名称"),
        "role": ("role", "position", "角色", "岗位", "职务", "职位"),
        "location": ("location", "store", "shop", "门店", "店铺", "所属门店", "地点"),
        "pin": ("pin", "password", "密码", "口令", "登录密码"),
    },
    ImportKind.CUSTOMERS: {
        "code": ("code", "member", "memberno", "cardno", "会员号", "会员编号", "会员卡号", "卡号", "编号"),
        "name": ("name", "姓名", "会员姓名", "会员名称", "名称"),
        "phone": ("phone", "mobile", "tel", "手机", "手机号", "手机号码", "电话", "联系电话"),
        "tier": ("tier", "level", "等级", "会员等级", "级别", "会员级别"),
        "birthday": ("birthday", "birthdate", "生日", "出生日期"),
        "address": ("address", "地址", "联系地址"),
    },
    ImportKind.OPENING_STOCK: {
        "location": ("location", "store", "shop", "warehouse", "门店", "仓库", "店铺", "地点"),
        "product": (
            "product",
            "code",
            "productcode",
            "sku",
            "商品编码",
            "商品编号",
            "货号",
            "编码",
            "条码",
            "barcode",
        ),
        "quantity": ("quantity", "qty", "stock", "数量", "库存", "库存数量", "期初数量", "实际库存"),
        "lot": ("lot", "batch", "批号", "批次"),
        "expiry": ("expiry", "expirydate", "bestbefore", "有效期", "到期日期", "保质期至"),
    },
    ImportKind.OPENING_BALANCES: {
        "kind": ("kind", "type", "类型", "余额类型", "科目"),
        "subject": ("subject", "account", "code", "对象", "会员号", "卡号", "编号", "往来单位"),
        "amount": ("amount", "balance", "金额", "余额", "期初余额", "积分"),
        "note": ("note", "remark", "备注", "说明"),
    },
}
_REQUIRED: dict[ImportKind, tuple[str, ...]] = {
    ImportKind.PRODUCTS: ("name",),
    ImportKind.PRICES: ("product", "price"),
    ImportKind.PROMOTIONS: ("code", "kind"),
    ImportKind.OPERATORS: ("code", "name", "role", "pin"),
    ImportKind.CUSTOMERS: ("name",),
    ImportKind.OPENING_STOCK: ("product", "quantity"),
    ImportKind.OPENING_BALANCES: ("kind", "subject", "amount"),
}
_MASKED = frozenset({"pin", "phone", "name", "address", "birthday"})
_PERSONAL_KINDS = frozenset({ImportKind.OPERATORS, ImportKind.CUSTOMERS})


def _header_word(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_\-*:：]|\(.*?\)|[（].*?[）]", "", folded)


def guess_columns(
    kind: ImportKind, header: Iterable[str], overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Guess which header word stands for which field; overrides (field → header word) come first.

    Raises RefusalError `import.field` or `import.column` for an override that names neither.
    """
    words = list(header)
    fields = _HEADERS[kind]
    columns: dict[str, str] = {}
    for field, word in (overrides or {}).items():
        if field not in fields:
            raise RefusalError("import.field", f"{kind.value} have no field {field!r}, but {', '.join(fields)}")
        if word not in words:
            raise RefusalError("import.column", f"the file has no column {word!r}, but {', '.join(words)}")
        columns[field] = word
    folded: dict[str, str] = {}
    for word in words:
        folded.setdefault(_header_word(word), word)
    taken = set(columns.values())
    for field, synonyms in fields.items():
        if field in columns:
            continue
        found = next((folded[s] for s in synonyms if s in folded and folded[s] not in taken), None)
        if found is not None:
            columns[field] = found
            taken.add(found)
    return columns


class _BadRowError(Exception):
    """The row at hand cannot be imported; the finding is recorded already."""


class _Sheet:
    """One pass over a table: cells by field, and the findings."""

    def __init__(self, kind: ImportKind, table: Table, columns: Mapping[str, str]) -> None:
        self.kind, self.table, self.columns = kind, table, dict(columns)
        self._places = {field: table.header.index(word) for field, word in columns.items()}
        self.findings: list[Finding] = []
        self.line = 0
        self._cells: list[str] = []

    def enter(self, line: int, cells: list[str]) -> None:
        """Go to a row."""
        self.line, self._cells = line, cells

    def get(self, field: str) -> str:
        """Return a field's cell without outer spaces, full-width characters folded; empty without a column."""
        place = self._places.get(field)
        if place is None:
            return ""
        cell = self._cells[place].strip()
        if cell.isascii():
            return cell.removeprefix("'")
        return cell.replace("\u3000", " ").strip()

    def has(self, field: str) -> bool:
        """Tell whether the file has a column for a field."""
        return field in self._places

    def _shown(self, field: str, value: str) -> str:
        if self.kind in _PERSONAL_KINDS and field in _MASKED and value:
            return value[:1] + "•" * 4 if field != "pin" else "••••"
        return value[:80]

    def _note(self, severity: Severity, code: str, field: str, value: str, message: str) -> None:
        column = self.columns.get(field, field)
        self.findings.append(Finding(severity, code, self.line, column, self._shown(field, value), message))

    def warn(self, code: str, field: str, value: str, message: str) -> None:
        """Record a repair."""
        self._note(Severity.WARNING, code, field, value, message)

    def refuse(self, code: str, field: str, value: str, message: str) -> _BadRowError:
        """Record an error; raise what this returns, so that the row ends."""
        self._note(Severity.ERROR, code, field, value, message)
        return _BadRowError()


_Reader = Callable[[_Sheet, Existing, ImportDefaults], Callable[[], Row | None]]


def _text_code(sheet: _Sheet, field: str, value: str) -> str:
    if not is_code(value):
        raise sheet.refuse("code.malformed", field, value, "a code has 1 to 32 letters, digits, dots or dashes")
    return value


def _required(sheet: _Sheet, field: str) -> str:
    value = sheet.get(field)
    if not value:
        raise sheet.refuse("cell.empty", field, "", f"{field} is empty")
    return value


_NUMBER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|[-+]?\.\d+", re.ASCII)
"""Numbers as people write them: no exponents, and a comma only before three digits."""


def _money(sheet: _Sheet, field: str, value: str) -> Minor:
    written = value if value.isascii() else re.sub("[元¥]", "", unicodedata.normalize("NFKC", value)).strip()
    if not _NUMBER.fullmatch(written):
        raise sheet.refuse("money.malformed", field, value, "no amount of money")
    try:
        amount = parse_money(written)
    except ValueError:
        raise sheet.refuse("money.decimals", field, value, "more than two decimals, or too large") from None
    if amount < 0:
        raise sheet.refuse("money.negative", field, value, "an amount below zero")
    return amount


_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T](\d{1,2}):(\d{2})(?::\d{2})?)?")


_FOREVER_YEAR = 2999
"""Other systems write 2999-12-31 or 9999-12-31 where a price has no end."""


def _moment(sheet: _Sheet, field: str, value: str, zone: datetime.tzinfo, *, is_end: bool = False) -> int | None:
    """Read a date or a moment in the shop's zone as Unix milliseconds; a bare end date includes its day."""
    if not value:
        return None
    matched = _DATE.fullmatch(value)
    try:
        if matched is None:
            raise ValueError(value)
        year, month, day, hour, minute = (int(part or 0) for part in matched.groups())
        moment = datetime.datetime(year, month, day, hour, minute, tzinfo=zone)
    except ValueError:
        raise sheet.refuse("date.malformed", field, value, "no date such as 2024-06-11 or 2024-06-11 08:00") from None
    if is_end and year >= _FOREVER_YEAR:
        return None
    if is_end and matched[4] is None:
        moment += datetime.timedelta(days=1)
    return int((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(milliseconds=1))


def _period(sheet: _Sheet, zone: datetime.tzinfo) -> tuple[int | None, int | None]:
    start = _moment(sheet, "valid_from", sheet.get("valid_from"), zone)
    end = _moment(sheet, "valid_until", sheet.get("valid_until"), zone, is_end=True)
    if start is not None and end is not None and end <= start:
        raise sheet.refuse("date.order", "valid_until", sheet.get("valid_until"), "ends before it begins")
    return start, end


_SPLIT = re.compile(r"[\s,，;；、|/#]+")
_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[Ee]\+?\d+")


def _barcodes(sheet: _Sheet, cell: str) -> tuple[str, ...]:
    """Return the canonical codes of a cell; repairs are recorded, codes that cannot be scanned are left out."""
    if not cell:
        return ()
    parts = [part for part in _SPLIT.split(cell) if part] if not (cell.isdecimal() and cell.isascii()) else [cell]
    if len(parts) > 1:
        sheet.warn("barcode.several", "barcodes", cell, f"{len(parts)} codes in one cell: all belong to the product")
    kept: list[str] = []
    for raw in parts:
        part = raw if raw.isascii() else unicodedata.normalize("NFKC", raw)
        if _SCIENTIFIC.fullmatch(part):
            sheet.warn("barcode.digits_lost", "barcodes", raw, "the spreadsheet lost the code's digits: left out")
            continue
        code = read_code(part.removesuffix(".0"))
        canonical = code.canonical
        match code.kind:
            case CodeKind.EAN13 | CodeKind.EAN8 | CodeKind.UPC_A | CodeKind.GTIN14:
                pass
            case CodeKind.PADDED:
                sheet.warn("barcode.padded", "barcodes", raw, f"leading zeros taken off: {canonical}")
            case CodeKind.BAD_CHECK_DIGIT if len(canonical) >= 13:
                sheet.warn("barcode.check_digit", "barcodes", raw, "the check digit is wrong: left out, scan the goods")
                continue
            case CodeKind.BAD_CHECK_DIGIT:
                sheet.warn("barcode.check_digit", "barcodes", raw, "the check digit is wrong: kept as an own code")
            case CodeKind.OWN:
                sheet.warn("barcode.own", "barcodes", raw, "no trade code: kept as an own code")
            case _:
                sheet.warn("barcode.unreadable", "barcodes", raw, "no scanner sends this: left out")
                continue
        if canonical in kept:
            sheet.warn("barcode.repeated", "barcodes", raw, "twice in one cell: taken once")
        else:
            kept.append(canonical)
    return tuple(kept)


_TAX_WORDS = {
    **{f"{rate}": TaxClass(rate) for rate in ("13", "9", "6", "0")},
    **{f"{rate}%": TaxClass(rate) for rate in ("13", "9", "6", "0")},
    **{
        text: TaxClass(rate)
        for text, rate in (("0.13", "13"), ("0.09", "9"), ("0.06", "6"), ("0.00", "0"), ("0.0", "0"))
    },
    **{f"{rate}.0": TaxClass(rate) for rate in ("13", "9", "6")},
    "exempt": TaxClass.EXEMPT,
    "免税": TaxClass.EXEMPT,
    "免": TaxClass.EXEMPT,
    "零税率": TaxClass.VAT0,
}
_KILOGRAM_WORDS = frozenset({"kg", "公斤", "千克", "斤", "500g"})
_PIECE_WORDS = frozenset(
    {
        *("pc", "piece", "pcs", "ea"),
        *"个件瓶罐盒袋包支只条卷提桶杯碗块片本把张组套听双副卡台根枚箱板串颗份打盆株",
        *"扎斗粒朵对床顶枝筒管排壶篮筐捆束",
    }
)
_YES_WORDS = frozenset({"yes", "y", "true", "1", "是", "称重", "散称", "计重", "√"})
_NO_WORDS = frozenset({"", "no", "n", "false", "0", "否", "不称重", "计件", "普通"})
_PER_WORDS = {
    **dict.fromkeys(_PIECE_WORDS, PricePer.PIECE),
    **dict.fromkeys(("kg", "公斤", "千克", "元/kg", "元/公斤", "元/千克"), PricePer.KG),
    **dict.fromkeys(("500g", "斤", "元/斤", "元/500g"), PricePer.JIN),
    **dict.fromkeys(("100g", "百克", "元/100g"), PricePer.HECTOGRAM),
}


def _per(sheet: _Sheet, unit_word: str, *, is_weighed: bool) -> PricePer:
    word = sheet.get("price_per").lower()
    if not word:
        if not is_weighed:
            return PricePer.PIECE
        return PricePer.JIN if unit_word in {"斤", "500g"} else PricePer.KG
    per = _PER_WORDS.get(word)
    if per is None:
        raise sheet.refuse("price_per.unknown", "price_per", word, "a price is per piece, kg, 500g (斤) or 100g")
    if per.is_by_weight != is_weighed:
        raise sheet.refuse("price_per.mismatch", "price_per", word, "prices by weight are for weighed goods only")
    return per


def _product_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[str, ProductRow] = {}
    owners: dict[str, str] = dict(existing.barcodes)
    articles: dict[str, str] = {}
    first_lines: dict[str, int] = {}

    def tax_class() -> TaxClass:
        word = sheet.get("tax_class")
        if not word:
            if sheet.has("tax_class"):
                sheet.warn("tax_class.default", "tax_class", "", f"no tax class: {defaults.tax_class.value} taken")
            return defaults.tax_class
        known = _TAX_WORDS.get(word.lower())
        if known is None:
            raise sheet.refuse("tax_class.unknown", "tax_class", word, "a tax class is 13, 9, 6, 0 or exempt (免税)")
        return known

    def category() -> str:
        word = sheet.get("category")
        if not word:
            return defaults.category
        word = existing.category_names.get(word, word)
        if existing.categories and word not in existing.categories:
            sheet.warn("category.unknown", "category", word, "an unknown category: the product waits without one")
            return defaults.category
        return word

    def selling_units() -> tuple[SellingUnit, ...]:
        units: list[SellingUnit] = []
        for cell in filter(None, (part.strip() for part in re.split(r"[;；]", sheet.get("units")))):
            try:
                unit = parse_selling_unit(cell)
            except ValueError:
                raise sheet.refuse("unit.malformed", "units", cell, "a unit is name*factor@price#barcode") from None
            if unit.factor_milli <= 0 or (unit.price_minor or 0) < 0 or any(u.name == unit.name for u in units):
                raise sheet.refuse("unit.malformed", "units", cell, "factors are above zero, prices and names sound")
            codes = tuple(code for text in unit.barcodes for code in _barcodes(sheet, text))
            units.append(msgspec.structs.replace(unit, barcodes=codes))
        return tuple(units)

    def read() -> Row | None:
        name = " ".join(_required(sheet, "name").split())
        barcodes = _barcodes(sheet, sheet.get("barcodes"))
        code = sheet.get("code")
        if not code:
            if not barcodes:
                raise sheet.refuse("code.missing", "code", "", "neither a product code nor a usable barcode")
            code = barcodes[0]
            if sheet.has("code"):
                sheet.warn("code.from_barcode", "code", "", f"no product code: the barcode {code} taken")
        if not is_code(code):
            _text_code(sheet, "code", code)
        unit_word = sheet.get("unit").lower()
        weighed_word = sheet.get("weighed").lower()
        if weighed_word not in _YES_WORDS and weighed_word not in _NO_WORDS:
            raise sheet.refuse("weighed.unknown", "weighed", weighed_word, "weighed is yes or no")
        by_weight = unit_word in _KILOGRAM_WORDS
        if unit_word and not by_weight and unit_word not in _PIECE_WORDS:
            raise sheet.refuse("unit.unknown", "unit", unit_word, "an unknown unit")
        is_weighed = weighed_word in _YES_WORDS or (by_weight and not weighed_word)
        if is_weighed and unit_word and not by_weight:
            raise sheet.refuse("unit.mismatch", "unit", unit_word, "weighed goods are kept in kg")
        if unit_word in {"斤", "500g"}:
            sheet.warn("unit.jin", "unit", unit_word, "stock is kept in kg; the price is for 500 g")
        price_text = sheet.get("price")
        price = _money(sheet, "price", price_text) if price_text else None
        if price == 0:
            sheet.warn("price.zero", "price", price_text, "a price of nothing: the till will sell it for 0.00")
        article = sheet.get("article")
        if article and not (article.isascii() and article.isdecimal() and len(article) <= 6):
            raise sheet.refuse("article.malformed", "article", article, "an article number has up to six digits")
        row = ProductRow(
            code=ProductId(code),
            name=name,
            spec=sheet.get("spec"),
            category=category(),
            tax_class=tax_class(),
            unit=BaseUnit.KILOGRAM if is_weighed or by_weight else BaseUnit.PIECE,
            unit_name=sheet.get("unit_name")
            or ("kg" if is_weighed or by_weight else unit_word if unit_word and not unit_word.isascii() else "件"),
            is_weighed=is_weighed,
            article=article,
            price_minor=price,
            price_per=_per(sheet, unit_word, is_weighed=is_weighed or by_weight),
            barcodes=barcodes,
            units=selling_units() if sheet.has("units") else (),
        )
        earlier = seen.get(code)
        if earlier is not None:
            if msgspec.structs.replace(row, category=earlier.category) == earlier:
                sheet.warn("product.repeated", "code", code, f"repeats line {first_lines[code]}: taken once")
                return None
            raise sheet.refuse("product.duplicate", "code", code, f"contradicts line {first_lines[code]}")
        every_code = [*barcodes, *(each for unit in row.units for each in unit.barcodes)]
        for each in every_code:
            owner = owners.get(each, code)
            if owner != code:
                where = f"line {first_lines[owner]}" if owner in first_lines else "an earlier import"
                message = f"belongs to product {owner} of {where}"
                raise sheet.refuse("barcode.duplicate", "barcodes", each, message)
        if len(every_code) != len(set(every_code)):
            raise sheet.refuse("barcode.duplicate", "units", ";".join(every_code), "one code for two units")
        if article and articles.get(article, code) != code:
            raise sheet.refuse("article.duplicate", "article", article, f"belongs to product {articles[article]}")
        if code in existing.products:
            if existing.products[code] is not row.unit:
                raise sheet.refuse("unit.changed", "unit", unit_word, "the product has stock in another base unit")
            sheet.warn("product.exists", "code", code, "the product exists: it is changed to this row")
        seen[code] = row
        if article:
            articles[article] = code
        first_lines[code] = sheet.line
        owners.update(dict.fromkeys(every_code, code))
        return row

    return read


def _product_of(sheet: _Sheet, existing: Existing, field: str, text: str) -> ProductId:
    code = text if text in existing.products else existing.barcodes.get(read_code(text).canonical)
    if code is None or code not in existing.products:
        raise sheet.refuse("product.unknown", field, text, "no product has this code or barcode")
    return ProductId(code)


def _price_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[tuple[str, str, str, int | None], int] = {}

    def read() -> Row | None:
        product = _product_of(sheet, existing, "product", _required(sheet, "product"))
        unit = sheet.get("unit")
        if unit and unit not in existing.units.get(product, frozenset()):
            raise sheet.refuse("unit.unknown", "unit", unit, "the product has no such selling unit")
        price = _money(sheet, "price", _required(sheet, "price"))
        per = _per(sheet, unit.lower(), is_weighed=existing.products[product] is BaseUnit.KILOGRAM)
        start, end = _period(sheet, defaults.zone)
        key = (product, unit, sheet.get("tier"), start)
        if key in seen:
            raise sheet.refuse("price.duplicate", "product", product, f"the same product and start as line {seen[key]}")
        seen[key] = sheet.line
        return PriceRow(
            product=product,
            unit=unit,
            price_minor=price,
            price_per=per,
            tier=sheet.get("tier"),
            valid_from_ms=start,
            valid_until_ms=end,
        )

    return read


_PROMOTION_WORDS = {
    # A mix-and-match set has more parts than a row has columns.
    **{kind.value: kind for kind in PromotionKind if kind is not PromotionKind.MIX_AND_MATCH},
    "特价": PromotionKind.SPECIAL_PRICE,
    "折扣": PromotionKind.PERCENT_OFF,
    "打折": PromotionKind.PERCENT_OFF,
    "满减": PromotionKind.AMOUNT_OFF,
    "立减": PromotionKind.AMOUNT_OFF,
    "买赠": PromotionKind.BUY_N_GET_M,
    "买送": PromotionKind.BUY_N_GET_M,
    "多件价": PromotionKind.N_FOR_PRICE,
}
_PROMOTION_KINDS = ", ".join(dict.fromkeys(kind.value for kind in _PROMOTION_WORDS.values()))


def _percent_off(sheet: _Sheet, value: str) -> int:
    """Read `20%` or `20` off, or the Chinese way of stating what remains (`8折`, `8.5折`), in millionths."""
    try:
        if value.endswith("折"):
            remains = parse_quantity(value.removesuffix("折")) * (
                10 if len(value.rstrip("折").partition(".")[0]) > 1 else 100
            )
            percent = 1_000_000 - remains
        else:
            percent = parse_quantity(value.removesuffix("%")) * 10
    except ValueError:
        raise sheet.refuse("percent.malformed", "value", value, "no percentage off, nor 折") from None
    if not 0 < percent <= 1_000_000:
        raise sheet.refuse("percent.malformed", "value", value, "a discount is above 0 and up to 100 %")
    return percent


def _count(sheet: _Sheet, field: str) -> int:
    value = _required(sheet, field)
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 1000):
        raise sheet.refuse("count.malformed", field, value, "a whole number from 1 to 999")
    return int(value)


def _promotion_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[str, int] = {}

    def read() -> Row | None:
        code = _text_code(sheet, "code", _required(sheet, "code"))
        if code in seen:
            raise sheet.refuse("promotion.duplicate", "code", code, f"repeats line {seen[code]}")
        seen[code] = sheet.line
        word = _required(sheet, "kind").lower()
        kind = _PROMOTION_WORDS.get(word)
        if kind is None:
            raise sheet.refuse("promotion.kind", "kind", word, f"a promotion is one of {_PROMOTION_KINDS}")
        products = tuple(
            _product_of(sheet, existing, "products", part) for part in _SPLIT.split(sheet.get("products")) if part
        )
        categories = tuple(
            existing.category_names.get(part, part) for part in _SPLIT.split(sheet.get("categories")) if part
        )
        for category in categories:
            if existing.categories and category not in existing.categories:
                raise sheet.refuse("category.unknown", "categories", category, "an unknown category")
        amount, percent, buy, free, threshold = Minor(0), 0, 0, 0, Minor(0)
        match kind:
            case PromotionKind.SPECIAL_PRICE:
                amount = _money(sheet, "value", _required(sheet, "value"))
                if not products:
                    raise sheet.refuse("promotion.products", "products", "", "a special price names its products")
            case PromotionKind.AMOUNT_OFF:
                amount = _money(sheet, "value", _required(sheet, "value"))
            case PromotionKind.PERCENT_OFF:
                percent = _percent_off(sheet, _required(sheet, "value"))
            case PromotionKind.BUY_N_GET_M:
                buy, free = _count(sheet, "buy"), _count(sheet, "free")
            case PromotionKind.N_FOR_PRICE:
                amount, buy = _money(sheet, "value", _required(sheet, "value")), _count(sheet, "buy")
        if sheet.get("threshold"):
            threshold = _money(sheet, "threshold", sheet.get("threshold"))
        if kind is PromotionKind.AMOUNT_OFF and threshold and amount > threshold:
            raise sheet.refuse("promotion.amount", "value", sheet.get("value"), "takes off more than it asks for")
        if code in existing.promotions:
            sheet.warn("promotion.exists", "code", code, "the promotion exists: it is changed to this row")
        start, end = _period(sheet, defaults.zone)
        return PromotionRow(
            code=code,
            name=sheet.get("name") or code,
            kind=kind,
            products=products,
            categories=categories,
            amount_minor=amount,
            percent_ppm=percent,
            threshold_minor=threshold,
            buy_count=buy,
            free_count=free,
            valid_from_ms=start,
            valid_until_ms=end,
        )

    return read


_ROLE_WORDS = {
    **{role.value: role for role in StaffRole},
    "收银员": StaffRole.CASHIER,
    "收银": StaffRole.CASHIER,
    "司机": StaffRole.DRIVER,
    "领班": StaffRole.SUPERVISOR,
    "主管": StaffRole.SUPERVISOR,
    "仓管": StaffRole.STOCK_KEEPER,
    "仓管员": StaffRole.STOCK_KEEPER,
    "理货员": StaffRole.STOCK_KEEPER,
    "店长": StaffRole.SHOP_MANAGER,
    "审计": StaffRole.AUDITOR,
    "审计员": StaffRole.AUDITOR,
    "管理员": StaffRole.ADMINISTRATOR,
    "系统管理员": StaffRole.ADMINISTRATOR,
    "老板": StaffRole.OWNER,
    "店主": StaffRole.OWNER,
}


def _location(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> LocationId:
    location = sheet.get("location") or defaults.location
    if not location:
        raise sheet.refuse("location.missing", "location", "", "no location")
    if location not in existing.locations:
        raise sheet.refuse("location.unknown", "location", location, "an unknown location")
    return LocationId(location)


def _operator_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[str, int] = {}

    def read() -> Row | None:
        code = _text_code(sheet, "code", _required(sheet, "code"))
        if code in seen:
            raise sheet.refuse("operator.duplicate", "code", code, f"repeats line {seen[code]}")
        seen[code] = sheet.line
        name, word = _required(sheet, "name"), _required(sheet, "role")
        role = _ROLE_WORDS.get(word.lower().replace(" ", "_").replace("-", "_"))
        if role is None:
            raise sheet.refuse("role.unknown", "role", word, f"a role is one of {', '.join(StaffRole)}")
        location = _location(sheet, existing, defaults)
        pin = _required(sheet, "pin")
        if not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 12):
            raise sheet.refuse("pin.malformed", "pin", pin, "a PIN is 4 to 12 digits; keep leading zeros as text")
        if code in existing.operators:
            sheet.warn("operator.exists", "code", code, "the operator exists and gets this row's role and PIN")
        return OperatorRow(code=OperatorId(code), name=name, role=role, location=location, pin=pin)

    return read


def _customer_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    del defaults
    seen: dict[str, int] = {}
    phones: dict[str, int] = {}

    def read() -> Row | None:
        name = _required(sheet, "name")
        written = sheet.get("phone")
        phone = re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", written)).removeprefix("+86")
        if phone and not (phone.isascii() and phone.isdecimal() and len(phone) == 11 and phone[0] == "1"):
            raise sheet.refuse("phone.malformed", "phone", written, "no mobile number of 11 digits")
        code = sheet.get("code")
        if not code:
            if not phone:
                raise sheet.refuse("code.missing", "code", "", "neither a member number nor a telephone number")
        elif code in seen:
            raise sheet.refuse("customer.duplicate", "code", code, f"repeats line {seen[code]}")
        else:
            seen[_text_code(sheet, "code", code)] = sheet.line
        if phone:
            if phone in phones:
                raise sheet.refuse("phone.duplicate", "phone", phone, f"the telephone number of line {phones[phone]}")
            if phone in existing.phones:
                raise sheet.refuse("phone.duplicate", "phone", phone, "another member has this telephone number")
            phones[phone] = sheet.line
        if code and code in existing.customers:
            raise sheet.refuse("customer.exists", "code", code, "a member has this number already")
        birthday = sheet.get("birthday")
        if birthday:
            moment = _moment(sheet, "birthday", birthday, datetime.UTC)
            assert moment is not None
            epoch = datetime.date(1970, 1, 1)
            birthday = (epoch + datetime.timedelta(days=moment // 86_400_000)).isoformat()
        return CustomerRow(
            code=code,
            name=name,
            phone=phone,
            tier=sheet.get("tier"),
            birthday=birthday,
            address=sheet.get("address"),
        )

    return read


def _stock_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[tuple[str, str, str], int] = {}

    def read() -> Row | None:
        location = _location(sheet, existing, defaults)
        product = _product_of(sheet, existing, "product", _required(sheet, "product"))
        text = _required(sheet, "quantity")
        if not _NUMBER.fullmatch(text):
            raise sheet.refuse("quantity.malformed", "quantity", text, "no quantity")
        try:
            quantity = parse_quantity(text)
        except ValueError:
            raise sheet.refuse("quantity.decimals", "quantity", text, "more than three decimals") from None
        if existing.products[product] is BaseUnit.PIECE and quantity % 1000:
            raise sheet.refuse("quantity.fraction", "quantity", text, "a part of a piece")
        lot = sheet.get("lot")
        key = (location, product, lot)
        if key in seen:
            raise sheet.refuse("stock.duplicate", "product", product, f"the same place and product as line {seen[key]}")
        seen[key] = sheet.line
        expiry = sheet.get("expiry")
        if expiry:
            moment = _moment(sheet, "expiry", expiry, datetime.UTC)
            assert moment is not None
            expiry = (datetime.date(1970, 1, 1) + datetime.timedelta(days=moment // 86_400_000)).isoformat()
        if quantity < 0:
            sheet.warn("quantity.negative", "quantity", text, "less than nothing: taken as zero")
            quantity = Milli(0)
        return OpeningStockRow(location=location, product=product, quantity_milli=quantity, lot=lot, expiry=expiry)

    return read


_BALANCE_WORDS = {
    **{kind.value: kind for kind in BalanceKind},
    "积分": BalanceKind.MEMBER_POINTS,
    "会员积分": BalanceKind.MEMBER_POINTS,
    "储值": BalanceKind.MEMBER_BALANCE,
    "会员储值": BalanceKind.MEMBER_BALANCE,
    "余额": BalanceKind.MEMBER_BALANCE,
    "购物卡": BalanceKind.GIFT_CARD,
    "礼品卡": BalanceKind.GIFT_CARD,
    "挂账": BalanceKind.CUSTOMER_CREDIT,
    "应收": BalanceKind.CUSTOMER_CREDIT,
    "应付": BalanceKind.SUPPLIER_PAYABLE,
    "备用金": BalanceKind.TILL_CASH,
    "现金": BalanceKind.TILL_CASH,
}


def _balance_reader(sheet: _Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    del defaults
    seen: dict[tuple[str, str], int] = {}

    def read() -> Row | None:
        word = _required(sheet, "kind").lower()
        kind = _BALANCE_WORDS.get(word)
        if kind is None:
            raise sheet.refuse("balance.kind", "kind", word, f"a balance is one of {', '.join(BalanceKind)}")
        subject = _text_code(sheet, "subject", _required(sheet, "subject"))
        if kind in {BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE} and subject not in existing.customers:
            raise sheet.refuse("customer.unknown", "subject", subject, "no member has this number")
        text = _required(sheet, "amount")
        if kind is BalanceKind.MEMBER_POINTS:
            if not (text.isascii() and text.isdecimal() and int(text) <= AMOUNT_MAX):
                raise sheet.refuse("points.malformed", "amount", text, "points are whole and not below zero")
            amount = int(text)
        else:
            amount = _money(sheet, "amount", text)
        if (kind, subject) in seen:
            raise sheet.refuse("balance.duplicate", "subject", subject, f"repeats line {seen[kind, subject]}")
        seen[kind, subject] = sheet.line
        return OpeningBalanceRow(kind=kind, subject=subject, amount=amount, note=sheet.get("note"))

    return read


_READERS: dict[ImportKind, _Reader] = {
    ImportKind.PRODUCTS: _product_reader,
    ImportKind.PRICES: _price_reader,
    ImportKind.PROMOTIONS: _promotion_reader,
    ImportKind.OPERATORS: _operator_reader,
    ImportKind.CUSTOMERS: _customer_reader,
    ImportKind.OPENING_STOCK: _stock_reader,
    ImportKind.OPENING_BALANCES: _balance_reader,
}


def check_import(
    kind: ImportKind,
    table: Table,
    existing: Existing,
    *,
    overrides: Mapping[str, str] | None = None,
    defaults: ImportDefaults | None = None,
    skip_bad_rows: bool = False,
) -> Imported:
    """Check a table and return its typed rows, or raise ImportRefusedError with every finding; appends nothing.

    With `skip_bad_rows` rows with errors are left out and all the others are returned. Raises RefusalError
    `import.columns` when a column that the table cannot do without is not found, `import.field` and
    `import.column` for overrides that name nothing.
    """
    columns = guess_columns(kind, table.header, overrides)
    missing = [field for field in _REQUIRED[kind] if field not in columns]
    if missing:
        raise RefusalError(
            "import.columns",
            f"no column for {', '.join(missing)} among {', '.join(table.header)}: name it (field=column)",
        )
    sheet = _Sheet(kind, table, columns)
    read = _READERS[kind](sheet, existing, defaults or ImportDefaults())
    sheet.line = table.header_line
    if kind is ImportKind.PRODUCTS and not sheet.has("tax_class"):
        default = (defaults or ImportDefaults()).tax_class.value
        sheet.warn("tax_class.no_column", "tax_class", "", f"no column of tax classes: {default} taken for all rows")
    overlong = frozenset(table.overlong)
    rows: list[Row] = []
    skipped = 0
    for line, cells in table.rows:
        sheet.enter(line, cells)
        try:
            if line in overlong:
                raise sheet.refuse("row.overlong", "", "", "more cells than the header: a delimiter inside a cell?")
            row = read()
        except _BadRowError:
            skipped += 1
            continue
        if row is not None:
            rows.append(row)
    findings = tuple(sheet.findings)
    if skipped and not skip_bad_rows:
        raise ImportRefusedError(findings, columns)
    return Imported(kind, tuple(rows), findings, columns, len(table.rows), skipped)


class FindingSummary(msgspec.Struct, frozen=True):
    """How often one thing is wrong in a file, with its first place."""

    severity: Severity
    code: str
    count: int
    first: Finding


def summarise(findings: Iterable[Finding]) -> list[FindingSummary]:
    """Group findings by code, errors first, then the most frequent: the page that a person reads first."""
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    summaries = [FindingSummary(severity, code, len(each), each[0]) for (severity, code), each in groups.items()]
    return sorted(summaries, key=lambda s: (s.severity is not Severity.ERROR, -s.count, s.code))
