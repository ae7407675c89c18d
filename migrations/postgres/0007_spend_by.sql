-- Daily sums by what callers name themselves, beside `spend_daily`: end users, sessions and tags; and indexes for
-- lists of calls of one key, team, user or session, or with an end out of the ordinary. Partial ones cost nothing where
-- nobody has such a name. Lists of one route, provider or model look into `spend_daily` first, for the days that have any.

-- Written together with the rows it sums, and only for calls that have such a name, so that it never has more lines than
-- rows have names. `kind` is `user`, `session`, `tag` (a call with two tags stands in two lines), or `tagged` (each call
-- with tags once, `value` empty): what has no name is `spend_daily` less these.
CREATE TABLE spend_by (
    "kind" TEXT NOT NULL,
    "day" BIGINT NOT NULL,
    "value" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "team" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "provider" TEXT NOT NULL,
    "model" TEXT NOT NULL,
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
    PRIMARY KEY ("kind", "day", "value", "key", "team", "route", "provider", "model")
);

CREATE INDEX calls_key ON calls ("key", "id");
CREATE INDEX calls_team ON calls ("team", "id") WHERE "team" IS NOT NULL;
CREATE INDEX calls_user ON calls ("user", "id") WHERE "user" IS NOT NULL;
CREATE INDEX calls_session ON calls ("session", "id") WHERE "session" IS NOT NULL;
CREATE INDEX calls_end ON calls ("end", "id") WHERE "end" <> 'complete';

-- From the rows that are there already.
WITH lines AS (
    SELECT "user", "session", "tags", "day", "key", "team", "route", "provider", "model",
        1 AS "calls", CASE WHEN "cost_nanousd" IS NULL THEN 1 ELSE 0 END AS "unpriced_calls", 0 AS "attempts",
        0 AS "input", 0 AS "cache_read", 0 AS "cache_write_5m", 0 AS "cache_write_1h", 0 AS "audio_in", 0 AS "image_in", 0 AS "output", 0 AS "reasoning", 0 AS "audio_out",
        0 AS "cost_nanousd"
    FROM calls
    UNION ALL
    SELECT "user", "session", "tags", "day", "key", "team", "route", "provider", "model", 0, 0, 1,
        "input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in", "output", "reasoning", "audio_out",
        COALESCE("cost_nanousd", 0)
    FROM attempts
), named AS (
    SELECT 'user' AS "kind", lines."user" AS "value", lines.* FROM lines WHERE "user" IS NOT NULL
    UNION ALL SELECT 'session', lines."session", lines.* FROM lines WHERE "session" IS NOT NULL
    UNION ALL SELECT 'tagged', '', lines.* FROM lines WHERE "tags" IS NOT NULL
    UNION ALL SELECT 'tag', tag, lines.* FROM lines, jsonb_array_elements_text(lines."tags") AS tag
)
INSERT INTO spend_by
SELECT "kind", "day", "value", "key", COALESCE("team", ''), "route", COALESCE("provider", ''), COALESCE("model", ''),
    CAST(SUM("calls") AS BIGINT),
    CAST(SUM("unpriced_calls") AS BIGINT),
    CAST(SUM("attempts") AS BIGINT),
    CAST(SUM("input") AS BIGINT),
    CAST(SUM("cache_read") AS BIGINT),
    CAST(SUM("cache_write_5m") AS BIGINT),
    CAST(SUM("cache_write_1h") AS BIGINT),
    CAST(SUM("audio_in") AS BIGINT),
    CAST(SUM("image_in") AS BIGINT),
    CAST(SUM("output") AS BIGINT),
    CAST(SUM("reasoning") AS BIGINT),
    CAST(SUM("audio_out") AS BIGINT),
    CAST(SUM("cost_nanousd") AS BIGINT)
FROM named GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
