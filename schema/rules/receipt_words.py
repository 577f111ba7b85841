"""Owns the words that stand on paper, in Chinese and English: those of receipts, slips and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schema.rules.promotion_terms import Language

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "receipt-number": ("单号", "Receipt"),
    "original": ("原单号", "Original"),
    "till": ("机号", "Till"),
    "cashier": ("收银员", "Cashier"),
    "time": ("时间", "Time"),
    "business-date": ("营业日", "Business day"),
    "shift": ("班次", "Shift"),
    "phone": ("电话", "Phone"),
    "quantity": ("数量", "Qty"),
    "price": ("单价", "Price"),
    "subtotal": ("小计", "Amount"),
    "list-price": ("原价", "Was"),
    "discount": ("优惠", "Discount"),
    "gift": ("赠品", "Gift"),
    "pieces": ("件数", "Pieces"),
    "sum": ("合计", "Sum"),
    "rounding": ("抹零", "Rounded off"),
    "due": ("应收", "Due"),
    "refunded": ("应退", "Refund due"),
    "given": ("实收", "Received"),
    "change": ("找零", "Change"),
    "unknown": ("待确认", "not confirmed"),
    "member": ("会员", "Member"),
    "points-earned": ("本次积分", "Points earned"),
    "points": ("积分余额", "Points"),
    "balance": ("储值余额", "Balance"),
    "tax-rate": ("税率", "Tax rate"),
    "net": ("不含税", "Net"),
    "tax": ("税额", "Tax"),
    "exempt": ("免税", "exempt"),
    "refund-title": ("退货单", "REFUND"),
    "reprint": ("补打", "REPRINT"),
    "training": ("培训练习 不作凭证", "TRAINING - NO RECEIPT"),
    "refund-code": ("退货凭此码", "Code for returns"),
    "invoice-code": ("扫码开票", "Scan for an invoice"),
    "cash": ("现金", "Cash"),
    "wechat": ("微信支付", "WeChat Pay"),
    "alipay": ("支付宝", "Alipay"),
    "card": ("银行卡", "Card"),
    "account": ("挂账", "On account"),
    "stored": ("储值", "Stored value"),
    "line": ("单品优惠", "Line discount"),
    "basket": ("整单优惠", "Basket discount"),
    "promotion": ("促销", "Promotion"),
}


def word_of(name: str, language: Language) -> str:
    """Return a word in a language; its name where there is none."""
    known = WORDS.get(name)
    return name if known is None else known[0 if language is Language.ZH else 1]
