-- Nothing asks for calls by this alone, and every hold paid for it.
DROP INDEX calls_created;
