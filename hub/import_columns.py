"""Which column of a file holds what: guessed from Chinese and English header words, and overridable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from hub.import_terms import ImportKind
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language

_PRODUCT_WORDS: Final = (
    "product", "code", "productcode", "sku", "商品编码", "商品编号", "货号", "编码", "条码", "barcode",
)  # fmt: skip
"""How a column is called that names a product which is there already."""
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
        "deposits": ("deposits", "deposit", "bottledeposit", "押金", "押金商品", "包装押金", "空瓶押金"),
        "is_deposit": ("isdeposit", "depositarticle", "empties", "是否押金", "是否押金商品", "空瓶", "空容器"),
    },
    ImportKind.PRICES: {
        "product": _PRODUCT_WORDS,
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
        "coupon": ("coupon", "couponcode", "优惠券", "券码", "券号", "优惠码"),
        "single_use": ("singleuse", "once", "一次性", "单次使用", "每券限用一次"),
        "tiers": ("tiers", "tier", "members", "会员等级", "适用会员", "会员级别"),
        "limit": ("limit", "perbasket", "每单限次", "限次", "每单限用"),
        "weekdays": ("weekdays", "days", "星期", "周几", "适用星期"),
        "from_time": ("fromtime", "dailyfrom", "每日开始", "时段开始"),
        "until_time": ("untiltime", "dailyuntil", "每日结束", "时段结束"),
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
        "product": _PRODUCT_WORDS,
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
REQUIRED_FIELDS: dict[ImportKind, tuple[str, ...]] = {
    ImportKind.PRODUCTS: ("name",),
    ImportKind.PRICES: ("product", "price"),
    ImportKind.PROMOTIONS: ("code", "kind"),
    ImportKind.OPERATORS: ("code", "name", "role", "pin"),
    ImportKind.CUSTOMERS: ("name",),
    ImportKind.OPENING_STOCK: ("product", "quantity"),
    ImportKind.OPENING_BALANCES: ("kind", "subject", "amount"),
}


def _header_word(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_\-*:：]|\(.*?\)|[（].*?[）]", "", folded)


_ADDED: Final = re.compile(r"^is_|_(minor|milli|ms|ppm|count)$")
"""What rows add to the names of their columns."""


def field_said(kind: ImportKind, field: str, language: Language) -> str:
    """Return what people call a field of a file or of a row: its first Chinese header word, or its own name."""
    if field not in _HEADERS[kind]:
        field = _ADDED.sub("", field)
    words = _HEADERS[kind].get(field, ())
    if language is Language.ZH:
        return next((word for word in words if not word.isascii()), field)
    return field.replace("_", " ")


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
