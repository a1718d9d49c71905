/* sql/plinth_audit--1.0.sql */

\echo Use "CREATE EXTENSION plinth_audit" to load this file. \quit

-- Nothing below may mean what somebody else has put into a schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- A schema that somebody else made before would let them drop what is in it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
              WHERE n.nspname = 'plinth_audit'
                AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')) OR
     EXISTS (SELECT FROM pg_catalog.pg_namespace n
              WHERE n.nspname = 'plinth_audit'
                AND n.nspowner <> (SELECT r.oid FROM pg_catalog.pg_roles r
                                    WHERE r.rolname = current_user)
                AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r
                          WHERE r.oid = n.nspowner)) THEN
    RAISE EXCEPTION 'schema "plinth_audit" belongs to a role that is not a superuser'
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Drop the schema or change its owner first.';
  END IF;
END
$$;

GRANT USAGE ON SCHEMA plinth_audit TO PUBLIC;
COMMENT ON SCHEMA plinth_audit IS 'plinth_audit: who changed what and when';


-- Triggers

CREATE FUNCTION plinth_audit.capture() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_audit_capture';
COMMENT ON FUNCTION plinth_audit.capture() IS
  'Trigger function: writes changes of a table to its audit log';

CREATE FUNCTION plinth_audit.guard() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_audit_guard';
COMMENT ON FUNCTION plinth_audit.guard() IS
  'Trigger function: keeps all but superusers and its owner from changing an audit log';

CREATE FUNCTION plinth_audit.ddl_start() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_audit_ddl_start';
COMMENT ON FUNCTION plinth_audit.ddl_start() IS
  'Event trigger function: prepares for DDL on audited tables and protects logs from being dropped';

CREATE FUNCTION plinth_audit.ddl_end() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_audit_ddl_end';
COMMENT ON FUNCTION plinth_audit.ddl_end() IS
  'Event trigger function: follows DDL on audited tables and logs';

CREATE FUNCTION plinth_audit.ddl_drop() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_audit_ddl_drop';
COMMENT ON FUNCTION plinth_audit.ddl_drop() IS
  'Event trigger function: follows dropped columns of audited tables';


-- Auditing a table

CREATE FUNCTION plinth_audit.enable(
    target regclass,
    mode text DEFAULT 'full',
    include name[] DEFAULT NULL,
    exclude name[] DEFAULT NULL,
    mask name[] DEFAULT NULL,
    truncate text DEFAULT 'rows',
    log text DEFAULT NULL)
  RETURNS regclass
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_enable';
COMMENT ON FUNCTION plinth_audit.enable(regclass, text, name[], name[], name[], text, text) IS
  'Audits a table: from now on every change goes to its log, which is returned';

CREATE FUNCTION plinth_audit.alter(
    target regclass,
    mode text DEFAULT NULL,
    include name[] DEFAULT NULL,
    exclude name[] DEFAULT NULL,
    mask name[] DEFAULT NULL,
    truncate text DEFAULT NULL,
    log text DEFAULT NULL)
  RETURNS regclass
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_alter';
COMMENT ON FUNCTION plinth_audit.alter(regclass, text, name[], name[], name[], text, text) IS
  'Changes options of an audited table; null leaves an option as it is, an empty array clears it';

CREATE FUNCTION plinth_audit.disable(
    target regclass,
    drop_log boolean DEFAULT false)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_disable';
COMMENT ON FUNCTION plinth_audit.disable(regclass, boolean) IS
  'Stops auditing a table; its log stays unless drop_log is true';

CREATE FUNCTION plinth_audit.check(
    target regclass,
    OUT object text,
    OUT problem text,
    OUT remedy text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_audit_check';
COMMENT ON FUNCTION plinth_audit.check(regclass) IS
  'What is wrong with the auditing of a table; no rows if nothing is';

CREATE FUNCTION plinth_audit.repair(
    target regclass,
    OUT object text,
    OUT done text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_audit_repair';
COMMENT ON FUNCTION plinth_audit.repair(regclass) IS
  'Mends what check() finds and tells what was done';

CREATE FUNCTION plinth_audit._status(
    OUT target regclass,
    OUT log regclass,
    OUT mode text,
    OUT include name[],
    OUT exclude name[],
    OUT mask name[],
    OUT truncate text,
    OUT capturing boolean,
    OUT protected boolean)
  RETURNS SETOF record
  LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_audit_status';
COMMENT ON FUNCTION plinth_audit._status() IS
  'The rows of the view status';

CREATE VIEW plinth_audit.status AS
  SELECT s.target, s.log, s.mode, s.include, s.exclude, s.mask, s.truncate,
         s.capturing, s.protected
    FROM plinth_audit._status() AS s;
COMMENT ON VIEW plinth_audit.status IS
  'Audited tables, their logs and options; capturing: all triggers fire into a fit log; protected: nobody else can change the log';
GRANT SELECT ON plinth_audit.status TO PUBLIC;


-- Context of transactions

CREATE FUNCTION plinth_audit.set_actor(actor text) RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_set_actor';
COMMENT ON FUNCTION plinth_audit.set_actor(text) IS
  'SET LOCAL plinth_audit.actor: whom the application acts for in this transaction';

CREATE FUNCTION plinth_audit.set_context(context jsonb) RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_set_context';
COMMENT ON FUNCTION plinth_audit.set_context(jsonb) IS
  'SET LOCAL plinth_audit.context: what else the application wants to be recorded with this transaction';

CREATE FUNCTION plinth_audit.may_read(logs text[]) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'plinth_audit_may_read';
COMMENT ON FUNCTION plinth_audit.may_read(text[]) IS
  'Whether the current role may read one of these logs; used by the policy of plinth_audit.transaction';


-- Following DDL

CREATE EVENT TRIGGER plinth_audit_ddl_start ON ddl_command_start
  EXECUTE FUNCTION plinth_audit.ddl_start();
ALTER EVENT TRIGGER plinth_audit_ddl_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_audit_ddl_start IS
  'Prepares for DDL on audited tables and protects logs from being dropped';

CREATE EVENT TRIGGER plinth_audit_ddl_end ON ddl_command_end
  EXECUTE FUNCTION plinth_audit.ddl_end();
ALTER EVENT TRIGGER plinth_audit_ddl_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_audit_ddl_end IS
  'Follows DDL on audited tables and logs';

CREATE EVENT TRIGGER plinth_audit_ddl_drop ON sql_drop
  EXECUTE FUNCTION plinth_audit.ddl_drop();
ALTER EVENT TRIGGER plinth_audit_ddl_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER plinth_audit_ddl_drop IS
  'Follows dropped columns of audited tables';
