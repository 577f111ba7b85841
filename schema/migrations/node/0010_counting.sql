-- Counting by several people: who begins a look, and what was answered about deliveries and returns.
ALTER TABLE look ADD COLUMN operator TEXT NOT NULL DEFAULT '';

-- Answers for one count: goods of a delivery that are on the shelf though not keyed (`absorbs`), goods keyed that are
-- not on the shelf yet (`not_absorbs`), or nothing to declare (`none`); a name stands with each product that it is of.
CREATE TABLE count_answer (
    session TEXT NOT NULL,
    name TEXT NOT NULL,
    product TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ('absorbs', 'not_absorbs', 'none')),
    PRIMARY KEY (session, name, product)
) STRICT, WITHOUT ROWID;
