/* sql/plinth_soft_delete--1.0.sql */

\echo Use "CREATE EXTENSION plinth_soft_delete" to load this file. \quit

-- Nothing below may mean what somebody else has put into a schema.
SET LOCAL search_path = pg_catalog, pg_temp;

GRANT USAGE ON SCHEMA plinth_soft_delete TO PUBLIC;
COMMENT ON SCHEMA plinth_soft_delete IS 'plinth_soft_delete: DELETE that marks';


-- The record

CREATE SEQUENCE plinth_soft_delete.deletion_id_seq AS bigint;
COMMENT ON SEQUENCE plinth_soft_delete.deletion_id_seq IS
  'Numbers of deletions';

CREATE TABLE plinth_soft_delete._deletion (
  deletion_id bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  session_user_name name,
  role_name name,
  actor text,
  reason text,
  transaction_id xid8,
  target text NOT NULL,
  row_count bigint NOT NULL,
  held boolean NOT NULL DEFAULT false,
  restored_at timestamptz,
  restored_by name);
COMMENT ON TABLE plinth_soft_delete._deletion IS
  'One row for each statement that deleted and each table that it named; see the view deletion';

SELECT pg_catalog.pg_extension_config_dump('plinth_soft_delete._deletion', '');
SELECT pg_catalog.pg_extension_config_dump('plinth_soft_delete.deletion_id_seq', '');

CREATE FUNCTION plinth_soft_delete._may_see(target text) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_may_see';
COMMENT ON FUNCTION plinth_soft_delete._may_see(text) IS
  'May the current role know of deletions in a table?';

CREATE VIEW plinth_soft_delete.deletion WITH (security_barrier) AS
  SELECT d.deletion_id, d.at, d.session_user_name, d.role_name, d.actor, d.reason, d.transaction_id, d.target, d.row_count, d.held, d.restored_at, d.restored_by
    FROM plinth_soft_delete._deletion AS d
   WHERE plinth_soft_delete._may_see(d.target);
COMMENT ON VIEW plinth_soft_delete.deletion IS
  'One row for each statement that deleted and each table that it named: who, when, why, and what became of it';
GRANT SELECT ON plinth_soft_delete.deletion TO PUBLIC;


-- Triggers

CREATE FUNCTION plinth_soft_delete.mark() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_mark';
COMMENT ON FUNCTION plinth_soft_delete.mark() IS
  'Trigger function: marks a row whose DELETE was not converted';

CREATE FUNCTION plinth_soft_delete.stamp() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_stamp';
COMMENT ON FUNCTION plinth_soft_delete.stamp() IS
  'Trigger function: completes an UPDATE that marks or unmarks a row by itself';

CREATE FUNCTION plinth_soft_delete.statement() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_statement';
COMMENT ON FUNCTION plinth_soft_delete.statement() IS
  'Trigger function: notes what kind of statement it is';

CREATE FUNCTION plinth_soft_delete.empty() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_empty';
COMMENT ON FUNCTION plinth_soft_delete.empty() IS
  'Trigger function: keeps TRUNCATE from removing rows';


-- What plans and policies call

CREATE FUNCTION plinth_soft_delete._deletion(target regclass) RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_deletion';
COMMENT ON FUNCTION plinth_soft_delete._deletion(regclass) IS
  'The number of the deletion that the statement is; for plans only';

CREATE FUNCTION plinth_soft_delete._old(column_value anyelement, relation oid, row_id tid, source oid) RETURNS anyelement
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_old';
COMMENT ON FUNCTION plinth_soft_delete._old(anyelement, oid, tid, oid) IS
  'A column of the row that was deleted; for plans only';

CREATE FUNCTION plinth_soft_delete._require(allowed boolean, policy text, relation text) RETURNS boolean
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_require';
COMMENT ON FUNCTION plinth_soft_delete._require(boolean, text, text) IS
  'True, or the error of a policy; for plans only';

CREATE FUNCTION plinth_soft_delete._mark_once(was anyelement, becomes anyelement) RETURNS anyelement
  LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_mark_once';
COMMENT ON FUNCTION plinth_soft_delete._mark_once(anyelement, anyelement) IS
  'What an UPDATE leaves in deleted_at; for plans only';

CREATE FUNCTION plinth_soft_delete._alive(deleted_at anyelement, target regclass) RETURNS anyelement
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_alive';
COMMENT ON FUNCTION plinth_soft_delete._alive(anyelement, regclass) IS
  'Null, or the error of an update of a deleted row; for plans only';

CREATE FUNCTION plinth_soft_delete._fold(internal) RETURNS internal
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_fold';
COMMENT ON FUNCTION plinth_soft_delete._fold(internal) IS
  'Answers what policies ask when a statement is planned';

CREATE FUNCTION plinth_soft_delete.show_deleted(target regclass) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
  SUPPORT plinth_soft_delete._fold
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_show_deleted';
COMMENT ON FUNCTION plinth_soft_delete.show_deleted(regclass) IS
  'Has the current role asked to see the deleted rows of a table, and may it?';

CREATE FUNCTION plinth_soft_delete.only_policy(target regclass) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
  SUPPORT plinth_soft_delete._fold
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_only_policy';
COMMENT ON FUNCTION plinth_soft_delete.only_policy(regclass) IS
  'Is there no permissive policy on a table but the one of plinth_soft_delete?';

CREATE FUNCTION plinth_soft_delete.showing_deleted(target regclass, deleted_at anyelement) RETURNS boolean
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED
  SUPPORT plinth_soft_delete._fold
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_showing_deleted';
COMMENT ON FUNCTION plinth_soft_delete.showing_deleted(regclass, anyelement) IS
  'In the condition of a query: shows the deleted rows of this table to whoever may see them';


-- Tables

CREATE FUNCTION plinth_soft_delete.enable(
    target regclass,
    visibility text DEFAULT 'rls',
    viewers regrole DEFAULT NULL,
    deleted_at name DEFAULT 'deleted_at',
    barrier boolean DEFAULT false,
    views boolean DEFAULT NULL,
    delete_triggers text DEFAULT 'refuse',
    force boolean DEFAULT false)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_enable';
COMMENT ON FUNCTION plinth_soft_delete.enable(regclass, text, regrole, name, boolean, boolean, text, boolean) IS
  'Makes DELETE on a table mark rows, which are hidden from then on';

CREATE FUNCTION plinth_soft_delete.disable(
    target regclass,
    dead text DEFAULT 'refuse')
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_disable';
COMMENT ON FUNCTION plinth_soft_delete.disable(regclass, text) IS
  'Makes DELETE remove rows again; deleted rows are kept and seen, or removed, if dead says so';

CREATE FUNCTION plinth_soft_delete.last_deletion() RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_last_deletion';
COMMENT ON FUNCTION plinth_soft_delete.last_deletion() IS
  'The number of the last deletion of this session';

CREATE FUNCTION plinth_soft_delete.restore(deletion_id bigint) RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_restore';
COMMENT ON FUNCTION plinth_soft_delete.restore(bigint) IS
  'Brings back what a deletion took, and returns the number of rows';

CREATE FUNCTION plinth_soft_delete.restore_row(target regclass, key jsonb) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_restore_row';
COMMENT ON FUNCTION plinth_soft_delete.restore_row(regclass, jsonb) IS
  'Brings back one deleted row';

CREATE FUNCTION plinth_soft_delete.preview_restore(
    deletion_id bigint,
    OUT target regclass,
    OUT key jsonb,
    OUT conflict text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_preview_restore';
COMMENT ON FUNCTION plinth_soft_delete.preview_restore(bigint) IS
  'The rows that restore() would bring back, and the unique index that keeps a row from it';

CREATE FUNCTION plinth_soft_delete.check(
    target regclass,
    OUT problem text,
    OUT object text,
    OUT detail text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_check';
COMMENT ON FUNCTION plinth_soft_delete.check(regclass) IS
  'What is wrong with a soft-deleting table: triggers, policies, library, rows, record; no rows if nothing is';

CREATE FUNCTION plinth_soft_delete.repair(
    target regclass)
  RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_repair';
COMMENT ON FUNCTION plinth_soft_delete.repair(regclass) IS
  'Puts right what check() finds, and returns how many things that were';

CREATE FUNCTION plinth_soft_delete._status(
    OUT target regclass,
    OUT visibility text,
    OUT viewers text,
    OUT deleted_at text,
    OUT deletion_id text,
    OUT barrier boolean,
    OUT delete_triggers text,
    OUT loaded_by text,
    OUT complete boolean)
  RETURNS SETOF record
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_status';
COMMENT ON FUNCTION plinth_soft_delete._status() IS
  'The rows of the view status';

CREATE VIEW plinth_soft_delete.status AS
  SELECT s.target, s.visibility, s.viewers, s.deleted_at, s.deletion_id, s.barrier, s.delete_triggers, s.loaded_by, s.complete
    FROM plinth_soft_delete._status() AS s;
COMMENT ON VIEW plinth_soft_delete.status IS
  'Tables that delete softly, their options, the setting by which new sessions load the library (null: none), and whether triggers and policies are complete';
GRANT SELECT ON plinth_soft_delete.status TO PUBLIC;


-- DDL

CREATE FUNCTION plinth_soft_delete.ddl_start() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_ddl_start';
COMMENT ON FUNCTION plinth_soft_delete.ddl_start() IS
  'Event trigger function: prepares for DDL on soft-deleting tables';

CREATE FUNCTION plinth_soft_delete.ddl_end() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_ddl_end';
COMMENT ON FUNCTION plinth_soft_delete.ddl_end() IS
  'Event trigger function: follows DDL on soft-deleting tables';

CREATE EVENT TRIGGER plinth_soft_delete_ddl_start ON ddl_command_start
  EXECUTE FUNCTION plinth_soft_delete.ddl_start();
ALTER EVENT TRIGGER plinth_soft_delete_ddl_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_soft_delete_ddl_start IS
  'Prepares for DDL on soft-deleting tables';

CREATE EVENT TRIGGER plinth_soft_delete_ddl_end ON ddl_command_end
  EXECUTE FUNCTION plinth_soft_delete.ddl_end();
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_soft_delete_ddl_end IS
  'Follows DDL on soft-deleting tables';

CREATE FUNCTION plinth_soft_delete.make_unique_live(
    target regclass,
    constraint_or_index name)
  RETURNS regclass
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_make_unique_live';
COMMENT ON FUNCTION plinth_soft_delete.make_unique_live(regclass, name) IS
  'Makes a unique constraint or index one of the rows that are not deleted';


-- Views follow their table

CREATE FUNCTION plinth_soft_delete.views_start() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_views_start';
COMMENT ON FUNCTION plinth_soft_delete.views_start() IS
  'Event trigger function: views make way for ALTER TABLE';

CREATE FUNCTION plinth_soft_delete.views_end() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_soft_delete_views_end';
COMMENT ON FUNCTION plinth_soft_delete.views_end() IS
  'Event trigger function: views follow ALTER TABLE';

CREATE EVENT TRIGGER plinth_soft_delete_views_start ON ddl_command_start
  WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER SCHEMA')
  EXECUTE FUNCTION plinth_soft_delete.views_start();
ALTER EVENT TRIGGER plinth_soft_delete_views_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_soft_delete_views_start IS
  'Views of soft-deleting tables make way for ALTER TABLE';

CREATE EVENT TRIGGER plinth_soft_delete_views_end ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER SCHEMA', 'CREATE TRIGGER')
  EXECUTE FUNCTION plinth_soft_delete.views_end();
ALTER EVENT TRIGGER plinth_soft_delete_views_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_soft_delete_views_end IS
  'Views of soft-deleting tables come back, and follow their tables';
