/*
 * src/soft_delete/preload.c
 *		The library in new sessions.
 *
 * What is planned without the library ends in the triggers, where clients can
 * tell it from a DELETE.  So the database is to have every session load it:
 * enable() puts it at the end of session_preload_libraries, where it finds
 * what others have put there, and disable() of the last table takes it away, as
 * does DROP EXTENSION: without the library nobody could connect.
 *
 * A database's setting replaces what the configuration says, so what applies
 * so far is taken over; a role's setting replaces both, which check() reports.
 * Who may not alter the database is told what to run.
 *
 * Locks: ShareUpdateExclusiveLock on the database before its setting is
 * changed, so that two who enable tables at the same time do not collide.
 * Sessions that begin do not wait for it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "port.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#define LIBRARY "plinth_soft_delete"
#define SETTING "session_preload_libraries"

/* The elements of a list of libraries, as the server reads it when it loads them. */
static List *
libraries(const char *value)
{
	List	   *result;

	if (value == NULL || !SplitDirectoriesString(pstrdup(value), ',', &result))
		return NIL;				/* the server ignores it, too */
	return result;
}

/* Is an element our library, however its path is written? */
static bool
is_ours(const char *element)
{
	const char *slash = last_dir_separator(element);
	const char *name = slash ? slash + 1 : element;

	return strcmp(name, LIBRARY) == 0 || strcmp(name, LIBRARY DLSUFFIX) == 0;
}

static bool
has_ours(const char *value)
{
	ListCell   *lc;

	foreach(lc, libraries(value))
	{
		if (is_ours(lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * The setting of a database for all roles, or of all databases (InvalidOid);
 * NULL if there is none.
 */
static char *
database_value(Oid databaseid)
{
	List	   *found = plinth_sql_strings("SELECT substr(c, length('" SETTING "=') + 1) FROM pg_db_role_setting, unnest(setconfig) AS c"
										   " WHERE setdatabase = %u AND setrole = 0 AND starts_with(c, '" SETTING "=')",
										   databaseid);

	return found == NIL ? NULL : linitial(found);
}

/*
 * What applies to a database that says nothing: what all databases have, or
 * the configuration.  This session knows unless its own value comes from
 * elsewhere; then the files are read.  Only superusers may, as the owner of
 * the extension is; so what is read here is not said to everybody, see
 * who_runs().
 */
static char *
configured_value(void)
{
	char	   *everywhere = database_value(InvalidOid);
	PlinthIdentity self;
	List	   *found;

	if (everywhere)
		return everywhere;
	if (!superuser_arg(soft_owner()))
		return pstrdup(session_preload_libraries_string);
	plinth_become(&self, soft_owner());
	found = plinth_sql_strings("SELECT CASE WHEN source IN ('default', 'environment variable', 'configuration file', 'command line') THEN reset_val"
							   " ELSE (SELECT f.setting FROM pg_file_settings f WHERE f.name = s.name AND f.error IS NULL ORDER BY f.seqno DESC LIMIT 1) END"
							   " FROM pg_settings s WHERE s.name = '" SETTING "'");
	plinth_restore_identity(&self);
	return found == NIL || linitial(found) == NULL ? pstrdup("") : linitial(found);
}

/* What new sessions of this database load if their role does not say otherwise. */
static char *
effective_value(void)
{
	char	   *value = database_value(MyDatabaseId);

	return value ? value : configured_value();
}

/*
 * The setting by which new sessions of this database load the library; NULL if
 * they do not.
 */
const char *
soft_preloaded(void)
{
	if (has_ours(shared_preload_libraries_string))
		return "shared_preload_libraries";
	return has_ours(effective_value()) ? SETTING : NULL;
}

/*
 * Roles that can log in and whose own settings keep the library from being
 * loaded: a List of names.
 */
List *
soft_roles_unloaded(void)
{
	List	   *roles;
	List	   *result = NIL;
	ListCell   *lc;

	if (has_ours(shared_preload_libraries_string))
		return NIL;

	/* what is said of role and database beats what is said of the role */
	roles = plinth_sql_strings("SELECT r.rolname FROM pg_roles r WHERE r.rolcanlogin AND EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS c"
							   " WHERE s.setrole = r.oid AND s.setdatabase IN (0, %u) AND starts_with(c, '" SETTING "=')) ORDER BY 1",
							   MyDatabaseId);
	foreach(lc, roles)
	{
		List	   *found = plinth_sql_strings("SELECT substr(c, length('" SETTING "=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) AS c"
											   " WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = %s) AND s.setdatabase IN (0, %u)"
											   " AND starts_with(c, '" SETTING "=') ORDER BY s.setdatabase DESC LIMIT 1",
											   quote_literal_cstr(lfirst(lc)), MyDatabaseId);

		if (found != NIL && !has_ours(linitial(found)))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * The statement that gives the database a list of libraries.  An empty list
 * cannot be set: the server would make it a library without a name, and let
 * nobody in.  The configuration applies then.
 */
static char *
statement(const List *list)
{
	char	   *name = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));

	if (list == NIL)
		return psprintf("ALTER DATABASE %s RESET " SETTING, name);
	return psprintf("ALTER DATABASE %s SET " SETTING " = %s", name,
					plinth_literal_list(list));
}

/* May the current role run it? */
static bool
may_alter(void)
{
	return plinth_sql_strings("SELECT 1 FROM pg_database WHERE oid = %u AND pg_has_role(datdba, 'USAGE')"
							  " AND has_parameter_privilege('" SETTING "', 'SET')",
							  MyDatabaseId) != NIL;
}

/*
 * Who else is to run it, as a hint.  What the configuration loads is not for
 * everybody to see.
 */
static char *
who_runs(const char *sql)
{
	if (database_value(MyDatabaseId) == NULL && configured_value()[0] != '\0' &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
		return pstrdup("Let a superuser run plinth_soft_delete.repair() on the table.");
	return psprintf("Let a superuser, or the owner of the database with the right to set " SETTING ", run: %s;",
					sql);
}

/* Nobody else changes the setting until the transaction ends. */
static void
lock_setting(void)
{
	LockSharedObject(DatabaseRelationId, MyDatabaseId, 0, ShareUpdateExclusiveLock);
}

/*
 * Have new sessions load the library, or say what somebody else is to run.
 * True if there was something to do and it is done.
 */
bool
soft_preload_add(void)
{
	List	   *list;
	char	   *sql;
	bool		may;

	if (soft_preloaded())
		return false;
	may = may_alter();
	if (may)
	{
		lock_setting();
		if (soft_preloaded())
			return false;		/* somebody was faster */
	}
	list = lappend(libraries(effective_value()), LIBRARY);
	sql = statement(list);
	if (!may)
	{
		ereport(NOTICE,
				(errmsg("new sessions in database \"%s\" do not load the library of plinth_soft_delete",
						get_database_name(MyDatabaseId)),
				 errdetail("Rows are still marked, but a DELETE that is planned without the library does not count them."),
				 errhint("%s", who_runs(sql))));
		return false;
	}
	plinth_sql("%s", sql);
	ereport(NOTICE,
			(errmsg("new sessions in database \"%s\" load the library of plinth_soft_delete",
					get_database_name(MyDatabaseId)),
			 errdetail("This was run: %s;", sql),
			 errhint("Sessions that are connected already should connect again.")));
	return true;
}

/* Take it away again: no table needs it. */
void
soft_preload_remove(void)
{
	char	   *value;
	List	   *list = NIL;
	List	   *configured;
	bool		same;
	char	   *sql;
	bool		may;
	ListCell   *lc;
	ListCell   *lo;

	if (!has_ours(database_value(MyDatabaseId)))
		return;
	may = may_alter();
	if (may)
		lock_setting();
	value = database_value(MyDatabaseId);
	if (!has_ours(value))
		return;
	foreach(lc, libraries(value))
	{
		if (!is_ours(lfirst(lc)))
			list = lappend(list, lfirst(lc));
	}

	/* the database had no setting, or one that says nothing new */
	configured = libraries(configured_value());
	same = list_length(list) == list_length(configured);
	forboth(lc, list, lo, configured)
		same &= strcmp(lfirst(lc), lfirst(lo)) == 0;
	sql = statement(same ? NIL : list);
	if (!may)
	{
		ereport(NOTICE,
				(errmsg("new sessions in database \"%s\" still load the library of plinth_soft_delete",
						get_database_name(MyDatabaseId)),
				 errdetail("If the library is uninstalled, nobody can connect any more."),
				 errhint("%s", who_runs(sql))));
		return;
	}
	plinth_sql("%s", sql);
	ereport(NOTICE,
			(errmsg("new sessions in database \"%s\" do not load the library of plinth_soft_delete any more",
					get_database_name(MyDatabaseId)),
			 errdetail("This was run: %s;", sql)));
}
