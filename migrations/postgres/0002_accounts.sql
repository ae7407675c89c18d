-- Keys, teams, users and budgets, the log of their changes, and a counter that tells the newer of two states.
-- Times are microseconds. Bodies are JSON that weir-gateway reads; no secret is in them, of keys only hashes.

-- One row. Each change counts it up first, so changes follow each other and a greater version is a newer state.
CREATE TABLE accounts_version (
    "one" BIGINT NOT NULL,
    "version" BIGINT NOT NULL,
    PRIMARY KEY ("one")
);
INSERT INTO accounts_version VALUES (1, 0);

CREATE TABLE accounts (
    "kind" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "hash" TEXT,
    "body" TEXT NOT NULL,
    "created_at" BIGINT NOT NULL,
    "updated_at" BIGINT NOT NULL,
    "removed_at" BIGINT,
    "version" BIGINT NOT NULL,
    PRIMARY KEY ("kind", "id")
);

CREATE UNIQUE INDEX accounts_name ON accounts ("kind", "name") WHERE "removed_at" IS NULL;
CREATE UNIQUE INDEX accounts_hash ON accounts ("hash") WHERE "hash" IS NOT NULL AND "removed_at" IS NULL;

CREATE TABLE audit (
    "id" TEXT NOT NULL,
    "at" BIGINT NOT NULL,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "object_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "before" TEXT,
    "after" TEXT,
    PRIMARY KEY ("id")
);

-- Answers to requests with an idempotency key, sealed, for a day.
CREATE TABLE repeatable (
    "id" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "answer" TEXT NOT NULL,
    "at" BIGINT NOT NULL,
    PRIMARY KEY ("id")
);

CREATE INDEX repeatable_at ON repeatable ("at");
