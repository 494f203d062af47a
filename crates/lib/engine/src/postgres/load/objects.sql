-- What stands in the schemas $1: place, name, class, number, how ALTER calls it, and its owner where that is neither this
-- account nor a role that it belongs to. Not what goes with something else: sequences of a column, row types, statistics
-- and, with their extension, all that one brought.
WITH space AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY($1)),
object (space, name, class, oid, what, owner) AS (
    SELECT relnamespace, relname::text, 'pg_class'::regclass, oid, CASE relkind WHEN 'f' THEN 'FOREIGN TABLE'
        WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relowner
    FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    UNION ALL
    SELECT pronamespace, proname || '(' || coalesce(pg_get_function_identity_arguments(oid), '') || ')',
        'pg_proc'::regclass, oid, CASE WHEN prokind = 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END, proowner
    FROM pg_proc
    UNION ALL
    SELECT t.typnamespace, t.typname, 'pg_type'::regclass, t.oid, 'TYPE', t.typowner
    FROM pg_type t LEFT JOIN pg_class r ON r.oid = t.typrelid
    WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND r.relkind = 'c' OR t.typtype = 'b' AND t.typelem = 0
    UNION ALL
    SELECT oprnamespace, format('%s(%s,%s)', oprname, CASE WHEN oprleft > 0 THEN oprleft::regtype END, oprright::regtype),
        'pg_operator'::regclass, oid, 'OPERATOR', oprowner
    FROM pg_operator
    UNION ALL
    SELECT c.opcnamespace, c.opcname || ' USING ' || a.amname, 'pg_opclass'::regclass, c.oid, 'OPERATOR CLASS', opcowner
    FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
    UNION ALL
    SELECT f.opfnamespace, f.opfname || ' USING ' || a.amname, 'pg_opfamily'::regclass, f.oid, 'OPERATOR FAMILY', opfowner
    FROM pg_opfamily f JOIN pg_am a ON a.oid = f.opfmethod
    UNION ALL
    SELECT collnamespace, collname, 'pg_collation'::regclass, oid, 'COLLATION', collowner FROM pg_collation
    UNION ALL
    SELECT connamespace, conname, 'pg_conversion'::regclass, oid, 'CONVERSION', conowner FROM pg_conversion
    UNION ALL
    SELECT cfgnamespace, cfgname, 'pg_ts_config'::regclass, oid, 'TEXT SEARCH CONFIGURATION', cfgowner FROM pg_ts_config
    UNION ALL
    SELECT dictnamespace, dictname, 'pg_ts_dict'::regclass, oid, 'TEXT SEARCH DICTIONARY', dictowner FROM pg_ts_dict
    UNION ALL
    -- Who makes a parser or a template is a superuser, and owns neither: 10 is the first of them.
    SELECT prsnamespace, prsname, 'pg_ts_parser'::regclass, oid, 'TEXT SEARCH PARSER', 10 FROM pg_ts_parser
    UNION ALL
    SELECT tmplnamespace, tmplname, 'pg_ts_template'::regclass, oid, 'TEXT SEARCH TEMPLATE', 10 FROM pg_ts_template
)
SELECT s.nspname, o.name, o.class::oid, o.oid, o.what,
    CASE WHEN NOT pg_has_role(o.owner, 'USAGE') THEN o.owner::regrole::text END
FROM object o JOIN space s ON s.oid = o.space
WHERE NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = o.class AND e.objid = o.oid AND (e.deptype = 'e'
        OR e.deptype = 'i' AND o.what IN ('ROUTINE', 'TYPE')
        OR e.deptype IN ('a', 'i') AND o.what = 'SEQUENCE' AND e.refclassid = 'pg_class'::regclass AND e.refobjsubid > 0)
)
