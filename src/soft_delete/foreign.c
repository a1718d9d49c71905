/*
 * src/soft_delete/foreign.c
 *		The queries of foreign keys.
 *
 * What ri_triggers.c asks and does is left as it is: neither are its rows
 * hidden nor its DELETEs converted.  Its queries run as the owner of the table
 * with SECURITY_NOFORCE_RLS; so do, within them, the triggers of users, whose
 * plans are kept and used again elsewhere.  So the text decides, too, which
 * ri_triggers.c writes in a way that nobody else does: operators qualified, and
 * values as plain parameters.
 *
 * Whoever writes such a statement in a trigger that a foreign key fires sees
 * what the table's owner may see anyway, and is stopped by mark().
 *
 * A key that is added to a table with rows is validated by one query of who adds
 * it.  It must see the dead, which would else keep a dump from being restored;
 * and so must the one that asks whether a partition of the referenced table may
 * be detached, or what is restored afterwards would refer to nothing.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "miscadmin.h"

static bool
starts_with(const char *string, const char *prefix)
{
	return strncmp(string, prefix, strlen(prefix)) == 0;
}

/* Is the query that is planned now one of ri_triggers.c? */
bool
soft_is_foreign_key_query(const char *query_string, ParamListInfo params)
{
	if (query_string == NULL ||
		(params != NULL && params->paramFetch != NULL))
		return false;
	if (soft_altering > 0 && starts_with(query_string, "SELECT fk."))
		return strstr(query_string, " fk LEFT OUTER JOIN ") != NULL ||
			strstr(query_string, " fk JOIN ") != NULL;
	return InNoForceRLSOperation() &&
		(starts_with(query_string, "SELECT 1 FROM ") ||
			starts_with(query_string, "DELETE FROM ") ||
			starts_with(query_string, "UPDATE ")) &&
		strstr(query_string, " OPERATOR(") != NULL;
}
