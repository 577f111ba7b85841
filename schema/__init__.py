"""The vocabulary of edgetill: value types, entry kinds, codec, migrations, sample data and the retail rules."""

PROJECT = "edgetill"
