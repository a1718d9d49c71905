/*
 * src/kit/sequence.c
 *		Numbers from a sequence that the session does not notice.
 *
 * nextval() makes its sequence the one that lastval() speaks of, and clients
 * use lastval() to learn the key of the row that they have just inserted: a
 * trigger that calls nextval() changes their answer.  This takes numbers from
 * the same sequence, in the same on-disk format and with the same WAL record
 * (nextval_internal() in src/backend/commands/sequence.c is the source), but
 * leaves the session's own memory of sequences alone.  It never caches: two
 * sessions' numbers come in the order in which they were taken, which the
 * readers of a log rely on.
 *
 * Locks: RowExclusiveLock on the sequence until the end of the transaction,
 * then the content lock of its one page.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/syscache.h"

#include "kit/sequence.h"

/* How many numbers are logged ahead, as in commands/sequence.c. */
#define SEQ_LOG_VALS 32

/*
 * Take `count` consecutive numbers.  Returns the first; the others follow at
 * the distance *increment, which is positive.
 *
 * Errors: 55000 if the sequence does not count upwards or may cycle, 2200H if
 * it is exhausted.
 */
int64
plinth_sequence_take(Oid seqid, int64 count, int64 *increment)
{
	Relation	rel;
	HeapTuple	tup;
	Form_pg_sequence form;
	int64		step;
	int64		maxv;
	bool		usable;
	Buffer		buf;
	Page		page;
	ItemId		lp;
	HeapTupleData seqtup;
	Form_pg_sequence_data seq;
	int64		first;
	int64		last;
	int64		ahead;
	int64		logcnt;
	bool		logit;

	Assert(count > 0);
	PreventCommandIfParallelMode("nextval()");

	rel = relation_open(seqid, RowExclusiveLock);
	tup = SearchSysCache1(SEQRELID, ObjectIdGetDatum(seqid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for sequence %u", seqid);
	form = (Form_pg_sequence) GETSTRUCT(tup);
	step = form->seqincrement;
	maxv = form->seqmax;
	usable = step > 0 && !form->seqcycle && form->seqmin >= 0;
	ReleaseSysCache(tup);
	if (!usable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence \"%s\" must count upwards from zero or more and must not cycle",
						RelationGetRelationName(rel))));

	buf = ReadBuffer(rel, 0);
	LockBuffer(buf, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buf);
	lp = PageGetItemId(page, FirstOffsetNumber);
	if (!ItemIdIsNormal(lp))
		elog(ERROR, "sequence \"%s\" has no tuple",
			 RelationGetRelationName(rel));
	seqtup.t_data = (HeapTupleHeader) PageGetItem(page, lp);
	seqtup.t_len = ItemIdGetLength(lp);
	seq = (Form_pg_sequence_data) GETSTRUCT(&seqtup);

	/* first = last_value + step, or last_value if it was never given out */
	if ((maxv - seq->last_value) / step < count - (seq->is_called ? 0 : 1))
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("nextval: reached maximum value of sequence \"%s\" (%lld)",
						RelationGetRelationName(rel), (long long) maxv)));
	first = seq->is_called ? seq->last_value + step : seq->last_value;
	last = first + (count - 1) * step;

	/*
	 * Log when what was logged ahead does not cover this, and for the first
	 * change after a checkpoint, whose replay would not see older records.
	 */
	logcnt = seq->log_cnt;
	logit = logcnt < count || !seq->is_called ||
		PageGetLSN(page) <= GetRedoRecPtr();
	if (logit)
	{
		ahead = Min(SEQ_LOG_VALS, (maxv - last) / step);
		logcnt = ahead;
	}
	else
	{
		ahead = 0;
		logcnt -= count;
	}

	/* commit must wait for the record, so the transaction needs an xid */
	if (logit && RelationNeedsWAL(rel))
		GetTopTransactionId();

	START_CRIT_SECTION();
	MarkBufferDirty(buf);
	if (logit && RelationNeedsWAL(rel))
	{
		xl_seq_rec	xlrec;
		XLogRecPtr	recptr;

		XLogBeginInsert();
		XLogRegisterBuffer(0, buf, REGBUF_WILL_INIT);

		/* replay continues behind the numbers logged ahead */
		seq->last_value = last + ahead * step;
		seq->is_called = true;
		seq->log_cnt = 0;

		PLINTH_SET_SEQ_LOCATOR(xlrec, rel);
		XLogRegisterData((char *) &xlrec, sizeof(xl_seq_rec));
		XLogRegisterData((char *) seqtup.t_data, seqtup.t_len);
		recptr = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
		PageSetLSN(page, recptr);
	}
	seq->last_value = last;
	seq->is_called = true;

	/*
	 * At wal_level minimal a sequence made in this transaction is not logged
	 * but synced at commit, as it is then: nothing is logged ahead of that.
	 */
	seq->log_cnt = RelationNeedsWAL(rel) ? logcnt : 0;
	END_CRIT_SECTION();

	UnlockReleaseBuffer(buf);
	relation_close(rel, NoLock);

	*increment = step;
	return first;
}
