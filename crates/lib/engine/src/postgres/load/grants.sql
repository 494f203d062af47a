-- Statements that grant on the schema $2, and on what is in it, what is granted on the schema $1 and on what is in
-- that: on tables, views, sequences, columns, routines, types, and on what is to be made there.
WITH old AS (SELECT oid FROM pg_namespace WHERE nspname = $1::text),
new AS (SELECT oid FROM pg_namespace WHERE nspname = $2::text),
-- A routine's arguments by name: its own release has a type of that name, too.
routine AS (
    SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.proacl, ARRAY(
        SELECT regexp_replace(n.nspname, '^pilotfish_(next|prev|gone)_', '') || '.' || t.typname
        FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, at)
        JOIN pg_type t ON t.oid = a.type JOIN pg_namespace n ON n.oid = t.typnamespace ORDER BY a.at
    ) AS arguments
    FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM old UNION SELECT oid FROM new)
),
-- What both have: the rights on the old one, the new one's kind and name, a column of it, and the old one's owner.
pair (rights, now, thing, columns, owner) AS (
    SELECT o.relacl, n.relacl, format('%s %s', CASE o.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.oid::regclass), '', o.relowner
    FROM pg_class o JOIN pg_class n ON n.relname = o.relname AND (o.relkind = 'S') = (n.relkind = 'S')
    WHERE o.relnamespace IN (SELECT oid FROM old) AND n.relnamespace IN (SELECT oid FROM new)
    UNION ALL
    SELECT c.attacl, d.attacl, format('TABLE %s', n.oid::regclass), format('(%I)', c.attname), o.relowner
    FROM pg_class o JOIN pg_class n ON n.relname = o.relname JOIN pg_attribute c ON c.attrelid = o.oid
    JOIN pg_attribute d ON d.attrelid = n.oid AND d.attname = c.attname AND NOT d.attisdropped
    WHERE o.relnamespace IN (SELECT oid FROM old) AND n.relnamespace IN (SELECT oid FROM new)
    UNION ALL
    SELECT o.proacl, n.proacl, format('ROUTINE %s', n.oid::regprocedure), '', o.proowner
    FROM routine o JOIN routine n ON n.proname = o.proname AND n.arguments = o.arguments
    WHERE o.pronamespace IN (SELECT oid FROM old) AND n.pronamespace IN (SELECT oid FROM new)
    UNION ALL
    SELECT o.typacl, n.typacl, format('TYPE %s', n.oid::regtype), '', o.typowner
    FROM pg_type o JOIN pg_type n ON n.typname = o.typname AND n.typtype = o.typtype
    WHERE o.typnamespace IN (SELECT oid FROM old) AND n.typnamespace IN (SELECT oid FROM new)
    UNION ALL
    SELECT o.nspacl, n.nspacl, format('SCHEMA %I', $2::text), '', o.nspowner
    FROM pg_namespace o, pg_namespace n WHERE o.nspname = $1::text AND n.nspname = $2::text
),
given AS (
    -- What the new one got otherwise: by default privileges, or before somebody took it from the live one.
    SELECT 0 AS turn, thing, format('REVOKE ALL %s ON %s FROM %s CASCADE', columns, thing,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS statement
    FROM pair, aclexplode(now) a WHERE rights IS NOT NULL AND a.grantee <> owner
    UNION ALL
    SELECT 1, thing, format('REVOKE ALL ON %s FROM PUBLIC', thing) FROM pair
    WHERE rights IS NOT NULL AND (thing LIKE 'ROUTINE %' OR thing LIKE 'TYPE %')
    UNION ALL
    SELECT 2, thing, format('GRANT %s %s ON %s TO %s%s', a.privilege_type, columns, thing,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pair, aclexplode(rights) a WHERE a.grantee <> owner
    UNION ALL
    SELECT 2, '', format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I GRANT %s ON %s TO %s%s',
        d.defaclrole::regrole, $2::text, a.privilege_type,
        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclnamespace IN (SELECT oid FROM old) AND a.grantee <> d.defaclrole
    -- Those of other roles are theirs to repeat.
    AND pg_has_role(d.defaclrole, 'USAGE')
)
SELECT turn, thing, statement FROM given UNION SELECT 3, thing, '' FROM pair WHERE rights IS NOT NULL ORDER BY turn
