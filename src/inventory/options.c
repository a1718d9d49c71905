/*
 * src/inventory/options.c
 *		The options of an inventory, as its triggers' arguments.
 *
 * One argument is one option, "name=value"; names of columns are quoted
 * identifiers, names of relations are qualified and quoted.  They travel with
 * the table in every dump, and nothing that the triggers need is anywhere
 * else.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

/* true for "escrow", false for "row"; 22023 otherwise. */
bool
inventory_mode_parse(const char *word)
{
	return plinth_option_choice("mode", word, "row", "escrow") == 1;
}

/* A column's name as it stands in an argument. */
static char *
column_parse(const char *arg, const char *value)
{
	List	   *names = plinth_names_parse(arg, value);

	if (list_length(names) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("inventory trigger argument \"%s\" does not name one column",
						arg),
				 errhint("Use plinth_inventory.enable() to make an inventory.")));
	return linitial(names);
}

/* The same the other way round. */
static char *
column_arg(const char *option, char *column)
{
	return plinth_names_arg(option, list_make1(column));
}

/*
 * Read trigger arguments into the current memory context.  55000 if they do
 * not make sense, because then the trigger was not made by enable().
 */
InventoryOptions *
inventory_options_parse(int nargs, char **args)
{
	InventoryOptions *options = palloc0(sizeof(InventoryOptions));

	for (int i = 0; i < nargs; i++)
	{
		const char *arg = args[i];
		const char *value;

		if ((value = plinth_arg_value(arg, "sku")) != NULL)
			options->sku = column_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "warehouse")) != NULL)
			options->warehouse = column_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "quantity")) != NULL)
			options->quantity = column_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "reserved")) != NULL)
			options->reserved = column_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "version")) != NULL)
			options->version = column_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "mode")) != NULL)
			options->escrow = inventory_mode_parse(value);
		else if ((value = plinth_arg_value(arg, "reservation")) != NULL)
			options->reservation = pstrdup(value);
		else if ((value = plinth_arg_value(arg, "movement")) != NULL)
			options->movement = pstrdup(value);
		else if ((value = plinth_arg_value(arg, "cell")) != NULL)
			options->cell = pstrdup(value);
		else if ((value = plinth_arg_value(arg, "view")) != NULL)
			options->view = pstrdup(value);
		else
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("unrecognized inventory trigger argument \"%s\"", arg),
					 errhint("Use plinth_inventory.enable() to make an inventory.")));
	}
	if (options->sku == NULL || options->quantity == NULL ||
		options->reserved == NULL || options->version == NULL ||
		options->reservation == NULL || options->movement == NULL ||
		options->cell == NULL || options->view == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("inventory trigger lacks arguments"),
				 errhint("Use plinth_inventory.enable() to make an inventory.")));
	return options;
}

/*
 * The opposite of inventory_options_parse(): a List of palloc'd strings,
 * without companions if they have no names yet.
 */
List *
inventory_options_args(const InventoryOptions *options)
{
	List	   *args = NIL;

	args = lappend(args, column_arg("sku", options->sku));
	if (options->warehouse)
		args = lappend(args, column_arg("warehouse", options->warehouse));
	args = lappend(args, column_arg("quantity", options->quantity));
	args = lappend(args, column_arg("reserved", options->reserved));
	args = lappend(args, column_arg("version", options->version));
	args = lappend(args, psprintf("mode=%s", options->escrow ? "escrow" : "row"));
	if (options->reservation == NULL)	/* companions have no names yet */
		return args;
	args = lappend(args, psprintf("reservation=%s", options->reservation));
	args = lappend(args, psprintf("movement=%s", options->movement));
	args = lappend(args, psprintf("cell=%s", options->cell));
	args = lappend(args, psprintf("view=%s", options->view));
	return args;
}
