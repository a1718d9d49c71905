/*
 * src/soft_delete/soft_delete.h
 *		What the files of plinth_soft_delete share.  README.md tells the story.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_SOFT_DELETE_H
#define PLINTH_SOFT_DELETE_H

#include "kit/compat.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "utils/relcache.h"

#include "kit/catalog.h"
#include "kit/names.h"

/* Names that are part of the interface. */
#define SOFT_SCHEMA "plinth_soft_delete"
#define SOFT_ROW_TRIGGER "plinth_soft_delete"
#define SOFT_UPDATE_TRIGGER "plinth_soft_delete_update"
#define SOFT_STATEMENT_TRIGGER "plinth_soft_delete_statement"
#define SOFT_TRUNCATE_TRIGGER "plinth_soft_delete_truncate"
#define SOFT_POLICY "plinth_soft_delete"
#define SOFT_OPEN_POLICY "plinth_soft_delete_open"
#define SOFT_START_EVENT_TRIGGER "plinth_soft_delete_ddl_start"
#define SOFT_END_EVENT_TRIGGER "plinth_soft_delete_ddl_end"
#define SOFT_VIEWS_START_EVENT_TRIGGER "plinth_soft_delete_views_start"
#define SOFT_VIEWS_END_EVENT_TRIGGER "plinth_soft_delete_views_end"
#define SOFT_RECORD_TABLE SOFT_SCHEMA "._deletion"
#define SOFT_SEQUENCE SOFT_SCHEMA ".deletion_id_seq"

/* The second column, which has no other name when it is made. */
#define SOFT_DELETION_COLUMN "deletion_id"

/* ----------
 * options.c: what the triggers say in their arguments
 * ----------
 */
typedef enum SoftVisibility
{
	VISIBILITY_RLS,				/* a policy hides the dead */
	VISIBILITY_FILTER,			/* a condition that the hook adds */
	VISIBILITY_NONE				/* views only */
} SoftVisibility;

typedef struct SoftOptions
{
	char	   *deleted_at;		/* column names */
	char	   *deletion_id;
	SoftVisibility visibility;
	char	   *viewers;		/* role that may see the dead, or NULL */
	bool		barrier;		/* the policy stays a security barrier */
	bool		opened;			/* row-level security was off before */
	bool		ignore_triggers;	/* user DELETE triggers never fire */
	char	   *active;			/* names of views, or NULL */
	char	   *deleted;
} SoftOptions;

extern SoftVisibility soft_visibility_parse(const char *word);
extern const char *soft_visibility_word(SoftVisibility visibility);
extern SoftOptions *soft_options_parse(int nargs, char **args);
extern SoftOptions *soft_options_try(int nargs, char **args);
extern List *soft_options_args(const SoftOptions *options);

/* ----------
 * target.c: our triggers on tables, and what cannot be enabled
 * ----------
 */
/* One of our triggers, as enable() makes it. */
typedef struct SoftTriggerShape
{
	const char *name;
	const char *function;
	int16		type;			/* TRIGGER_TYPE_* bits */
} SoftTriggerShape;

#define SOFT_TRIGGERS 4

extern const SoftTriggerShape soft_trigger_shapes[SOFT_TRIGGERS];
extern Oid	soft_function(const char *name);
extern bool soft_is_our_trigger(const PlinthTrigger *trig);
extern const SoftTriggerShape *soft_shape_of(Oid funcid);
extern PlinthTrigger *soft_trigger(Oid relid, const char *function,
								   const char *name);
extern SoftOptions *soft_table_options(Oid relid);
extern SoftOptions *soft_readable_options(Oid relid);
extern SoftOptions *soft_present_options(Oid relid);
extern Oid	soft_root(Oid relid);
extern List *soft_enabled_tables(void);
extern void soft_check_kind(Oid relid);
extern void soft_check_keys(Oid relid);
extern PlinthTrigger *soft_unfired_trigger(Oid relid);
extern void soft_check_triggers(Oid relid);
extern void soft_require_root(Oid relid);
extern void soft_check_policies(Oid relid);

/* ----------
 * table.c: what the planner must know of a table, cached
 * ----------
 */
typedef struct SoftTable
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		enabled;
	bool		whole;			/* it is as enable() has made it */
	Oid			root;			/* once it is known, see soft_named_root() */
	AttrNumber	deleted_at;
	AttrNumber	deletion_id;
	Oid			deleted_at_type;	/* timestamptz or timestamp */
	SoftVisibility visibility;
	bool		barrier;
	NameData	viewers;		/* empty: nobody */
} SoftTable;

extern void soft_table_init(void);
extern SoftTable *soft_table(Oid relid);
extern void soft_require_columns(Oid relid, const SoftOptions *options);
extern bool soft_table_copy(Oid relid, SoftTable *copy);
extern SoftTable *soft_readable_table(Oid relid);
extern Oid	soft_named_root(SoftTable *table);
extern SoftTable soft_columns_below(Oid relid, Oid child);
extern bool soft_may_view(const SoftTable *table);

/* ----------
 * toggle.c: who sees the dead
 * ----------
 */
extern bool soft_show_deleted;
extern void soft_toggle_init(void);
extern Oid	soft_showing;
extern bool soft_sees_all(const SoftTable *table);
extern bool soft_sees_dead(const SoftTable *table);

/* ----------
 * own.c: statements of our own on tables of others
 * ----------
 */
typedef enum SoftOwn
{
	SOFT_OWN_NOTHING,
	SOFT_OWN_READ,				/* sees everything */
	SOFT_OWN_UPDATE,			/* sets our columns as it says */
	SOFT_OWN_REMOVE,			/* removes rows for good */
	SOFT_OWN_SHOW				/* the caller's query, which is to see the dead */
} SoftOwn;

extern SoftOwn soft_next_plan;
extern SoftOwn soft_next_statement;
extern Oid	soft_next_table;
extern uint64 soft_own_execute(Oid relid, SoftOwn kind, const char *sql,
							   int nargs, Oid *types, Datum *values);
extern uint64 soft_own_run(Oid relid, SoftOwn kind, const char *sql, int nargs,
						   Oid *types, Datum *values);
extern List *soft_own_strings(Oid relid, const char *sql);

/* ----------
 * planner.c: the hook
 * ----------
 */
extern void soft_planner_init(void);

/* ----------
 * convert.c: DELETE becomes UPDATE
 * ----------
 */
/*
 * Where calls stand that are made for plans.  The parser gives out no such
 * place, so nobody can make a function read what he may not.
 */
#define SOFT_IN_PLAN (-20461)

extern Oid	soft_helper(const char *name, int nargs, const Oid *argtypes);
extern void soft_require_plan(FunctionCallInfo fcinfo, const char *name);
extern void soft_spare_dead(Query *query);
extern bool soft_convert(Query *query);
extern Var *soft_column_var(Index rti, Oid relid, AttrNumber attnum);
extern Node *soft_null_test(Var *var, NullTestType which);
extern Expr *soft_deletion_expression(const SoftTable *table);
extern Node *soft_live_qual(Index rti, const SoftTable *table);

/* ----------
 * stamp.c: UPDATE that sets our columns
 * ----------
 */
extern bool soft_stamp(Query *query, bool *depends);

/* ----------
 * watch.c: triggers that wait for our columns, or may change them
 * ----------
 */
#define SOFT_DELETE_MEANT SelfItemPointerAttributeNumber

extern void soft_watch(PlannedStmt *stmt);

/* ----------
 * returning.c: what a converted statement returns
 * ----------
 */
extern void soft_returning(PlannedStmt *stmt);

/* ----------
 * visible.c: the dead are hidden
 * ----------
 */
extern bool soft_is_table(const RangeTblEntry *rte);
extern bool soft_hide(Query *query);

/* ----------
 * foreign.c: the queries of foreign keys
 * ----------
 */
extern bool soft_is_foreign_key_query(const char *query_string,
									  ParamListInfo params);

/* ----------
 * estimate.c: how many rows are alive, where nothing is known
 * ----------
 */
extern bool soft_estimating;
extern void soft_estimate_init(void);

/* ----------
 * deletion.c: the deletions of this transaction
 * ----------
 */
extern char *soft_actor;
extern char *soft_reason;
extern void soft_deletion_init(void);
extern int64 soft_deletion_of_statement(MemoryContext statement, Oid target);
extern MemoryContext soft_finishing;
extern bool soft_keeping_record;
extern bool soft_deletion_is_pending(int64 deletion_id);
extern Oid	soft_deletion_role;
extern void soft_deletion_flush(void);

/* ----------
 * record.c: plinth_soft_delete._deletion
 * ----------
 */
typedef struct DeletionRecord
{
	int64		deletion_id;
	TimestampTz at;
	bool		unknown;		/* by whom is not known: it was adopted */
	const char *target;
	int64		row_count;
} DeletionRecord;

extern Oid	soft_owner(void);
extern int64 soft_next_deletion(void);
extern bool soft_pass_deletion(int64 number);
extern void soft_record_write(const DeletionRecord *record);

/* ----------
 * columns.c: the two columns, and dead rows that are there already
 * ----------
 */
extern void soft_check_columns(Oid relid, const SoftOptions *options);
extern void soft_make_columns(Oid relid, const SoftOptions *options);
extern void soft_adopt_rows(Oid relid, const SoftOptions *options);

/* ----------
 * attach.c: triggers and policies on a table and what is below it
 * ----------
 */
extern char *soft_oid_list(List *oids);
extern bool soft_same_args(const PlinthTrigger *trig, const List *args);
extern void soft_make_triggers(Oid relid, const SoftOptions *options);
extern void soft_fire_always(Oid relid);
extern bool soft_is_secured(Oid relid);
extern bool soft_moves_rows(Oid relid);
extern void soft_make_open_policy(Oid relid);
extern void soft_make_policies(Oid relid, const SoftOptions *options);
extern void soft_drop_triggers(Oid relid);
extern void soft_judge_trigger(const PlinthTrigger *trig);
extern void soft_drop_policies(Oid relid);

/* ----------
 * views.c: the views beside a table
 * ----------
 */
typedef struct SoftView
{
	const char *name;			/* qualified */
	const char *reloptions;		/* as in WITH (), or NULL */
	bool		deleted;		/* which of the two it is */
	char	  **names;			/* of columns, see select_list() */
	int			nnames;
} SoftView;

extern bool soft_may_show(const SoftTable *table);
extern bool soft_shows(const Query *query, Index rti, const SoftTable *table);
extern char **soft_column_names(Oid relid, int *natts);
extern void soft_name_views(Oid relid, SoftOptions *options);
extern void soft_create_view(Oid relid, const SoftOptions *options,
							 const SoftView *view, bool replace);
extern void soft_make_views(Oid relid, const SoftOptions *options);
extern void soft_attach_views(Oid relid, const SoftOptions *options);
extern Oid	soft_recorded_view(Oid relid, const SoftOptions *options,
							   bool deleted);
extern Oid	soft_attached_view(Oid relid, const SoftOptions *options,
							   bool deleted);
extern bool soft_view_goes_along(Oid relid, Oid viewid);
extern void soft_repair_views(Oid relid, const SoftOptions *options);
extern bool soft_is_unchanged(Oid viewid, Oid relid,
							  const SoftOptions *options, bool deleted, bool all);
extern void soft_lock_views(Oid relid);
extern void soft_drop_views(Oid relid, const SoftOptions *options);

/* ----------
 * rebuild.c: views make way for ALTER TABLE, and come back
 * ----------
 */
extern void soft_save_names(SoftView *view, Oid relid, Oid viewid);
extern char *soft_view_options(Oid viewid);
extern void soft_change_owner(Oid viewid, Oid relid);
extern void soft_make_way(const Node *command, Oid relid);
extern void soft_restore_views(const Node *command);
extern void soft_rebuild_init(void);

/* ----------
 * mark.c: one row marked, where no plan does it
 * ----------
 */
pg_noreturn extern void soft_report_change(Relation rel, AttrNumber attnum);
extern bool soft_restamp(Relation rel, TupleTableSlot *old,
						 const SoftTable *table, Datum deleted_at, bool alive,
						 int64 deletion_id);
extern bool soft_mark_row(Relation rel, TupleTableSlot *old,
						  const SoftTable *table, int64 deletion_id);

/* ----------
 * failsafe.c: the triggers
 * ----------
 */
enum
{
	SOFT_UNCONVERTED_SOFT,
	SOFT_UNCONVERTED_ERROR
};

enum
{
	SOFT_DEAD_REFUSE,
	SOFT_DEAD_ALLOW
};

extern int	soft_unconverted;
extern bool soft_statement_known(MemoryContext context);
extern int	soft_dead_update;
extern void soft_failsafe_init(void);

/* ----------
 * apply.c: what comes from a publisher
 * ----------
 */
extern bool soft_applied_removes(Relation rel, bool alive);
extern void soft_apply_init(void);

/* ----------
 * conflicts.c: what keeps dead rows from coming back
 * ----------
 */

/* The table of a deletion, its names ready for SQL. */
typedef struct SoftDead
{
	Oid			relid;
	char	   *name;
	char	   *deleted_at;
	char	   *deletion_id;
} SoftDead;

extern SoftDead soft_dead_of(Oid relid);
extern bool soft_may_read(Oid relid);
extern char *soft_key_expression(Oid relid);
extern List *soft_conflict_queries(const SoftDead *dead, const char *condition);
extern List *soft_parts_of(Oid relid);
extern void soft_check_conflicts(Oid relid, const char *condition);

/* ----------
 * names.c: tables and columns that get other names
 * ----------
 */
extern void soft_note_name(Oid relid);
extern void soft_follow_rename(void);
extern void soft_follow_names(RenameStmt *stmt);

/* ----------
 * follow.c: the event triggers
 * ----------
 */
extern int	soft_own_ddl;		/* > 0: enable() or the like is at work */

/* ----------
 * preload.c: the library in new sessions
 * ----------
 */
extern const char *soft_preloaded(void);
extern List *soft_roles_unloaded(void);
extern bool soft_preload_add(void);
extern void soft_preload_remove(void);

/* ----------
 * faults.c: what is not as enable() has made it
 * ----------
 */

/* Something that check() reports. */
typedef struct SoftFault
{
	const char *problem;
	char	   *object;			/* for a person to read */
	char	   *detail;			/* a sentence, or NULL */
} SoftFault;

#define SOFT_EVENT_TRIGGERS 4

extern const char *const soft_event_triggers[SOFT_EVENT_TRIGGERS];
extern SoftOptions *soft_damaged_options(Oid relid);
extern void soft_add_fault(List **faults, const char *problem, char *object,
						   char *detail);
extern bool soft_policy_altered(Oid relid, const SoftOptions *options,
								const char *policy);
extern bool soft_trigger_altered(const PlinthTrigger *trig,
								 const SoftOptions *options);
extern List *soft_table_faults(Oid relid, const SoftOptions *options);
extern List *soft_server_faults(void);

/* ----------
 * rows.c: rows that contradict themselves or the record
 * ----------
 */
extern bool soft_pass_numbers(Oid relid, const SoftOptions *options);
extern List *soft_row_faults(Oid relid, const SoftOptions *options);
extern int64 soft_repair_rows(Oid relid, const SoftOptions *options);

/* ----------
 * utility.c: COPY ... TO, TRUNCATE
 * ----------
 */
extern int	soft_altering;
extern void soft_utility_init(void);

#endif							/* PLINTH_SOFT_DELETE_H */
