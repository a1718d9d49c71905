/*
 * src/audit/image.c
 *		Rows as jsonb: images, row keys, notes, and what an update changed.
 *
 * The columns of a target are sorted as jsonb sorts keys, so an image is an
 * object that is written down as it stands, with no sorting and no parsing.
 * An image never fails because of a value: what does not fit is replaced, and
 * the note says so (AuditMishap).
 *
 * Whether a column changed is judged by the bytes of the datum, not by an
 * operator: 1.0 and 1.00 are different, and no code of a user-defined type is
 * run for it.
 *
 * Everything is palloc'd in the current memory context, which is the caller's
 * to reset for each row.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/detoast.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"

/* A value that an image does not show as it is. */
typedef struct AuditMishap
{
	const char *name;			/* the column */
	const char *reason;			/* NULL if it was cut */
	Size		bytes;			/* its size if it was cut */
	char	   *sha256;			/* its digest, or NULL */
} AuditMishap;

static char mask_text[] = "***";

/*
 * All columns of a row.  Values stay toasted.  Points into the slot, which
 * must stay as it is.
 */
AuditRow *
audit_row(AuditTarget *target, Relation rel, TupleTableSlot *slot)
{
	AuditRow   *row = palloc0(sizeof(AuditRow));

	slot_getallattrs(slot);
	row->values = slot->tts_values;
	row->isnull = slot->tts_isnull;
	if (target->any_computed)
	{
		Size		natts = target->natts;

		row->values = memcpy(palloc(natts * sizeof(Datum)),
							 slot->tts_values, natts * sizeof(Datum));
		row->isnull = memcpy(palloc(natts * sizeof(bool)),
							 slot->tts_isnull, natts * sizeof(bool));
		row->problems = palloc0(natts * sizeof(char *));
		for (int i = 0; i < target->nimage + target->nleftout; i++)
		{
			AuditColumn *column = i < target->nimage ? &target->image[i] :
				&target->leftout[i - target->nimage];
			int			att = column->attnum - 1;

			if (column->computed)
				audit_compute(rel, slot, column->attnum, &row->values[att],
							  &row->isnull[att], &row->problems[att]);
		}
	}
	return row;
}

/*
 * Are two non-null datums the same?  Two pointers to one TOASTed value are
 * without fetching it: an update that does not touch a column keeps them.
 */
static bool
same_datum(Datum a, Datum b, Form_pg_attribute att)
{
	if (att->attlen == -1)
	{
		struct varlena *va = (struct varlena *) DatumGetPointer(a);
		struct varlena *vb = (struct varlena *) DatumGetPointer(b);

		if (va == vb)
			return true;
		if (VARATT_IS_EXTERNAL_ONDISK(va) && VARATT_IS_EXTERNAL_ONDISK(vb) &&
			memcmp(va, vb, VARSIZE_EXTERNAL(va)) == 0)
			return true;
	}
	return datum_image_eq(a, b, att->attbyval, att->attlen);
}

static bool
column_changed(Relation rel, const AuditColumn *column,
			   const AuditRow *old, const AuditRow *new)
{
	int			att = column->attnum - 1;

	if (old->isnull[att] || new->isnull[att])
		return old->isnull[att] != new->isnull[att];
	return !same_datum(old->values[att], new->values[att],
					   TupleDescAttr(RelationGetDescr(rel), att));
}

/* Compare the two versions of a row. */
void
audit_diff(AuditTarget *target, Relation rel, const AuditRow *old,
		   const AuditRow *new, AuditDiff *diff)
{
	memset(diff, 0, sizeof(*diff));
	diff->image = palloc(Max(target->nimage, 1) * sizeof(bool));
	for (int i = 0; i < target->nimage; i++)
	{
		diff->image[i] = column_changed(rel, &target->image[i], old, new);
		diff->any_image |= diff->image[i];
	}
	for (int i = 0; i < target->nleftout && !diff->any_leftout; i++)
		diff->any_leftout = column_changed(rel, &target->leftout[i], old, new);
}

/* Does an update change the primary key? */
bool
audit_key_differs(AuditTarget *target, Relation rel, const AuditRow *old,
				  const AuditRow *new)
{
	for (int i = 0; i < target->nkey; i++)
	{
		if (column_changed(rel, &target->key[i], old, new))
			return true;
	}
	return false;
}

/* Fill in a key of an object. */
static void
set_key(JsonbPair *pair, const AuditColumn *column)
{
	pair->key.type = jbvString;
	pair->key.val.string.val = column->name;
	pair->key.val.string.len = column->namelen;
	pair->order = 0;
}

/* An object of these pairs, which are in jsonb's order already. */
static Jsonb *
make_object(JsonbPair *pairs, int npairs)
{
	JsonbValue	object;

	object.type = jbvObject;
	object.val.object.nPairs = npairs;
	object.val.object.pairs = pairs;
	return JsonbValueToJsonb(&object);
}

/*
 * The value of one column, or what stands for it within `room` bytes; then a
 * mishap is added.
 */
static void
show_column(AuditTarget *target, const AuditColumn *column,
			const AuditRow *row, Size room, AuditValue *value, List **mishaps)
{
	int			att = column->attnum - 1;
	AuditMishap *mishap;

	value->json.type = jbvNull;
	value->size = 16;
	value->problem = NULL;
	if (column->masked)
	{
		value->json.type = jbvString;
		value->json.val.string.val = mask_text;
		value->json.val.string.len = strlen(mask_text);
		return;
	}
	if (row->problems && row->problems[att])
		value->problem = row->problems[att];
	else if (row->isnull[att])
		return;
	else
	{
		audit_show(target->converters, column->converter, row->values[att],
				   value);
		if (value->problem == NULL && value->size <= room)
			return;
	}

	mishap = palloc0(sizeof(AuditMishap));
	mishap->name = column->name;
	*mishaps = lappend(*mishaps, mishap);
	if (value->problem == NULL || value->too_large)
		audit_cut(column->converter, row->values[att], room / 2, value,
				  &mishap->bytes, &mishap->sha256);
	else
	{
		mishap->reason = value->problem;
		if (!row->problems || !row->problems[att])
			audit_keep_text(column->converter, row->values[att], room / 2,
							value);
	}
}

/*
 * The image of a row: the columns of the target, or those of them that are
 * `shown`.
 */
Jsonb *
audit_image(AuditTarget *target, const AuditRow *row, const bool *shown,
			List **mishaps)
{
	JsonbPair  *pairs = palloc(Max(target->nimage, 1) * sizeof(JsonbPair));
	Size		room = AUDIT_MAX_JSONB - target->namebytes;
	int			npairs = 0;
	int			level = audit_pin(target->pins);
	Jsonb	   *image;

	for (int i = 0; i < target->nimage; i++)
	{
		AuditValue	value;

		if (shown && !shown[i])
			continue;
		show_column(target, &target->image[i], row, room, &value, mishaps);
		set_key(&pairs[npairs], &target->image[i]);
		pairs[npairs++].value = value.json;
		room -= Min(room, value.size);
	}
	image = make_object(pairs, npairs);
	audit_unpin(level);
	return image;
}

/* The primary key of a row as an object; NULL if the table has none. */
Jsonb *
audit_key(AuditTarget *target, const AuditRow *row)
{
	JsonbPair  *pairs;
	int			level;
	Jsonb	   *key;

	if (target->nkey == 0)
		return NULL;
	pairs = palloc(target->nkey * sizeof(JsonbPair));
	level = audit_pin(target->pins);
	for (int i = 0; i < target->nkey; i++)
	{
		AuditColumn *column = &target->key[i];
		int			att = column->attnum - 1;
		AuditValue	value;

		value.json.type = jbvNull;
		if (!row->isnull[att])
			audit_show(target->converters, column->converter,
					   row->values[att], &value);
		set_key(&pairs[i], column);
		pairs[i].value = value.json;
	}
	key = make_object(pairs, target->nkey);
	audit_unpin(level);
	return key;
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token,
			const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	pushJsonbValue(state, token, &value);
}

static void
push_integer(JsonbParseState **state, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* "replaced" or "cut", by image and column; nothing if there is none. */
static void
push_mishaps(JsonbParseState **state, const AuditNote *note, bool cut)
{
	static const char *const sides[] = {"old", "new"};
	bool		opened = false;

	for (int side = AUDIT_OLD; side <= AUDIT_NEW; side++)
	{
		bool		side_opened = false;
		ListCell   *lc;

		foreach(lc, note->mishaps[side])
		{
			AuditMishap *mishap = lfirst(lc);

			if ((mishap->reason == NULL) != cut)
				continue;
			if (!opened)
			{
				push_key(state, cut ? "cut" : "replaced");
				pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
				opened = true;
			}
			if (!side_opened)
			{
				push_key(state, sides[side]);
				pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
				side_opened = true;
			}
			push_key(state, mishap->name);
			if (!cut)
			{
				push_string(state, WJB_VALUE, mishap->reason);
				continue;
			}
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			push_key(state, "bytes");
			push_integer(state, mishap->bytes);
			if (mishap->sha256)
			{
				push_key(state, "sha256");
				push_string(state, WJB_VALUE, mishap->sha256);
			}
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
		}
		if (side_opened)
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	if (opened)
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The names of masked columns that the images show. */
static void
push_masked(JsonbParseState **state, AuditTarget *target,
			const AuditNote *note)
{
	bool		opened = false;

	if (!target->any_masked || !note->has_image)
		return;
	for (int i = 0; i < target->nimage; i++)
	{
		if (!target->image[i].masked || (note->shown && !note->shown[i]))
			continue;
		if (!opened)
		{
			push_key(state, "masked");
			pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
			opened = true;
		}
		push_string(state, WJB_ELEM, target->image[i].name);
	}
	if (opened)
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/*
 * What there is to say of a log row besides its images; NULL if nothing.
 */
Jsonb *
audit_note(AuditTarget *target, const AuditNote *note)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	JsonbValue	value;

	/* nearly every row: not worth an empty object */
	if (!target->any_masked && !target->child && !note->moved &&
		note->moved_from == 0 && note->new_key == NULL &&
		note->mishaps[AUDIT_OLD] == NIL && note->mishaps[AUDIT_NEW] == NIL)
		return NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_masked(&state, target, note);
	push_mishaps(&state, note, false);
	push_mishaps(&state, note, true);
	if (note->moved)
	{
		push_key(&state, "moved");
		value.type = jbvBool;
		value.val.boolean = true;
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	if (note->moved_from != 0)
	{
		push_key(&state, "moved_from");
		push_integer(&state, note->moved_from);
	}
	if (target->child)
	{
		char	   *name = plinth_relation_name(target->relid);

		push_key(&state, "table");
		push_string(&state, WJB_VALUE, name ? name : "");
	}
	if (note->new_key)
	{
		push_key(&state, "new_key");
		value.type = jbvBinary;
		value.val.binary.data = &note->new_key->root;
		value.val.binary.len = VARSIZE(note->new_key) - VARHDRSZ;
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	if (object->val.object.nPairs == 0)
		return NULL;
	return JsonbValueToJsonb(object);
}
