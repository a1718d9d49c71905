/*
 * src/inventory/inventory.h
 *		What the files of plinth_inventory share.  README.md tells the story.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_INVENTORY_H
#define PLINTH_INVENTORY_H

#include "kit/compat.h"

#include "access/transam.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "kit/catalog.h"
#include "kit/names.h"

/* Names that are part of the interface. */
#define INVENTORY_SCHEMA "plinth_inventory"
#define INVENTORY_BEFORE_TRIGGER "plinth_inventory_before"
#define INVENTORY_AFTER_TRIGGER "plinth_inventory"
#define INVENTORY_TRUNCATE_TRIGGER "plinth_inventory_truncate"
#define INVENTORY_GUARD_TRIGGER "plinth_inventory_guard"
#define INVENTORY_GUARD_CHANGE_TRIGGER "plinth_inventory_guard_change"
#define INVENTORY_EVENT_TRIGGER "plinth_inventory_ddl_end"

/* SKU and, where there are several, warehouse. */
#define INVENTORY_MAX_KEYS 2

/* ----------
 * options.c: what the triggers say in their arguments
 * ----------
 */
typedef struct InventoryOptions
{
	char	   *sku;			/* column names */
	char	   *warehouse;		/* NULL: the table has none */
	char	   *quantity;
	char	   *reserved;
	char	   *version;
	bool		escrow;			/* mode of cells that come */
	char	   *reservation;	/* schema-qualified, quoted names */
	char	   *movement;
	char	   *cell;
	char	   *view;			/* of what is available */
} InventoryOptions;

extern InventoryOptions *inventory_options_parse(int nargs, char **args);
extern List *inventory_options_args(const InventoryOptions *options);
extern bool inventory_mode_parse(const char *word);

/* ----------
 * inventory.c: a table, its companions, its columns, cached
 * ----------
 */

/* Companions. */
typedef enum Companion
{
	RESERVATION,
	MOVEMENT,
	CELL
} Companion;

#define NCOMPANIONS 3

/* Columns of the reservations, in the order of the table. */
typedef enum ReservationColumn
{
	R_KEY,
	R_LINE,
	R_SKU,
	R_WAREHOUSE,				/* left out where there is none */
	R_QUANTITY,
	R_CONFIRMED,
	R_RELEASED,
	R_OWNER,
	R_CREATED_AT,
	R_EXPIRES_AT,
	R_FINISHED_AT,
	R_OUTCOME,
	R_GENERATION,
	R_XID,
	R_REQUEST,
	R_NCOLUMNS
} ReservationColumn;

/* Columns of the movements. */
typedef enum MovementColumn
{
	M_ID,
	M_AT,
	M_SKU,
	M_WAREHOUSE,
	M_QUANTITY,
	M_RESERVED,
	M_KIND,
	M_REASON,
	M_KEY,
	M_LINE,
	M_GENERATION,
	M_XID,
	M_NCOLUMNS
} MovementColumn;

/* Columns of the cells. */
typedef enum CellColumn
{
	C_SKU,
	C_WAREHOUSE,
	C_GENERATION,
	C_MODE,
	C_PRIORITY,
	C_SAFETY_STOCK,
	C_OVERSELL_LIMIT,
	C_FOLDED,
	C_FOLDED_AT,
	C_SYSTEM_IDENTIFIER,
	C_NCOLUMNS
} CellColumn;

#define INVENTORY_MAX_COLUMNS R_NCOLUMNS

extern const char *const inventory_reservation_columns[R_NCOLUMNS];
extern const char *const inventory_movement_columns[M_NCOLUMNS];
extern const char *const inventory_cell_columns[C_NCOLUMNS];

/* One column of the key: SKU or warehouse. */
typedef struct KeyColumn
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	FmgrInfo	input;
	Oid			ioparam;
	FmgrInfo	output;
	FmgrInfo	compare;		/* btree support function 1 */
	FmgrInfo	hash;			/* fn_oid 0: the type has none */
	RegProcedure equal;			/* for scan keys */
} KeyColumn;

/* Statements on the stock table and companions, see statement.c. */
typedef enum InventoryStatement
{
	/* on the stock table, as the caller */
	ST_RESERVE,					/* reserved + $q if free */
	ST_CHANGE,					/* quantity + $, reserved + $, version + $ */
	ST_LOCK,					/* FOR NO KEY UPDATE */
	ST_SEE,						/* its numbers */
	ST_AVAILABLE,				/* of a cell */
	ST_AVAILABLE_ALL,			/* of a SKU */
	/* on companions, as the owner */
	ST_FIND_HOLDS,				/* lines of a key */
	ST_LOCK_HOLDS,
	ST_HELD,					/* is any of a cell not finished? */
	ST_HELD_UNITS,				/* what these hold */
	ST_OWNER_HOLDS,				/* keys that an owner holds */
	ST_OVERDUE,					/* of one cell, SKIP LOCKED */
	ST_OVERDUE_CELLS,			/* which cells have some */
	ST_SETTLE,					/* change one line */
	ST_EXTEND,
	ST_CELLS,					/* all cells of a SKU */
	ST_ADD_CELL,
	ST_SET_CELL,
	ST_DROP_CELL,
	ST_ESCROW_CELLS,
	ST_INSERT_RESERVATION,		/* where a row cannot be written directly */
	ST_INSERT_MOVEMENT,
	ST_COUNT
} InventoryStatement;

/* An inventory as a session knows it; see inventory_get(). */
typedef struct Inventory
{
	Oid			relid;			/* hash key: the stock table */
	bool		valid;
	uint64		retired_in;		/* transaction that replaced it */
	struct Inventory *next_retired;
	MemoryContext context;		/* of all that this points to */
	InventoryOptions *options;
	Oid			owner;
	int			nkeys;			/* 1 or 2 */
	KeyColumn	key[INVENTORY_MAX_KEYS];
	AttrNumber	key_att[INVENTORY_MAX_KEYS];	/* in the stock table */
	AttrNumber	quantity_att;
	AttrNumber	reserved_att;
	AttrNumber	version_att;
	Oid			quantity_type;	/* int2, int4, int8 or numeric */
	Oid			reserved_type;
	Oid			version_type;
	bool		only_our_triggers;	/* on the stock table */
	Oid			stock_index;	/* unique, on the key */
	int			stock_index_att[INVENTORY_MAX_KEYS];	/* key column of each
														 * index column */
	Oid			companion[NCOMPANIONS];
	bool		direct[NCOMPANIONS];	/* rows may be written directly */
	Oid			cell_index;		/* primary key of the cells */
	Oid			reservation_index;	/* primary key of the reservations */
	Oid			reservation_tail;	/* on generation and xid */
	Oid			movement_tail;
	Oid			due_index;
	Oid			movement_sequence;
	SPIPlanPtr	plans[ST_COUNT];
	struct DirectIndex *indexes[2]; /* of reservations and movements */
	int			nindexes[2];
	pg_atomic_uint64 *epoch;	/* of the table, in shared memory */
} Inventory;

extern void inventory_cache_init(void);
extern Inventory *inventory_get(Oid relid);
extern void inventory_check_exists(Oid relid);
extern void inventory_hold(Inventory **inv);
extern Oid	inventory_only_one(void);
extern Oid	inventory_argument(FunctionCallInfo fcinfo, int arg);
extern AttrNumber inventory_column(const Inventory *inv, Companion companion,
								   int column);

/* ----------
 * key.c, probe.c: SKU and warehouse of any type; single rows by them
 * ----------
 */
typedef struct StockKey
{
	Datum		value[INVENTORY_MAX_KEYS];
} StockKey;

extern StockKey inventory_key_from_text(Inventory *inv, const char *sku,
										const char *warehouse);
extern StockKey inventory_key_of_sku(Inventory *inv, const char *sku);
extern char *inventory_key_sku(Inventory *inv, const StockKey *key);
extern char *inventory_key_warehouse(Inventory *inv, const StockKey *key);
extern char *inventory_key_label(Inventory *inv, const StockKey *key);
extern StockKey inventory_key_copy(const Inventory *inv, const StockKey *key);
extern int	inventory_key_compare(Inventory *inv, const StockKey *a,
								  const StockKey *b);
extern StockKey inventory_key_of_slot(const Inventory *inv,
									  TupleTableSlot *slot);

/* A row that was looked up through a unique index. */
typedef struct Probe
{
	Relation	rel;
	Relation	index;
	TupleTableSlot *slot;
	struct IndexScanDescData *scan;
} Probe;

extern bool inventory_probe_cell(Inventory *inv, const StockKey *key,
								 Snapshot snapshot, Probe *probe);
extern bool inventory_probe_stock(Inventory *inv, const StockKey *key,
								  Snapshot snapshot, Probe *probe);
extern bool inventory_probe_reservation(Inventory *inv, const pg_uuid_t *key,
										Snapshot snapshot, Probe *probe);
extern void inventory_probe_end(Probe *probe);

/* A stock row's numbers. */
typedef struct StockRow
{
	int64		quantity;
	int64		reserved;
	int64		version;
} StockRow;

extern bool inventory_read_stock(Inventory *inv, const StockKey *key,
								 Snapshot snapshot, StockRow *row);
extern StockRow inventory_stock_of_slot(const Inventory *inv,
										TupleTableSlot *slot);
extern int64 inventory_integer(Oid type, Datum value);

/* ----------
 * cell.c: the cell row
 * ----------
 */
typedef struct CellRow
{
	int64		generation;
	bool		escrow;
	int			priority;
	int64		safety_stock;
	int64		oversell_limit;
	Datum		folded;			/* pg_snapshot, palloc'd; 0: null */
	bool		foreign_system; /* watermark of another system */
} CellRow;

extern bool inventory_cell_read(Inventory *inv, const StockKey *key,
								Snapshot snapshot, CellRow *cell);
extern bool inventory_cell_latest(Inventory *inv, const StockKey *key,
								  CellRow *cell);
extern void inventory_cell_get(Inventory *inv, const StockKey *key,
							   CellRow *cell);
extern void inventory_cell_add(Inventory *inv, const StockKey *key);
extern void inventory_cell_write(Inventory *inv, const StockKey *key,
								 const CellRow *cell);
extern int64 inventory_new_generation(void);
pg_noreturn extern void inventory_unknown(Inventory *inv, const StockKey *key);

pg_noreturn extern void inventory_unknown_sku(Inventory *inv, const char *sku);

/* ----------
 * shared.c: cells in shared memory
 * ----------
 */
typedef enum SharedCellState
{
	CELL_UNLOADED,
	CELL_LOADING,
	CELL_READY,
	CELL_DRAINING,				/* somebody changes its mode */
	CELL_CLOSED					/* this generation is over */
} SharedCellState;

typedef struct SharedCellKey
{
	Oid			dbid;
	Oid			relid;			/* the stock table */
	int64		generation;
} SharedCellKey;

typedef struct SharedCell
{
	SharedCellKey key;			/* hash key, must be first */
	pg_atomic_uint32 state;		/* SharedCellState */
	pg_atomic_uint32 pins;		/* transactions that may write the cell */
	pg_atomic_uint64 units;		/* int64: free and not taken */
	pg_atomic_uint64 on_hand;	/* int64: in the warehouse and not taken */
	pg_atomic_uint64 beyond;	/* int64: oversell limit less safety stock */
	pg_atomic_uint64 changes;	/* of units, so far */
	pg_atomic_uint64 version;	/* of the stock row, as committed */
	pg_atomic_uint64 due;		/* TimestampTz: no hold is overdue before */
	pg_atomic_uint64 epoch;		/* of the table when it was loaded */
	pg_atomic_uint64 touched;	/* for eviction: pins so far, of all cells */
	pg_atomic_uint32 changer;	/* xid of who drains it */
	pg_atomic_uint32 loader;	/* procno of who loads it */
} SharedCell;

#define CELL_NEVER_DUE DT_NOEND

extern int	inventory_memory;	/* setting, in kB */

extern void inventory_shared_attach(void);
extern pg_atomic_uint64 *inventory_shared_epoch(Oid relid);
extern SharedCell *inventory_shared_pin(Oid relid, int64 generation);
extern void inventory_shared_unpin(SharedCell *cell);
extern bool inventory_shared_look(Oid relid, int64 generation,
								  SharedCell *copy);
extern void *inventory_shared_block(int procno);
extern void *inventory_shared_block_make(Size size, uint64 *handle);
extern void inventory_shared_block_publish(int procno, uint64 handle);
extern int	inventory_shared_nblocks(void);
extern List *inventory_shared_list(void);

/* ----------
 * inflight.c: who has units of a cell in an open transaction
 * ----------
 */
extern int	inventory_inflight_add(SharedCell *cell, TransactionId xid);
extern void inventory_inflight_remove(int slot);
extern void inventory_inflight_units(int slot, bool units);
extern TransactionId inventory_inflight_other(SharedCell *cell,
											  bool with_units);

/* ----------
 * account.c: what this transaction has taken and given
 * ----------
 */

/* What a cell counts. */
typedef enum Counter
{
	COUNTER_FREE,				/* units that can be reserved */
	COUNTER_ON_HAND				/* units that can leave the warehouse */
} Counter;

#define NCOUNTERS 2

extern SharedCell *inventory_account_pin(Inventory *inv, const StockKey *key,
										 const CellRow *row);
extern SharedCell *inventory_account_pinned(Oid relid, int64 generation);
extern int64 inventory_account_units(SharedCell *cell, Counter counter);
extern int64 inventory_account_free(SharedCell *cell);
extern bool inventory_account_take(SharedCell *cell, Counter counter,
								   int64 units);
extern void inventory_account_give(SharedCell *cell, Counter counter,
								   int64 units);
extern void inventory_account_note(SharedCell *cell);
extern void inventory_account_tidy(void);
extern void inventory_account_looked(SharedCell *cell);
extern void inventory_account_due(SharedCell *cell, TimestampTz due);
extern void inventory_account_due_now(SharedCell *cell, TimestampTz due);
extern int64 inventory_account_seen_version(SharedCell *cell);
extern void inventory_account_version(SharedCell *cell, int64 version);
extern int64 inventory_account_slack(SharedCell *cell);
extern void inventory_account_drain(SharedCell *cell);

/* ----------
 * levels.c: what becomes of it when a (sub)transaction ends
 * ----------
 */
extern void inventory_account_init(void);
extern void inventory_account_stale(Oid relid);
extern bool inventory_account_is_stale(Oid relid);

/* ----------
 * load.c, tail.c: a cell's counter from the tables
 * ----------
 */
typedef struct Tail
{
	int64		quantity;		/* changes that the stock row has not */
	int64		reserved;
	int64		rows;
} Tail;

extern void inventory_tail_read(Inventory *inv, const CellRow *cell,
								Snapshot snapshot, FullTransactionId except,
								Tail *tail);
extern StockRow inventory_exact_stock(Inventory *inv, const StockKey *key,
									  const CellRow *cell);
extern bool inventory_load(Inventory *inv, const StockKey *key,
						   SharedCell *cell, TransactionId *changer);
extern Datum inventory_snapshot_value(Snapshot snapshot);
extern Datum inventory_current_snapshot(void);
extern void inventory_nap(int64 generation);
extern TimestampTz inventory_first_due(Inventory *inv, const StockKey *key,
									   Snapshot snapshot);
extern int64 inventory_overdue(Inventory *inv, const StockKey *key);
extern int64 inventory_overdue_pinned(Inventory *inv, const StockKey *key,
									  SharedCell *cell);

/* ----------
 * writer.c: rows of reservations and movements
 * ----------
 */
typedef struct ReservationRow
{
	pg_uuid_t	key;
	int			line;
	StockKey	stock;
	int			quantity;
	const char *owner;			/* NULL: nobody's */
	TimestampTz expires_at;		/* DT_NOEND: never */
	int64		generation;		/* 0: the stock row has it already */
	int64		request;		/* hash of what was asked */
} ReservationRow;

typedef struct MovementRow
{
	StockKey	stock;
	int64		quantity;
	int64		reserved;
	const char *kind;
	const char *reason;			/* or NULL */
	const pg_uuid_t *key;		/* or NULL */
	int			line;
	int64		generation;		/* 0: the stock row has it already */
} MovementRow;


#define MAX_TESTS 4

/* An index that a row is put into by hand. */
typedef struct DirectIndex
{
	Oid			indexid;
	int			natts;
	AttrNumber	att[INDEX_MAX_KEYS];
	bool		unique;
	int			ntests;			/* of the predicate: IS [NOT] NULL, all of them */
	AttrNumber	test_att[MAX_TESTS];
	bool		test_null[MAX_TESTS];
} DirectIndex;

extern bool inventory_describe_index(Relation index, DirectIndex *result);
extern void inventory_writer_prepare(Inventory *inv);
extern void inventory_write_reservation(Inventory *inv,
										const ReservationRow *row);
extern MovementRow inventory_movement(const StockKey *stock, const char *kind);
extern void inventory_write_movement(Inventory *inv, const MovementRow *row);

/* ----------
 * guard.c: what the triggers expect of our own statements
 * ----------
 */
typedef struct Expected
{
	Oid			relid;
	StockKey	key;
	int64		quantity;		/* changes */
	int64		reserved;
	const CellRow *row;			/* mode and limits that were taken for true,
								 * or NULL */
	bool		stale;			/* they were not */
	bool		looked;			/* the trigger before the row has run */
	bool		seen;			/* the change came, just so */
	struct Expected *outer;
} Expected;

extern int	inventory_writing;	/* companions are being written by us */

extern void inventory_expect(Expected *expected);
extern void inventory_expect_no_more(Expected *expected);
extern void inventory_expect_seen(Inventory *inv, const Expected *expected);

/* ----------
 * statement.c: SQL on the stock table and the companions
 * ----------
 */
extern uint64 inventory_execute(Inventory *inv, InventoryStatement statement,
								Datum *values, const char *nulls,
								Snapshot snapshot);
extern uint64 inventory_execute_expecting(Inventory *inv,
										  InventoryStatement statement,
										  Datum *values, const char *nulls,
										  Expected *expected);
extern uint64 inventory_run(Inventory *inv, InventoryStatement statement,
							Datum *values, const char *nulls);
extern int	inventory_key_values(const Inventory *inv, const StockKey *key,
								 Datum *values);
extern bool inventory_change_stock(Inventory *inv, const StockKey *key,
								   const CellRow *row, int64 quantity,
								   int64 reserved, int64 version);
extern bool inventory_see_stock(Inventory *inv, const StockKey *key,
								StockRow *row);
extern void inventory_lock_stock(Inventory *inv, const StockKey *key,
								 StockRow *row);

/* ----------
 * claim.c: units out of a cell, in either mode; units back
 * ----------
 */
typedef enum Shortage
{
	SHORTAGE_FAIL,
	SHORTAGE_WAIT,
	SHORTAGE_ERROR
} Shortage;

typedef enum ClaimOutcome
{
	CLAIM_DONE,
	CLAIM_SOLD_OUT,
	CLAIM_VERSION_CONFLICT
} ClaimOutcome;

typedef struct Claim
{
	StockKey	key;
	int			quantity;
	int64		expected_version;	/* -1: any */
	Shortage	shortage;
	TimestampTz expires_at;		/* DT_NOEND: never */
	/* results */
	int64		available;		/* afterwards */
	int64		version;
	int64		generation;		/* for the ledger; 0: the stock row has it */
} Claim;

extern void inventory_check_writer(Inventory **inv, const char *command);
extern void inventory_check_policies(Inventory *inv);
pg_noreturn extern void inventory_not_on_hand(Inventory *inv,
											  const StockKey *key);
pg_noreturn extern void inventory_short(Inventory *inv, const StockKey *key,
										int64 wanted, int64 free);
extern ClaimOutcome inventory_claim(Inventory *inv, Claim *claim);
extern SharedCell *inventory_pin(Inventory *inv, const StockKey *key,
								 CellRow *cell);
extern void inventory_event(Inventory *inv, MovementRow *movement);

/* ----------
 * reserve.c
 * ----------
 */

/* One row of plinth_inventory.result. */
typedef struct ResultRow
{
	pg_uuid_t	key;
	bool		no_key;			/* it is not about a reservation */
	int			line;
	StockKey	stock;
	bool		has_stock;
	bool		no_warehouse;	/* none was chosen */
	int			quantity;
	const char *outcome;
	int64		available;		/* -1: null */
	int64		version;		/* -1: null */
	TimestampTz expires_at;
	bool		replayed;
} ResultRow;

extern ResultRow inventory_result_row(const pg_uuid_t *key, int line);
extern Datum inventory_result(FunctionCallInfo fcinfo, Inventory *inv,
							  const ResultRow *row);
extern void inventory_put_result(FunctionCallInfo fcinfo, Inventory *inv,
								 const ResultRow *row);
extern Inventory *inventory_of_call(FunctionCallInfo fcinfo, int arg,
									const char *command);
extern TimestampTz inventory_expiry(FunctionCallInfo fcinfo, int arg);
extern Shortage inventory_shortage(FunctionCallInfo fcinfo, int arg);
extern const pg_uuid_t *inventory_uuid(FunctionCallInfo fcinfo, int arg);
extern char *inventory_text(FunctionCallInfo fcinfo, int arg);
extern char *inventory_number(FunctionCallInfo fcinfo, int arg);
extern int	inventory_quantity(FunctionCallInfo fcinfo, int arg);
extern int64 inventory_version(int64 version);
extern void inventory_lock_owner(Inventory *inv, const char *owner);
extern void inventory_describe_line(StringInfo buf, Inventory *inv,
									const StockKey *key, bool open,
									int64 quantity, int64 expected_version);
extern int64 inventory_request_hash(StringInfo buf, const char *owner);
extern void inventory_unlock_key(Inventory *inv, const pg_uuid_t *key);
extern List *inventory_replay(Inventory *inv, const pg_uuid_t *key,
							  int64 request);

/* ----------
 * settle.c: lines of reservations
 * ----------
 */

/* A line as it is in the table. */
typedef struct Hold
{
	pg_uuid_t	key;
	int			line;
	StockKey	stock;
	int			quantity;
	int			confirmed;
	int			released;
	TimestampTz expires_at;		/* CELL_NEVER_DUE: never */
	bool		finished;
	const char *outcome;		/* NULL until then */
	int64		request;
} Hold;

#define HOLD_UNITS(hold) \
	((hold)->quantity - (hold)->confirmed - (hold)->released)

extern List *inventory_holds(Inventory *inv, InventoryStatement statement,
							 Datum *values);
extern List *inventory_sort_holds(Inventory *inv, List *holds);
extern List *inventory_find_owned(Inventory *inv, const char *owner);
extern List *inventory_lock_owned(Inventory *inv, const char *owner);
extern void inventory_settle(Inventory *inv, Hold *hold, int confirmed,
							 int released, const char *outcome);
extern void inventory_release_holds(Inventory *inv, List *holds,
									const char *kind);

/* ----------
 * order.c, choose.c: several lines; which warehouse
 * ----------
 */
typedef enum Strategy
{
	STRATEGY_PRIORITY,
	STRATEGY_MOST_STOCK,
	STRATEGY_FEWEST_SPLITS
} Strategy;

/* One line of an order, after equal ones have been merged. */
typedef struct OrderLine
{
	StockKey	key;
	bool		open;			/* any warehouse will do */
	int64		quantity;
	int64		expected_version;	/* -1: any */
	List	   *pieces;			/* of OrderPiece */
	ClaimOutcome outcome;		/* CLAIM_DONE: not at fault */
	int64		available;		/* -1: not known */
	int64		version;
} OrderLine;

/* What one cell serves of a line. */
typedef struct OrderPiece
{
	OrderLine  *line;
	Claim		claim;
	int			number;			/* line in the table of reservations */
} OrderPiece;

typedef struct Order
{
	Inventory  *inv;
	pg_uuid_t	key;
	const char *owner;
	List	   *lines;			/* of OrderLine */
	TimestampTz expires_at;
	Shortage	shortage;
	Strategy	strategy;
	bool		allow_split;
	bool		chosen;			/* the line that failed may be served elsewhere */
	bool		replace;		/* the owner's other holds go */
	List	   *owned;			/* those, as they were seen: of Hold */
	int64		request;
} Order;

extern Datum inventory_reserve_anywhere(FunctionCallInfo fcinfo,
										Inventory *inv, const char *sku,
										int quantity, const pg_uuid_t *key,
										const Claim *claim, const char *owner);
extern Strategy inventory_strategy(const char *word);
extern bool inventory_choose(Order *order);
extern void inventory_short_order(Order *order);

/* ----------
 * expire.c
 * ----------
 */
/* How many overdue holds a claim that is short gives back at once. */
#define INVENTORY_EXPIRE_AT_ONCE 1000

extern int64 inventory_expire_cell(Inventory *inv, const StockKey *key,
								   int64 limit);

/* ----------
 * mode.c, fold.c
 * ----------
 */
extern void inventory_begin_change(Inventory *inv, const StockKey *key,
								   CellRow *cell);
extern void inventory_end_change(Inventory *inv, const StockKey *key,
								 const CellRow *was, CellRow *becomes,
								 int64 quantity);
extern bool inventory_fold_cell(Inventory *inv, const StockKey *key, bool last);
extern int64 inventory_fold_all(Inventory *inv, bool last);
extern void inventory_adopt(Inventory *inv, const StockKey *key);
extern void inventory_close_all(Inventory *inv);
extern List *inventory_keys(Inventory *inv, InventoryStatement statement,
							Datum *values);

/* ----------
 * target.c: which table a call is about, and what cannot be an inventory
 * ----------
 */
extern Oid	inventory_function(const char *name);
extern PlinthTrigger *inventory_trigger(Oid relid, const char *function,
										const char *name);
extern InventoryOptions *inventory_table_options(Oid relid);
extern InventoryOptions *inventory_target_options(FunctionCallInfo fcinfo);
extern void inventory_check_kind(Oid relid);
extern void inventory_check_columns(Relation rel,
									const InventoryOptions *options);
extern void inventory_check_shape(Oid relid, const InventoryOptions *options);
extern void inventory_check_row_security(Relation rel,
										 const InventoryOptions *options);

/* ----------
 * companions.c, view.c, opening.c: the tables and the view beside the table
 * ----------
 */
extern char *inventory_companion_name(const InventoryOptions *options,
									  Companion companion);
extern void inventory_name_companions(Oid relid, InventoryOptions *options);
extern void inventory_make_companions(Oid relid,
									  const InventoryOptions *options);
extern void inventory_make_indexes(const InventoryOptions *options,
								   Companion companion);
extern void inventory_give_to_owner(Oid relid, const char *what,
									const char *name);
extern void inventory_copy_select(Oid relid, const char *name);
extern char *inventory_column_misfit(Oid relid,
									 const InventoryOptions *options,
									 Companion companion, Oid companionid,
									 bool names);
extern char *inventory_same_cell(Oid relid, const InventoryOptions *options,
								 const char *alias);
extern void inventory_make_view(Oid relid, const InventoryOptions *options);
extern void inventory_check_rows(Oid relid, const InventoryOptions *options);
extern uint64 inventory_run_latest(const char *sql);
extern uint64 inventory_remove_cells(Oid relid,
									 const InventoryOptions *options);
extern uint64 inventory_add_cells(Oid relid, const InventoryOptions *options,
								  bool missing);
extern void inventory_open(Oid relid, const InventoryOptions *options);

/* ----------
 * attach.c: triggers, and which companions go with a table
 * ----------
 */
extern void inventory_make_triggers(Oid relid,
									const InventoryOptions *options);
extern void inventory_drop_triggers(Oid relid);
extern void inventory_drop_guards(Oid companionid);
extern void inventory_attach(Oid relid, const InventoryOptions *options);
extern int	inventory_kind(Oid relid);
extern Oid	inventory_attached_table(Oid relid);
extern List *inventory_attached(Oid relid);

/* ----------
 * sums.c: stock, reservations and ledger compared, as SQL
 * ----------
 */
extern char *inventory_sums_key(const Inventory *inv, const char *alias,
								bool stock);
extern char *inventory_sums_label(const Inventory *inv, const char *alias);
extern char *inventory_sums_tail(const char *alias);
extern char *inventory_sums_of_cells(const Inventory *inv);
extern const char *inventory_sums_should(void);
extern const char *inventory_sums_reservation(void);
extern const char *inventory_sums_reservation_wrong(void);
extern char *inventory_sums_of_reservations(const Inventory *inv);
extern char *inventory_sums_sequence(const Inventory *inv);

/* ----------
 * check.c, recount.c
 * ----------
 */

/* A guard, or the view, that is not as enable() has made it. */
typedef struct GuardFault
{
	const char *problem;
	const char *object;			/* for a person to read */
	const char *found;			/* or NULL */
	Oid			relid;			/* whose trigger it is */
	const char *trigger;		/* that only has to be enabled, or NULL */
} GuardFault;

/* A counter that is not what the tables say. */
typedef struct CounterFault
{
	StockKey	key;
	const char *problem;
	char	   *expected;
	char	   *found;
} CounterFault;

extern InventoryOptions *inventory_damaged_options(Oid relid);
extern List *inventory_guard_faults(Oid relid, const InventoryOptions *options);
extern List *inventory_counter_faults(Inventory *inv);

/* ----------
 * follow.c
 * ----------
 */
extern int	inventory_own_ddl;	/* enable() or disable() is at work */

#endif							/* PLINTH_INVENTORY_H */
