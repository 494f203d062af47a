-- The beginning of questions about dependencies. Every object has the schema that it goes with (defaults, rules, triggers
-- and policies that of their table; empty where it belongs to the database) and its home: the relation that it is a part
-- of, else itself. What an extension brought is nobody's, since it moves with that.
WITH object AS MATERIALIZED (
    SELECT 'pg_class'::regclass::oid AS class, c.oid, relnamespace AS space, coalesce(i.indrelid, s.refobjid, c.oid) AS home
    FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_depend s ON s.classid = 'pg_class'::regclass AND s.objid = c.oid AND c.relkind = 'S'
        AND s.refclassid = 'pg_class'::regclass AND s.refobjsubid > 0 AND s.deptype IN ('a', 'i')
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, t.typnamespace,
        coalesce(nullif(e.typrelid, 0), nullif(t.typrelid, 0), e.oid, t.oid)
    FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace, oid FROM pg_proc
    UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace, oid FROM pg_operator
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace, oid FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace, oid FROM pg_opfamily
    UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace, oid FROM pg_collation
    UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace, oid FROM pg_conversion
    UNION ALL
    SELECT 'pg_constraint'::regclass, oid, connamespace, coalesce(nullif(conrelid, 0), nullif(contypid, 0), oid) FROM pg_constraint
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace, stxrelid FROM pg_statistic_ext
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace, oid FROM pg_ts_config
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace, oid FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace, oid FROM pg_ts_parser
    UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace, oid FROM pg_ts_template
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, c.relnamespace, c.oid FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace, c.oid FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace, c.oid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, c.relnamespace, c.oid FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
),
outside AS MATERIALIZED (
    SELECT 'pg_publication_rel'::regclass::oid AS class, oid FROM pg_publication_rel
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger
    UNION ALL SELECT 'pg_cast'::regclass, c.oid FROM pg_cast c WHERE c.castsource < 16384 AND c.casttarget < 16384
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language
),
brought AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
),
placed AS MATERIALIZED (
    SELECT o.class, o.oid, n.nspname AS schema, o.home FROM object o JOIN pg_namespace n ON n.oid = o.space
    WHERE n.nspname <> 'pg_toast' AND NOT EXISTS (SELECT FROM brought e WHERE e.classid = o.class AND e.objid = o.oid)
    UNION ALL
    SELECT o.class, o.oid, '', o.oid FROM outside o
    WHERE NOT EXISTS (SELECT FROM brought e WHERE e.classid = o.class AND e.objid = o.oid)
),
-- Of a view the server knows its rule.
edge AS (
    SELECT coalesce(r.ev_class, d.objid) AS oid, CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS class,
        a.schema AS from_schema, a.home AS from_home, b.schema AS to_schema, b.home AS to_home, d.refclassid, d.refobjid
    FROM pg_depend d JOIN placed a ON a.class = d.classid AND a.oid = d.objid
    JOIN placed b ON b.class = d.refclassid AND b.oid = d.refobjid
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
),
