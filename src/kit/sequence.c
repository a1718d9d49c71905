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
 * readers of a log rely on.  What has numbers already, from elsewhere, passes
 * them.
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

/* A sequence whose page nobody else can read or write. */
typedef struct OpenSequence
{
	Relation	rel;
	Buffer		buf;
	Page		page;
	HeapTupleData tup;
	Form_pg_sequence_data data; /* in the page */
	int64		step;
	int64		maxv;
} OpenSequence;

/*
 * Lock a sequence and its page.  55000 if it does not count upwards or may
 * cycle.
 */
static void
open_sequence(Oid seqid, OpenSequence *seq)
{
	HeapTuple	tup;
	Form_pg_sequence form;
	ItemId		lp;
	bool		usable;

	seq->rel = relation_open(seqid, RowExclusiveLock);
	tup = SearchSysCache1(SEQRELID, ObjectIdGetDatum(seqid));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for sequence %u", seqid);
	form = (Form_pg_sequence) GETSTRUCT(tup);
	seq->step = form->seqincrement;
	seq->maxv = form->seqmax;
	usable = seq->step > 0 && !form->seqcycle && form->seqmin >= 0;
	ReleaseSysCache(tup);
	if (!usable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence \"%s\" must count upwards from zero or more and must not cycle",
						RelationGetRelationName(seq->rel))));

	seq->buf = ReadBuffer(seq->rel, 0);
	LockBuffer(seq->buf, BUFFER_LOCK_EXCLUSIVE);
	seq->page = BufferGetPage(seq->buf);
	lp = PageGetItemId(seq->page, FirstOffsetNumber);
	if (!ItemIdIsNormal(lp))
		elog(ERROR, "sequence \"%s\" has no tuple",
			 RelationGetRelationName(seq->rel));
	seq->tup.t_data = (HeapTupleHeader) PageGetItem(seq->page, lp);
	seq->tup.t_len = ItemIdGetLength(lp);
	seq->data = (Form_pg_sequence_data) GETSTRUCT(&seq->tup);
}

/* Write what the page says into the log.  To be called in a critical section. */
static void
log_sequence(OpenSequence *seq)
{
	xl_seq_rec	xlrec;
	XLogRecPtr	recptr;

	XLogBeginInsert();
	XLogRegisterBuffer(0, seq->buf, REGBUF_WILL_INIT);
	PLINTH_SET_SEQ_LOCATOR(xlrec, seq->rel);
	XLogRegisterData((char *) &xlrec, sizeof(xl_seq_rec));
	XLogRegisterData((char *) seq->tup.t_data, seq->tup.t_len);
	recptr = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
	PageSetLSN(seq->page, recptr);
}

static void
close_sequence(OpenSequence *seq)
{
	UnlockReleaseBuffer(seq->buf);
	relation_close(seq->rel, NoLock);
}

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
	OpenSequence seq;
	int64		step;
	int64		first;
	int64		last;
	int64		ahead;
	int64		logcnt;
	bool		logit;

	Assert(count > 0);
	PreventCommandIfParallelMode("nextval()");

	open_sequence(seqid, &seq);
	step = seq.step;

	/* first = last_value + step, or last_value if it was never given out */
	if ((seq.maxv - seq.data->last_value) / step < count - (seq.data->is_called ? 0 : 1))
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 errmsg("nextval: reached maximum value of sequence \"%s\" (%lld)",
						RelationGetRelationName(seq.rel), (long long) seq.maxv)));
	first = seq.data->is_called ? seq.data->last_value + step : seq.data->last_value;
	last = first + (count - 1) * step;

	/*
	 * Log when what was logged ahead does not cover this, and for the first
	 * change after a checkpoint, whose replay would not see older records.
	 */
	logcnt = seq.data->log_cnt;
	logit = logcnt < count || !seq.data->is_called ||
		PageGetLSN(seq.page) <= GetRedoRecPtr();
	if (logit)
	{
		ahead = Min(SEQ_LOG_VALS, (seq.maxv - last) / step);
		logcnt = ahead;
	}
	else
	{
		ahead = 0;
		logcnt -= count;
	}

	/* commit must wait for the record, so the transaction needs an xid */
	if (logit && RelationNeedsWAL(seq.rel))
		GetTopTransactionId();

	START_CRIT_SECTION();
	MarkBufferDirty(seq.buf);
	if (logit && RelationNeedsWAL(seq.rel))
	{
		/* replay continues behind the numbers logged ahead */
		seq.data->last_value = last + ahead * step;
		seq.data->is_called = true;
		seq.data->log_cnt = 0;
		log_sequence(&seq);
	}
	seq.data->last_value = last;
	seq.data->is_called = true;

	/*
	 * At wal_level minimal a sequence made in this transaction is not logged
	 * but synced at commit, as it is then: nothing is logged ahead of that.
	 */
	seq.data->log_cnt = RelationNeedsWAL(seq.rel) ? logcnt : 0;
	END_CRIT_SECTION();

	close_sequence(&seq);

	*increment = step;
	return first;
}

/*
 * Move a sequence, if need be, so that it gives no number up to this one.
 * setval() would do without looking, and back to where others have been
 * meanwhile.  Returns whether it had to be moved, or 2200H if it cannot.
 */
bool
plinth_sequence_pass(Oid seqid, int64 number)
{
	OpenSequence seq;
	bool		behind;

	PreventCommandIfParallelMode("setval()");

	open_sequence(seqid, &seq);
	behind = seq.data->last_value < number ||
		(seq.data->last_value == number && !seq.data->is_called);
	if (behind)
	{
		if (number > seq.maxv)
			ereport(ERROR,
					(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					 errmsg("sequence \"%s\" cannot pass %lld",
							RelationGetRelationName(seq.rel), (long long) number)));
		if (RelationNeedsWAL(seq.rel))
			GetTopTransactionId();

		START_CRIT_SECTION();
		MarkBufferDirty(seq.buf);
		seq.data->last_value = number;
		seq.data->is_called = true;
		seq.data->log_cnt = 0;
		if (RelationNeedsWAL(seq.rel))
			log_sequence(&seq);
		END_CRIT_SECTION();
	}
	close_sequence(&seq);
	return behind;
}
