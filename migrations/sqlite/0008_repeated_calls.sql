-- Calls with an idempotency key, for a day: who runs one, and its answer, sealed with the key that nobody wrote down.
-- Times are microseconds. `beats` counts up for as long as the process that claimed a call runs it.

CREATE TABLE repeated_calls (
    "id" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "instance" TEXT NOT NULL,
    "at" INTEGER NOT NULL,
    "beats" INTEGER NOT NULL,
    "ended" INTEGER NOT NULL,
    -- Null while it runs, and where it was too large to be kept.
    "answer" TEXT,
    PRIMARY KEY ("id")
) STRICT, WITHOUT ROWID;

CREATE INDEX repeated_calls_at ON repeated_calls ("at");
