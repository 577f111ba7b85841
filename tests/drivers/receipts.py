"""A Chinese receipt as the till would print it, for the tests of paper."""

from __future__ import annotations

from typing import Final

from drivers.escpos.document import (
    DOUBLE,
    Align,
    Column,
    Columns,
    Cut,
    DrawerPulse,
    Feed,
    LinearCode,
    Picture,
    PrintDocument,
    QrCode,
    Raster,
    Rule,
    Size,
    Symbology,
    Text,
    document_of,
)

QR_TEXT: Final = "https://example.invalid/r/1Z8-退货?d=5f2a9c"
CODE: Final = "T2-000123"
EAN: Final = "6901028075763"
LOGO: Final = Raster(16, 8, bytes([0xFF, 0xFF] * 2 + [0xC0, 0x03] * 4 + [0xFF, 0xFF] * 2))


def goods(name: str, quantity: str, price: str, amount: str) -> Columns:
    """One line of goods."""
    return Columns(
        (
            Column(name),
            Column(quantity, 4, Align.RIGHT),
            Column(price, 7, Align.RIGHT),
            Column(amount, 8, Align.RIGHT),
        )
    )


def chinese_receipt() -> PrintDocument:
    """Return the receipt."""
    return document_of(
        (
            DrawerPulse(),
            Picture(LOGO),
            Text("青山村便利店", Align.CENTRE, True, DOUBLE),
            Text("电话 0571-8888-0001", Align.CENTRE),
            Columns((Column("单号 T2-000123"), Column("机号 2", 8, Align.RIGHT))),
            Columns((Column("收银员 李梅"), Column("2026-11-22 09:41", 16, Align.RIGHT))),
            Rule(),
            goods("可口可乐 500ml", "2", "3.50", "7.00"),
            goods("康师傅红烧牛肉面（桶装）", "1", "5.50", "5.50"),
            goods("山核桃 散称", "0.345", "68.00", "23.46"),
            Text("  原价 ￥25.00 优惠 -1.54"),
            Rule("="),
            Columns((Column("件数"), Column("4", 12, Align.RIGHT))),
            Columns((Column("应收"), Column("¥35.96", 12, Align.RIGHT)), True, Size(1, 2)),
            Columns((Column("抹零"), Column("-0.06", 12, Align.RIGHT))),
            Columns((Column("现金 实收"), Column("￥50.00", 12, Align.RIGHT))),
            Columns((Column("找零"), Column("￥14.10", 12, Align.RIGHT)), True),
            Feed(),
            LinearCode(CODE),
            LinearCode(EAN, Symbology.EAN_13),
            QrCode(QR_TEXT),
            Text("谢谢惠顾 · Thank you", Align.CENTRE),
            Cut(),
        )
    )
