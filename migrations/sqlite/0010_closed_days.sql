-- Sums of whole days by one name each, for spans of many days: a line a model and day says in a moment what a thousand
-- lines of `spend_daily` say. They are made once a day is over, from `spend_daily` and `spend_by`, and used for the days in
-- `spend_closed`.

CREATE TABLE spend_closed (
    "day" INTEGER NOT NULL,
    PRIMARY KEY ("day")
) STRICT;

-- `kind` is `model`, `provider`, `route`, `key`, `team`, `user`, `session` or `tag`; `no user`, `no session` and `no tag`, with an
-- empty `value`, for calls that have none; and `all`, with an empty `value`. Elsewhere an empty value stands for none.
CREATE TABLE spend_names (
    "kind" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "day" INTEGER NOT NULL,
    "calls" INTEGER NOT NULL,
    "unpriced_calls" INTEGER NOT NULL,
    "attempts" INTEGER NOT NULL,
    "input" INTEGER NOT NULL,
    "cache_read" INTEGER NOT NULL,
    "cache_write_5m" INTEGER NOT NULL,
    "cache_write_1h" INTEGER NOT NULL,
    "audio_in" INTEGER NOT NULL,
    "image_in" INTEGER NOT NULL,
    "output" INTEGER NOT NULL,
    "reasoning" INTEGER NOT NULL,
    "audio_out" INTEGER NOT NULL,
    "cost_nanousd" INTEGER NOT NULL,
    PRIMARY KEY ("kind", "value", "day")
) STRICT, WITHOUT ROWID;

-- The index of ends out of the ordinary has all that lists are filtered by, so that none reads a row which it does not show.
DROP INDEX calls_end;
CREATE INDEX calls_end ON calls ("end", "id", "key", "team", "route", "provider", "model") WHERE "end" <> 'complete';

-- A row that comes late opens its day again, whichever program writes it: the day is read from the daily sums until it is
-- closed anew.
CREATE TRIGGER spend_reopened_by_new AFTER INSERT ON spend_daily WHEN EXISTS (SELECT 1 FROM spend_closed WHERE "day" = NEW."day")
BEGIN
    DELETE FROM spend_closed WHERE "day" = NEW."day";
END;

CREATE TRIGGER spend_reopened_by_more AFTER UPDATE ON spend_daily WHEN EXISTS (SELECT 1 FROM spend_closed WHERE "day" = NEW."day")
BEGIN
    DELETE FROM spend_closed WHERE "day" = NEW."day";
END;
