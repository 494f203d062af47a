WITH changed AS (
    SELECT c.*, c.oid AS id, c.oid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_class c
    WHERE c.oid = ANY ($1::text[]::pg_catalog.regclass[])
)
SELECT why FROM (
    SELECT name || ' is no plain table' AS why FROM changed
    WHERE relkind <> 'r' OR relhassubclass OR relpersistence <> 'p'
    UNION ALL
    SELECT name || ' has no primary key of integers' FROM changed
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = id AND i.indisprimary AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = id AND a.attnum = ANY (i.indkey) AND a.atttypid NOT IN (20, 21, 23)))
    UNION ALL
    SELECT name || ' has rules' FROM changed WHERE relhasrules
    UNION ALL
    SELECT name || ' forces row level security on its owner' FROM changed WHERE relforcerowsecurity
    UNION ALL
    -- They would fire once more for what the dump brings already.
    SELECT name || ' has the trigger ' || g.tgname FROM changed
    JOIN pg_catalog.pg_trigger g ON g.tgrelid = id WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
    UNION ALL
    -- UPDATE may not set it.
    SELECT name || ' numbers rows by ' || a.attname || ', which is not its key' FROM changed
    JOIN pg_catalog.pg_attribute a ON a.attrelid = id WHERE a.attidentity = 'a' AND NOT a.attisdropped
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = id AND i.indisprimary AND a.attnum = ANY (i.indkey))
    UNION ALL
    -- Rows that did not change in the dump would change here.
    SELECT k.conrelid::pg_catalog.regclass::text || ' follows changes of ' || name FROM changed
    JOIN pg_catalog.pg_constraint k ON k.confrelid = id AND k.contype = 'f' AND k.confupdtype NOT IN ('a', 'r')
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint p WHERE p.conrelid = id AND p.contype = 'p'
        AND p.conkey @> k.confkey AND p.conkey <@ k.confkey)
) AS reasons LIMIT 1
