"""Turns the rows of each table into typed rows: one reader for each kind of import."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable

import msgspec

from hub.import_cells import (
    KILOGRAM_WORDS,
    NO_WORDS,
    NUMBER,
    PIECE_WORDS,
    SPLIT,
    TAX_WORDS,
    YES_WORDS,
    Reader,
    Sheet,
    read_barcodes,
    read_moment,
    read_money,
    read_per,
    read_period,
    read_required,
    read_text_code,
)
from hub.import_terms import Existing, ImportDefaults, ImportKind
from schema.amounts import AMOUNT_MAX, Milli, Minor, parse_quantity
from schema.catalogue import Deposit
from schema.identity import LocationId, OperatorId, ProductId, is_category, is_code, nearest_category
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
    Row,
    SellingUnit,
    StaffRole,
    parse_deposit,
    parse_selling_unit,
)
from schema.rules.barcodes import read_code
from schema.rules.promotion_terms import Promotion
from schema.rules.tax import TaxClass
from sync.people import plain_phone


def _product_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
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
        known = TAX_WORDS.get(word.lower())
        if known is None:
            raise sheet.refuse("tax_class.unknown", "tax_class", word, "a tax class is 13, 9, 6, 0 or exempt (免税)")
        return known

    def category() -> str:
        word = sheet.get("category")
        if not word:
            return defaults.category
        word = " ".join(word.split())
        word = existing.category_names.get(word, word)
        if not is_category(word):
            plain = nearest_category(word)
            sheet.warn("category.changed", "category", word, f"too long, or with #: taken as {plain}")
            word = plain or defaults.category
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
            codes = tuple(code for text in unit.barcodes for code in read_barcodes(sheet, text))
            units.append(msgspec.structs.replace(unit, barcodes=codes))
        return tuple(units)

    def deposits(code: str, names: set[str]) -> tuple[Deposit, ...] | None:
        if not sheet.has("deposits"):
            return None
        found: list[Deposit] = []
        for cell in filter(None, (part.strip() for part in re.split(r"[;；]", sheet.get("deposits")))):
            try:
                one = parse_deposit(cell)
            except ValueError:
                raise sheet.refuse(
                    "deposit.malformed", "deposits", cell, "a deposit is article*quantity@unit"
                ) from None
            if one.quantity_milli <= 0 or (one.unit and one.unit not in names):
                raise sheet.refuse("deposit.malformed", "deposits", cell, "above zero, for a unit that is sold")
            if one.product == code or one.product not in {*existing.products, *seen}:
                message = "no product before this line has this code: the article that is charged stands first"
                raise sheet.refuse("deposit.unknown", "deposits", cell, message)
            found.append(one)
        return tuple(found)

    def is_deposit() -> bool | None:
        word = sheet.get("is_deposit").lower()
        if not sheet.has("is_deposit"):
            return None
        if word not in YES_WORDS and word not in NO_WORDS:
            raise sheet.refuse("deposit.unknown_word", "is_deposit", word, "a deposit article is yes or no")
        return word in YES_WORDS

    def read() -> Row | None:
        name = " ".join(read_required(sheet, "name").split())
        barcodes = read_barcodes(sheet, sheet.get("barcodes"))
        code = sheet.get("code")
        if not code:
            if not barcodes:
                raise sheet.refuse("code.missing", "code", "", "neither a product code nor a usable barcode")
            code = barcodes[0]
            if sheet.has("code"):
                sheet.warn("code.from_barcode", "code", "", f"no product code: the barcode {code} taken")
        if not is_code(code):
            read_text_code(sheet, "code", code)
        unit_word = sheet.get("unit").lower()
        weighed_word = sheet.get("weighed").lower()
        if weighed_word not in YES_WORDS and weighed_word not in NO_WORDS:
            raise sheet.refuse("weighed.unknown", "weighed", weighed_word, "weighed is yes or no")
        by_weight = unit_word in KILOGRAM_WORDS
        if unit_word and not by_weight and unit_word not in PIECE_WORDS:
            raise sheet.refuse("unit.unknown", "unit", unit_word, "an unknown unit")
        is_weighed = weighed_word in YES_WORDS or (by_weight and not weighed_word)
        if is_weighed and unit_word and not by_weight:
            raise sheet.refuse("unit.mismatch", "unit", unit_word, "weighed goods are kept in kg")
        if unit_word in {"斤", "500g"}:
            sheet.warn("unit.jin", "unit", unit_word, "stock is kept in kg; the price is for 500 g")
        price_text = sheet.get("price")
        price = read_money(sheet, "price", price_text) if price_text else None
        if price == 0:
            sheet.warn("price.zero", "price", price_text, "a price of nothing: the till will sell it for 0.00")
        article = sheet.get("article")
        if article and not (article.isascii() and article.isdecimal() and len(article) <= 6):
            raise sheet.refuse("article.malformed", "article", article, "an article number has up to six digits")
        units = selling_units() if sheet.has("units") else ()
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
            price_per=read_per(sheet, unit_word, is_weighed=is_weighed or by_weight),
            barcodes=barcodes,
            units=units,
            deposits=deposits(code, {unit.name for unit in units}),
            is_deposit=is_deposit(),
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


def _product_of(sheet: Sheet, existing: Existing, field: str, text: str) -> ProductId:
    code = text if text in existing.products else existing.barcodes.get(read_code(text).canonical)
    if code is None or code not in existing.products:
        raise sheet.refuse("product.unknown", field, text, "no product has this code or barcode")
    return ProductId(code)


def _price_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[tuple[str, str, str, int | None], int] = {}

    def read() -> Row | None:
        product = _product_of(sheet, existing, "product", read_required(sheet, "product"))
        unit = sheet.get("unit")
        if unit and unit not in existing.units.get(product, frozenset()):
            raise sheet.refuse("unit.unknown", "unit", unit, "the product has no such selling unit")
        price = read_money(sheet, "price", read_required(sheet, "price"))
        per = read_per(sheet, unit.lower(), is_weighed=existing.products[product] is BaseUnit.KILOGRAM)
        start, end = read_period(sheet, defaults.zone)
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


def _percent_off(sheet: Sheet, value: str) -> int:
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


def _count(sheet: Sheet, field: str) -> int:
    value = read_required(sheet, field)
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 1000):
        raise sheet.refuse("count.malformed", field, value, "a whole number from 1 to 999")
    return int(value)


def _promotion_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[str, int] = {}

    def read() -> Row | None:
        code = read_text_code(sheet, "code", read_required(sheet, "code"))
        if code in seen:
            raise sheet.refuse("promotion.duplicate", "code", code, f"repeats line {seen[code]}")
        seen[code] = sheet.line
        word = read_required(sheet, "kind").lower()
        kind = _PROMOTION_WORDS.get(word)
        if kind is None:
            raise sheet.refuse("promotion.kind", "kind", word, f"a promotion is one of {_PROMOTION_KINDS}")
        products = tuple(
            _product_of(sheet, existing, "products", part) for part in SPLIT.split(sheet.get("products")) if part
        )
        categories = tuple(
            existing.category_names.get(part, part) for part in SPLIT.split(sheet.get("categories")) if part
        )
        for category in categories:
            if existing.categories and category not in existing.categories:
                raise sheet.refuse("category.unknown", "categories", category, "an unknown category")
        amount, percent, buy, free, threshold = Minor(0), 0, 0, 0, Minor(0)
        match kind:
            case PromotionKind.SPECIAL_PRICE:
                amount = read_money(sheet, "value", read_required(sheet, "value"))
                if not products:
                    raise sheet.refuse("promotion.products", "products", "", "a special price names its products")
            case PromotionKind.AMOUNT_OFF:
                amount = read_money(sheet, "value", read_required(sheet, "value"))
            case PromotionKind.PERCENT_OFF:
                percent = _percent_off(sheet, read_required(sheet, "value"))
            case PromotionKind.BUY_N_GET_M:
                buy, free = _count(sheet, "buy"), _count(sheet, "free")
            case PromotionKind.N_FOR_PRICE:
                amount, buy = read_money(sheet, "value", read_required(sheet, "value")), _count(sheet, "buy")
        if sheet.get("threshold"):
            threshold = read_money(sheet, "threshold", sheet.get("threshold"))
        if kind is PromotionKind.AMOUNT_OFF and threshold and amount > threshold:
            raise sheet.refuse("promotion.amount", "value", sheet.get("value"), "takes off more than it asks for")
        if code in existing.promotions:
            sheet.warn("promotion.exists", "code", code, "the promotion exists: it is changed to this row")
        start, end = read_period(sheet, defaults.zone)
        promotion = Promotion(
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
            coupon=_coupon(sheet),
            is_single_use=_yes(sheet, "single_use"),
            tiers=tuple(part for part in SPLIT.split(sheet.get("tiers")) if part),
            limit=_count(sheet, "limit") if sheet.get("limit") else 0,
            weekdays=_weekdays(sheet),
            from_minute=_minute(sheet, "from_time"),
            until_minute=_minute(sheet, "until_time"),
        )
        if promotion.is_single_use and not promotion.coupon:
            raise sheet.refuse("coupon.missing", "coupon", "", "only a coupon is good for one use")
        if promotion.problem:
            raise sheet.refuse(promotion.problem, "kind", word, "these terms cannot be applied")
        return promotion

    return read


_COUPON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,30}\*?")


def _coupon(sheet: Sheet) -> str:
    code = sheet.get("coupon")
    if code and not _COUPON.fullmatch(code):
        raise sheet.refuse("coupon.malformed", "coupon", code, "letters and digits; a final * names a series of codes")
    return code


def _yes(sheet: Sheet, field: str) -> bool:
    word = sheet.get(field).lower()
    if word not in YES_WORDS and word not in NO_WORDS:
        raise sheet.refuse("word.unknown", field, word, "yes or no")
    return word in YES_WORDS


def _weekdays(sheet: Sheet) -> tuple[int, ...]:
    text = sheet.get("weekdays").translate(str.maketrans("一二三四五六日天", "12345677"))
    days = [char for char in text if char not in " ,;、，；周星期"]
    if any(char not in "1234567" for char in days):
        raise sheet.refuse("weekday.malformed", "weekdays", text, "days are 1 (Monday) to 7, such as 1,2,6")
    return tuple(sorted({int(char) for char in days}))


def _minute(sheet: Sheet, field: str) -> int:
    text = unicodedata.normalize("NFKC", sheet.get(field))
    if not text:
        return 0
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and int(hour) <= 24 and int(minute) < 60):
        raise sheet.refuse("time.malformed", field, text, "a time of day is written 18:30")
    return int(hour) * 60 + int(minute)


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


def _location(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> LocationId:
    location = sheet.get("location") or defaults.location
    if not location:
        raise sheet.refuse("location.missing", "location", "", "no location")
    if location not in existing.locations:
        raise sheet.refuse("location.unknown", "location", location, "an unknown location")
    return LocationId(location)


def _operator_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[str, int] = {}

    def read() -> Row | None:
        code = read_text_code(sheet, "code", read_required(sheet, "code"))
        if code in seen:
            raise sheet.refuse("operator.duplicate", "code", code, f"repeats line {seen[code]}")
        seen[code] = sheet.line
        name, word = read_required(sheet, "name"), read_required(sheet, "role")
        role = _ROLE_WORDS.get(word.lower().replace(" ", "_").replace("-", "_"))
        if role is None:
            raise sheet.refuse("role.unknown", "role", word, f"a role is one of {', '.join(StaffRole)}")
        location = _location(sheet, existing, defaults)
        pin = read_required(sheet, "pin")
        if not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 12):
            raise sheet.refuse("pin.malformed", "pin", pin, "a PIN is 4 to 12 digits; keep leading zeros as text")
        if code in existing.operators:
            sheet.warn("operator.exists", "code", code, "the operator exists and gets this row's role and PIN")
        return OperatorRow(code=OperatorId(code), name=name, role=role, location=location, pin=pin)

    return read


def _customer_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    del defaults
    seen: dict[str, int] = {}
    phones: dict[str, int] = {}

    def read() -> Row | None:
        name = read_required(sheet, "name")
        written = sheet.get("phone")
        phone = plain_phone(written)
        if phone and not (phone.isascii() and phone.isdecimal() and len(phone) == 11 and phone[0] == "1"):
            raise sheet.refuse("phone.malformed", "phone", written, "no mobile number of 11 digits")
        code = sheet.get("code")
        if not code:
            if not phone:
                raise sheet.refuse("code.missing", "code", "", "neither a member number nor a telephone number")
        elif code in seen:
            raise sheet.refuse("customer.duplicate", "code", code, f"repeats line {seen[code]}")
        else:
            seen[read_text_code(sheet, "code", code)] = sheet.line
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
            moment = read_moment(sheet, "birthday", birthday, datetime.UTC)
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


def _stock_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    seen: dict[tuple[str, str, str], int] = {}

    def read() -> Row | None:
        location = _location(sheet, existing, defaults)
        product = _product_of(sheet, existing, "product", read_required(sheet, "product"))
        text = read_required(sheet, "quantity")
        if not NUMBER.fullmatch(text):
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
            moment = read_moment(sheet, "expiry", expiry, datetime.UTC)
            assert moment is not None
            expiry = (datetime.date(1970, 1, 1) + datetime.timedelta(days=moment // 86_400_000)).isoformat()
        if quantity < 0:
            sheet.warn("quantity.negative", "quantity", text, "less than nothing: taken as zero")
            quantity = Milli(0)
        return OpeningStockRow(location=location, product=product, quantity_milli=quantity, lot=lot, expiry=expiry)

    return read


_BALANCE_WORDS = {
    **{kind.value: kind for kind in BalanceKind if kind is not BalanceKind.COUPON},
    "积分": BalanceKind.MEMBER_POINTS,
    "会员积分": BalanceKind.MEMBER_POINTS,
    "储值": BalanceKind.MEMBER_BALANCE,
    "会员储值": BalanceKind.MEMBER_BALANCE,
    "余额": BalanceKind.MEMBER_BALANCE,
    "赠送余额": BalanceKind.MEMBER_BONUS,
    "储值赠送": BalanceKind.MEMBER_BONUS,
    "购物卡": BalanceKind.GIFT_CARD,
    "礼品卡": BalanceKind.GIFT_CARD,
    "挂账": BalanceKind.CUSTOMER_CREDIT,
    "应收": BalanceKind.CUSTOMER_CREDIT,
    "应付": BalanceKind.SUPPLIER_PAYABLE,
    "备用金": BalanceKind.TILL_CASH,
    "现金": BalanceKind.TILL_CASH,
}

_BALANCE_KINDS = ", ".join(dict.fromkeys(kind.value for kind in _BALANCE_WORDS.values()))
_OF_MEMBERS = {BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE, BalanceKind.MEMBER_BONUS}


def _balance_reader(sheet: Sheet, existing: Existing, defaults: ImportDefaults) -> Callable[[], Row | None]:
    del defaults
    seen: dict[tuple[str, str], int] = {}

    def read() -> Row | None:
        word = read_required(sheet, "kind").lower()
        kind = _BALANCE_WORDS.get(word)
        if kind is None:
            raise sheet.refuse("balance.kind", "kind", word, f"a balance is one of {_BALANCE_KINDS}")
        subject = read_text_code(sheet, "subject", read_required(sheet, "subject"))
        if kind in _OF_MEMBERS and subject not in existing.customers:
            raise sheet.refuse("customer.unknown", "subject", subject, "no member has this number")
        text = read_required(sheet, "amount")
        if kind is BalanceKind.MEMBER_POINTS:
            if not (text.isascii() and text.isdecimal() and int(text) <= AMOUNT_MAX):
                raise sheet.refuse("points.malformed", "amount", text, "points are whole and not below zero")
            amount = int(text)
        else:
            amount = read_money(sheet, "amount", text)
        if (kind, subject) in seen:
            raise sheet.refuse("balance.duplicate", "subject", subject, f"repeats line {seen[kind, subject]}")
        seen[kind, subject] = sheet.line
        return OpeningBalanceRow(kind=kind, subject=subject, amount=amount, note=sheet.get("note"))

    return read


READERS: dict[ImportKind, Reader] = {
    ImportKind.PRODUCTS: _product_reader,
    ImportKind.PRICES: _price_reader,
    ImportKind.PROMOTIONS: _promotion_reader,
    ImportKind.OPERATORS: _operator_reader,
    ImportKind.CUSTOMERS: _customer_reader,
    ImportKind.OPENING_STOCK: _stock_reader,
    ImportKind.OPENING_BALANCES: _balance_reader,
}
