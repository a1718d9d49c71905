/*
 * src/audit/audit.h
 *		What the files of plinth_audit share.  README.md tells the story.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_AUDIT_H
#define PLINTH_AUDIT_H

#include "kit/compat.h"

#include "access/transam.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "nodes/primnodes.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "kit/catalog.h"
#include "kit/names.h"

/* Names that are part of the interface. */
#define AUDIT_SCHEMA "plinth_audit"
#define AUDIT_ROW_TRIGGER "plinth_audit"
#define AUDIT_TRUNCATE_TRIGGER "plinth_audit_truncate"
#define AUDIT_GUARD_TRIGGER "plinth_audit_guard"

/* What our triggers on a table fire for. */
#define AUDIT_ROW_TYPE \
	(TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | \
	 TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)
#define AUDIT_TRUNCATE_TYPE \
	(TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_TRUNCATE)
#define AUDIT_TRANSACTION_TABLE "transaction"

/* ----------
 * options.c: what a table's triggers say in their arguments
 * ----------
 */
typedef enum AuditMode
{
	AUDIT_MODE_FULL,			/* old and new image */
	AUDIT_MODE_DELTA,			/* for an update only what changed */
	AUDIT_MODE_NEW				/* new image only */
} AuditMode;

typedef struct AuditOptions
{
	char	   *log;			/* schema-qualified, quoted name of the log */
	AuditMode	mode;
	bool		truncate_rows;	/* false: one row for the event */
	bool		has_include;	/* is there an include list at all? */
	List	   *include;		/* of char *: column names */
	List	   *exclude;
	List	   *mask;
} AuditOptions;

extern AuditOptions *audit_options_parse(int nargs, char **args);
extern List *audit_options_args(const AuditOptions *options);
extern AuditMode audit_mode_parse(const char *word);
extern const char *audit_mode_name(AuditMode mode);
extern bool audit_truncate_parse(const char *word);
extern const char *audit_truncate_name(bool truncate_rows);
extern bool audit_options_equal(const AuditOptions *a, const AuditOptions *b);

/* ----------
 * value.c, json.c: one datum as jsonb
 * ----------
 */
typedef struct AuditConverter AuditConverter;	/* how to show one type */
typedef struct AuditConverters AuditConverters; /* those of a target */

/* What must not depend on the session while a value is shown (pin.c). */
#define AUDIT_PIN_DATESTYLE		0x01
#define AUDIT_PIN_INTERVALSTYLE 0x02
#define AUDIT_PIN_FLOAT			0x04
#define AUDIT_PIN_MONEY			0x08
#define AUDIT_PIN_TIMEZONE		0x10
#define AUDIT_PIN_NAMES			0x20	/* search_path, quoting */
#define AUDIT_PIN_BYTEA			0x40
#define AUDIT_PIN_ALL			0x7f

/* Result of showing one value. */
typedef struct AuditValue
{
	JsonbValue	json;
	Size		size;			/* upper bound of its size in the jsonb */
	int			depth;			/* containers within containers */
	const char *problem;		/* why jsonb cannot hold it, or NULL */
	bool		too_large;		/* the problem is its size */
} AuditValue;

/* The largest jsonb object: lengths and offsets have 28 bits. */
#define AUDIT_MAX_JSONB 0x0FFFFFFF

/* What every element, key or value is at least counted for. */
#define AUDIT_LEAST_CHARGE 16

extern AuditConverters *audit_converters_create(MemoryContext context);
extern AuditConverter *audit_converter(AuditConverters *converters, Oid typid);
extern int	audit_converter_pins(const AuditConverter *converter);
extern bool audit_converters_concern(AuditConverters *converters,
									 uint32 hashvalue);
extern void audit_show(AuditConverters *converters, AuditConverter *converter,
					   Datum datum, AuditValue *value);
extern void audit_cut(AuditConverter *converter, Datum datum, Size room,
					  AuditValue *value, Size *bytes, char **sha256);
extern void audit_keep_text(AuditConverter *converter, Datum datum,
							Size room, AuditValue *value);

/* shared by value.c and json.c */
typedef struct AuditShow
{
	JsonbParseState *state;		/* open containers */
	JsonbValue *result;			/* the outermost one when it is closed */
	AuditValue *value;			/* where problems and sizes are noted */
	int			depth;
	bool		stop;			/* a problem was met: do no more */
} AuditShow;

extern void audit_show_json(AuditShow *show, text *json);
extern void audit_show_open(AuditShow *show, JsonbIteratorToken token);
extern void audit_show_close(AuditShow *show, JsonbIteratorToken token);
extern void audit_show_scalar(AuditShow *show, JsonbIteratorToken token,
							  JsonbValue *scalar);
extern void audit_show_fail(AuditShow *show, const char *problem);
extern void audit_show_charge(AuditShow *show, Size bytes);
extern bool audit_stack_has_room(int depth);

/* ----------
 * pin.c
 * ----------
 */
extern int	audit_pin(int pins);
extern void audit_unpin(int level);

/* ----------
 * target.c: what the trigger needs to know of a table, cached
 * ----------
 */
typedef struct AuditColumn
{
	AttrNumber	attnum;
	bool		masked;
	bool		computed;		/* virtual generated: not in the tuple */
	int			pins;
	char	   *name;
	int			namelen;
	AuditConverter *converter;
} AuditColumn;

/* The columns of a log, in the order of its definition. */
enum
{
	LOG_AUDIT_ID,
	LOG_OP,
	LOG_CHANGED_AT,
	LOG_CHANGED_BY,
	LOG_TRANSACTION_ID,
	LOG_COMMAND_ID,
	LOG_ROW_KEY,
	LOG_OLD_DATA,
	LOG_NEW_DATA,
	LOG_NOTE,
	LOG_NCOLUMNS
};

typedef struct AuditTarget
{
	bool		valid;			/* no invalidation has come in since */
	Oid			tgoid;			/* hash key: the trigger */
	Oid			relid;			/* the table the trigger is on */
	Oid			rootid;			/* the table that was enabled */
	Oid			logid;
	Oid			seqid;
	AttrNumber	logatts[LOG_NCOLUMNS];
	bool		child;			/* an inheritance child of rootid */
	bool		received;		/* a subscription fills the log */
	char	   *logname;
	AuditOptions *options;
	int			natts;
	int			nimage;
	Size		namebytes;		/* what the names take in an image */
	bool		any_computed;
	bool		any_masked;
	AuditColumn *image;			/* columns of the images, in jsonb's order */
	int			nkey;
	AuditColumn *key;			/* columns of row_key, in jsonb's order */
	bool		key_hidden;		/* a key column is not in the images */
	int			nleftout;
	AuditColumn *leftout;		/* columns in no image */
	int			pins;			/* of all columns together */
	AuditConverters *converters;
	MemoryContext context;
} AuditTarget;

extern AuditTarget *audit_target(Relation rel, Trigger *trigger);
extern bool audit_target_valid(const AuditTarget *target);
extern void audit_target_use(AuditTarget *target);
extern void audit_target_release(void);
extern void audit_target_subxact_abort(void);
extern List *audit_key_names(Oid relid);
extern void audit_target_init(void);
extern void audit_target_xact_end(void);

/* ----------
 * image.c: rows as jsonb
 * ----------
 */

/* One row of the table, its virtual columns computed. */
typedef struct AuditRow
{
	Datum	   *values;			/* by attribute number less one */
	bool	   *isnull;
	const char **problems;		/* why one could not be computed; or NULL */
} AuditRow;

/* Which columns does an update change? */
typedef struct AuditDiff
{
	bool	   *image;			/* per column of target->image */
	bool		any_image;
	bool		any_leftout;
} AuditDiff;

/* What is to be said of one log row besides its images. */
typedef struct AuditNote
{
	const bool *shown;			/* image columns shown; NULL: all */
	bool		has_image;
	List	   *mishaps[2];		/* of AuditMishap: in old, in new */
	bool		moved;			/* D: went to another partition */
	int64		moved_from;		/* I: came from there; audit_id of the D */
	Jsonb	   *new_key;
} AuditNote;

#define AUDIT_OLD 0
#define AUDIT_NEW 1

extern AuditRow *audit_row(AuditTarget *target, Relation rel,
						   TupleTableSlot *slot);
extern void audit_diff(AuditTarget *target, Relation rel,
					   const AuditRow *old, const AuditRow *new,
					   AuditDiff *diff);
extern bool audit_key_differs(AuditTarget *target, Relation rel,
							  const AuditRow *old, const AuditRow *new);
extern Jsonb *audit_image(AuditTarget *target, const AuditRow *row,
						  const bool *shown, List **mishaps);
extern Jsonb *audit_key(AuditTarget *target, const AuditRow *row);
extern Jsonb *audit_note(AuditTarget *target, const AuditNote *note);

/* ----------
 * order.c: the order of changes
 * ----------
 */
extern CommandId audit_maker(Relation rel, HeapTuple tuple);
extern CommandId audit_order(Relation rel, HeapTuple tuple, bool deleted,
							 TupleTableSlot *slot, bool changed);
extern void audit_order_xact_end(void);

/* ----------
 * computed.c: virtual generated columns
 * ----------
 */
extern void audit_compute(Relation rel, TupleTableSlot *slot,
						  AttrNumber attnum, Datum *value, bool *isnull,
						  const char **problem);

/* ----------
 * writer.c: rows into the log
 * ----------
 */
typedef struct AuditEntry
{
	char		op;
	CommandId	command;
	Jsonb	   *key;
	Jsonb	   *old;
	Jsonb	   *new;
	Jsonb	   *note;
} AuditEntry;

extern void audit_writer_init(void);
extern int64 audit_write(AuditTarget *target, Relation log,
						 const AuditEntry *entry);
extern void audit_insert(Relation rel, Datum *values, bool *isnull);

/* ----------
 * context.c: one row a transaction
 * ----------
 */
extern char *audit_actor;		/* GUC plinth_audit.actor */
extern char *audit_context;		/* GUC plinth_audit.context */
extern bool audit_context_valid(char **newval, void **extra, GucSource source);
extern void audit_context_init(void);
extern void audit_context_wrote(Oid logid);

/* ----------
 * capture.c: the trigger
 * ----------
 */
extern bool audit_capture_on;	/* GUC plinth_audit.capture */
extern void audit_capture_init(void);

/* ----------
 * log.c: the log as an object of the database
 * ----------
 */
extern Oid	audit_capture_function(void);
extern Oid	audit_guard_function(void);
extern Oid	audit_owner(void);
extern PlinthTrigger *audit_log_guard(Oid relid);
extern const char *audit_guard_arg(const PlinthTrigger *guard,
								   const char *name);
extern void audit_log_bind(Relation log, AttrNumber *atts, Oid *seqid);
extern const char *audit_log_misfit(Relation log, AttrNumber *atts,
									Oid *seqid);
extern const char *audit_log_unsafe(Oid relid);
extern Oid	audit_log_make(Oid target, const char *nspname,
						   const char *relname);

/* The columns of plinth_audit.transaction, in their order. */
enum
{
	TX_TRANSACTION_ID,
	TX_STARTED_AT,
	TX_ENDED_AT,
	TX_SESSION_USER_NAME,
	TX_APPLICATION_NAME,
	TX_CLIENT_ADDR,
	TX_CLIENT_PORT,
	TX_BACKEND_PID,
	TX_ACTOR,
	TX_CONTEXT,
	TX_LOGS,
	TX_NCOLUMNS
};

extern Oid	audit_transaction_oid(void);
extern bool audit_transaction_fits(Relation rel);
extern void audit_transaction_make(void);

/* ----------
 * protect.c: who may do what with a log
 * ----------
 */
extern void audit_log_protect(Oid logid, Oid table, bool fresh);
extern const char *audit_log_unprotected(Oid logid, Oid table);
extern bool audit_log_is_reader(Oid logid, Oid role);
extern bool audit_log_accepts(Oid logid, Oid table);
extern bool audit_log_belongs(Oid logid, Oid table);
extern void audit_check_trigger(const PlinthTrigger *trig);
extern void audit_check_guard(const PlinthTrigger *trig);
extern bool audit_sequence_is_open(Oid logid);
extern void audit_sequence_close(Oid logid);
extern void audit_protect_init(void);

/* ----------
 * trigger.c: our triggers on a table and everything below it
 * ----------
 */
extern PlinthTrigger *audit_row_trigger(Oid relid);
extern PlinthTrigger *audit_truncate_trigger(Oid relid);
extern AuditOptions *audit_table_options(Oid relid);
extern List *audit_family(Oid relid, LOCKMODE lockmode);
extern bool audit_captured_into(Oid relid, Oid logid);
extern Oid	audit_root(Oid relid, Oid logid, bool *child);
extern List *audit_tables_of(const char *log);
extern void audit_triggers_make(Oid relid, const AuditOptions *options);
extern void audit_triggers_alter(Oid relid, const AuditOptions *options);
extern void audit_triggers_drop(Oid relid);
extern AuditOptions *audit_member_options(Oid member, Oid root,
										  const AuditOptions *options);

/* ----------
 * follow.c
 * ----------
 */
extern List *audit_logs_in(Oid nspid);
extern void audit_follow_joining(Oid relid);


#endif							/* PLINTH_AUDIT_H */
