/*
 * src/audit/pin.c
 *		Settings that must not decide what an image says.
 *
 * Types whose output is made by an output function may look at the session's
 * settings; while they are called the settings have fixed values, as they
 * have for postgres_fdw (set_transmission_modes() in contrib/postgres_fdw).
 * Only tables with such types pay, and only for what differs.
 *
 * An error leaves the pinned values to the end of the (sub)transaction, which
 * restores them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"

/* Each setting with the value that it has while images are made. */
static const struct
{
	int			pin;
	const char *name;
	const char *value;
}			settings[] =
{
	{AUDIT_PIN_DATESTYLE, "DateStyle", "ISO"},
	{AUDIT_PIN_INTERVALSTYLE, "IntervalStyle", "postgres"},
	{AUDIT_PIN_FLOAT, "extra_float_digits", "1"},
	{AUDIT_PIN_MONEY, "lc_monetary", "C"},
	{AUDIT_PIN_TIMEZONE, "TimeZone", "UTC"},
	{AUDIT_PIN_NAMES, "search_path", ""},
	{AUDIT_PIN_NAMES, "quote_all_identifiers", "off"},
	{AUDIT_PIN_BYTEA, "bytea_output", "hex"},
};

/*
 * Fix the settings named by AUDIT_PIN_* bits.  Returns a level for
 * audit_unpin(), 0 if nothing had to be done.
 */
int
audit_pin(int pins)
{
	int			level = 0;

	if (pins == 0)
		return 0;
	for (int i = 0; i < lengthof(settings); i++)
	{
		const char *current;

		if ((pins & settings[i].pin) == 0)
			continue;
		current = GetConfigOption(settings[i].name, false, false);
		/* DateStyle also says the order of input, which may stay */
		if (settings[i].pin == AUDIT_PIN_DATESTYLE ?
			strncmp(current, "ISO", 3) == 0 :
			strcmp(current, settings[i].value) == 0)
			continue;
		if (level == 0)
			level = NewGUCNestLevel();
		(void) set_config_option(settings[i].name, settings[i].value,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	}
	return level;
}

/* Give the settings back to the session. */
void
audit_unpin(int level)
{
	if (level > 0)
		AtEOXact_GUC(true, level);
}
