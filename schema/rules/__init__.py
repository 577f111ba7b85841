"""Pure retail rules that till and hub share; each rule has its one home here."""
