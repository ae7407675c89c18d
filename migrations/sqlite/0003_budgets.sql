-- Budgets: what is spent by window, what processes have leased of what is left, and which alerts were sent.
-- Money is nano-dollars, times are microseconds since 1970-01-01 UTC.

-- Written together with the attempts that it sums.
CREATE TABLE budget_windows (
    "budget" TEXT NOT NULL,
    "window" INTEGER NOT NULL,
    "spent_nanousd" INTEGER NOT NULL,
    PRIMARY KEY ("budget", "window")
) STRICT, WITHOUT ROWID;

-- All that a process was ever leased, gave back, and was charged by rows that are here. What is left of it counts as
-- spent until the process gives it back, or until all its rows are here.
CREATE TABLE budget_leases (
    "budget" TEXT NOT NULL,
    "lease" INTEGER NOT NULL,
    "instance" TEXT NOT NULL,
    "granted" INTEGER NOT NULL,
    "returned" INTEGER NOT NULL,
    "drained" INTEGER NOT NULL,
    -- The number of the process's last question. What comes after a later one comes too late.
    "said" INTEGER NOT NULL,
    PRIMARY KEY ("budget", "lease", "instance")
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_leases_instance ON budget_leases ("instance");

-- How often a process asked for more than was free. Its row is the lock of the budget.
CREATE TABLE budget_wanted (
    "budget" TEXT NOT NULL,
    "times" INTEGER NOT NULL,
    PRIMARY KEY ("budget")
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_alerts (
    "budget" TEXT NOT NULL,
    "window" INTEGER NOT NULL,
    "millionths" INTEGER NOT NULL,
    PRIMARY KEY ("budget", "window", "millionths")
) STRICT, WITHOUT ROWID;

-- Processes whose leases are closed: what they asked last, and what was done late, leases nothing any more.
CREATE TABLE budget_closed (
    "instance" TEXT NOT NULL,
    PRIMARY KEY ("instance")
) STRICT, WITHOUT ROWID;
