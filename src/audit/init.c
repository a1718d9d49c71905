/*
 * src/audit/init.c
 *		Loading the library: settings, callbacks, hooks.
 *
 * No preloading is needed: a session loads the library when it first fires
 * one of our triggers, which the event triggers make the first DDL command at
 * the latest.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "utils/builtins.h"
#include "utils/guc.h"

PLINTH_MODULE_MAGIC("plinth_audit");

PLINTH_FUNCTION(plinth_audit_set_actor);
PLINTH_FUNCTION(plinth_audit_set_context);

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomStringVariable("plinth_audit.actor",
							   "Who acts, as the application says.",
							   "Recorded in plinth_audit.transaction with each transaction that writes to an audit log.",
							   &audit_actor,
							   "",
							   PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomBoolVariable("plinth_audit.capture",
							 "Records changes of audited tables.",
							 "Switch it off only to load data whose audit log is loaded too.",
							 &audit_capture_on,
							 true,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("plinth_audit.context",
							   "What else the application wants to be recorded, as JSON.",
							   "Recorded in plinth_audit.transaction with each transaction that writes to an audit log.",
							   &audit_context,
							   "",
							   PGC_USERSET, 0,
							   audit_context_valid, NULL, NULL);
	MarkGUCPrefixReserved("plinth_audit");

	audit_target_init();
	audit_writer_init();
	audit_context_init();
	audit_capture_init();
	audit_protect_init();
}

/* SET LOCAL of a setting; null clears it. */
static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value ? value : "",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/* set_actor(text): SET LOCAL plinth_audit.actor */
Datum
plinth_audit_set_actor(PG_FUNCTION_ARGS)
{
	set_local("plinth_audit.actor",
			  PG_ARGISNULL(0) ? NULL :
			  text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* set_context(jsonb): SET LOCAL plinth_audit.context */
Datum
plinth_audit_set_context(PG_FUNCTION_ARGS)
{
	Jsonb	   *context = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);

	set_local("plinth_audit.context",
			  context ? JsonbToCString(NULL, &context->root, VARSIZE(context)) :
			  NULL);
	PG_RETURN_VOID();
}
