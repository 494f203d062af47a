//! Functions that run while a release is staged: their bodies are texts, and the names in them mean what is live.

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// From what is computed on the stage (materialised views, expressions of indexes, checks and generated columns) along
/// all dependencies, through views and functions, to functions of the stage. A body that was parsed (`BEGIN ATOMIC`) holds
/// the staged objects themselves, as does a function of C none; a text of SQL is fine where it names no schema of the dump.
const COMPUTED: &str = "\
    WITH RECURSIVE space AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY($1)), \
    reached (class, oid, root) AS ( \
    SELECT 'pg_class'::regclass::oid, c.oid, c.oid::regclass::text FROM pg_class c \
        WHERE c.relkind = 'm' AND c.relnamespace IN (SELECT oid FROM space) \
    UNION SELECT 'pg_class'::regclass, i.indexrelid, i.indexrelid::regclass::text FROM pg_index i \
        JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace IN (SELECT oid FROM space) \
        AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
    UNION SELECT 'pg_constraint'::regclass, k.oid, k.conname::text FROM pg_constraint k \
        WHERE k.contype = 'c' AND k.connamespace IN (SELECT oid FROM space) \
    UNION SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid::regclass::text FROM pg_attrdef d \
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> '' \
        JOIN pg_class c ON c.oid = d.adrelid WHERE c.relnamespace IN (SELECT oid FROM space) \
    UNION SELECT n.class, n.oid, r.root FROM reached r CROSS JOIN LATERAL ( \
        SELECT d.refclassid AS class, d.refobjid AS oid FROM pg_depend d \
            WHERE d.classid = r.class AND d.objid = r.oid AND d.deptype IN ('n', 'a', 'i') \
        UNION SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class \
            WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.oid AND v.relkind IN ('v', 'm')) n) \
    SELECT r.root, p.oid::regproc::text FROM reached r JOIN pg_proc p ON p.oid = r.oid JOIN pg_language l ON l.oid = p.prolang \
    WHERE r.class = 'pg_proc'::regclass AND p.pronamespace IN (SELECT oid FROM space) AND p.prosqlbody IS NULL \
    AND l.lanname NOT IN ('c', 'internal') AND (l.lanname <> 'sql' OR EXISTS (SELECT FROM unnest($2::text[]) s \
        WHERE strpos(lower(p.prosrc), lower(s) || '.') > 0 OR strpos(p.prosrc, '\"' || s || '\".') > 0 \
        OR EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%' AND strpos(c, s) > 0))) LIMIT 1";

/// The first thing on the stage that such a function computes, and the function.
pub(super) async fn computed(
    client: &impl GenericClient,
    places: &[String],
    own: &[String],
) -> Result<Option<(String, String)>, Error> {
    let row = client.query_opt(COMPUTED, &[&places, &own]).await?;
    let Some(row) = row else { return Ok(None) };
    let live = |name: String| name.replace("pilotfish_next_", "");
    Ok(Some((live(cell(&row, 0)?), live(cell(&row, 1)?))))
}
