-- Members by the keyed hash of their phone number; what else is known of them stands in the organisation's facts.
CREATE TABLE member (
    phone_hash BLOB NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (phone_hash, person)
) STRICT, WITHOUT ROWID;
