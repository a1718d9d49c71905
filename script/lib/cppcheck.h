/*
 * script/lib/cppcheck.h
 *		The server's macros as script/lint shows them to cppcheck, which does not
 *		read the server's headers: it would take macros that look like
 *		statements for syntax errors.
 */
#define PG_VERSION_NUM 150000
#define PG_MODULE_MAGIC extern int magic
#define PG_FUNCTION_INFO_V1(f) extern int info_##f
#define PGDLLEXPORT
#define PG_USED_FOR_ASSERTS_ONLY
#define pg_attribute_printf(f, a)
#define pg_attribute_noreturn()
#define pg_noreturn
#define pg_unreachable() abort()
#define pg_fallthrough
#define Assert(condition) ((void) 0)
#define StaticAssertDecl(condition, message) extern int static_assert
#define StaticAssertStmt(condition, message) ((void) 0)
#define UINT64CONST(x) x##UL
#define INT64CONST(x) x##L
#define INT64_FORMAT "%ld"
#define UINT64_FORMAT "%lu"
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define foreach(cell, list) for (cell = list_head(list); cell; cell = lnext(list, cell))
#define for_each_from(cell, list, n) for (cell = list_nth_cell(list, n); cell; cell = lnext(list, cell))
#define forboth(cell1, list1, cell2, list2) for (cell1 = list_head(list1), cell2 = list_head(list2); cell1 && cell2; cell1 = lnext(list1, cell1), cell2 = lnext(list2, cell2))
#define dlist_foreach(iter, head) for ((iter).cur = dlist_first(head); (iter).cur; (iter).cur = dlist_next((iter).cur))
#define dlist_foreach_modify(iter, head) dlist_foreach(iter, head)
#define slist_foreach(iter, head) dlist_foreach(iter, head)
#define slist_foreach_modify(iter, head) dlist_foreach(iter, head)
#define PG_TRY() if (try_it())
#define PG_CATCH() else
#define PG_FINALLY() if (1)
#define PG_END_TRY() (void) 0
/* The level is a literal in nearly every call, so the end of the path shows. */
#define ereport(level, ...) do { report(__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) ereport(level, __VA_ARGS__)
#define ERROR 21
#define FATAL 22
#define PANIC 23
