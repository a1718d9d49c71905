/*
 * src/soft_delete/apply.c
 *		What comes from a publisher: rows that an apply worker deletes.
 *
 * An apply worker plans nothing, and of the columns of a row that is to go it
 * knows the replica identity.  A soft delete on the publisher is an UPDATE, here
 * as there, so what comes as a DELETE is one of these:
 *
 *	of a dead row: a purge on the publisher, which is to reach us;
 *	of a living row by an UPDATE that takes it to another partition of ours:
 *		the worker inserts it there next;
 *	of a living row by a DELETE: the publisher's table is an ordinary one; or a
 *		row has moved to another partition there, which is in the stream a
 *		DELETE and an INSERT that nothing ties together, with and without
 *		publish_via_partition_root.
 *
 * Nobody but the administrator can tell the last two, so it is for a setting to
 * say, and rows are kept if it says nothing.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "utils/guc.h"

enum
{
	REPLICATED_SOFT,
	REPLICATED_REMOVE
};

static const struct config_enum_entry replicated_delete_options[] = {
	{"soft", REPLICATED_SOFT, false},
	{"remove", REPLICATED_REMOVE, false},
	{NULL, 0, false}
};

static int	replicated_delete = REPLICATED_SOFT;

/*
 * Is the change that the apply worker is at an UPDATE?  It says so in the
 * context of its errors and nowhere else: `... during message type "UPDATE" for
 * replication target relation ...`.  Not to be understood is not to be one.
 */
static bool
applies_update(void)
{
	int			level = NewGUCNestLevel();
	char	   *context;

	/* the worker's own words, whatever the server's language */
	(void) set_config_option("lc_messages", "C", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	context = GetErrorContextStack();
	AtEOXact_GUC(false, level);

	/* names of others come behind it */
	context = context ? strstr(context, " during message type \"") : NULL;
	return context != NULL &&
		strncmp(strchr(context, '"'), "\"UPDATE\" ", 9) == 0;
}

/* May an apply worker remove a row that it deletes? */
bool
soft_applied_removes(Relation rel, bool alive)
{
	return !alive || replicated_delete == REPLICATED_REMOVE ||
		(rel->rd_rel->relispartition && applies_update());
}

void
soft_apply_init(void)
{
	DefineCustomEnumVariable("plinth_soft_delete.replicated_delete",
							 "What becomes of a living row that a publisher deletes.",
							 NULL,
							 &replicated_delete,
							 REPLICATED_SOFT,
							 replicated_delete_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}
