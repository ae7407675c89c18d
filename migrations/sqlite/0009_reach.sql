-- Which programs work with this schema: those that know a schema of at least `oldest`. What is only added leaves it as it
-- is, so that a program serves beside the next one; whatever older programs can't do without raises it.

CREATE TABLE schema_reach (
    "oldest" INTEGER NOT NULL
) STRICT;

INSERT INTO schema_reach ("oldest") VALUES (9);

-- A call without an id of its client's has its own for that, and is found by it: most need no second place.

DROP INDEX calls_request_id;
CREATE INDEX calls_request_id ON calls ("request_id") WHERE "request_id" <> "id";
