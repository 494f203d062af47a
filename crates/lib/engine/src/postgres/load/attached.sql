-- What hangs on the tables of the schemas $1: how the server calls it, its table's schema and name, whether it only makes
-- queries faster, and of policies a mark of what they say, whatever part of a release their schema is.
WITH relation AS (
    SELECT c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
),
thing (relation, called, for_speed, mark) AS (
    SELECT oid, 'row level security', false, '' FROM relation WHERE relrowsecurity
    UNION ALL
    SELECT oid, 'forced row level security', false, '' FROM relation WHERE relforcerowsecurity
    UNION ALL
    SELECT polrelid, format('policy %I', polname), false, md5(regexp_replace(translate(concat_ws('|', polcmd::text, polpermissive,
        (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ',') FROM unnest(polroles) AS r),
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), '"', ''), 'pilotfish_(prev|gone)_', '', 'g'))
    FROM pg_policy
    UNION ALL
    SELECT tgrelid, format('trigger %I', tgname), false, '' FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0
    UNION ALL
    SELECT ev_class, format('rule %I', rulename), false, '' FROM pg_rewrite WHERE rulename <> '_RETURN'
    UNION ALL
    -- Those of a partition are its parent's.
    SELECT attrelid, format('column %I', attname), false, '' FROM pg_attribute JOIN pg_class k ON k.oid = attrelid
    WHERE attnum > 0 AND NOT attisdropped AND attinhcount = 0 AND k.relkind IN ('r', 'p', 'f')
    UNION ALL
    -- NOT NULL is a constraint since 18, and part of the column before.
    SELECT conrelid, format('constraint %I', conname), false, '' FROM pg_constraint WHERE contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT indrelid, format('index %I', i.relname), true, '' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid)
    UNION ALL
    SELECT stxrelid, format('statistics %I', stxname), true, '' FROM pg_statistic_ext
)
SELECT t.called, r.nspname, r.relname, t.for_speed, t.mark FROM thing t JOIN relation r ON r.oid = t.relation
