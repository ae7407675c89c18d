//! The accounts: rows, keys, and the spool that no crash loses.
