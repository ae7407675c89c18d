-- Sums of whole days by one name each, for spans of many days: a line a model and day says in a moment what a thousand
-- lines of `spend_daily` say. They are made once a day is over, from `spend_daily` and `spend_by`, and used for the days in
-- `spend_closed`.

CREATE TABLE spend_closed (
    "day" BIGINT NOT NULL,
    PRIMARY KEY ("day")
);

-- `kind` is `model`, `provider`, `route`, `key`, `team`, `user`, `session` or `tag`; `no user`, `no session` and `no tag`, with an
-- empty `value`, for calls that have none; and `all`, with an empty `value`. Elsewhere an empty value stands for none.
CREATE TABLE spend_names (
    "kind" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "day" BIGINT NOT NULL,
    "calls" BIGINT NOT NULL,
    "unpriced_calls" BIGINT NOT NULL,
    "attempts" BIGINT NOT NULL,
    "input" BIGINT NOT NULL,
    "cache_read" BIGINT NOT NULL,
    "cache_write_5m" BIGINT NOT NULL,
    "cache_write_1h" BIGINT NOT NULL,
    "audio_in" BIGINT NOT NULL,
    "image_in" BIGINT NOT NULL,
    "output" BIGINT NOT NULL,
    "reasoning" BIGINT NOT NULL,
    "audio_out" BIGINT NOT NULL,
    "cost_nanousd" BIGINT NOT NULL,
    PRIMARY KEY ("kind", "value", "day")
);

-- The index of ends out of the ordinary has all that lists are filtered by, so that none reads a row which it does not show.
DROP INDEX calls_end;
CREATE INDEX calls_end ON calls ("end", "id", "key", "team", "route", "provider", "model") WHERE "end" <> 'complete';

-- A row that comes late opens its day again, whichever program writes it: the day is read from the daily sums until it is
-- closed anew.
CREATE FUNCTION weir_reopen_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM spend_closed WHERE "day" IN (SELECT "day" FROM changed);
    RETURN NULL;
END
$$;

CREATE TRIGGER spend_reopened_by_new AFTER INSERT ON spend_daily REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION weir_reopen_days();

CREATE TRIGGER spend_reopened_by_more AFTER UPDATE ON spend_daily REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION weir_reopen_days();
