-- Answers of the Responses API that clients go on from, or fetch again, until they expire. Times are microseconds.
-- The owner is the caller's key: nobody sees another's.

CREATE TABLE responses (
    "owner" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "previous" TEXT,
    "created_at" BIGINT NOT NULL,
    "expires_at" BIGINT NOT NULL,
    "input" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    PRIMARY KEY ("owner", "id")
);

CREATE INDEX responses_expires_at ON responses ("expires_at");
